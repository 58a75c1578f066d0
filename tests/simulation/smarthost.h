// The server that our mail goes to, with every bad habit of reliability 7.2.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/log.h"
#include "ledger.h"
#include "net/stream.h"
#include "net/task_group.h"
#include "plan.h"
#include "wire.h"
#include "world.h"

namespace postrider::simulation {

class Smarthost {
public:
    Smarthost(World&, const Plan&, Ledger&);

    /// A connection from `client`; nothing if nobody answers. Its session runs in the outside.
    std::unique_ptr<net::Stream> connect(Process& client);
    std::size_t sessions() const { return sessions_.size(); }

private:
    class Session;
    /// Whether to misbehave in this way now.
    bool feels_like(Mischief);

    World& world_;
    const Plan& plan_;
    Ledger& ledger_;
    CapturedLog unheard_;
    net::TaskGroup sessions_;
    int connections_ = 0;
};

}  // namespace postrider::simulation
