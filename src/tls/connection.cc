#include "tls/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "net/until.h"

namespace postrider::tls {
namespace {

// A record and its overhead fit in.
constexpr std::size_t kReceiveSize = 17 * 1024;
// So much plaintext is encrypted before it is written: whole records, few system calls.
constexpr std::size_t kRecordSize = 16 * 1024;
constexpr std::size_t kFlightSize = 64 * 1024;

int connection_index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

}  // namespace

// OpenSSL's view of the network: a BIO that never blocks.
struct Connection::Wire {
    std::string outgoing;
    std::string flight;          ///< what was outgoing and is being sent
    std::vector<char> incoming;  ///< room for one record, once something is expected
    std::size_t received = 0;    ///< of incoming
    std::size_t taken = 0;       ///< of what was received

    std::size_t waiting() const { return received - taken; }

    static Wire& of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

    static int on_write(BIO* bio, const char* bytes, int size) {
        BIO_clear_retry_flags(bio);
        of(bio).outgoing.append(bytes, static_cast<std::size_t>(size));
        return size;
    }

    static int on_read(BIO* bio, char* into, int size) {
        Wire& wire = of(bio);
        BIO_clear_retry_flags(bio);
        if (wire.waiting() == 0) {
            BIO_set_retry_read(bio);
            return -1;
        }
        const std::size_t count = std::min(static_cast<std::size_t>(size), wire.waiting());
        std::memcpy(into, wire.incoming.data() + wire.taken, count);
        wire.taken += count;
        return static_cast<int>(count);
    }

    static long on_control(BIO* bio, int command, long, void*) {
        if (command == BIO_CTRL_FLUSH) return 1;
        if (command == BIO_CTRL_PENDING) return static_cast<long>(of(bio).waiting());
        return 0;
    }

    static BIO_METHOD* method() {
        static BIO_METHOD* const made = [] {
            BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
            BIO_meth_set_write(m, on_write);
            BIO_meth_set_read(m, on_read);
            BIO_meth_set_ctrl(m, on_control);
            return m;
        }();
        return made;
    }
};

Connection::Connection(Ssl ssl, std::unique_ptr<net::Stream> inner, void (*role)(SSL*))
    : ssl_(std::move(ssl)), inner_(std::move(inner)), wire_(std::make_unique<Wire>()) {
    BIO* bio = BIO_new(Wire::method());
    BIO_set_data(bio, wire_.get());
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_ex_data(ssl_.get(), connection_index(), this);
    SSL_set_mode(ssl_.get(), SSL_MODE_RELEASE_BUFFERS);
    role(ssl_.get());
}

Connection::~Connection() {
    // Without a farewell OpenSSL takes the session for broken, and would not resume it.
    if (!failed_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

Connection& Connection::of(const SSL* ssl) {
    return *static_cast<Connection*>(SSL_get_ex_data(ssl, connection_index()));
}

net::Awaitable<Result<void>> Connection::handshake(MonotonicTime deadline) {
    for (;;) {
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl_.get());
        // Also after a failure: the alert tells the other side why.
        const int error = SSL_get_error(ssl_.get(), result);
        if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ) {
            Unexpected problem = failure("handshake", result);
            (co_await flush(deadline)).has_value();
            co_return problem;
        }
        auto sent = co_await flush(deadline);
        if (!sent) co_return sent;
        if (result == 1) co_return Result<void>();
        auto received = co_await receive(deadline);
        if (!received) co_return received;
    }
}

net::Awaitable<Result<std::size_t>> Connection::read_some(std::span<char> into,
                                                          MonotonicTime deadline) {
    for (;;) {
        std::size_t count = 0;
        ERR_clear_error();
        const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &count);
        const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
        if (error == SSL_ERROR_ZERO_RETURN) co_return std::size_t(0);
        if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ) {
            Unexpected problem = failure("read", result);
            (co_await flush(deadline)).has_value();
            co_return problem;
        }
        // Reading may have something to say: the answer to a key update.
        if (!wire_->outgoing.empty() && !writing_) {
            auto sent = co_await flush(deadline);
            if (!sent) co_return Unexpected(std::move(sent).error());
        }
        if (error == SSL_ERROR_NONE) co_return count;
        auto received = co_await receive(deadline);
        if (!received) co_return Unexpected(std::move(received).error());
    }
}

net::Awaitable<Result<void>> Connection::write(std::span<const boost::asio::const_buffer> buffers,
                                               MonotonicTime deadline) {
    // Small pieces are joined, so that they share a record; large ones are encrypted in place.
    std::string joined;
    for (const auto& buffer : buffers) {
        std::string_view text(static_cast<const char*>(buffer.data()), buffer.size());
        if (joined.size() + text.size() <= kRecordSize) {
            joined.append(text);
            continue;
        }
        auto sent = co_await encrypt(joined, deadline);
        if (!sent) co_return sent;
        joined.clear();
        sent = co_await encrypt(text, deadline);
        if (!sent) co_return sent;
    }
    auto sent = co_await encrypt(joined, deadline);
    if (concealed_) OPENSSL_cleanse(joined.data(), joined.capacity());
    if (!sent) co_return sent;
    co_return co_await flush(deadline);
}

net::Awaitable<Result<void>> Connection::encrypt(std::string_view text, MonotonicTime deadline) {
    if (text.size() > kRecordSize) wire_->outgoing.reserve(kFlightSize + kReceiveSize);
    while (!text.empty()) {
        std::size_t count = 0;
        ERR_clear_error();
        const std::size_t size = std::min(text.size(), kRecordSize);
        const int result = SSL_write_ex(ssl_.get(), text.data(), size, &count);
        if (result != 1) co_return failure("write", result);
        text.remove_prefix(count);
        if (wire_->outgoing.size() < kFlightSize) continue;
        auto sent = co_await flush(deadline);
        if (!sent) co_return sent;
    }
    co_return Result<void>();
}

net::Awaitable<Result<void>> Connection::finish(MonotonicTime deadline) {
    ERR_clear_error();
    if (!failed_) SSL_shutdown(ssl_.get());
    co_return co_await flush(deadline);
}

void Connection::cancel() {
    inner_->cancel();
}

void Connection::close() {
    inner_->close();
}

net::Awaitable<Result<void>> Connection::receive(MonotonicTime deadline) {
    if (wire_->waiting() > 0) co_return Result<void>();
    wire_->incoming.resize(kReceiveSize);
    auto count = co_await inner_->read_some(wire_->incoming, deadline);
    if (!count) co_return Unexpected(std::move(count).error());
    wire_->received = *count;
    wire_->taken = 0;
    // Anyone on the way can end a connection; only close_notify says that the peer meant it.
    if (*count == 0) {
        failed_ = true;
        co_return Unexpected(ErrorCode::Connection, "lost connection");
    }
    dump("read from", std::string_view(wire_->incoming.data(), *count));
    co_return Result<void>();
}

// One write to the inner stream at a time. Who comes second waits, and then sends what is left.
net::Awaitable<Result<void>> Connection::flush(MonotonicTime deadline) {
    while (writing_) {
        auto turn = co_await written_->wait(deadline);
        if (!turn) co_return turn;
    }
    while (!wire_->outgoing.empty()) {
        if (!written_) {
            written_ = std::make_unique<net::Event>(co_await boost::asio::this_coro::executor);
        }
        // What OpenSSL has to say meanwhile must not move the bytes that are on their way.
        std::swap(wire_->outgoing, wire_->flight);
        dump("write to", wire_->flight);
        writing_ = true;
        written_->reset();
        auto sent = co_await net::write(*inner_, wire_->flight, deadline);
        writing_ = false;
        written_->set();
        if (!sent) co_return sent;
        wire_->flight.clear();
        // Most of the time it said nothing, and the larger buffer serves again.
        if (wire_->outgoing.empty()) std::swap(wire_->outgoing, wire_->flight);
    }
    co_return Result<void>();
}

Unexpected Connection::failure(const char* attempt, int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    failed_ = true;
    const auto code = error == SSL_ERROR_SYSCALL ? ErrorCode::Connection : ErrorCode::Protocol;
    // The queue of errors stays for whoever logs it.
    const auto reason = ERR_reason_error_string(ERR_peek_error());
    return Unexpected(code, fmt::format("TLS {}: {}", attempt, reason ? reason : "failed"));
}

void Connection::dump(const char* verb, std::string_view bytes) const {
    if (!dump_) return;
    dump_->info(fmt::format("{} {:08X} ({} bytes => {} (0x{:X}))", verb, 0, bytes.size(),
                            bytes.size(), bytes.size()));
    if (concealed_) return dump_->info("authentication is under way: bytes not shown");
    for (std::size_t line = 0; line < bytes.size(); line += 16) {
        std::string hex;
        std::string text;
        for (const char c : bytes.substr(line, 16)) {
            hex += fmt::format("{:02x} ", static_cast<unsigned char>(c));
            text += c >= ' ' && c <= '~' ? c : '.';
        }
        dump_->info(fmt::format("{:04x} {:48} {}", line, hex, text));
    }
}

}  // namespace postrider::tls
