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

Endpoint remote_endpoint(int fd) {
    sockaddr_storage storage = {};
    socklen_t size = sizeof storage;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
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
    if (option(fd, SO_DOMAIN) != AF_UNIX) return std::nullopt;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
    return PeerCredentials{.uid = peer.uid, .gid = peer.gid, .pid = peer.pid};
}

// Where a gathered write has got to.
class Progress {
public:
    explicit Progress(std::span<const asio::const_buffer> buffers) : buffers_(buffers) {
        skip_empty();
    }

    bool done() const { return buffers_.empty(); }

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

private:
    void skip_empty() { advance(0); }

    std::span<const asio::const_buffer> buffers_;
    std::size_t offset_ = 0;  ///< in the first of them
};

}  // namespace

struct SocketStream::Socket {
    Socket(const asio::any_io_executor& executor, UniqueFd fd)
        : local(local_endpoint(fd.get())),
          remote(remote_endpoint(fd.get())),
          peer(credentials_of(fd.get())),
          descriptor(executor, fd.release()),
          read_timer(executor),
          write_timer(executor) {}

    Awaitable<Result<void>> wait(asio::posix::stream_descriptor::wait_type what,
                                 asio::steady_timer& timer, MonotonicTime deadline,
                                 std::string_view attempt) {
        auto operation = [this, what](auto token) { return descriptor.async_wait(what, token); };
        return until(timer, deadline, attempt, operation);
    }

    Endpoint local;
    Endpoint remote;
    std::optional<PeerCredentials> peer;
    asio::posix::stream_descriptor descriptor;
    asio::steady_timer read_timer;
    asio::steady_timer write_timer;
};

Result<std::unique_ptr<SocketStream>> SocketStream::adopt(asio::any_io_executor executor,
                                                          UniqueFd fd) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return Unexpected(system_error("adopt socket", errno));
    }
    if (option(fd.get(), SO_TYPE) != SOCK_STREAM) {
        return Unexpected(ErrorCode::Invalid, "adopt socket: not a stream socket");
    }
    const int on = 1;
    const int domain = option(fd.get(), SO_DOMAIN);
    if (domain == AF_INET || domain == AF_INET6) {
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    try {
        auto socket = std::make_unique<Socket>(executor, std::move(fd));
        return std::unique_ptr<SocketStream>(new SocketStream(std::move(socket)));
    } catch (const boost::system::system_error& failure) {
        return Unexpected(operation_error("adopt socket", failure.code()));
    }
}

SocketStream::SocketStream(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
SocketStream::~SocketStream() = default;

Awaitable<Result<std::size_t>> SocketStream::read_some(std::span<char> into,
                                                       MonotonicTime deadline) {
    for (;;) {
        const auto count = ::recv(native_handle(), into.data(), into.size(), 0);
        if (count >= 0) co_return static_cast<std::size_t>(count);
        if (errno == EINTR) continue;
        if (errno == EBADF) co_return Unexpected(ErrorCode::Cancelled, "read: closed");
        if (errno != EAGAIN) co_return Unexpected(system_error("read", errno));
        auto ready = co_await socket_->wait(asio::posix::stream_descriptor::wait_read,
                                            socket_->read_timer, deadline, "read");
        if (!ready) co_return Unexpected(std::move(ready).error());
    }
}

Awaitable<Result<void>> SocketStream::write(std::span<const asio::const_buffer> buffers,
                                            MonotonicTime deadline) {
    Progress progress(buffers);
    std::array<iovec, kPiecesMax> pieces;
    while (!progress.done()) {
        msghdr message = {};
        message.msg_iov = pieces.data();
        message.msg_iovlen = progress.pieces(pieces);
        const auto count = ::sendmsg(native_handle(), &message, MSG_NOSIGNAL);
        if (count >= 0) {
            progress.advance(static_cast<std::size_t>(count));
            continue;
        }
        if (errno == EINTR) continue;
        if (errno == EBADF) co_return Unexpected(ErrorCode::Cancelled, "write: closed");
        if (errno != EAGAIN) co_return Unexpected(system_error("write", errno));
        auto ready = co_await socket_->wait(asio::posix::stream_descriptor::wait_write,
                                            socket_->write_timer, deadline, "write");
        if (!ready) co_return Unexpected(std::move(ready).error());
    }
    co_return Result<void>();
}

void SocketStream::cancel() {
    boost::system::error_code ignored;
    socket_->descriptor.cancel(ignored);
}

void SocketStream::close() {
    boost::system::error_code ignored;
    socket_->descriptor.close(ignored);
}

void SocketStream::finish_writing() {
    ::shutdown(native_handle(), SHUT_WR);
}

const Endpoint& SocketStream::local() const {
    return socket_->local;
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
