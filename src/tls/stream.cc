#include "tls/stream.h"

#include "tls/connection.h"

namespace postrider::tls {

TlsStream::TlsStream(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
TlsStream::~TlsStream() = default;

net::Awaitable<Result<std::size_t>> TlsStream::read_some(std::span<char> into,
                                                         MonotonicTime deadline) {
    return connection_->read_some(into, deadline);
}

net::Awaitable<Result<void>> TlsStream::write(std::span<const boost::asio::const_buffer> buffers,
                                              MonotonicTime deadline) {
    return connection_->write(buffers, deadline);
}

void TlsStream::cancel() {
    connection_->cancel();
}

void TlsStream::close() {
    connection_->close();
}

net::Awaitable<Result<void>> TlsStream::finish(MonotonicTime deadline) {
    return connection_->finish(deadline);
}

const Session& TlsStream::session() const {
    return connection_->session;
}

void TlsStream::conceal(bool on) {
    connection_->conceal(on);
}

}  // namespace postrider::tls
