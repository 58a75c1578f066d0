#include "tls/client.h"

#include <chrono>
#include <iostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/run.h"
#include "net/task_group.h"
#include "net/until.h"
#include "tls/server.h"
#include "tls/test_world.h"
#include "tls/verify.h"

namespace postrider::tls {
namespace {

using std::chrono::steady_clock;
using test::Issued;
using test::Wanted;
using testing::Contains;
using testing::HasSubstr;
using testing::StartsWith;

Wanted authority(const std::string& name) {
    Wanted wanted;
    wanted.common_name = name;
    wanted.dns_names = {};
    wanted.authority = true;
    return wanted;
}

struct Meeting {
    Result<std::unique_ptr<TlsStream>> client = Unexpected(ErrorCode::Cancelled, "not run");
    Result<std::unique_ptr<TlsStream>> server = Unexpected(ErrorCode::Cancelled, "not run");
};

net::Awaitable<void> serve(Server& server, std::unique_ptr<net::Stream> stream, Meeting& meeting) {
    meeting.server = co_await server.accept(std::move(stream), net::kNever);
    if (!meeting.server) co_return;
    // A first word lets the client receive its tickets.
    (co_await net::write(**meeting.server, "220 hello\r\n", net::kNever)).has_value();
}

class ClientTest : public testing::Test {
protected:
    static const Issued& root() {
        static const Issued issued = Issued::make(authority("Test Root"));
        return issued;
    }

    ClientTest() {
        peer.host = peer.nexthop = "smtp.example.org";
        peer.address = "192.0.2.1";
        peer.port = 465;
        material.authorities = root().certificate_pem();
    }

    std::unique_ptr<Server> server_with(const Issued& identity, const std::string& chain = "") {
        ServerOptions options = server_options;
        options.chain = identity.certificate_pem() + chain;
        options.key = identity.key_pem();
        auto made = Server::create(options);
        EXPECT_TRUE(made) << (made ? "" : made.error().message);
        return std::move(*made);
    }

    Meeting meet(Server& server, int log_level = 1) {
        if (!client) client = std::make_unique<Client>(material, clock);
        Meeting meeting;
        auto [near, far] = test::pipe(loop.get_executor(), piece);
        net::TaskGroup tasks(loop.get_executor(), Log(log, "test"));
        tasks.spawn(serve(server, std::move(far), meeting), "server");
        meeting.client = net::run(loop, client->connect(std::move(near), peer, policy, log_level,
                                                        Log(log, "smtp"), net::kNever));
        if (meeting.client) {
            std::array<char, 100> greeting;
            auto count = net::run(loop, (*meeting.client)->read_some(greeting, net::kNever));
            EXPECT_TRUE(count && *count == 11);
        }
        EXPECT_TRUE(net::run(loop, tasks.join(net::kNever)));
        return meeting;
    }

    /// What connecting to a server with this certificate leads to: a trust, or the error.
    std::string outcome(const Issued& identity, const std::string& chain = "") {
        auto server = server_with(identity, chain);
        client.reset();
        auto meeting = meet(*server);
        if (!meeting.client) return meeting.client.error().message;
        return std::string(to_string((*meeting.client)->session().trust));
    }
    std::string outcome(const Wanted& wanted) { return outcome(Issued::make(wanted, &root())); }

    std::string names(std::vector<std::string> dns_names) {
        Wanted wanted;
        wanted.dns_names = std::move(dns_names);
        return outcome(wanted);
    }

    boost::asio::io_context loop;
    CapturedLog log;
    ManualClock clock;
    Material material;
    Peer peer;
    Policy policy;
    ServerOptions server_options;
    std::size_t piece = 100'000;
    std::unique_ptr<Client> client;
};

constexpr const char* kRefused = "Server certificate not verified";

TEST_F(ClientTest, AcceptsTheServerWithTheRightName) {
    EXPECT_EQ(outcome(Wanted()), "Verified");
    EXPECT_THAT(log.lines(),
                testing::ElementsAre(
                    "smtp: Verified TLS connection established to smtp.example.org[192.0.2.1]:465: "
                    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 "
                    "server-signature ECDSA (P-256) server-digest SHA256"));
}

TEST_F(ClientTest, DescribesRsaAndOlderVersionsAsPostfixDoes) {
    Wanted wanted;
    wanted.rsa_bits = 2048;
    EXPECT_EQ(outcome(wanted), "Verified");
    EXPECT_THAT(log.lines(), Contains(HasSubstr("key-exchange X25519 server-signature RSA-PSS "
                                                "(2048 bits) server-digest SHA256")));
    log.clear();
    policy.protocols = *parse_protocols("TLSv1.2");
    EXPECT_EQ(outcome(wanted), "Verified");
    EXPECT_THAT(log.lines(), Contains(testing::EndsWith("(256/256 bits)")));
}

TEST_F(ClientTest, MatchesOnlyWholeNamesAndWholeLeftmostWildcards) {
    EXPECT_EQ(names({"smtp.example.org"}), "Verified");
    EXPECT_EQ(names({"SMTP.Example.ORG"}), "Verified");
    EXPECT_EQ(names({"other.org", "*.example.org"}), "Verified");
    for (const std::string& name :
         {std::string("example.org"), std::string("other.example.org"), std::string("*.org"),
          std::string("*"), std::string("*.*"), std::string("*.*.org"),
          std::string("s*.example.org"), std::string("*p.example.org"), std::string("smtp.*.org"),
          std::string("*.smtp.example.org"), std::string("smtp.example.org\0.evil.com", 26),
          std::string("smtp.example.org."), std::string("evil.com\0smtp.example.org", 25),
          std::string("")}) {
        EXPECT_EQ(names({name}), kRefused) << name;
    }
    peer.host = "a.b.example.org";
    EXPECT_EQ(names({"*.example.org"}), kRefused);
}

TEST_F(ClientTest, NeverLooksAtTheCommonName) {
    EXPECT_EQ(names({}), kRefused);
    EXPECT_THAT(log.lines(), Contains("smtp: server certificate verification failed for "
                                      "smtp.example.org[192.0.2.1]:465: num=62:hostname mismatch"));
    EXPECT_THAT(log.lines(), Contains(StartsWith("smtp: Untrusted TLS connection established to")));
}

TEST_F(ClientTest, DoesNotVerifyAnAddressAsAName) {
    peer.host = "192.0.2.1";
    Wanted wanted;
    wanted.dns_names = {"192.0.2.1", "*.0.2.1"};
    wanted.addresses = {"192.0.2.1"};
    EXPECT_EQ(outcome(wanted), kRefused);
}

TEST_F(ClientTest, RefusesAServerWithoutAName) {
    for (const char* name : {"", " ", "*", "a b", "*.example.org"}) {
        peer.host = name;
        EXPECT_EQ(outcome(Wanted()), "TLS to a server without a name") << name;
    }
}

TEST_F(ClientTest, FollowsTheStrategiesOfThePolicy) {
    peer.host = "mx1.provider.net";
    EXPECT_EQ(outcome(Wanted()), kRefused);
    policy.match = {"nexthop"};
    EXPECT_EQ(outcome(Wanted()), "Verified");
    peer.nexthop = "example.org";
    EXPECT_EQ(outcome(Wanted()), kRefused);
    policy.match = {"nexthop", "dot-nexthop"};
    EXPECT_EQ(outcome(Wanted()), "Verified");
    policy.match = {".org"};
    EXPECT_EQ(outcome(Wanted()), "Verified");
    policy.match = {".example.com", "smtp.example.org"};
    EXPECT_EQ(outcome(Wanted()), "Verified");
    policy.match = {"", "."};
    EXPECT_EQ(outcome(Wanted()), kRefused);
    policy.match = {};
    EXPECT_EQ(outcome(Wanted()), kRefused);
}

TEST_F(ClientTest, SaysWhatIsWrongWithTheChain) {
    const auto refused = [&](const Issued& issued, const std::string& text) {
        log.clear();
        EXPECT_EQ(outcome(issued), kRefused);
        EXPECT_THAT(log.lines(), Contains(text));
    };
    const std::string to = "verification failed for smtp.example.org[192.0.2.1]:465: ";
    Wanted wanted;
    wanted.from_days = -20;
    wanted.to_days = -10;
    refused(Issued::make(wanted, &root()),
            "smtp: server certificate " + to + "certificate has expired");
    wanted.from_days = 10;
    wanted.to_days = 20;
    refused(Issued::make(wanted, &root()),
            "smtp: server certificate " + to + "certificate not yet valid");
    refused(Issued::make(Wanted()), "smtp: certificate " + to + "self-signed certificate");
    const Issued stranger = Issued::make(authority("Stranger"));
    refused(Issued::make(Wanted(), &stranger),
            "smtp: certificate " + to + "untrusted issuer /CN=Stranger");
    wanted = Wanted();
    wanted.usage = "clientAuth";
    refused(Issued::make(wanted, &root()),
            "smtp: certificate " + to + "not designated for use as a server certificate");
    const Issued no_authority = Issued::make(Wanted(), &root());
    EXPECT_EQ(outcome(Issued::make(Wanted(), &no_authority), no_authority.certificate_pem()),
              kRefused);
}

TEST_F(ClientTest, WantsTheIntermediateAndLimitsTheChain) {
    const Issued middle = Issued::make(authority("Middle"), &root());
    const Issued leaf = Issued::make(Wanted(), &middle);
    EXPECT_EQ(outcome(leaf), kRefused);
    EXPECT_EQ(outcome(leaf, middle.certificate_pem()), "Verified");
    policy.verify_depth = 1;
    EXPECT_EQ(outcome(leaf, middle.certificate_pem()), kRefused);
    EXPECT_THAT(log.lines(), Contains(HasSubstr("certificate chain longer than limit(1)")));
}

TEST_F(ClientTest, RefusesWeakKeysWhereANameIsDemanded) {
    server_options.ciphers = "DEFAULT:@SECLEVEL=0";
    Wanted wanted;
    wanted.rsa_bits = 2048;
    EXPECT_EQ(outcome(wanted), "Verified");
    wanted.rsa_bits = 1024;
    EXPECT_NE(outcome(wanted), "Verified");
}

TEST_F(ClientTest, TrustsNothingWhenTheStoreIsEmpty) {
    material.authorities.clear();
    EXPECT_EQ(outcome(Wanted()), kRefused);
    policy.level = Level::Encrypt;
    EXPECT_EQ(outcome(Wanted()), "Untrusted");
}

TEST_F(ClientTest, LooserLevelsTakeAnyCertificate) {
    policy.level = Level::May;
    EXPECT_EQ(outcome(Issued::make(Wanted())), "Untrusted");
    EXPECT_EQ(names({"other.example"}), "Trusted");
}

TEST_F(ClientTest, RecognisesFingerprintsOfCertificateOrKey) {
    Wanted wanted;
    wanted.to_days = -1;
    wanted.from_days = -2;
    const Issued expired = Issued::make(wanted);
    policy.level = Level::Fingerprint;
    policy.fingerprints = {"00:11"};
    EXPECT_EQ(outcome(expired), kRefused);
    policy.fingerprints = {"00:11", certificate_fingerprint(expired.certificate(), "sha256")};
    EXPECT_EQ(outcome(expired), "Verified");
    policy.fingerprints = {public_key_fingerprint(expired.certificate(), "sha256")};
    EXPECT_EQ(outcome(expired), "Verified");
    EXPECT_EQ(outcome(Issued::make(wanted)), kRefused);
    policy.fingerprints = {};
    EXPECT_EQ(outcome(expired), kRefused);
    policy.fingerprint_digest = "nonsense";
    EXPECT_EQ(outcome(expired), "digest algorithm \"nonsense\" not found");
}

TEST_F(ClientTest, TrustsOnlyTheAnchorsOfThePolicy) {
    const Issued other = Issued::make(authority("Other"));
    material.anchors["/etc/anchor.pem"] = other.certificate_pem();
    policy.trust_anchors = "/etc/anchor.pem";
    EXPECT_EQ(outcome(Wanted()), kRefused);
    EXPECT_EQ(outcome(Issued::make(Wanted(), &other)), "Verified");
    policy.trust_anchors = "/etc/missing.pem";
    EXPECT_EQ(outcome(Wanted()), "trust anchors /etc/missing.pem: not loaded");
}

TEST_F(ClientTest, SendsTheNameItWants) {
    auto server = server_with(Issued::make(Wanted(), &root()));
    const auto requested = [&] { return (*meet(*server).server)->session().requested_name; };
    EXPECT_EQ(requested(), "smtp.example.org");
    policy.server_name = "";
    EXPECT_EQ(requested(), "");
    policy.server_name = "other.example";
    EXPECT_EQ(requested(), "other.example");
}

TEST_F(ClientTest, FailsWhenNoVersionIsShared) {
    server_options.protocols = *parse_protocols("TLSv1.2");
    auto server = server_with(Issued::make(Wanted(), &root()));
    policy.protocols = *parse_protocols(">=TLSv1.3");

    auto meeting = meet(*server);

    ASSERT_FALSE(meeting.client);
    EXPECT_EQ(meeting.client.error().code, ErrorCode::Protocol);
    EXPECT_THAT(log.lines(),
                Contains("smtp: SSL_connect error to smtp.example.org[192.0.2.1]:465: -1"));
    EXPECT_THAT(log.lines(), Contains(StartsWith("smtp: warning: TLS library problem: error:0A")));
}

TEST_F(ClientTest, FailsWhenTheOtherSideDoesNotSpeakTls) {
    client = std::make_unique<Client>(material, clock);
    auto [near, far] = test::pipe(loop.get_executor());
    ASSERT_TRUE(net::run(loop, net::write(*far, "220 smtp.example.org ESMTP\r\n", net::kNever)));
    auto garbled = net::run(
        loop, client->connect(std::move(near), peer, policy, 0, Log(log, "smtp"), net::kNever));
    ASSERT_FALSE(garbled);
    EXPECT_EQ(garbled.error().code, ErrorCode::Protocol);
    EXPECT_THAT(log.lines(), Contains(HasSubstr("wrong version number")));

    auto [silent, other] = test::pipe(loop.get_executor());
    auto timed_out =
        net::run(loop, client->connect(std::move(silent), peer, policy, 0, Log(log, "smtp"),
                                       steady_clock::now() + std::chrono::milliseconds(5)));
    EXPECT_EQ(timed_out.error().code, ErrorCode::Timeout);
    EXPECT_THAT(log.lines(), Contains(HasSubstr("]:465: Connection timed out")));

    auto [lost, gone] = test::pipe(loop.get_executor());
    gone->close();
    auto dropped = net::run(
        loop, client->connect(std::move(lost), peer, policy, 0, Log(log, "smtp"), net::kNever));
    EXPECT_EQ(dropped.error().code, ErrorCode::Connection);
}

TEST_F(ClientTest, ResumesOnlyUnderTheSamePolicyAndTimeAndServer) {
    for (const char* version : {"TLSv1.2", "TLSv1.3"}) {
        policy = Policy();
        policy.protocols = *parse_protocols(version);
        client.reset();
        auto server = server_with(Issued::make(Wanted(), &root()));
        const auto resumed = [&] {
            auto meeting = meet(*server);
            EXPECT_EQ((*meeting.client)->session().trust, Trust::Verified);
            return (*meeting.client)->session().resumed;
        };
        EXPECT_FALSE(resumed()) << version;
        EXPECT_GT(client->sessions(), 0u);
        EXPECT_TRUE(resumed()) << version;
        EXPECT_TRUE(resumed()) << version;

        policy.level = Level::Secure;
        EXPECT_FALSE(resumed()) << version;
        policy.level = Level::Verify;
        peer.port = 587;
        EXPECT_FALSE(resumed()) << version;
        peer.port = 465;
        EXPECT_TRUE(resumed()) << version;
        clock.advance(std::chrono::hours(2));
        EXPECT_FALSE(resumed()) << version;
        policy.session_lifetime = Duration::zero();
        EXPECT_FALSE(resumed()) << version;
        EXPECT_FALSE(resumed()) << version;
    }
}

TEST_F(ClientTest, KeepsNoSessionOfAServerItRefused) {
    Wanted wanted;
    wanted.dns_names = {"other.example"};
    EXPECT_EQ(outcome(wanted), kRefused);
    EXPECT_EQ(client->sessions(), 0u);
}

TEST_F(ClientTest, LogsTheHandshakeInPostfixOrder) {
    auto server = server_with(Issued::make(Wanted(), &root()));
    auto meeting = meet(*server, 2);
    const auto& lines = log.lines();
    ASSERT_GT(lines.size(), 10u);
    EXPECT_EQ(lines[0], "smtp: initializing the client-side TLS engine");
    EXPECT_EQ(lines[1], "smtp: setting up TLS connection to smtp.example.org[192.0.2.1]:465");
    EXPECT_THAT(lines[2], StartsWith("smtp: smtp.example.org[192.0.2.1]:465: TLS cipher list \""));
    EXPECT_EQ(lines[3], "smtp: SSL_connect:before SSL initialization");
    EXPECT_EQ(lines[4], "smtp: SSL_connect:SSLv3/TLS write client hello");
    const std::string peer_text = "smtp: smtp.example.org[192.0.2.1]:465: ";
    const auto at = [&](const std::string& text) {
        const auto found = std::find_if(lines.begin(), lines.end(), [&](const std::string& line) {
            return line.starts_with(text);
        });
        EXPECT_NE(found, lines.end()) << text;
        return found - lines.begin();
    };
    EXPECT_LT(at(peer_text + "depth=1 verify=1 subject=/CN=Test Root"),
              at(peer_text + "depth=0 verify=1 subject=/CN=smtp.example.org"));
    EXPECT_LT(at(peer_text + "matched peername: smtp.example.org"),
              at(peer_text + "subject_CN=smtp.example.org, issuer_CN=Test Root, fingerprint="));
    EXPECT_LT(at(peer_text + "subject_CN="), at("smtp: Verified TLS connection established"));
}

TEST_F(ClientTest, DumpsWhatItMayOnly) {
    auto server = server_with(Issued::make(Wanted(), &root()));
    auto meeting = meet(*server, 4);
    log.clear();
    ASSERT_TRUE(net::run(loop, net::write(**meeting.client, "NOOP\r\n", net::kNever)));
    EXPECT_GT(log.lines().size(), 2u);
    log.clear();
    (*meeting.client)->conceal(true);
    ASSERT_TRUE(net::run(loop, net::write(**meeting.client, "AUTH PLAIN x\r\n", net::kNever)));
    EXPECT_EQ(log.lines().size(), 2u);
}

net::Awaitable<void> send_all(TlsStream& stream, const std::string& text) {
    const std::string_view all = text;
    std::vector<boost::asio::const_buffer> buffers;
    for (std::size_t at = 0, size = 1; at < all.size(); at += size, size = size * 3 % 70'001 + 1) {
        size = std::min(size, all.size() - at);
        buffers.emplace_back(all.data() + at, size);
    }
    EXPECT_TRUE(co_await stream.write(buffers, net::kNever));
    EXPECT_TRUE(co_await stream.finish(net::kNever));
}

net::Awaitable<void> receive_all(TlsStream& stream, std::string& into) {
    std::vector<char> buffer(5000);
    for (;;) {
        auto count = co_await stream.read_some(buffer, net::kNever);
        EXPECT_TRUE(count) << (count ? "" : count.error().message);
        if (!count || *count == 0) co_return;
        into.append(buffer.data(), *count);
    }
}

TEST_F(ClientTest, CarriesMegabytesBothWaysAtOnceInOddPieces) {
    piece = 1237;
    auto server = server_with(Issued::make(Wanted(), &root()));
    auto meeting = meet(*server);
    std::string text(5'000'000, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 / 11);
    std::string there;
    std::string back;
    net::TaskGroup tasks(loop.get_executor(), Log(log, "test"));

    tasks.spawn(send_all(**meeting.client, text), "client sends");
    tasks.spawn(send_all(**meeting.server, text), "server sends");
    tasks.spawn(receive_all(**meeting.client, back), "client receives");
    tasks.spawn(receive_all(**meeting.server, there), "server receives");
    ASSERT_TRUE(net::run(loop, tasks.join(net::kNever)));

    EXPECT_TRUE(there == text);
    EXPECT_TRUE(back == text);
}

TEST_F(ClientTest, TellsAFarewellFromALoss) {
    auto server = server_with(Issued::make(Wanted(), &root()));
    std::array<char, 10> buffer;
    auto polite = meet(*server);
    ASSERT_TRUE(net::run(loop, (*polite.server)->finish(net::kNever)));
    (*polite.server)->close();
    auto end = net::run(loop, (*polite.client)->read_some(buffer, net::kNever));
    EXPECT_TRUE(end && *end == 0);

    auto rude = meet(*server);
    (*rude.server)->close();
    auto loss = net::run(loop, (*rude.client)->read_some(buffer, net::kNever));
    ASSERT_FALSE(loss);
    EXPECT_EQ(loss.error().code, ErrorCode::Connection);
}

// Not a check but a measurement; run with --gtest_also_run_disabled_tests.
TEST_F(ClientTest, DISABLED_Measure) {
    auto server = server_with(Issued::make(Wanted(), &root()));
    const auto timed = [](const char* what, int count, auto action) {
        const auto begin = steady_clock::now();
        for (int i = 0; i < count; ++i) action();
        const std::chrono::duration<double, std::micro> took = steady_clock::now() - begin;
        std::cout << what << ": " << took.count() / count << " us\n";
    };
    policy.session_lifetime = Duration::zero();
    timed("full handshake, both sides", 300, [&] { meet(*server, 0); });
    policy.session_lifetime = std::chrono::hours(1);
    meet(*server, 0);
    timed("resumed handshake, both sides", 300, [&] { meet(*server, 0); });

    auto meeting = meet(*server, 0);
    const std::string text(100'000'000, 'x');
    std::string there;
    there.reserve(text.size());
    net::TaskGroup tasks(loop.get_executor(), Log(log, "test"));
    timed("100 MB, both sides", 1, [&] {
        tasks.spawn(send_all(**meeting.client, text), "send");
        tasks.spawn(receive_all(**meeting.server, there), "receive");
        net::run(loop, tasks.join(net::kNever)).has_value();
    });

    MaterialFiles bundle;
    bundle.system_store = true;
    MaterialFiles directory;
    directory.ca_path = "/etc/ssl/certs";
    timed("read the bundle", 10, [&] { (void)read_material(bundle).has_value(); });
    timed("read the directory", 10, [&] { (void)read_material(directory).has_value(); });
}

}  // namespace
}  // namespace postrider::tls
