// Reading lines and counted bytes from a stream, for both ends that this program plays.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "net/stream.h"

namespace postrider::simulation {

/// A stream and what has come from it and has not been taken.
class Talk {
public:
    explicit Talk(std::unique_ptr<net::Stream> stream) : stream_(std::move(stream)) {}

    /// Up to LF, which is included; nothing when the connection has ended or the time is over.
    net::Awaitable<std::optional<std::string>> line(MonotonicTime deadline) {
        std::size_t end = 0;
        while ((end = buffer_.find('\n')) == std::string::npos) {
            const bool went = co_await fill(deadline);
            if (!went) co_return std::nullopt;
        }
        co_return take(end + 1);
    }
    net::Awaitable<std::optional<std::string>> bytes(std::size_t count, MonotonicTime deadline) {
        while (buffer_.size() < count) {
            const bool went = co_await fill(deadline);
            if (!went) co_return std::nullopt;
        }
        co_return take(count);
    }
    net::Awaitable<bool> say(std::string_view text, MonotonicTime deadline) {
        const auto said = co_await net::write(*stream_, text, deadline);
        co_return said.has_value();
    }
    net::Stream& stream() { return *stream_; }

private:
    net::Awaitable<bool> fill(MonotonicTime deadline) {
        std::array<char, 16384> some;
        const auto count = co_await stream_->read_some(some, deadline);
        if (!count || *count == 0) co_return false;
        buffer_.append(some.data(), *count);
        co_return true;
    }
    std::string take(std::size_t count) {
        std::string taken = buffer_.substr(0, count);
        buffer_.erase(0, count);
        return taken;
    }

    std::unique_ptr<net::Stream> stream_;
    std::string buffer_;
};

}  // namespace postrider::simulation
