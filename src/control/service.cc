#include "control/service.h"

#include <map>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "control/codec.h"
#include "core/ascii.h"
#include "core/base64.h"

namespace postrider::control {
namespace {

using Json = nlohmann::json;
using queue::ListedMessage;

// A page of the listing: one short transaction each, so that a slow reader pins nothing.
constexpr std::size_t kPageSize = 200;

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool goes_to(const ListedMessage& message, std::string_view site) {
    for (const queue::QueuedRecipient& each : message.recipients) {
        if (equals_ignoring_case(each.recipient.address.domain, site)) return true;
    }
    return false;
}

// How many messages wait for each account in trouble.
void add_waiting(Json& accounts, const std::map<std::string, std::uint64_t>& waiting) {
    for (Json& each : accounts) {
        queue::Account account;
        account.next_hops = each.value("next_hops", "");
        account.login = each.value("login", "");
        const auto found = waiting.find(account.key());
        each["waiting"] = found == waiting.end() ? 0 : found->second;
    }
}

Unexpected denied(std::string_view what) {
    return Unexpected(ErrorCode::Denied, fmt::format("not allowed to {}", what));
}

}  // namespace

Service::Service(queue::Queue& queue, Surroundings surroundings, const Log& log)
    : queue_(queue), surroundings_(std::move(surroundings)), log_(log) {}

bool Service::is_operator(Caller caller) const {
    return caller.uid == 0 || caller.uid == surroundings_.owner_uid;
}

net::Awaitable<void> Service::answer(Request request, Caller caller, Answer& answer) {
    Result<std::uint64_t> done = std::uint64_t{0};
    switch (request.operation) {
        case Operation::List:
            done = co_await list(request, caller, answer);
            break;
        case Operation::Status:
            done = co_await status(answer);
            break;
        case Operation::Flush:
            if (is_operator(caller) ||
                (surroundings_.may_flush && surroundings_.may_flush(caller.uid))) {
                done = co_await flush(request);
            } else {
                done = denied("flush the mail queue");
            }
            break;
        case Operation::Show:
            done = denied("read queued mail");
            if (is_operator(caller)) done = co_await show(request, answer);
            break;
        case Operation::Hold:
        case Operation::Release:
        case Operation::Remove:
        case Operation::Requeue:
        case Operation::Expire:
            done = denied("change the mail queue");
            if (is_operator(caller)) done = co_await change(request, answer);
            break;
        case Operation::Pause:
        case Operation::Resume:
            done = denied("pause or resume delivery");
            if (is_operator(caller)) done = pause_or_resume(request);
            break;
    }
    Json last;
    if (done) {
        last["done"] = *done;
    } else {
        last["error"] = done.error().message;
        last["denied"] = done.error().code == ErrorCode::Denied;
    }
    // A reader that has gone away hears nothing; what was done stays done.
    (void)co_await answer.line(dump(last));
}

net::Awaitable<Result<std::uint64_t>> Service::list(const Request& request, Caller caller,
                                                    Answer& answer) {
    const bool all = is_operator(caller) ||
                     (surroundings_.may_list_all && surroundings_.may_list_all(caller.uid));
    std::uint64_t listed = 0;
    std::uint64_t after = 0;
    while (true) {
        auto page = co_await queue_.list(after, kPageSize);
        if (!page) co_return Unexpected(std::move(page).error());
        for (const ListedMessage& message : *page) {
            after = message.number;
            if (!all && message.submitter_uid != caller.uid) continue;
            if (!request.site.empty() && !goes_to(message, request.site)) continue;
            auto written = co_await answer.line(message_line(message));
            if (!written) co_return Unexpected(std::move(written).error());
            ++listed;
        }
        if (page->size() < kPageSize) co_return listed;
    }
}

net::Awaitable<Result<std::uint64_t>> Service::show(const Request& request, Answer& answer) {
    std::uint64_t shown = 0;
    for (const std::string& text : request.ids) {
        const auto id = mail::QueueId::parse(text);
        if (!id) continue;
        auto found = co_await queue_.find(*id);
        if (!found) co_return Unexpected(std::move(found).error());
        if (!*found) continue;
        const ListedMessage message = std::move(**found);
        auto written = co_await answer.line(message_line(message));
        for (std::uint32_t piece = 0; written; ++piece) {
            auto bytes = co_await queue_.read_piece(message.number, piece);
            if (!bytes) co_return Unexpected(std::move(bytes).error());
            if (bytes->empty()) break;
            const Json line = {{"content", base64(*bytes)}};
            written = co_await answer.line(line.dump());
        }
        if (!written) co_return Unexpected(std::move(written).error());
        ++shown;
    }
    co_return shown;
}

net::Awaitable<Result<std::uint64_t>> Service::flush(const Request& request) {
    if (surroundings_.unthrottle) surroundings_.unthrottle();
    if (request.ids.empty() && request.site.empty()) co_return co_await queue_.flush(std::nullopt);

    std::uint64_t flushed = 0;
    for (const std::string& id : request.ids) {
        auto count = co_await queue_.flush(mail::QueueId::parse(id));
        if (!count) co_return count;
        flushed += *count;
    }
    std::uint64_t after = 0;
    while (!request.site.empty()) {
        auto page = co_await queue_.list(after, kPageSize);
        if (!page) co_return Unexpected(std::move(page).error());
        for (const ListedMessage& message : *page) {
            after = message.number;
            if (!goes_to(message, request.site)) continue;
            auto count = co_await queue_.flush(message.id);
            if (!count) co_return count;
            flushed += *count;
        }
        if (page->size() < kPageSize) break;
    }
    co_return flushed;
}

net::Awaitable<Result<std::uint64_t>> Service::change(const Request& request, Answer& answer) {
    const auto apply = [this, operation = request.operation](std::optional<mail::QueueId> id) {
        switch (operation) {
            case Operation::Hold:
                return queue_.hold(std::move(id));
            case Operation::Release:
                return queue_.release(std::move(id));
            case Operation::Remove:
                return queue_.remove(std::move(id));
            case Operation::Expire:
                return queue_.expire(std::move(id));
            case Operation::Requeue:
            case Operation::List:
            case Operation::Status:
            case Operation::Flush:
            case Operation::Show:
            case Operation::Pause:
            case Operation::Resume:
                break;
        }
        // Routes and clean-up results are worked out afresh at every attempt, so to queue a
        // message again is to make it due.
        return queue_.flush(std::move(id));
    };
    if (request.all) co_return co_await apply(std::nullopt);

    std::uint64_t changed = 0;
    for (const std::string& text : request.ids) {
        auto count = co_await apply(mail::QueueId::parse(text));
        if (!count) co_return count;
        if (*count == 0) continue;
        changed += *count;
        const Json line = {{"changed", text}};
        auto written = co_await answer.line(line.dump());
        if (!written) co_return Unexpected(std::move(written).error());
    }
    co_return changed;
}

Result<std::uint64_t> Service::pause_or_resume(const Request& request) const {
    const auto& act =
        request.operation == Operation::Pause ? surroundings_.pause : surroundings_.resume;
    if (!act) return Unexpected(ErrorCode::Unavailable, "nothing is delivered here");
    act(request.site);
    return std::uint64_t{1};
}

net::Awaitable<Result<std::uint64_t>> Service::status(Answer& answer) {
    const auto counts = co_await queue_.counts();
    Json status =
        surroundings_.status ? Json::parse(surroundings_.status(), nullptr, false) : Json::object();
    if (!status.is_object()) status = Json::object();
    // A store that fails is what an operator most needs to see here.
    if (counts) {
        status["queue"] = {{"incoming", counts->incoming},
                           {"active", counts->active},
                           {"deferred", counts->deferred},
                           {"hold", counts->hold},
                           {"dead", counts->dead}};
    } else {
        status["queue"] = {{"error", counts.error().message}};
    }
    const auto waiting = co_await queue_.waiting_counts();
    if (waiting && status.contains("accounts")) add_waiting(status["accounts"], *waiting);
    const Json line = {{"status", status}};
    auto written = co_await answer.line(dump(line));
    if (!written) co_return Unexpected(std::move(written).error());
    co_return std::uint64_t{1};
}

}  // namespace postrider::control
