#include "control/codec.h"

#include <chrono>

#include <nlohmann/json.hpp>

namespace postrider::control {
namespace {

using Json = nlohmann::json;
using queue::ListedMessage;
using queue::QueuedRecipient;
using queue::RecipientState;

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::int64_t microseconds(WallTime time) {
    return time.time_since_epoch().count();
}
WallTime wall_time(const Json& json) {
    return WallTime(std::chrono::microseconds(json.get<std::int64_t>()));
}

std::string_view name_of(RecipientState state) {
    switch (state) {
        case RecipientState::Waiting:
            return "waiting";
        case RecipientState::Failed:
            return "failed";
        case RecipientState::Dead:
            return "dead";
    }
    return "";
}

RecipientState recipient_state(std::string_view name) {
    if (name == "failed") return RecipientState::Failed;
    if (name == "dead") return RecipientState::Dead;
    return RecipientState::Waiting;
}

ListedMessage::Place place(std::string_view name) {
    using Place = ListedMessage::Place;
    for (const Place each : {Place::Active, Place::Deferred, Place::Hold, Place::Dead}) {
        if (control::name_of(each) == name) return each;
    }
    return Place::Incoming;
}

Json address(const mail::Address& address) {
    return {address.local_part, address.domain};
}
mail::Address address(const Json& json) {
    return {json.at(0).get<std::string>(), json.at(1).get<std::string>()};
}

Json recipient(const QueuedRecipient& queued) {
    return {{"ordinal", queued.ordinal},
            {"address", address(queued.recipient.address)},
            {"original", address(queued.recipient.original)},
            {"orcpt", queued.recipient.original_recipient},
            {"state", name_of(queued.state)},
            {"reason", queued.last.text},
            {"status", mail::to_string(queued.last.status)}};
}

QueuedRecipient recipient(const Json& json) {
    QueuedRecipient queued;
    queued.ordinal = json.at("ordinal").get<std::uint32_t>();
    queued.recipient.address = address(json.at("address"));
    queued.recipient.original = address(json.at("original"));
    queued.recipient.original_recipient = json.at("orcpt").get<std::string>();
    queued.state = recipient_state(json.at("state").get_ref<const std::string&>());
    queued.last.text = json.at("reason").get<std::string>();
    if (const auto status = mail::parse_status(json.at("status").get_ref<const std::string&>())) {
        queued.last.status = *status;
    }
    return queued;
}

}  // namespace

std::string_view name_of(ListedMessage::Place place) {
    switch (place) {
        case ListedMessage::Place::Incoming:
            return "incoming";
        case ListedMessage::Place::Active:
            return "active";
        case ListedMessage::Place::Deferred:
            return "deferred";
        case ListedMessage::Place::Hold:
            return "hold";
        case ListedMessage::Place::Dead:
            return "dead";
    }
    return "";
}

std::string message_line(const ListedMessage& message) {
    Json recipients = Json::array();
    for (const QueuedRecipient& queued : message.recipients)
        recipients.push_back(recipient(queued));
    const Json json = {{"place", name_of(message.place)},
                       {"id", message.id.str()},
                       {"arrival", microseconds(message.arrival)},
                       {"next_attempt", microseconds(message.next_attempt)},
                       {"size", message.size},
                       {"attempts", message.attempts},
                       {"expire", message.expire},
                       {"uid", message.submitter_uid},
                       {"sender", address(message.envelope.reverse_path)},
                       {"damage", message.damage},
                       {"recipients", std::move(recipients)}};
    return dump({{"message", json}});
}

Result<ListedMessage> parse_message(std::string_view text) {
    // The library reports a missing member or a wrong type by exception.
    try {
        const Json json = Json::parse(text);
        ListedMessage message;
        message.place = place(json.at("place").get_ref<const std::string&>());
        if (auto id = mail::QueueId::parse(json.at("id").get_ref<const std::string&>())) {
            message.id = *id;
        }
        message.arrival = wall_time(json.at("arrival"));
        message.next_attempt = wall_time(json.at("next_attempt"));
        message.size = json.at("size").get<std::uint64_t>();
        message.attempts = json.at("attempts").get<std::uint32_t>();
        message.expire = json.at("expire").get<bool>();
        message.submitter_uid = json.at("uid").get<std::int64_t>();
        message.envelope.reverse_path = address(json.at("sender"));
        message.damage = json.value("damage", std::string());
        for (const Json& each : json.at("recipients")) {
            message.recipients.push_back(recipient(each));
        }
        return message;
    } catch (const Json::exception& trouble) {
        return Unexpected(ErrorCode::Protocol, std::string("malformed answer: ") + trouble.what());
    }
}

}  // namespace postrider::control
