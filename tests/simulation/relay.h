// The channel between intake and courier, with its bytes cut into pieces.
#pragma once

#include <array>
#include <memory>
#include <utility>

#include <boost/asio/local/stream_protocol.hpp>

#include "core/unique_fd.h"
#include "net/stream.h"
#include "world.h"

namespace postrider::simulation {

/// Two socket pairs and a go-between in the outside: what one process writes reaches the other in
/// order, in other pieces and a little later. The end of either side is passed on.
class Relay : public std::enable_shared_from_this<Relay> {
public:
    Relay(World& world, std::size_t piece_max);
    /// The two ends for the processes.
    std::pair<UniqueFd, UniqueFd> start();
    bool is_over() const { return ended_ == 2; }

private:
    using Socket = boost::asio::local::stream_protocol::socket;
    static net::Awaitable<void> pump(std::shared_ptr<Relay> self, int from);

    World& world_;
    std::size_t piece_max_;
    std::array<Socket, 2> inner_;
    int ended_ = 0;
};

}  // namespace postrider::simulation
