#include "net/resolve.h"

#include <fstream>
#include <map>

#include <boost/asio/ip/udp.hpp>
#include <gtest/gtest.h>

#include "core/unique_fd.h"
#include "net/run.h"
#include "net/task_group.h"
#include "net/until.h"

namespace postrider::net {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;
using boost::asio::ip::udp;

// A name server on loopback that knows what a test tells it.
class NameServer {
public:
    explicit NameServer(boost::asio::io_context& loop)
        : socket_(loop, udp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
        receive();
    }

    std::string address() const {
        return "127.0.0.1:" + std::to_string(socket_.local_endpoint().port());
    }

    void has(const std::string& name, int type, std::string data) {
        records_[{name, type}].push_back(std::move(data));
    }
    /// Answers questions about the name with this code; -1: not at all.
    void fails(const std::string& name, int code) { failures_[name] = code; }

    int questions = 0;

private:
    void receive() {
        socket_.async_receive_from(boost::asio::buffer(query_), from_,
                                   [this](const auto& failure, std::size_t size) {
                                       if (failure) return;
                                       answer(std::string_view(query_.data(), size));
                                       receive();
                                   });
    }

    void answer(std::string_view query) {
        ++questions;
        std::string name;
        std::size_t position = 12;
        while (query[position] != 0) {
            const auto size = static_cast<std::size_t>(query[position]);
            if (!name.empty()) name += '.';
            name.append(query.substr(position + 1, size));
            position += size + 1;
        }
        const int type = query[position + 2];
        const std::string_view question = query.substr(12, position + 5 - 12);
        const bool known = records_.lower_bound({name, 0}) != records_.end() &&
                           records_.lower_bound({name, 0})->first.first == name;
        int code = known ? 0 : 3;
        if (failures_.contains(name)) code = failures_[name];
        if (code < 0) return;

        const auto found = records_.find({name, type});
        const std::size_t count = code == 0 && found != records_.end() ? found->second.size() : 0;
        std::string reply(query.substr(0, 2));
        reply += '\x81';
        reply += static_cast<char>(0x80 | code);
        reply += std::string("\0\1\0", 3) + static_cast<char>(count) + std::string(4, '\0');
        reply += question;
        for (std::size_t i = 0; i < count; ++i) {
            const std::string& data = found->second[i];
            reply += std::string("\xc0\x0c\0", 3) + static_cast<char>(type);
            reply += std::string("\0\1\0\0\0\x3c\0", 7) + static_cast<char>(data.size()) + data;
        }
        socket_.send_to(boost::asio::buffer(reply), from_);
    }

    udp::socket socket_;
    udp::endpoint from_;
    std::array<char, 512> query_;
    std::map<std::pair<std::string, int>, std::vector<std::string>> records_;
    std::map<std::string, int> failures_;
};

constexpr int kA = 1, kMx = 15, kAaaa = 28;

std::string ipv4(int last) {
    return std::string("\xc0\0\x02", 3) + static_cast<char>(last);
}
std::string ipv6(int last) {
    return std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + static_cast<char>(last);
}
std::string exchanger(int preference, const std::string& host) {
    std::string data{'\0', static_cast<char>(preference)};
    std::size_t begin = 0;
    while (begin < host.size()) {
        const std::size_t end = std::min(host.find('.', begin), host.size());
        data += static_cast<char>(end - begin);
        data += host.substr(begin, end - begin);
        begin = end + 1;
    }
    return data + '\0';
}

class ResolveTest : public testing::Test {
protected:
    ResolveTest() {
        options.servers = {server.address()};
        options.try_timeout = 40ms;
        options.tries = 1;
        options.hosts_file = "/nonexistent";
        server.has("both.example", kA, ipv4(1));
        server.has("both.example", kA, ipv4(2));
        server.has("both.example", kAaaa, ipv6(1));
        server.has("four.example", kA, ipv4(4));
        server.has("text.example", 16, "x");
    }

    void make() { resolver = std::move(*Resolver::create(loop.get_executor(), options)); }

    Lookup host(const std::string& name) {
        if (!resolver) make();
        return *run(loop, resolver->host(name, steady_clock::now() + 5s));
    }
    Lookup exchangers(const std::string& name) {
        if (!resolver) make();
        return *run(loop, resolver->mail_exchangers(name, steady_clock::now() + 5s));
    }

    static std::string text(const Lookup& lookup) {
        std::string result;
        for (const auto& entry : lookup.addresses) {
            result += entry.host + '[' + entry.address.to_string() + ']' +
                      (entry.preference ? std::to_string(entry.preference) : "") + ' ';
        }
        return result;
    }

    boost::asio::io_context loop;
    NameServer server{loop};
    ResolverOptions options;
    std::unique_ptr<Resolver> resolver;
};

TEST_F(ResolveTest, FindsAddressesOfBothFamilies) {
    const auto lookup = host("both.example");

    EXPECT_EQ(lookup.status, LookupStatus::Found);
    EXPECT_EQ(text(lookup),
              "both.example[2001:db8::1] both.example[192.0.2.1] both.example[192.0.2.2] ");
    EXPECT_EQ(lookup.reason, "");
}

TEST_F(ResolveTest, IsContentWithOneFamily) {
    EXPECT_EQ(text(host("four.example")), "four.example[192.0.2.4] ");
}

TEST_F(ResolveTest, AsksOnlyForFamiliesInUse) {
    options.ipv6 = false;

    EXPECT_EQ(text(host("both.example")), "both.example[192.0.2.1] both.example[192.0.2.2] ");
    EXPECT_EQ(server.questions, 1);
}

TEST_F(ResolveTest, SaysThatThereIsNoSuchName) {
    const auto lookup = host("nobody.example");

    EXPECT_EQ(lookup.status, LookupStatus::NotFound);
    EXPECT_EQ(lookup.reason,
              "Host or domain name not found. Name service error for name=nobody.example type=A: "
              "Host not found");
}

TEST_F(ResolveTest, SaysThatTheNameHasNoAddress) {
    const auto lookup = host("text.example");

    EXPECT_EQ(lookup.status, LookupStatus::NotFound);
    EXPECT_EQ(lookup.reason,
              "Host or domain name not found. Name service error for name=text.example type=A: "
              "Host found but no data record of requested type");
}

TEST_F(ResolveTest, WantsToTryAgainWhenTheServerFails) {
    server.fails("broken.example", 2);

    const auto lookup = host("broken.example");

    EXPECT_EQ(lookup.status, LookupStatus::TryAgain);
    EXPECT_EQ(lookup.reason,
              "Host or domain name not found. Name service error for name=broken.example "
              "type=AAAA: Host not found, try again");
}

TEST_F(ResolveTest, WantsToTryAgainWhenNobodyAnswers) {
    server.fails("silent.example", -1);
    EXPECT_EQ(host("silent.example").status, LookupStatus::TryAgain);

    options.try_timeout = 10s;
    make();
    const auto begin = steady_clock::now();
    const auto lookup = *run(loop, resolver->host("silent.example", begin + 20ms));
    EXPECT_EQ(lookup.status, LookupStatus::TryAgain);
    EXPECT_LT(steady_clock::now() - begin, 5s);
}

TEST_F(ResolveTest, TakesAnAddressForItself) {
    EXPECT_EQ(text(host("[192.0.2.9]")), "192.0.2.9[192.0.2.9] ");
    EXPECT_EQ(text(host("[IPv6:2001:db8::9]")), "IPv6:2001:db8::9[2001:db8::9] ");
    EXPECT_EQ(text(exchangers("192.0.2.9")), "192.0.2.9[192.0.2.9] ");
    EXPECT_EQ(server.questions, 0);
}

TEST_F(ResolveTest, AsksNobodyAboutNamesThatCannotBe) {
    for (const std::string& name : {std::string(), std::string(300, 'x'), std::string("a b"),
                                    std::string("a\0b", 3), std::string("m\xc3\xbcnchen.de")}) {
        EXPECT_EQ(host(name).status, LookupStatus::NotFound) << name;
    }
    EXPECT_EQ(server.questions, 0);
}

TEST_F(ResolveTest, FollowsMailExchangers) {
    server.has("example.org", kMx, exchanger(20, "four.example"));
    server.has("example.org", kMx, exchanger(10, "both.example"));
    server.has("example.org", kMx, exchanger(5, "nobody.example"));

    const auto lookup = exchangers("example.org");

    EXPECT_EQ(lookup.status, LookupStatus::Found);
    EXPECT_EQ(text(lookup),
              "both.example[2001:db8::1]10 both.example[192.0.2.1]10 both.example[192.0.2.2]10 "
              "four.example[192.0.2.4]20 ");
}

TEST_F(ResolveTest, UsesTheDomainItselfWithoutExchangers) {
    EXPECT_EQ(text(exchangers("four.example")), "four.example[192.0.2.4] ");
    EXPECT_EQ(exchangers("nobody.example").status, LookupStatus::NotFound);
}

TEST_F(ResolveTest, TellsANullExchanger) {
    server.has("null.example", kMx, exchanger(0, ""));

    const auto lookup = exchangers("null.example");

    EXPECT_EQ(lookup.status, LookupStatus::NullMx);
    EXPECT_EQ(lookup.reason, "Domain null.example does not accept mail (nullMX)");
}

TEST_F(ResolveTest, DoesNotFallBackWhenTheExchangersAreInDoubt) {
    server.fails("doubt.example", 2);
    server.has("doubt.example", kA, ipv4(7));

    const auto lookup = exchangers("doubt.example");

    EXPECT_EQ(lookup.status, LookupStatus::TryAgain);
    EXPECT_EQ(lookup.reason,
              "Host or domain name not found. Name service error for name=doubt.example type=MX: "
              "Host not found, try again");
}

class HostsFileTest : public ResolveTest {
protected:
    HostsFileTest() {
        std::string pattern = std::filesystem::temp_directory_path() / "hosts.XXXXXX";
        const UniqueFd fd(::mkstemp(pattern.data()));
        options.hosts_file = pattern;
        std::ofstream(pattern) << "192.0.2.77 relay both.example\n::7 relay\n";
    }
    ~HostsFileTest() override { std::filesystem::remove(options.hosts_file); }
};

TEST_F(HostsFileTest, IsOnlyReadForNativeLookups) {
    EXPECT_EQ(host("relay").status, LookupStatus::NotFound);

    options.lookup = HostLookup::Native;
    make();
    EXPECT_EQ(text(host("relay")), "relay[192.0.2.77] relay[::7] ");
    EXPECT_EQ(text(host("both.example")), "both.example[192.0.2.77] ");
    EXPECT_EQ(text(host("four.example")), "four.example[192.0.2.4] ");
    const auto nobody = host("nobody.example");
    EXPECT_TRUE(nobody.native);
    EXPECT_EQ(nobody.reason, "unable to look up host nobody.example: Name or service not known");
}

TEST_F(HostsFileTest, NeedsNoLineForLocalhost) {
    options.lookup = HostLookup::Native;
    make();

    EXPECT_EQ(text(host("LocalHost")), "LocalHost[127.0.0.1] LocalHost[::1] ");
}

TEST_F(HostsFileTest, ComesSecondWhenDnsComesFirst) {
    options.lookup = HostLookup::DnsThenNative;

    EXPECT_EQ(text(host("both.example")),
              "both.example[2001:db8::1] both.example[192.0.2.1] both.example[192.0.2.2] ");
    EXPECT_EQ(text(host("relay")), "relay[192.0.2.77] relay[::7] ");
}

TEST_F(HostsFileTest, IsReadAgainWhenItHasChanged) {
    options.lookup = HostLookup::Native;
    make();
    EXPECT_EQ(text(host("relay")), "relay[192.0.2.77] relay[::7] ");

    std::ofstream(options.hosts_file) << "192.0.2.178 relay\n";
    EXPECT_EQ(text(host("relay")), "relay[192.0.2.178] ");

    // As editors do it, with a file of the same size.
    const auto beside = options.hosts_file.string() + ".new";
    std::ofstream(beside) << "192.0.2.179 relay\n";
    std::filesystem::rename(beside, options.hosts_file);
    EXPECT_EQ(text(host("relay")), "relay[192.0.2.179] ");
}

// N4: what the operator wrote may be this machine; what a name server says may not.
TEST_F(HostsFileTest, MayNameThisMachineWhereANameServerMayNot) {
    server.has("inside.example", kA, std::string("\x7f\0\0\x35", 4));
    server.has("nowhere.example", kA, std::string(4, '\0'));
    server.has("six.example", kAaaa, std::string(15, '\0') + '\1');
    server.has("mapped.example", kAaaa,
               std::string(10, '\0') + std::string("\xff\xff\x7f\0\0\1", 6));
    server.has("mixed.example", kA, std::string("\x7f\0\0\1", 4));
    server.has("mixed.example", kA, ipv4(9));
    server.has("localhost", kA, std::string("\x7f\0\0\1", 4));
    std::ofstream(options.hosts_file) << "127.0.0.53 inside.example\n";

    for (const char* name :
         {"inside.example", "nowhere.example", "six.example", "mapped.example"}) {
        const auto lookup = host(name);
        EXPECT_EQ(lookup.status, LookupStatus::Loopback) << name;
        EXPECT_TRUE(lookup.addresses.empty()) << name;
    }
    EXPECT_EQ(host("inside.example").reason,
              "name server says that inside.example is this machine (127.0.0.53)");
    EXPECT_EQ(text(host("mixed.example")), "mixed.example[192.0.2.9] ");
    EXPECT_EQ(text(host("127.0.0.53")), "127.0.0.53[127.0.0.53] ");
    EXPECT_EQ(text(host("localhost")), "localhost[127.0.0.1] ");

    options.lookup = HostLookup::Native;
    make();
    EXPECT_EQ(text(host("inside.example")), "inside.example[127.0.0.53] ");
}

TEST_F(ResolveTest, BelievesNoExchangerThatIsThisMachine) {
    server.has("trap.example", kMx, exchanger(1, "localhost"));
    server.has("trap.example", kMx, exchanger(2, "127.0.0.1"));
    EXPECT_EQ(exchangers("trap.example").status, LookupStatus::Loopback);

    server.has("half.example", kMx, exchanger(1, "localhost"));
    server.has("half.example", kMx, exchanger(2, "four.example"));
    EXPECT_EQ(text(exchangers("half.example")), "four.example[192.0.2.4]2 ");
}

TEST_F(HostsFileTest, IsEnoughToReachWhatItNamesOnThisMachine) {
    std::ofstream(options.hosts_file) << "127.0.0.1 here.example\n";
    make();
    EXPECT_TRUE(resolver->is_within_reach("localhost"));
    EXPECT_TRUE(resolver->is_within_reach("127.0.0.1"));
    // Only a name server could say.
    EXPECT_FALSE(resolver->is_within_reach("here.example"));
    EXPECT_FALSE(resolver->is_within_reach("four.example"));

    options.lookup = HostLookup::Native;
    make();
    EXPECT_TRUE(resolver->is_within_reach("Here.example"));
    EXPECT_FALSE(resolver->is_within_reach("four.example"));
}

TEST_F(ResolveTest, AnswersManyAtOnce) {
    make();
    int found = 0;
    auto one = [](Resolver& from, int& count) -> Awaitable<void> {
        auto lookup = co_await from.host("both.example", steady_clock::now() + 10s);
        if (lookup && lookup->addresses.size() == 3) ++count;
    };
    options.try_timeout = 5s;
    make();
    for (int i = 0; i < 60; ++i) {
        boost::asio::co_spawn(loop, one(*resolver, found), [](std::exception_ptr) {});
    }
    const auto give_up = steady_clock::now() + 20s;
    while (found < 60 && steady_clock::now() < give_up) loop.run_one_for(100ms);

    EXPECT_EQ(found, 60);
}

Awaitable<void> look_up(Resolver& resolver, std::string name, std::optional<Error>& into) {
    auto lookup = co_await resolver.mail_exchangers(std::move(name), kNever);
    if (!lookup) into = lookup.error();
}

TEST_F(ResolveTest, EndsWhenItsTaskIsCancelled) {
    server.fails("silent.example", -1);
    options.try_timeout = 10s;
    make();
    CapturedLog log;
    TaskGroup tasks(loop.get_executor(), Log(log, "test"));
    std::optional<Error> error;
    tasks.spawn(look_up(*resolver, "silent.example", error), "lookup");
    loop.poll();
    ASSERT_EQ(tasks.size(), 1u);

    tasks.cancel();

    ASSERT_TRUE(run(loop, tasks.join(kNever)));
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, ErrorCode::Cancelled);
    // The answer may still come, and finds nobody.
    resolver.reset();
    loop.restart();
    loop.poll();
}

Awaitable<void> find(Resolver& resolver, std::string name, std::optional<Lookup>& into) {
    auto lookup = co_await resolver.host(std::move(name), steady_clock::now() + 5s);
    if (lookup) into = *lookup;
}

TEST_F(ResolveTest, AsksAgainWhenTheNetworkHasChanged) {
    // The question was sent into a network that is gone, and nobody will ever answer it.
    server.fails("four.example", -1);
    options.try_timeout = 10s;
    make();
    std::optional<Lookup> lookup;
    boost::asio::co_spawn(loop, find(*resolver, "four.example", lookup), [](std::exception_ptr) {});
    while (server.questions < 2) loop.run_one_for(1s);
    server.fails("four.example", 0);

    const auto begun = steady_clock::now();
    ASSERT_TRUE(resolver->refresh());
    while (!lookup && steady_clock::now() < begun + 5s) loop.run_one_for(1s);

    ASSERT_TRUE(lookup);
    EXPECT_EQ(text(*lookup), "four.example[192.0.2.4] ");
    EXPECT_LT(steady_clock::now() - begun, 1s);
}

}  // namespace
}  // namespace postrider::net
