#include "net/stream.h"

namespace postrider::net {

Awaitable<Result<void>> write(Stream& stream, std::string_view text, MonotonicTime deadline) {
    const boost::asio::const_buffer buffer(text.data(), text.size());
    co_return co_await stream.write({&buffer, 1}, deadline);
}

}  // namespace postrider::net
