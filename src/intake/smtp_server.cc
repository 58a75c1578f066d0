#include "intake/smtp_server.h"

#include <utility>

#include <sys/ioctl.h>

#include "intake/take_drop.h"

namespace postrider::intake {
namespace {

/// How long a session that is cancelled may take to end.
constexpr std::chrono::seconds kFarewell{2};
/// How long a client waits for a place, and how often it looks for one.
constexpr std::chrono::seconds kRoomPatience{10};
constexpr std::chrono::milliseconds kRoomPause{20};
/// How often a retired server looks for clients that do not get on, and for how long: no message
/// may take longer.
constexpr std::chrono::seconds kRetiredPause{5};
constexpr std::chrono::hours kRetiredMax{1};

/// Whether the client has sent something already, before it can have seen a greeting.
bool has_talked(const net::SocketStream& stream) {
    int size = 0;
    return ::ioctl(stream.native_handle(), FIONREAD, &size) == 0 && size > 0;
}

}  // namespace

SmtpServer::SmtpServer(boost::asio::any_io_executor executor, const Services& services,
                       const SubmissionOptions& submission, ServerOptions options)
    : services_(services),
      submission_(submission),
      options_(std::move(options)),
      log_(services.log.named("smtpd")),
      executor_(executor),
      sessions_(options_.session_limit, options_.min_data_rate),
      submissions_(options_.submission_limit, options_.min_data_rate),
      tasks_(executor, log_) {}

SmtpServer::~SmtpServer() = default;

Result<void> SmtpServer::listen(UniqueFd socket, Door door) {
    auto listener = net::Listener::adopt(executor_, std::move(socket), services_.timers, log_);
    if (!listener) return Unexpected(std::move(listener).error());
    // Without descriptors, too, somebody must go before the next can come.
    (*listener)->on_shortage(
        [this, door] { slots(door).evict_slowest(services_.timers.now(), Slots::kLagMin); });
    listeners_.push_back(std::shared_ptr<net::Listener>(*std::move(listener)));
    tasks_.spawn_vital(accept_all(listeners_.back(), door), "accept");
    return {};
}

net::Awaitable<void> SmtpServer::accept_all(std::shared_ptr<net::Listener> listener, Door door) {
    while (true) {
        auto stream = co_await listener->accept();
        if (!stream) {
            if (stream.error().code != ErrorCode::Cancelled) log_.error(stream.error().message);
            co_return;
        }
        ++served_count_;
        std::string name = (*stream)->remote().address;
        const bool room = co_await find_room(slots(door));
        if (room) {
            tasks_.spawn(serve(*std::move(stream), door), std::move(name));
        } else {
            co_await turn_away(**stream, name, door);
        }
    }
}

/// The next client waits here, and those behind it in the kernel's queue: a burst of honest clients
/// is served in turn.
net::Awaitable<bool> SmtpServer::find_room(Slots& slots) {
    const MonotonicTime deadline = services_.timers.now() + kRoomPatience;
    for (MonotonicTime now; (now = services_.timers.now()) < deadline;) {
        if (slots.make_room(now)) co_return true;
        auto slept = co_await services_.timers.sleep_until(now + kRoomPause);
        if (!slept) co_return false;
    }
    co_return false;
}

net::Awaitable<void> SmtpServer::serve(std::unique_ptr<net::SocketStream> stream, Door door) {
    const auto peer = stream->peer_credentials();
    const std::int64_t uid = peer ? static_cast<std::int64_t>(peer->uid) : -1;
    const std::string address = stream->remote().address;
    const bool trusted = options_.is_trusted ? options_.is_trusted(address)
                                             : network_client(address, false).name == "localhost";
    std::string key = peer ? "uid:" + std::to_string(uid) : address;
    const bool exempt = options_.is_exempt ? options_.is_exempt(address) : trusted;
    const std::size_t limit = peer     ? options_.uid_session_limit
                              : exempt ? 0
                                       : options_.client_session_limit;
    if (limit != 0 && slots(door).count_of(key) >= limit) {
        co_await turn_away(*stream, address, door);
        co_return;
    }
    if (door == Door::Smtp && !peer && services_.rates != nullptr) {
        const Client client = network_client(address, trusted);
        const std::size_t excess =
            services_.rates->excess(RateEvent::Connection, client.address, services_.timers.now());
        if (excess > 0) {
            log_.warning("Connection rate limit exceeded: " + std::to_string(excess) + " from " +
                         client.label() + " for service smtp");
            const std::string reply = too_many_connections("4.7.0", client.address);
            co_await say_and_close(*stream, reply);
            co_return;
        }
    }
    Slot slot(slots(door), std::move(key));
    if (door == Door::Submit) {
        co_await serve_submission(*stream, uid, services_, submission_, slot);
        co_return;
    }
    Client client = peer ? local_client(uid) : network_client(address, trusted);
    const bool talked =
        !peer && services_.dialogue.smtpd_forbid_unauth_pipelining && has_talked(*stream);
    SmtpSession session(*stream, std::move(client), services_, slot);
    co_await session.run(talked);
}

net::Awaitable<void> SmtpServer::turn_away(net::SocketStream& stream, const std::string& address,
                                           Door door) {
    const std::string who = address.empty() ? "local" : address;
    if (door == Door::Submit) {
        const std::string busy = encode_answer(busy_answer());
        co_await say_and_close(stream, busy);
        co_return;
    }
    log_.warning("connection limit exceeded: " + who);
    const std::string reply = too_many_connections("4.3.2", who);
    co_await say_and_close(stream, reply);
}

std::string SmtpServer::too_many_connections(std::string_view status,
                                             const std::string& who) const {
    return smtp::wire(smtp::Reply(421, std::string(status) + " " + services_.dialogue.myhostname +
                                           " Error: too many connections from " + who));
}

net::Awaitable<void> SmtpServer::say_and_close(net::SocketStream& stream,
                                               const std::string& bytes) {
    // An empty socket takes so little at once.
    (void)co_await net::write(stream, bytes, services_.timers.now());
    stream.close();
}

net::Awaitable<Result<void>> SmtpServer::take_drop(UniqueFd file, std::int64_t uid,
                                                   std::string name) {
    ++served_count_;
    co_return co_await intake::take_drop(std::move(file), uid, std::move(name), services_,
                                         submission_);
}

net::Awaitable<void> SmtpServer::stop(MonotonicTime deadline) {
    for (const auto& listener : listeners_) listener->close();
    auto joined = co_await tasks_.join(deadline);
    if (joined) co_return;
    tasks_.cancel();
    (void)co_await tasks_.join(deadline + kFarewell);
}

net::Awaitable<void> SmtpServer::retire(MonotonicTime patience) {
    for (const auto& listener : listeners_) listener->close();
    auto joined = co_await tasks_.join(patience);
    if (joined || joined.error().code != ErrorCode::Timeout) co_return;
    sessions_.retire();
    submissions_.retire();
    const MonotonicTime last = patience + kRetiredMax;
    while (services_.timers.now() < last) {
        joined = co_await tasks_.join(services_.timers.now() + kRetiredPause);
        if (joined || joined.error().code != ErrorCode::Timeout) co_return;
        for (Slots* slots : {&sessions_, &submissions_}) {
            while (slots->evict_slowest(services_.timers.now(), kRetiredLag)) {
            }
        }
    }
    co_await stop(last);
}

}  // namespace postrider::intake
