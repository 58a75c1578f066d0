// A stream over a TCP or unix socket.
#pragma once

#include <memory>
#include <optional>

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

/// A connected socket. Reads and writes are tried at once and wait only when the kernel says so;
/// what need not wait registers no timer. At most one read and one write at a time.
class SocketStream final : public Stream {
public:
    /// Takes over a connected stream socket, makes it non-blocking and, if it is TCP, unbuffered
    /// (TCP_NODELAY: a dialogue of small writes would wait for acknowledgements).
    static Result<std::unique_ptr<SocketStream>> adopt(boost::asio::any_io_executor, UniqueFd);
    ~SocketStream() override;

    Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime deadline) override;
    Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                  MonotonicTime deadline) override;
    void cancel() override;
    void close() override;

    /// Says that nothing more will be written; the other direction stays open.
    void finish_writing();

    /// As they were when the stream was adopted.
    const Endpoint& local() const;
    const Endpoint& remote() const;
    /// Nothing for TCP.
    std::optional<PeerCredentials> peer_credentials() const;
    /// -1 once closed. Stays owned by the stream.
    int native_handle() const;

private:
    struct Socket;
    explicit SocketStream(std::unique_ptr<Socket>);

    std::unique_ptr<Socket> socket_;
};

/// Connects to a unix socket at `path`.
Awaitable<Result<std::unique_ptr<SocketStream>>> connect_unix(std::string path,
                                                              MonotonicTime deadline);

}  // namespace postrider::net
