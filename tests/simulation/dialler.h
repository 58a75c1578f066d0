// How a courier of the simulated world is configured, and how it connects.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "core/clock.h"
#include "core/log.h"
#include "delivery/options.h"
#include "delivery/session.h"
#include "delivery/session_opener.h"
#include "queue/spool.h"
#include "tls/client.h"
#include "world.h"

namespace postrider::simulation {

/// The account at the smarthost.
inline constexpr std::string_view kUser = "desk";
inline constexpr std::string_view kPassword = "correct horse";

/// What every courier of one machine is configured with.
struct CourierSettings {
    delivery::Options delivery;
    delivery::Maps maps;
    queue::Spool::Options spool;

    CourierSettings();
};

/// Connects to a simulated smarthost; what follows is the product's. The plain stream stands in
/// for a verified TLS one.
class SimulatedDialler final : public delivery::Dialler {
public:
    /// Nothing: nobody answers.
    using Connect = std::function<std::unique_ptr<net::Stream>(Process& client)>;
    SimulatedDialler(const CourierSettings&, Connect, Process&, const Clock&, const Log&);
    net::Awaitable<delivery::Dialled> dial(delivery::DialRequest request) override;

private:
    const CourierSettings& settings_;
    Connect connect_;
    Process& process_;
    Log log_;
    tls::Client tls_;
    delivery::SessionOpener opener_;
};

}  // namespace postrider::simulation
