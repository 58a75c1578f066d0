#include "control/request.h"

#include <array>
#include <optional>

#include <nlohmann/json.hpp>

#include "mail/queue_id.h"

namespace postrider::control {
namespace {

using Json = nlohmann::json;

constexpr std::array kOperations{
    Operation::List,   Operation::Status,  Operation::Flush,  Operation::Show,
    Operation::Hold,   Operation::Release, Operation::Remove, Operation::Requeue,
    Operation::Expire, Operation::Pause,   Operation::Resume,
};

std::optional<Operation> operation_named(std::string_view name) {
    for (const Operation operation : kOperations) {
        if (name_of(operation) == name) return operation;
    }
    return std::nullopt;
}

Unexpected malformed(std::string_view what) {
    return Unexpected(ErrorCode::Invalid, "malformed request: " + std::string(what));
}

}  // namespace

std::string_view name_of(Operation operation) {
    switch (operation) {
        case Operation::List:
            return "list";
        case Operation::Status:
            return "status";
        case Operation::Flush:
            return "flush";
        case Operation::Show:
            return "show";
        case Operation::Hold:
            return "hold";
        case Operation::Release:
            return "release";
        case Operation::Remove:
            return "remove";
        case Operation::Requeue:
            return "requeue";
        case Operation::Expire:
            return "expire";
        case Operation::Pause:
            return "pause";
        case Operation::Resume:
            return "resume";
    }
    return "";
}

std::string to_line(const Request& request) {
    const Json line = {{"operation", name_of(request.operation)},
                       {"ids", request.ids},
                       {"all", request.all},
                       {"site", request.site}};
    // A site is what somebody typed.
    return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Request> parse_request(std::string_view line) {
    const Json parsed = Json::parse(line, nullptr, false);
    if (!parsed.is_object()) return malformed("not a JSON object");

    Request request;
    for (const auto& [key, value] : parsed.items()) {
        if (key == "operation" && value.is_string()) {
            const auto operation = operation_named(value.get_ref<const std::string&>());
            if (!operation) return malformed("unknown operation");
            request.operation = *operation;
        } else if (key == "ids" && value.is_array()) {
            for (const Json& id : value) {
                if (!id.is_string() || !mail::QueueId::parse(id.get_ref<const std::string&>())) {
                    return malformed("invalid queue id");
                }
                request.ids.push_back(id.get<std::string>());
            }
        } else if (key == "all" && value.is_boolean()) {
            request.all = value.get<bool>();
        } else if (key == "site" && value.is_string()) {
            request.site = value.get<std::string>();
        } else {
            return malformed("unknown or mistyped member");
        }
    }
    if (!parsed.contains("operation")) return malformed("no operation");
    return request;
}

}  // namespace postrider::control
