// Programs that hand mail over by SMTP: honest, hasty, slow, and gone in the middle of a word.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "core/log.h"
#include "ledger.h"
#include "net/stream.h"
#include "net/task_group.h"
#include "plan.h"
#include "world.h"

namespace postrider::simulation {

class Clients {
public:
    /// Connects to the intake of the moment; nothing if there is none.
    using Connect = std::function<std::unique_ptr<net::Stream>(WireManner)>;

    Clients(World&, const Plan&, Ledger&, Connect);

    /// Lets them come, each at its time.
    void start();
    /// All have come and gone.
    bool are_done() const { return coming_ == 0 && sessions_.empty(); }

private:
    class Session;

    World& world_;
    const Plan& plan_;
    Ledger& ledger_;
    Connect connect_;
    CapturedLog unheard_;
    net::TaskGroup sessions_;
    int coming_ = 0;
};

}  // namespace postrider::simulation
