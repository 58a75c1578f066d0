#include "intake/smtp_server.h"

#include <utility>

#include <sys/ioctl.h>

#include "intake/take_drop.h"

namespace postrider::intake {
namespace {

/// How long a client that is turned away may take to read why.
constexpr std::chrono::seconds kFarewell{2};

/// Whether the client has sent something already, before it can have seen a greeting.
bool has_talked(const net::SocketStream& stream) {
    int size = 0;
    return ::ioctl(stream.native_handle(), FIONREAD, &size) == 0 && size > 0;
}

}  // namespace

/// One session's place in the counts.
class SmtpServer::Slot {
public:
    Slot(SmtpServer& server, std::string key) : server_(server), key_(std::move(key)) {
        ++server_.session_count_;
        ++server_.sessions_of_[key_];
    }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() {
        --server_.session_count_;
        const auto found = server_.sessions_of_.find(key_);
        if (--found->second == 0) server_.sessions_of_.erase(found);
    }

private:
    SmtpServer& server_;
    std::string key_;
};

SmtpServer::SmtpServer(boost::asio::any_io_executor executor, const Services& services,
                       const SubmissionOptions& submission, ServerOptions options)
    : services_(services),
      submission_(submission),
      options_(std::move(options)),
      log_(services.log.named("smtpd")),
      executor_(executor),
      tasks_(executor, log_) {
    services_.is_crowded = [this] { return session_count_ >= options_.crowded_count; };
}

SmtpServer::~SmtpServer() = default;

Result<void> SmtpServer::listen(UniqueFd socket, Door door) {
    auto listener = net::Listener::adopt(executor_, std::move(socket), services_.timers, log_);
    if (!listener) return Unexpected(std::move(listener).error());
    listeners_.push_back(std::shared_ptr<net::Listener>(*std::move(listener)));
    tasks_.spawn(accept_all(listeners_.back(), door), "accept");
    return {};
}

net::Awaitable<void> SmtpServer::accept_all(std::shared_ptr<net::Listener> listener, Door door) {
    while (true) {
        auto stream = co_await listener->accept();
        if (!stream) {
            if (stream.error().code != ErrorCode::Cancelled) log_.error(stream.error().message);
            co_return;
        }
        std::string name = (*stream)->remote().address;
        tasks_.spawn(serve(*std::move(stream), door), std::move(name));
    }
}

net::Awaitable<void> SmtpServer::serve(std::unique_ptr<net::SocketStream> stream, Door door) {
    const auto peer = stream->peer_credentials();
    const std::int64_t uid = peer ? static_cast<std::int64_t>(peer->uid) : -1;
    const std::string address = stream->remote().address;
    const bool trusted = options_.is_trusted ? options_.is_trusted(address)
                                             : network_client(address, false).name == "localhost";
    const std::string key = peer ? "uid:" + std::to_string(uid) : address;
    // As smtpd_client_event_limit_exceptions has it, mynetworks is bound by the total alone.
    const std::size_t limit = peer      ? options_.uid_session_limit
                              : trusted ? 0
                                        : options_.client_session_limit;
    if (!has_room(key, limit)) {
        co_await turn_away(*stream, address, door);
        co_return;
    }
    const Slot slot(*this, key);
    if (door == Door::Submit) {
        co_await serve_submission(*stream, uid, services_, submission_);
        co_return;
    }
    Client client = peer ? local_client(uid) : network_client(address, trusted);
    const bool talked =
        !peer && services_.dialogue.smtpd_forbid_unauth_pipelining && has_talked(*stream);
    SmtpSession session(*stream, std::move(client), services_);
    co_await session.run(talked);
}

bool SmtpServer::has_room(const std::string& key, std::size_t limit) const {
    if (session_count_ >= options_.session_limit) return false;
    const auto found = sessions_of_.find(key);
    return limit == 0 || found == sessions_of_.end() || found->second < limit;
}

net::Awaitable<void> SmtpServer::turn_away(net::SocketStream& stream, const std::string& address,
                                           Door door) {
    std::string bytes;
    if (door == Door::Submit) {
        SubmissionAnswer answer;
        answer.text = "mail system is busy, try again later";
        answer.is_temporary = true;
        bytes = encode_answer(answer);
    } else {
        const std::string who = address.empty() ? "local" : address;
        log_.warning("connection limit exceeded: " + who);
        bytes = smtp::wire(smtp::Reply(421, "4.3.2 " + services_.dialogue.myhostname +
                                                " Error: too many connections from " + who));
    }
    (void)co_await net::write(stream, bytes, services_.timers.now() + kFarewell);
    stream.close();
}

net::Awaitable<Result<void>> SmtpServer::take_drop(UniqueFd file, std::int64_t uid,
                                                   std::string name) {
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

}  // namespace postrider::intake
