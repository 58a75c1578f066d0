// A stream over a TCP or unix socket.
#pragma once

#include <memory>
#include <optional>

#include <sys/socket.h>
#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>

#include "core/unique_fd.h"
#include "net/endpoint.h"
#include "net/stream.h"

namespace postrider::net {

/// Who the kernel says is at the other end of a unix socket (SO_PEERCRED).
struct PeerCredentials {
    uid_t uid;
    gid_t gid;
    pid_t pid;
};

/// A connected socket. Reads and writes are tried at once and wait only when the kernel says so. At
/// most one read and one write at a time.
class SocketStream final : public Stream {
public:
    /// Takes over a connected stream socket, makes it non-blocking and, if it is TCP, unbuffered
    /// (TCP_NODELAY: a dialogue of small writes would wait for acknowledgements).
    static Result<std::unique_ptr<SocketStream>> adopt(boost::asio::any_io_executor, UniqueFd);
    /// The same for what accept4(2) made non-blocking and told the peer of, on a listening socket
    /// that is unbuffered itself: so much need not be asked of the kernel again.
    static Result<std::unique_ptr<SocketStream>> adopt_accepted(const boost::asio::any_io_executor&,
                                                                UniqueFd,
                                                                const sockaddr_storage& remote);
    ~SocketStream() override;

    Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime deadline) override;
    Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                  MonotonicTime deadline) override;
    void cancel() override;
    void close() override;

    /// Says that nothing more will be written; the other direction stays open.
    void finish_writing();

    Endpoint local() const;
    /// As it was when the stream was adopted.
    const Endpoint& remote() const;
    /// Nothing for TCP.
    std::optional<PeerCredentials> peer_credentials() const;
    /// -1 once closed. Stays owned by the stream.
    int native_handle() const;

private:
    struct Wait;
    struct Socket;
    explicit SocketStream(std::shared_ptr<Socket>);

    std::shared_ptr<Socket> socket_;  ///< Its timers look for it.
};

/// Small writes leave at once (TCP_NODELAY). What accept(2) makes of a listening socket inherits
/// it.
void set_unbuffered(int fd);

/// Connects to a unix socket at `path`.
Awaitable<Result<std::unique_ptr<SocketStream>>> connect_unix(std::string path,
                                                              MonotonicTime deadline);

}  // namespace postrider::net
