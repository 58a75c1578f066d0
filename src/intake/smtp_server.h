// Takes in SMTP clients and local programs, as many at a time as there is room for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "core/log.h"
#include "core/unique_fd.h"
#include "intake/slots.h"
#include "intake/smtp_session.h"
#include "intake/submission.h"
#include "net/listener.h"
#include "net/task_group.h"

namespace postrider::intake {

struct ServerOptions {
    std::size_t session_limit = 200;        ///< On the SMTP doors, together.
    std::size_t submission_limit = 100;     ///< On the sendmail command's: nobody else's.
    std::size_t uid_session_limit = 50;     ///< Of one local user, on either kind of door.
    std::size_t client_session_limit = 50;  ///< smtpd_client_connection_count_limit; 0 is none.
    /// smtpd_min_data_rate, bytes a second: who keeps it need not make room for others.
    std::uint64_t min_data_rate = 500;
    /// Whether the address, without brackets, is in mynetworks. Empty: loopback is.
    std::function<bool(const std::string& address)> is_trusted;
    /// And in smtpd_client_event_limit_exceptions. Empty: as is_trusted.
    std::function<bool(const std::string& address)> is_exempt;
};

/// Owns the listeners and the sessions. When all places are taken, the client that lags most makes
/// room for the next; if none lags, the next waits, in the kernel's queue, for a while. At a bound
/// of its own a client hears 421, before any work for it.
class SmtpServer {
public:
    enum class Door : std::uint8_t {
        Smtp,    ///< TCP, or SMTP on a unix socket.
        Submit,  ///< The sendmail command's socket.
    };

    /// All must outlive it.
    SmtpServer(boost::asio::any_io_executor executor, const Services& services,
               const SubmissionOptions& submission, ServerOptions options);
    ~SmtpServer();

    /// Takes connections from a bound and listening socket. From the event loop, or before it runs.
    Result<void> listen(UniqueFd socket, Door door);
    /// Reads a message from maildrop as take_drop() does.
    net::Awaitable<Result<void>> take_drop(UniqueFd file, std::int64_t uid, std::string name);

    /// Clients that have come so far, files from maildrop among them.
    std::uint64_t served_count() const { return served_count_; }
    bool is_idle() const { return sessions_.size() == 0 && submissions_.size() == 0; }

    /// Accepts no more, lets sessions end until the deadline, then cancels them.
    net::Awaitable<void> stop(MonotonicTime deadline);
    /// Accepts no more; another process does. Sessions end by themselves until `patience`. Then
    /// each is ended after its transaction, and clients that lag by more than kRetiredLag at once.
    net::Awaitable<void> retire(MonotonicTime patience);

    static constexpr Duration kRetiredLag = std::chrono::seconds{30};

private:
    net::Awaitable<void> accept_all(std::shared_ptr<net::Listener> listener, Door door);
    net::Awaitable<bool> find_room(Slots& slots);
    net::Awaitable<void> serve(std::unique_ptr<net::SocketStream> stream, Door door);
    net::Awaitable<void> turn_away(net::SocketStream& stream, const std::string& address,
                                   Door door);
    std::string too_many_connections(std::string_view status, const std::string& who) const;
    net::Awaitable<void> say_and_close(net::SocketStream& stream, const std::string& bytes);
    Slots& slots(Door door) { return door == Door::Submit ? submissions_ : sessions_; }

    const Services& services_;
    const SubmissionOptions& submission_;
    ServerOptions options_;
    Log log_;
    boost::asio::any_io_executor executor_;
    std::vector<std::shared_ptr<net::Listener>> listeners_;
    Slots sessions_;
    Slots submissions_;
    std::uint64_t served_count_ = 0;
    net::TaskGroup tasks_;
};

}  // namespace postrider::intake
