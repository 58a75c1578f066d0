#include "delivery/connections.h"

#include <utility>

namespace postrider::delivery {

Connections::Connections(const Options& options, Dialler& dialler, const Clock& clock,
                         const Gate& gate, net::TaskGroup& tasks,
                         boost::asio::any_io_executor executor)
    : options_(options),
      dialler_(dialler),
      clock_(clock),
      gate_(gate),
      tasks_(tasks),
      pool_(options.pool, clock),
      idle_changed_(std::move(executor)) {}

std::string Connections::key(const std::string& next_hops, const mail::Address& sender) const {
    // With sender-dependent logins a session belongs to its sender.
    if (!options_.session.sender_dependent_auth) return next_hops + '\n';
    return next_hops + '\n' + mail::internal(sender);
}

net::Awaitable<Dialled> Connections::get(DialRequest request, bool fresh) {
    Dialled dialled;
    if (!fresh) {
        dialled.session = pool_.take(key(request.next_hops, request.sender));
        if (dialled.session) co_return dialled;
    }
    co_return co_await dialler_.dial(std::move(request));
}

void Connections::give_back(const std::string& next_hops, const mail::Address& sender,
                            std::unique_ptr<Session> session) {
    retire(pool_.give(key(next_hops, sender), std::move(session)));
    idle_changed_.set();
}

void Connections::retire(std::unique_ptr<Session> session) {
    if (!session || !session->channel->is_open()) return;
    tasks_.spawn(quit(std::move(session), clock_), "QUIT");
}

net::Awaitable<void> Connections::quit(std::unique_ptr<Session> session, const Clock& clock) {
    // The answer to QUIT says nothing anybody needs.
    co_await session->channel->send("QUIT\r\n", 1, clock.monotonic() + std::chrono::seconds(1));
    session->channel->close();
}

net::Awaitable<void> Connections::retire_idle() {
    while (!gate_.stopping) {
        idle_changed_.reset();
        for (auto& session : pool_.take_expired()) retire(std::move(session));
        const auto waited = co_await idle_changed_.wait(pool_.next_expiry());
        if (!waited && waited.error().code == ErrorCode::Cancelled) co_return;
    }
}

void Connections::retire_all() {
    for (auto& session : pool_.take_all()) retire(std::move(session));
}

}  // namespace postrider::delivery
