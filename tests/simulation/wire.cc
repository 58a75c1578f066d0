#include "wire.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "net/until.h"

namespace postrider::simulation {
namespace {

int open_count = 0;

Error reset() {
    return {ErrorCode::Connection, "Connection reset by peer"};
}

}  // namespace

class Wire::End final : public net::Stream {
public:
    End(std::shared_ptr<Wire> wire, int side, Process& process)
        : wire_(std::move(wire)),
          side_(side),
          readable_(process.executor()),
          writable_(process.executor()) {
        ++open_count;
    }
    ~End() override {
        close();
        --open_count;
    }

    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into,
                                                  MonotonicTime deadline) override {
        Way& way = incoming();
        for (;;) {
            if (closed_) co_return Unexpected(ErrorCode::Cancelled, "read: cancelled");
            if (!way.arrived.empty()) break;
            if (wire_->cut_) co_return Unexpected(reset());
            if (way.finished) co_return std::size_t{0};
            readable_.reset();
            const auto waited = co_await readable_.wait(deadline);
            if (!waited) co_return Unexpected(waited.error());
            if (std::exchange(cancelled_, false)) {
                co_return Unexpected(ErrorCode::Cancelled, "read: cancelled");
            }
        }
        const std::size_t size = std::min(into.size(), way.arrived.size());
        std::memcpy(into.data(), way.arrived.data(), size);
        way.arrived.erase(0, size);
        way.read += size;
        if (way.sender != nullptr) way.sender->writable_.set();
        std::erase_if(way.watches, [&](const auto& watch) {
            if (watch.first > way.read) return false;
            watch.second();
            return true;
        });
        co_return size;
    }

    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                       MonotonicTime deadline) override {
        for (const auto& buffer : buffers) {
            std::string_view left(static_cast<const char*>(buffer.data()), buffer.size());
            while (!left.empty()) {
                if (closed_) co_return Unexpected(ErrorCode::Cancelled, "write: cancelled");
                if (wire_->cut_) co_return Unexpected(reset());
                const Way& way = outgoing();
                const std::uint64_t ahead = way.sent - way.read;
                if (ahead < wire_->manner_.window) {
                    const std::size_t size = std::min<std::size_t>(
                        {left.size(), static_cast<std::size_t>(wire_->manner_.window - ahead),
                         1 + wire_->world_.below(wire_->manner_.piece_max)});
                    wire_->send(side_, left.substr(0, size));
                    left.remove_prefix(size);
                    continue;
                }
                writable_.reset();
                const auto waited = co_await writable_.wait(deadline);
                if (!waited) co_return Unexpected(waited.error());
                if (std::exchange(cancelled_, false)) {
                    co_return Unexpected(ErrorCode::Cancelled, "write: cancelled");
                }
            }
        }
        co_return Result<void>();
    }

    void cancel() override {
        cancelled_ = true;
        wake();
    }

    void close() override {
        if (std::exchange(closed_, true)) return;
        wire_->close(side_);
        wake();
    }

    void wake() {
        readable_.set();
        writable_.set();
    }
    const std::shared_ptr<Wire>& wire() const { return wire_; }

private:
    friend class Wire;
    Way& incoming() { return wire_->ways_[1 - side_]; }
    Way& outgoing() { return wire_->ways_[side_]; }

    std::shared_ptr<Wire> wire_;
    int side_;
    net::Event readable_;
    net::Event writable_;
    bool closed_ = false;
    bool cancelled_ = false;
};

Wire::Ends Wire::connect(World& world, Process& from, Process& to, WireManner manner,
                         std::string name) {
    auto wire = std::make_shared<Wire>(world, manner, std::move(name));
    auto near = std::make_unique<End>(wire, 0, from);
    auto far = std::make_unique<End>(wire, 1, to);
    wire->ways_[0].sender = wire->ways_[1].reader = near.get();
    wire->ways_[1].sender = wire->ways_[0].reader = far.get();
    return {std::move(near), std::move(far)};
}

std::shared_ptr<Wire> Wire::of(const net::Stream& stream) {
    return dynamic_cast<const End&>(stream).wire();
}

int Wire::open_ends() {
    return open_count;
}

void Wire::when_read(int side, std::uint64_t bytes, std::function<void()> then) {
    ways_[side].watches.emplace_back(bytes, std::move(then));
}

MonotonicTime Wire::arrival(Way& way) {
    const auto soonest = world_.now() + world_.between(manner_.latency_min, manner_.latency_max);
    way.last_arrival = std::max(way.last_arrival, soonest);
    return way.last_arrival;
}

void Wire::send(int side, std::string_view bytes) {
    Way& way = ways_[side];
    way.sent += bytes.size();
    world_.at(arrival(way), [self = shared_from_this(), side, text = std::string(bytes)] {
        self->deliver(side, text);
    });
}

void Wire::deliver(int side, const std::string& bytes) {
    Way& way = ways_[side];
    if (cut_) return;
    // Nobody is there to read it: the answer is a reset.
    if (way.reader == nullptr) return cut();
    std::size_t size = bytes.size();
    const auto& limit = manner_.cut_after[static_cast<std::size_t>(side)];
    const bool last = limit && way.delivered + size >= *limit;
    if (last) size = static_cast<std::size_t>(*limit - way.delivered);
    way.arrived.append(bytes, 0, size);
    way.delivered += size;
    way.reader->readable_.set();
    if (!last) return;
    world_.fault("connection cut at a byte",
                 fmt::format("{} after {} bytes {}", name_, *limit, side == 0 ? "out" : "in"));
    cut();
}

void Wire::cut() {
    if (std::exchange(cut_, true)) return;
    for (Way& way : ways_) {
        // A reset may overtake what has arrived and has not been read.
        if (world_.chance(0.5)) way.arrived.clear();
        if (way.reader != nullptr) way.reader->wake();
    }
}

/// The other side sees the end behind the last byte, or a reset if not all has been read here.
void Wire::close(int side) {
    ways_[side].sender = nullptr;
    ways_[1 - side].reader = nullptr;
    const bool resets = !ways_[1 - side].arrived.empty();
    world_.at(arrival(ways_[side]), [self = shared_from_this(), side, resets] {
        if (resets) return self->cut();
        Way& way = self->ways_[side];
        way.finished = true;
        if (way.reader != nullptr) way.reader->readable_.set();
    });
}

}  // namespace postrider::simulation
