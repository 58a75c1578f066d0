// Sockets that wait for connections.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>

#include "core/log.h"
#include "core/unique_fd.h"
#include "net/endpoint.h"
#include "net/socket_stream.h"
#include "net/timers.h"

namespace postrider::net {

/// A TCP socket that listens on the address; an IPv6 one takes no IPv4 connections. Port 0 lets the
/// system choose. The error says `listen on [::1]:25: Address already in use`.
Result<UniqueFd> listen_tcp(const IpAddress&, std::uint16_t port);
/// A unix socket at `path`, with exactly this mode from the first instant it can be reached. A
/// socket that nobody answers any more is replaced; another kind of file is not touched.
Result<UniqueFd> listen_unix(const std::filesystem::path&, mode_t mode);

/// Accepts connections on one listening socket, whoever bound it (LISTEN_FDS, the master process).
class Listener {
public:
    /// Error if the descriptor is not a listening stream socket.
    static Result<std::unique_ptr<Listener>> adopt(boost::asio::any_io_executor, UniqueFd, Timers&,
                                                   Log);
    ~Listener();

    /// The next connection. Survives what concerns a single client (ECONNABORTED), and a lack of
    /// descriptors or memory: then waiting clients are turned away with a descriptor kept in
    /// reserve, one warning is logged, and a pause keeps it from spinning. Errors: Cancelled, or a
    /// broken socket.
    Awaitable<Result<std::unique_ptr<SocketStream>>> accept();
    void close();
    /// Called when a connection waits and there is no descriptor for it: somebody may end another.
    void on_shortage(std::function<void()>);

    Endpoint local() const;

private:
    struct Socket;
    explicit Listener(std::unique_ptr<Socket>);

    std::unique_ptr<Socket> socket_;
};

}  // namespace postrider::net
