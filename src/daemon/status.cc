#include "daemon/status.h"

#include <nlohmann/json.hpp>

#include "delivery/accounts.h"

namespace postrider::daemon {
namespace {

using Json = nlohmann::json;

std::int64_t seconds(WallTime time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

Json destination(const delivery::DestinationStatus& each) {
    return {{"name", each.next_hops}, {"state", each.offline ? "offline" : "ready"},
            {"window", each.window},  {"sessions", each.sessions},
            {"idle", each.idle},      {"waiting", each.waiting},
            {"sent", each.sent},      {"deferred", each.deferred},
            {"bounced", each.bounced}};
}

Json account(const queue::AccountTrouble& each) {
    Json json = {{"name", delivery::display_name(each.account)},
                 {"next_hops", each.account.next_hops},
                 {"login", each.account.login},
                 {"state", delivery::keyword_of(each.trouble)},
                 {"trouble", delivery::name_of(each.trouble)},
                 {"reason", each.reason},
                 {"advice", each.advice},
                 {"since", seconds(each.since)}};
    if (each.trouble != queue::Trouble::Paused) json["next_attempt"] = seconds(each.next_attempt);
    return json;
}

}  // namespace

std::string status_json(const delivery::Courier& courier, const std::vector<std::string>& dangers) {
    Json status = {
        {"destinations", Json::array()}, {"accounts", Json::array()}, {"dangers", dangers}};
    for (const auto& each : courier.status()) status["destinations"].push_back(destination(each));
    for (const auto& each : courier.troubles()) status["accounts"].push_back(account(each));
    return status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace postrider::daemon
