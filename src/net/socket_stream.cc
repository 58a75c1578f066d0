#include "net/socket_stream.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "net/until.h"

namespace postrider::net {
namespace {

namespace asio = boost::asio;

// One system call takes so many pieces; more go into the next call.
constexpr std::size_t kPiecesMax = 64;

Endpoint endpoint_of(const sockaddr_storage& storage) {
    Endpoint endpoint;
    asio::ip::tcp::endpoint address;
    if (storage.ss_family == AF_INET) {
        std::memcpy(address.data(), &storage, sizeof(sockaddr_in));
    } else if (storage.ss_family == AF_INET6) {
        address = asio::ip::tcp::endpoint(asio::ip::tcp::v6(), 0);
        std::memcpy(address.data(), &storage, sizeof(sockaddr_in6));
    } else {
        return endpoint;
    }
    endpoint.address = unmapped(address.address()).to_string();
    endpoint.port = address.port();
    return endpoint;
}

Endpoint local_endpoint(int fd) {
    sockaddr_storage storage = {};
    socklen_t size = sizeof storage;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
    return endpoint_of(storage);
}

int option(int fd, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

std::optional<PeerCredentials> credentials_of(int fd) {
    ucred peer = {};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
    return PeerCredentials{.uid = peer.uid, .gid = peer.gid, .pid = peer.pid};
}

// Where a gathered write has got to.
class Progress {
public:
    explicit Progress(std::span<const asio::const_buffer> buffers) : buffers_(buffers) {
        skip_empty();
    }

    /// Writes until all is written or the socket takes no more for now: 0, or else errno.
    int write_to(int fd) {
        std::array<iovec, kPiecesMax> iovecs;
        while (!buffers_.empty()) {
            msghdr message = {};
            message.msg_iov = iovecs.data();
            message.msg_iovlen = pieces(iovecs);
            const auto count = ::sendmsg(fd, &message, MSG_NOSIGNAL);
            if (count >= 0) {
                advance(static_cast<std::size_t>(count));
            } else if (errno != EINTR) {
                return errno;
            }
        }
        return 0;
    }

private:
    std::size_t pieces(std::array<iovec, kPiecesMax>& into) const {
        const std::size_t count = std::min(buffers_.size(), kPiecesMax);
        for (std::size_t i = 0; i < count; ++i) {
            into[i].iov_base = const_cast<void*>(buffers_[i].data());
            into[i].iov_len = buffers_[i].size();
        }
        into[0].iov_base = static_cast<char*>(into[0].iov_base) + offset_;
        into[0].iov_len -= offset_;
        return count;
    }

    void advance(std::size_t bytes) {
        offset_ += bytes;
        while (!buffers_.empty() && offset_ >= buffers_.front().size()) {
            offset_ -= buffers_.front().size();
            buffers_ = buffers_.subspan(1);
        }
    }

    void skip_empty() { advance(0); }

    std::span<const asio::const_buffer> buffers_;
    std::size_t offset_ = 0;  ///< in the first of them
};

}  // namespace

/// One direction's waiting. The deadlines of a dialogue move on with every step: its timer is set
/// once, and when it rings too early it is set again, instead of being set and cancelled each time.
struct SocketStream::Wait {
    explicit Wait(const asio::any_io_executor& executor) : timer(executor) {}

    asio::steady_timer timer;
    MonotonicTime deadline = kNever;
    MonotonicTime rings_at = kNever;  ///< kNever: the timer is not set.
    bool pending = false;
    bool expired = false;
};

struct SocketStream::Socket : std::enable_shared_from_this<SocketStream::Socket> {
    Socket(const asio::any_io_executor& executor, UniqueFd fd, Endpoint the_remote)
        : remote(std::move(the_remote)),
          descriptor(executor, fd.release()),
          reading(executor),
          writing(executor) {}

    /// Before an operation of the descriptor that is to end at the deadline.
    void begin(Wait& wait, MonotonicTime deadline) {
        wait.pending = true;
        wait.expired = false;
        wait.deadline = deadline;
        if (deadline < wait.rings_at) set_timer(wait, deadline);
    }

    /// What the operation's end means. None: it was not meant, try again.
    std::optional<Result<void>> end(Wait& wait, const boost::system::error_code& failure,
                                    std::uint64_t cancels_before, std::string_view attempt) {
        wait.pending = false;
        if (!failure) return Result<void>();
        if (failure != asio::error::operation_aborted) {
            return Result<void>(Unexpected(operation_error(attempt, failure)));
        }
        if (wait.expired) {
            return Result<void>(
                Unexpected(ErrorCode::Timeout, std::string(attempt) + ": timed out"));
        }
        // The other direction's deadline ends the waits of both.
        if (cancels == cancels_before && descriptor.is_open()) return std::nullopt;
        return Result<void>(Unexpected(operation_error(attempt, failure)));
    }

    void set_timer(Wait& wait, MonotonicTime when) {
        wait.rings_at = when;
        wait.timer.expires_at(when);
        wait.timer.async_wait(
            [weak = weak_from_this(), &wait](const boost::system::error_code& cancelled) {
                const auto self = weak.lock();
                if (self && !cancelled) self->ring(wait);
            });
    }

    void ring(Wait& wait) {
        wait.rings_at = kNever;
        if (!wait.pending || wait.deadline == kNever) return;
        if (std::chrono::steady_clock::now() < wait.deadline) return set_timer(wait, wait.deadline);
        wait.expired = true;
        boost::system::error_code ignored;
        descriptor.cancel(ignored);
    }

    Endpoint remote;
    std::optional<PeerCredentials> peer;
    asio::posix::stream_descriptor descriptor;
    std::uint64_t cancels = 0;
    Wait reading;
    Wait writing;
};

Result<std::unique_ptr<SocketStream>> SocketStream::adopt(asio::any_io_executor executor,
                                                          UniqueFd fd) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 ||
        ((flags & O_NONBLOCK) == 0 && ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0)) {
        return Unexpected(system_error("adopt socket", errno));
    }
    if (option(fd.get(), SO_TYPE) != SOCK_STREAM) {
        return Unexpected(ErrorCode::Invalid, "adopt socket: not a stream socket");
    }
    const int domain = option(fd.get(), SO_DOMAIN);
    if (domain == AF_INET || domain == AF_INET6) set_unbuffered(fd.get());
    sockaddr_storage remote = {};
    socklen_t size = sizeof remote;
    if (::getpeername(fd.get(), reinterpret_cast<sockaddr*>(&remote), &size) != 0) remote = {};
    remote.ss_family = static_cast<sa_family_t>(domain);
    return adopt_accepted(std::move(executor), std::move(fd), remote);
}

Result<std::unique_ptr<SocketStream>> SocketStream::adopt_accepted(
    const asio::any_io_executor& executor, UniqueFd fd, const sockaddr_storage& remote) {
    try {
        const int number = fd.get();
        auto socket = std::make_shared<Socket>(executor, std::move(fd), endpoint_of(remote));
        if (remote.ss_family == AF_UNIX) socket->peer = credentials_of(number);
        return std::unique_ptr<SocketStream>(new SocketStream(std::move(socket)));
    } catch (const boost::system::system_error& failure) {
        return Unexpected(operation_error("adopt socket", failure.code()));
    }
}

SocketStream::SocketStream(std::shared_ptr<Socket> socket) : socket_(std::move(socket)) {}
SocketStream::~SocketStream() = default;

Awaitable<Result<std::size_t>> SocketStream::read_some(std::span<char> into,
                                                       MonotonicTime deadline) {
    Socket& socket = *socket_;
    for (;;) {
        if (co_await is_cancelled()) co_return Unexpected(ErrorCode::Cancelled, "cancelled");
        if (!socket.descriptor.is_open())
            co_return Unexpected(ErrorCode::Cancelled, "read: closed");
        const std::uint64_t cancels = socket.cancels;
        socket.begin(socket.reading, deadline);
        // Asio reads at once, and else when the kernel reports bytes: a wait of our own before our
        // own read would cost two more system calls.
        auto [failure, count] = co_await socket.descriptor.async_read_some(
            asio::buffer(into.data(), into.size()), asio::as_tuple(asio::use_awaitable));
        if (failure == asio::error::eof) {
            socket.reading.pending = false;
            co_return std::size_t{0};
        }
        auto ended = socket.end(socket.reading, failure, cancels, "read");
        if (!ended) continue;
        if (!*ended) co_return Unexpected(std::move(*ended).error());
        co_return count;
    }
}

Awaitable<Result<void>> SocketStream::write(std::span<const asio::const_buffer> buffers,
                                            MonotonicTime deadline) {
    Socket& socket = *socket_;
    Progress progress(buffers);
    while (const int failed = progress.write_to(native_handle())) {
        if (failed == EBADF) co_return Unexpected(ErrorCode::Cancelled, "write: closed");
        if (failed != EAGAIN) co_return Unexpected(system_error("write", failed));
        if (co_await is_cancelled()) co_return Unexpected(ErrorCode::Cancelled, "cancelled");
        const std::uint64_t cancels = socket.cancels;
        socket.begin(socket.writing, deadline);
        auto [failure] = co_await socket.descriptor.async_wait(
            asio::posix::stream_descriptor::wait_write, asio::as_tuple(asio::use_awaitable));
        auto ended = socket.end(socket.writing, failure, cancels, "write");
        if (ended && !*ended) co_return std::move(*ended);
    }
    co_return Result<void>();
}

void set_unbuffered(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void SocketStream::cancel() {
    ++socket_->cancels;
    boost::system::error_code ignored;
    socket_->descriptor.cancel(ignored);
}

void SocketStream::close() {
    boost::system::error_code ignored;
    socket_->descriptor.close(ignored);
    socket_->reading.timer.cancel();
    socket_->writing.timer.cancel();
}

void SocketStream::finish_writing() {
    ::shutdown(native_handle(), SHUT_WR);
}

Endpoint SocketStream::local() const {
    return local_endpoint(native_handle());
}
const Endpoint& SocketStream::remote() const {
    return socket_->remote;
}
std::optional<PeerCredentials> SocketStream::peer_credentials() const {
    return socket_->peer;
}
int SocketStream::native_handle() const {
    return socket_->descriptor.native_handle();
}

Awaitable<Result<std::unique_ptr<SocketStream>>> connect_unix(std::string path,
                                                              MonotonicTime deadline) {
    const std::string attempt = "connect to " + path;
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        co_return Unexpected(system_error(attempt, ENAMETOOLONG));
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) co_return Unexpected(system_error(attempt, errno));
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer retry(executor);
    // A full backlog is EAGAIN here, and there is nothing to wait for but time.
    while (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN) co_return Unexpected(system_error(attempt, errno));
        const auto now = std::chrono::steady_clock::now();
        if (now >= deadline) co_return Unexpected(system_error(attempt, ETIMEDOUT));
        if (co_await is_cancelled()) co_return Unexpected(ErrorCode::Cancelled, attempt);
        retry.expires_at(std::min(deadline, now + std::chrono::milliseconds(10)));
        co_await retry.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return SocketStream::adopt(executor, std::move(fd));
}

}  // namespace postrider::net
