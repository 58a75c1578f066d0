// What a connection costs before its first command: a handshake, whole and resumed.
#include "counted.h"
#include "net/run.h"
#include "net/task_group.h"
#include "net/until.h"
#include "tls/client.h"
#include "tls/server.h"
#include "tls/test_world.h"

namespace postrider::tls {
namespace {

net::Awaitable<void> serve(Server& server, std::unique_ptr<net::Stream> stream,
                           std::unique_ptr<net::Stream>& kept) {
    auto accepted = co_await server.accept(std::move(stream), net::kNever);
    if (!accepted) co_return;
    kept = std::move(accepted).value();
    (void)co_await net::write(*kept, "220 hello\r\n", net::kNever);
}

net::Awaitable<bool> meet(Client& client, std::unique_ptr<net::Stream> stream, Peer peer,
                          Policy policy, Log log) {
    auto connected = co_await client.connect(std::move(stream), std::move(peer), std::move(policy),
                                             0, std::move(log), net::kNever);
    if (!connected) co_return false;
    char greeting[64];  // With it come the tickets.
    const auto read = co_await (*connected)->read_some(greeting, net::kNever);
    co_return read.has_value();
}

void handshake(benchmark::State& state) {
    const bool resume = state.range(0) == 1;
    test::Wanted root;
    root.dns_names = {};
    root.authority = true;
    const auto authority = test::Issued::make(root);
    const auto identity = test::Issued::make(test::Wanted{}, &authority);
    ServerOptions options;
    options.chain = identity.certificate_pem();
    options.key = identity.key_pem();
    options.tickets = resume;
    auto server = Server::create(options);
    Material material;
    material.authorities = authority.certificate_pem();
    const SystemClock clock;
    Client client(material, clock);
    Peer peer;
    peer.host = peer.nexthop = "smtp.example.org";
    peer.address = "192.0.2.1";
    peer.port = 465;
    Policy policy;
    policy.level = Level::Verify;
    CapturedLog captured;
    const Log log(captured, "smtp");

    for (auto _ : state) {
        boost::asio::io_context loop;
        auto [ours, theirs] = test::pipe(loop.get_executor());
        std::unique_ptr<net::Stream> kept;
        net::TaskGroup servers(loop.get_executor(), log);
        servers.spawn(serve(**server, std::move(theirs), kept), "server");
        if (!net::run(loop, meet(client, std::move(ours), peer, policy, log))) {
            state.SkipWithError("no handshake");
        }
        loop.run();
    }
}
BENCHMARK(handshake)->Apply(counted)->ArgName("resumed")->Arg(0)->Arg(1);

}  // namespace
}  // namespace postrider::tls
