// Notices when this machine gets, changes or loses its way to the world.
#pragma once

#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "net/routes.h"
#include "net/stream.h"

namespace postrider::net {

/// How long to let a change settle before it counts. An interface comes up in steps (link, address,
/// route) within a moment, so a short time is enough; one that comes and goes is believed later and
/// later: a flapping radio is no reason to knock at a provider's door every second.
class Settling {
public:
    static constexpr Duration kFirst = std::chrono::milliseconds(200);
    static constexpr Duration kLongest = std::chrono::seconds(30);
    static constexpr Duration kQuiet = std::chrono::seconds(60);  ///< After it all is forgotten.

    Duration delay(MonotonicTime now) const;
    /// A gain was reported.
    void reported(MonotonicTime now);

private:
    Duration delay_ = kFirst;
    MonotonicTime last_ = MonotonicTime::min();
};

/// Listens to the kernel's routing messages. Costs nothing while nothing changes. Belongs to the
/// network thread.
class NetworkWatch {
public:
    /// Fails where the kernel does not let us listen; then nothing is known about the network.
    static Result<std::unique_ptr<NetworkWatch>> open(boost::asio::any_io_executor, const Clock&);
    ~NetworkWatch();

    /// Whether there is a way out at all.
    bool online() const;

    /// Waits for a way out, a new one, or the loss of the last; online() says which. False when
    /// what changed is no gain. Error when cancelled, or when the kernel stops telling.
    Awaitable<Result<bool>> next();

private:
    class Implementation;
    explicit NetworkWatch(std::unique_ptr<Implementation>);
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace postrider::net
