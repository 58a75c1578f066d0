#include "net/until.h"

namespace postrider::net {

Error operation_error(std::string_view attempt, const boost::system::error_code& code) {
    std::string text(attempt);
    if (code == boost::asio::error::operation_aborted) {
        return {ErrorCode::Cancelled, text.append(": cancelled")};
    }
    if (code == boost::asio::error::eof) {
        return {ErrorCode::Connection, text.append(": closed by the peer")};
    }
    if (code.category() == boost::system::system_category()) {
        return system_error(std::move(text), code.value());
    }
    return {ErrorCode::Io, text.append(": ").append(code.message())};
}

Awaitable<bool> is_cancelled() {
    // Throws if this has not been switched off, and then nobody needs the answer.
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    co_return state.cancelled() != boost::asio::cancellation_type::none;
}

Awaitable<Result<void>> sleep_until(MonotonicTime when) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    co_return co_await until(timer, kNever, "sleep", [&](auto token) {
        timer.expires_at(when);
        return timer.async_wait(std::move(token));
    });
}

}  // namespace postrider::net
