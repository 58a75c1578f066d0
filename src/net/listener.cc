#include "net/listener.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "net/until.h"

namespace postrider::net {
namespace {

namespace asio = boost::asio;

constexpr Duration kShortagePauseMin = std::chrono::milliseconds(50);
constexpr Duration kShortagePauseMax = std::chrono::seconds(1);

// accept(2) reports what happened to a client before we came to it.
bool concerns_one_client(int error_number) {
    switch (error_number) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENETUNREACH:
            return true;
        default:
            return false;
    }
}

bool is_shortage(int error_number) {
    return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS ||
           error_number == ENOMEM;
}

// Only a refusal is certain; a lack of descriptors on our side, say, proves nothing.
bool is_abandoned(const sockaddr_un& address) {
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
               0 &&
           errno == ECONNREFUSED;
}

}  // namespace

Result<UniqueFd> listen_tcp(const IpAddress& address, std::uint16_t port) {
    const std::string host =
        address.is_v6() ? '[' + address.to_string() + ']' : address.to_string();
    const std::string attempt = "listen on " + host + ':' + std::to_string(port);
    const asio::ip::tcp::endpoint endpoint(address, port);
    const int on = 1;

    UniqueFd fd(::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                         IPPROTO_TCP));
    if (!fd) return Unexpected(system_error(attempt, errno));
    // A restart must not wait for the connections of the process before.
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.is_v6()) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (::bind(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 ||
        ::listen(fd.get(), SOMAXCONN) != 0) {
        return Unexpected(system_error(attempt, errno));
    }
    return fd;
}

Result<UniqueFd> listen_unix(const std::filesystem::path& path, mode_t mode) {
    const std::string attempt = "listen on " + path.string();
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (path.native().size() >= sizeof address.sun_path) {
        return Unexpected(system_error(attempt, ENAMETOOLONG));
    }
    std::memcpy(address.sun_path, path.c_str(), path.native().size());

    struct stat status = {};
    if (::lstat(path.c_str(), &status) == 0) {
        if (!S_ISSOCK(status.st_mode)) return Unexpected(system_error(attempt, EEXIST));
        if (!is_abandoned(address)) return Unexpected(system_error(attempt, EADDRINUSE));
        if (::unlink(path.c_str()) != 0) return Unexpected(system_error(attempt, errno));
    }
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return Unexpected(system_error(attempt, errno));
    // Nobody can connect before listen(), so the mode may be set after bind().
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), SOMAXCONN) != 0) {
        return Unexpected(system_error(attempt, errno));
    }
    return fd;
}

struct Listener::Socket {
    Socket(const asio::any_io_executor& executor_, UniqueFd fd, int family_, Timers& timers_,
           Log log_)
        : executor(executor_),
          descriptor(executor_, fd.release()),
          family(family_),
          timer(executor_),
          timers(timers_),
          log(std::move(log_)) {
        keep_reserve();
    }

    // A copy of the listening socket is as good a reserve as any, and needs no file system.
    void keep_reserve() { reserve.reset(::fcntl(descriptor.native_handle(), F_DUPFD_CLOEXEC, 0)); }

    UniqueFd take(sockaddr_storage& remote) {
        socklen_t size = sizeof remote;
        remote = {};
        remote.ss_family = static_cast<sa_family_t>(family);
        return UniqueFd(::accept4(descriptor.native_handle(), reinterpret_cast<sockaddr*>(&remote),
                                  &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    }

    Awaitable<Result<void>> wait_until_readable() {
        auto operation = [this](auto token) {
            return descriptor.async_wait(asio::posix::stream_descriptor::wait_read, token);
        };
        return until(timer, kNever, "accept", operation);
    }

    // The first pause lets sessions end while clients wait in the backlog; whoever still finds no
    // descriptor after that is turned away, rather than left without a word.
    Awaitable<Result<void>> endure_shortage(int error_number) {
        if (tell_shortage) tell_shortage();
        if (pause == Duration::zero()) {
            log.warning(system_error("accept connection", error_number).message);
            pause = kShortagePauseMin;
        } else {
            sockaddr_storage ignored;
            reserve.reset();
            take(ignored);
            keep_reserve();
            pause = std::min(2 * pause, kShortagePauseMax);
        }
        return timers.sleep_until(timers.now() + pause);
    }

    asio::any_io_executor executor;
    asio::posix::stream_descriptor descriptor;
    int family;
    asio::steady_timer timer;
    Timers& timers;
    Log log;
    UniqueFd reserve;
    Duration pause = Duration::zero();  ///< zero: there is no shortage
    std::function<void()> tell_shortage;
};

Result<std::unique_ptr<Listener>> Listener::adopt(asio::any_io_executor executor, UniqueFd fd,
                                                  Timers& timers, Log log) {
    int listening = 0;
    socklen_t size = sizeof listening;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0) {
        return Unexpected(system_error("adopt listening socket", errno));
    }
    if (listening == 0) {
        return Unexpected(ErrorCode::Invalid, "adopt listening socket: it does not listen");
    }
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return Unexpected(system_error("adopt listening socket", errno));
    }
    int family = AF_UNSPEC;
    size = sizeof family;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) {
        return Unexpected(system_error("adopt listening socket", errno));
    }
    if (family != AF_UNIX) set_unbuffered(fd.get());
    try {
        auto socket =
            std::make_unique<Socket>(executor, std::move(fd), family, timers, std::move(log));
        return std::unique_ptr<Listener>(new Listener(std::move(socket)));
    } catch (const boost::system::system_error& failure) {
        return Unexpected(operation_error("adopt listening socket", failure.code()));
    }
}

Listener::Listener(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
Listener::~Listener() = default;

Awaitable<Result<std::unique_ptr<SocketStream>>> Listener::accept() {
    for (;;) {
        sockaddr_storage remote;
        UniqueFd fd = socket_->take(remote);
        if (fd) {
            socket_->pause = Duration::zero();
            co_return SocketStream::adopt_accepted(socket_->executor, std::move(fd), remote);
        }
        const int failure = errno;
        if (concerns_one_client(failure)) continue;
        if (failure == EBADF) co_return Unexpected(ErrorCode::Cancelled, "accept: closed");
        if (is_shortage(failure)) {
            auto paused = co_await socket_->endure_shortage(failure);
            if (!paused) co_return Unexpected(std::move(paused).error());
            continue;
        }
        if (failure != EAGAIN) co_return Unexpected(system_error("accept", failure));
        auto ready = co_await socket_->wait_until_readable();
        if (!ready) co_return Unexpected(std::move(ready).error());
    }
}

void Listener::close() {
    boost::system::error_code ignored;
    socket_->descriptor.close(ignored);
    socket_->reserve.reset();
}

void Listener::on_shortage(std::function<void()> tell) {
    socket_->tell_shortage = std::move(tell);
}

Endpoint Listener::local() const {
    asio::ip::tcp::endpoint address;
    auto size = static_cast<socklen_t>(address.capacity());
    Endpoint endpoint;
    if (::getsockname(socket_->descriptor.native_handle(), address.data(), &size) != 0) {
        return endpoint;
    }
    const int family = address.data()->sa_family;
    if (family != AF_INET && family != AF_INET6) return endpoint;
    endpoint.address = unmapped(address.address()).to_string();
    endpoint.port = address.port();
    return endpoint;
}

}  // namespace postrider::net
