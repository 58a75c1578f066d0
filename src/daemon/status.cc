#include "daemon/status.h"

#include <nlohmann/json.hpp>

namespace postrider::daemon {
namespace {

std::string_view name_of(delivery::DestinationStatus::State state) {
    switch (state) {
        case delivery::DestinationStatus::State::Ready:
            return "ready";
        case delivery::DestinationStatus::State::Suspended:
            return "suspended";
        case delivery::DestinationStatus::State::Paused:
            return "paused: the account needs attention";
        case delivery::DestinationStatus::State::Offline:
            return "offline";
    }
    return "";
}

std::int64_t seconds(WallTime time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

std::string status_json(const std::vector<delivery::DestinationStatus>& destinations) {
    nlohmann::json list = nlohmann::json::array();
    for (const delivery::DestinationStatus& each : destinations) {
        list.push_back({{"name", each.next_hops},
                        {"state", name_of(each.state)},
                        {"reason", each.reason},
                        {"since", seconds(each.since)},
                        {"next_attempt", seconds(each.next_attempt)},
                        {"sessions", each.sessions},
                        {"idle", each.idle},
                        {"waiting", each.waiting},
                        {"sent", each.sent},
                        {"deferred", each.deferred},
                        {"bounced", each.bounced}});
    }
    const nlohmann::json status = {{"destinations", std::move(list)}};
    return status.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace postrider::daemon
