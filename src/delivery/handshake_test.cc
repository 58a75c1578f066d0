#include "delivery/handshake.h"

#include <cstring>
#include <deque>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Says the first of its texts at once, and one more for each line it hears. Then it hangs up.
class ScriptedServer final : public net::Stream {
public:
    ScriptedServer(std::vector<std::string> texts, std::vector<std::string>& heard)
        : texts_(texts.begin(), texts.end()), heard_(heard) {
        speak();
    }
    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime) override {
        const std::size_t size = std::min(into.size(), said_.size());
        std::memcpy(into.data(), said_.data(), size);
        said_.erase(0, size);
        co_return size;
    }
    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                       MonotonicTime) override {
        std::string line;
        for (const auto& buffer : buffers)
            line.append(static_cast<const char*>(buffer.data()), buffer.size());
        heard_.push_back(std::move(line));
        speak();
        co_return Result<void>();
    }
    void cancel() override {}
    void close() override {}

private:
    void speak() {
        if (texts_.empty()) return;
        said_ += texts_.front();
        texts_.pop_front();
    }
    std::deque<std::string> texts_;
    std::string said_;
    std::vector<std::string>& heard_;
};

class ClosedGate final : public LoginGate {
public:
    net::Awaitable<std::optional<Verdict>> enter() override {
        Verdict verdict = local_trouble("the account is in trouble");
        verdict.reach = Reach::Account;
        co_return verdict;
    }
};

class HandshakeTest : public testing::Test {
protected:
    HandshakeTest() {
        options.helo_name = options.myhostname = "desk.example";
        options.sasl_auth_enable = true;
        tls.policy.level = tls::Level::None;
        peer.host = "smtp.example.net";
        peer.address = "192.0.2.7";
        peer.port = 587;
    }

    std::optional<Verdict> run(std::vector<std::string> texts, LoginGate* gate = nullptr) {
        boost::asio::io_context loop;
        tls::Client client(tls::Material(), clock);
        Handshake handshake(options, tls, client, loop.get_executor(), clock, log, peer,
                            "example.net", "C3444A80215");
        handshake.set_gate(gate);
        std::optional<Verdict> trouble;
        const auto end = [&](std::exception_ptr thrown, std::optional<Verdict> said) {
            if (thrown) std::rethrow_exception(thrown);
            trouble = std::move(said);
        };
        auto stream = std::make_unique<ScriptedServer>(std::move(texts), heard);
        boost::asio::co_spawn(loop, handshake.run(std::move(stream), std::move(login)), end);
        loop.run();
        capabilities = handshake.capabilities();
        login.reset();
        return trouble;
    }

    void expect_deferred(const std::optional<Verdict>& trouble, const std::string& text,
                         Reach reach) {
        ASSERT_TRUE(trouble) << text;
        EXPECT_EQ(trouble->disposition.kind, mail::Disposition::Kind::Deferred);
        EXPECT_EQ(trouble->disposition.text, text);
        EXPECT_EQ(trouble->reach, reach) << text;
    }

    void use_login(std::string_view password = "pencil") {
        login.emplace();
        login->user = "ann";
        login->password = Secret(password);
    }

    SessionOptions options;
    TlsChoice tls;
    Peer peer;
    std::optional<Login> login;
    ManualClock clock;
    CapturedLog sink;
    Log log{sink, "smtp"};
    std::vector<std::string> heard;
    smtp::Capabilities capabilities;
};

const std::string kGreeting = "220 smtp.example.net ESMTP\r\n";
const std::string kHello = "250-smtp.example.net\r\n250-PIPELINING\r\n250 AUTH LOGIN PLAIN\r\n";
const std::string kHelloTls = "250-smtp.example.net\r\n250 STARTTLS\r\n";

TEST_F(HandshakeTest, LearnsWhatIsOffered) {
    EXPECT_FALSE(run({kGreeting, kHello}));

    EXPECT_THAT(heard, ElementsAre("EHLO desk.example\r\n"));
    EXPECT_TRUE(capabilities.esmtp && capabilities.pipelining);
}

TEST_F(HandshakeTest, BelievesNoKeywordThatIsToBeDiscarded) {
    options.discarded_keywords = *smtp::parse_discarded_keywords("pipelining");
    EXPECT_FALSE(run({kGreeting, kHello}));

    EXPECT_FALSE(capabilities.pipelining);
    EXPECT_THAT(sink.lines(), Contains("smtp: C3444A80215: discarding EHLO keywords: PIPELINING"));
}

TEST_F(HandshakeTest, SaysHeloWhereEhloIsNotUnderstood) {
    EXPECT_FALSE(run({"220 old\r\n", "502 5.5.2 what?\r\n", "250 old.example\r\n"}));

    EXPECT_THAT(heard, ElementsAre("EHLO desk.example\r\n", "HELO desk.example\r\n"));
    EXPECT_FALSE(capabilities.esmtp || capabilities.pipelining);
    EXPECT_EQ(capabilities.host, "old.example");
}

TEST_F(HandshakeTest, SaysEhloOnlyToWhoMentionsEsmtpWhereThatIsSet) {
    options.always_send_ehlo = false;
    EXPECT_FALSE(run({"220 old\r\n", "250 old.example\r\n"}));
    EXPECT_THAT(heard, ElementsAre("HELO desk.example\r\n"));

    heard.clear();
    EXPECT_FALSE(run({"220-welcome\r\n220 new esmtp\r\n", kHello}));
    EXPECT_THAT(heard, ElementsAre("EHLO desk.example\r\n"));
}

TEST_F(HandshakeTest, DefersForWhoDoesNotWantToTalk) {
    const std::string who = "host smtp.example.net[192.0.2.7] ";
    expect_deferred(run({"554 5.7.1 no\r\n"}), who + "refused to talk to me: 554 5.7.1 no",
                    Reach::Session);
    expect_deferred(run({kGreeting, "421 4.3.2 later\r\n"}),
                    who + "refused to talk to me: 421 4.3.2 later", Reach::Session);
    expect_deferred(run({kGreeting, "502 what?\r\n", "550 5.7.1 you again\r\n"}),
                    who + "refused to talk to me: 550 5.7.1 you again", Reach::Session);
}

TEST_F(HandshakeTest, SaysWhereTheConnectionWasLost) {
    const std::string lost = "lost connection with smtp.example.net[192.0.2.7] while ";
    expect_deferred(run({}), lost + "receiving the initial server greeting", Reach::Session);
    expect_deferred(run({kGreeting}), lost + "performing the EHLO handshake", Reach::Session);
    expect_deferred(run({kGreeting, "502 what?\r\n"}), lost + "performing the HELO handshake",
                    Reach::Session);
    use_login();
    expect_deferred(run({kGreeting, kHello}), lost + "performing SASL authentication",
                    Reach::Session);
}

// An answer to what was not asked yet would be taken for that of the next command.
TEST_F(HandshakeTest, StopsAtAnAnswerThatNobodyAskedFor) {
    const auto trouble = run({kGreeting + "250 and on\r\n", kHello});
    ASSERT_TRUE(trouble);
    EXPECT_THAT(trouble->disposition.text, HasSubstr("Protocol error"));
}

TEST_F(HandshakeTest, TalksNotToItselfOnPort25) {
    peer.port = 25;
    options.myhostname = "SMTP.example.net";
    expect_deferred(run({kGreeting, kHello}), "mail for example.net loops back to myself",
                    Reach::Destination);

    peer.port = 587;
    EXPECT_FALSE(run({kGreeting, kHello})) << "elsewhere it may be a relay of this machine";
}

TEST_F(HandshakeTest, HintsAtWrappermodeOnItsPort) {
    peer.port = 465;
    EXPECT_FALSE(run({kGreeting, kHello}));
    EXPECT_THAT(sink.lines(), Contains(HasSubstr("SMTPS wrappermode (TCP port 465) requires")));
}

TEST_F(HandshakeTest, UsesNoWrappermodeWithoutEncryption) {
    options.tls_wrappermode = true;
    tls.policy.level = tls::Level::May;
    expect_deferred(run({kGreeting}), "server unavailable or unable to receive mail",
                    Reach::Destination);
    EXPECT_THAT(heard, IsEmpty());
}

TEST_F(HandshakeTest, SaysNothingInTheClearWhereTlsIsRequired) {
    tls.policy.level = tls::Level::Encrypt;
    use_login();
    const std::string server = "smtp.example.net[192.0.2.7]";

    expect_deferred(run({kGreeting, kHello}),
                    "TLS is required, but was not offered by host " + server, Reach::Session);
    EXPECT_THAT(heard, ElementsAre("EHLO desk.example\r\n"));

    expect_deferred(
        run({kGreeting, kHelloTls, "454 4.7.0 not now\r\n"}),
        "TLS is required, but host " + server + " refused to start TLS: 454 4.7.0 not now",
        Reach::Session);
    expect_deferred(run({kGreeting, kHelloTls, "220 go\r\n"}),
                    "Cannot start TLS: handshake failure", Reach::Session);
    // RFC 3207 6: what came in the clear behind the answer is not the server's.
    const std::string injected = "Protocol error: host " + server + ": ";
    const std::string meanwhile = " while receiving the STARTTLS response";
    expect_deferred(run({kGreeting, kHelloTls, "220 go\r\n250 injected\r\n"}),
                    injected + "unasked reply: 250 injected" + meanwhile, Reach::Session);
    expect_deferred(run({kGreeting, kHelloTls, "220 go\r\n250-inj"}),
                    injected + "bytes before the TLS handshake" + meanwhile, Reach::Session);
}

TEST_F(HandshakeTest, GoesOnInTheClearWhereTlsIsOnlyWelcome) {
    tls.policy.level = tls::Level::May;
    EXPECT_FALSE(run({kGreeting, kHello}));
    EXPECT_FALSE(run({kGreeting, kHelloTls, "454 4.7.0 not now\r\n"}));
    EXPECT_THAT(heard, Contains("STARTTLS\r\n"));
}

TEST_F(HandshakeTest, LogsInWithWhatBothSidesKnow) {
    use_login();
    EXPECT_FALSE(run({kGreeting, kHello, "235 2.7.0 welcome\r\n"}));
    EXPECT_THAT(heard, ElementsAre("EHLO desk.example\r\n", "AUTH PLAIN AGFubgBwZW5jaWw=\r\n"));

    heard.clear();
    use_login();
    options.mechanism_filter = [](std::string_view name) { return name == "LOGIN"; };
    EXPECT_FALSE(run({kGreeting, kHello, "334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n",
                      "235 2.7.0 welcome\r\n"}));
    EXPECT_THAT(heard,
                ElementsAre("EHLO desk.example\r\n", "AUTH LOGIN\r\n", "YW5u\r\n", "cGVuY2ls\r\n"));
}

TEST_F(HandshakeTest, LogsInNowhereWithoutNeed) {
    EXPECT_FALSE(run({kGreeting, kHello})) << "no password";
    use_login();
    EXPECT_FALSE(run({kGreeting, "250 smtp.example.net\r\n"})) << "not offered";
    use_login();
    options.sasl_auth_enable = false;
    EXPECT_FALSE(run({kGreeting, kHello})) << "not wanted";
    for (const std::string& line : heard) EXPECT_EQ(line, "EHLO desk.example\r\n");
}

TEST_F(HandshakeTest, WaitsForAPersonWhereNoMechanismWillDo) {
    const std::string server = "smtp.example.net[192.0.2.7]";
    const std::string none = "SASL authentication failed: server " + server +
                             " offered no compatible authentication mechanisms for this type of "
                             "connection security";
    options.mechanism_filter = [](std::string_view name) { return name == "SCRAM-SHA-256"; };
    use_login();
    expect_deferred(run({kGreeting, kHello}), none, Reach::Account);
    use_login();
    expect_deferred(run({kGreeting, "250-x\r\n250 AUTH \r\n"}), none, Reach::Account);
    EXPECT_THAT(sink.lines(),
                ElementsAre("smtp: warning: smtp.example.net[192.0.2.7]:587 offered no supported "
                            "AUTH mechanisms: 'LOGIN PLAIN'",
                            "smtp: warning: smtp.example.net[192.0.2.7]:587 offered null AUTH "
                            "mechanism list"));

    options.mechanism_filter = nullptr;
    options.security.noplaintext = true;
    use_login();
    expect_deferred(run({kGreeting, kHello}),
                    "SASL authentication failed; cannot authenticate to server " + server +
                        ": no mechanism available",
                    Reach::Account);
}

TEST_F(HandshakeTest, TellsARefusalWithoutThePasswordThatItRepeats) {
    use_login("pencil-and-paper");
    const auto trouble =
        run({kGreeting, kHello,
             "535-5.7.8 bad AGFubgBwZW5jaWwtYW5kLXBhcGVy\r\n"
             "535 5.7.8 pencil-and-paper is not it, nor is cGVuY2lsLWFuZC1wYXBlcg\r\n"});
    expect_deferred(trouble,
                    "SASL authentication failed; server smtp.example.net[192.0.2.7] said: "
                    "535-5.7.8 bad ...?535 5.7.8 ... is not it, nor is ...",
                    Reach::Account);
}

TEST_F(HandshakeTest, SaysNoPasswordAtAClosedGate) {
    use_login();
    ClosedGate gate;
    expect_deferred(run({kGreeting, kHello}, &gate), "the account is in trouble", Reach::Account);
    EXPECT_THAT(heard, ElementsAre("EHLO desk.example\r\n"));
}

TEST_F(HandshakeTest, DoesNotBelieveASuccessThatComesTooEarly) {
    use_login();
    options.mechanism_filter = [](std::string_view name) { return name == "LOGIN"; };
    EXPECT_TRUE(run({kGreeting, kHello, "235 2.7.0 welcome\r\n"}));
}

class FindsLogin : public HandshakeTest {
protected:
    std::string found(const std::string& sender, const std::string& delimiters = "") {
        const auto tables = table::Tables::open("smtp_sasl_password_maps", list, {}, log);
        NextHop hop;
        hop.written = "[smtp.example.net]:587";
        mail::Address from;
        if (!sender.empty()) from = *mail::parse_address(sender);
        auto known = find_login(tables, options, peer, hop, from, delimiters);
        if (!known) return "trouble";
        if (!*known) return "none";
        return (*known)->user + "/" + std::string((*known)->password.reveal());
    }

    std::string list;
};

TEST_F(FindsLogin, ByHostThenByNextHopAsWritten) {
    list = "inline:{{smtp.example.net = host:one} {[smtp.example.net]:587 = hop:two}}";
    EXPECT_EQ(found("ann@desk.example"), "host/one");
    list = "inline:{{[smtp.example.net]:587 = hop:two:three}}";
    EXPECT_EQ(found("ann@desk.example"), "hop/two:three");
    list = "inline:{{[smtp.example.net]:465 = hop:two}}";
    EXPECT_EQ(found("ann@desk.example"), "none");
}

TEST_F(FindsLogin, BySenderFirstWhereThatIsWanted) {
    list =
        "inline:{{ann@desk.example = ann:one} {@far.example = far:two} "
        "{smtp.example.net = host:three}}";
    EXPECT_EQ(found("ann@desk.example"), "host/three");

    options.sender_dependent_auth = true;

    EXPECT_EQ(found("ann@desk.example"), "ann/one");
    EXPECT_EQ(found("ann+x@desk.example", "+"), "ann/one");
    EXPECT_EQ(found("eve@far.example"), "far/two");
    EXPECT_EQ(found("eve@desk.example"), "host/three");
    EXPECT_EQ(found(""), "host/three") << "reports have no sender";
}

TEST_F(FindsLogin, PartsUserAndPasswordAsSet) {
    options.password_delimiter = '|';
    list = "inline:{{smtp.example.net = ann:x|one}}";
    EXPECT_EQ(found(""), "ann:x/one");
    list = "inline:{{smtp.example.net = ann}}";
    EXPECT_EQ(found(""), "ann/");
}

TEST_F(FindsLogin, TellsATableThatFailsFromOneWithoutAnAnswer) {
    list = "fail:gone";
    EXPECT_EQ(found(""), "trouble");
    options.sender_dependent_auth = true;
    EXPECT_EQ(found("ann@desk.example"), "trouble");
}

}  // namespace
}  // namespace postrider::delivery
