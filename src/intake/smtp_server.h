// Takes in SMTP clients and local programs, as many at a time as there is room for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "core/log.h"
#include "core/unique_fd.h"
#include "intake/smtp_session.h"
#include "intake/submission.h"
#include "net/listener.h"
#include "net/task_group.h"

namespace postrider::intake {

struct ServerOptions {
    std::size_t session_limit = 200;        ///< In all.
    std::size_t uid_session_limit = 50;     ///< Of one local user.
    std::size_t client_session_limit = 50;  ///< smtpd_client_connection_count_limit; 0 is none.
    /// Slots are short, and patience too, once this many of all are taken.
    std::size_t crowded_count = 180;
    /// Whether the address, without brackets, is in mynetworks. Empty: loopback is.
    std::function<bool(const std::string& address)> is_trusted;
};

/// Owns the listeners and the sessions. At a bound the client hears 421, before any work for it.
class SmtpServer {
public:
    enum class Door : std::uint8_t {
        Smtp,    ///< TCP, or SMTP on a unix socket.
        Submit,  ///< The sendmail command's socket.
    };

    /// All must outlive it. `is_crowded` of the services is replaced by this server's own.
    SmtpServer(boost::asio::any_io_executor executor, const Services& services,
               const SubmissionOptions& submission, ServerOptions options);
    ~SmtpServer();

    /// Takes connections from a bound and listening socket. From the event loop, or before it runs.
    Result<void> listen(UniqueFd socket, Door door);
    /// Reads a message from maildrop as take_drop() does.
    net::Awaitable<Result<void>> take_drop(UniqueFd file, std::int64_t uid, std::string name);

    /// Accepts no more, lets sessions end until the deadline, then cancels them.
    net::Awaitable<void> stop(MonotonicTime deadline);

    std::size_t session_count() const { return session_count_; }

private:
    class Slot;

    net::Awaitable<void> accept_all(std::shared_ptr<net::Listener> listener, Door door);
    net::Awaitable<void> serve(std::unique_ptr<net::SocketStream> stream, Door door);
    net::Awaitable<void> turn_away(net::SocketStream& stream, const std::string& address,
                                   Door door);
    bool has_room(const std::string& key, std::size_t limit) const;

    Services services_;
    const SubmissionOptions& submission_;
    ServerOptions options_;
    Log log_;
    boost::asio::any_io_executor executor_;
    std::vector<std::shared_ptr<net::Listener>> listeners_;
    std::size_t session_count_ = 0;
    std::map<std::string, std::size_t> sessions_of_;  // By address or uid; none with zero.
    net::TaskGroup tasks_;
};

}  // namespace postrider::intake
