// Connections between processes: in order as TCP is, but late, in pieces, and sometimes cut.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/event.h"
#include "net/stream.h"
#include "world.h"

namespace postrider::simulation {

/// How a connection behaves.
struct WireManner {
    Duration latency_min{50};
    Duration latency_max{2000};
    std::size_t piece_max = 65536;  ///< Bytes that arrive together.
    std::size_t window = 65536;     ///< Bytes a sender may be ahead of its reader.
    /// By direction: after so many bytes the connection is reset and the rest is lost.
    std::array<std::optional<std::uint64_t>, 2> cut_after;
};

/// One connection with two ends. Side 0 is the one that connected.
class Wire : public std::enable_shared_from_this<Wire> {
public:
    using Ends = std::pair<std::unique_ptr<net::Stream>, std::unique_ptr<net::Stream>>;
    static Ends connect(World&, Process& from, Process& to, WireManner, std::string name);

    Wire(World& world, WireManner manner, std::string name)
        : world_(world), manner_(manner), name_(std::move(name)) {}

    /// Both ends see a reset; what is under way is lost.
    void cut();
    /// Bytes that `side` has sent so far.
    std::uint64_t sent_by(int side) const { return ways_[side].sent; }
    /// Calls back once the other side has read this many bytes of what `side` sent.
    void when_read(int side, std::uint64_t bytes, std::function<void()> then);
    /// The connection behind a stream that connect() made.
    static std::shared_ptr<Wire> of(const net::Stream&);

    /// Ends in use, over all wires.
    static int open_ends();

private:
    class End;
    /// From one side to the other.
    struct Way {
        std::string arrived;
        std::uint64_t sent = 0;
        std::uint64_t delivered = 0;
        std::uint64_t read = 0;
        bool finished = false;  ///< The sender has closed, and the reader has seen all of it.
        MonotonicTime last_arrival{};
        End* sender = nullptr;
        End* reader = nullptr;
        std::vector<std::pair<std::uint64_t, std::function<void()>>> watches;
    };
    void send(int side, std::string_view bytes);
    void deliver(int side, const std::string& bytes);
    void close(int side);
    MonotonicTime arrival(Way&);

    World& world_;
    WireManner manner_;
    std::string name_;
    std::array<Way, 2> ways_;
    bool cut_ = false;
};

}  // namespace postrider::simulation
