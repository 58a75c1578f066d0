// What operators see and change in the spool.
#include <charconv>
#include <string_view>

#include "queue/sqlite_spool.h"

namespace postrider::queue {
namespace {

/// The message number at the end of a queue id: the id needs no index of its own. Nothing if the
/// text cannot be one of ours.
std::optional<std::uint64_t> number_in(const mail::QueueId& id) {
    constexpr std::string_view kDigits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxy";
    static_assert(kDigits.size() == 51);
    const std::string_view text = id.str();
    if (!id.is_long()) {
        if (text.size() <= 5) return std::nullopt;
        std::uint64_t number = 0;
        const auto [end, error] =
            std::from_chars(text.data() + 5, text.data() + text.size(), number, 16);
        if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
        return number;
    }
    std::uint64_t number = 0;
    for (const char c : text.substr(text.find('z', 10) + 1)) {
        const std::size_t digit = kDigits.find(c);
        if (digit == std::string_view::npos || number > kNumberMax) return std::nullopt;
        number = number * 51 + digit;
    }
    return number;
}

}  // namespace

/// `change` answers whether it changed the message.
template <typename Change>
Result<Spool::Changed> SqliteSpool::for_selected(const Selection& selection, Change change) {
    must_be_recorded_ = true;
    return whole([&]() -> Result<Changed> {
        Changed changed;
        const auto apply = [&](const StoredMessage& message) -> Result<void> {
            const Result<bool> done = change(message);
            if (!done) return Unexpected(done.error());
            if (*done) ++changed.count;
            return {};
        };
        if (selection.id) {
            const auto number = number_in(*selection.id);
            if (!number || *number == 0 || *number > kNumberMax) return changed;
            const auto found = read_messages(*database_, *number - 1, 1);
            if (!found) return Unexpected(found.error());
            if (found->empty() || found->front().lease.id != *selection.id) return changed;
            if (auto done = apply(found->front()); !done) return Unexpected(done.error());
            return changed;
        }
        const auto messages = read_messages(*database_, selection.after, kBatch);
        if (!messages) return Unexpected(messages.error());
        for (const StoredMessage& message : *messages) {
            if (auto done = apply(message); !done) return Unexpected(done.error());
        }
        if (messages->size() == kBatch) changed.last = messages->back().lease.number;
        return changed;
    });
}

Result<Spool::Changed> SqliteSpool::hold(const Selection& selection) {
    return for_selected(selection, [&](const StoredMessage& message) -> Result<bool> {
        if (message.place != Place::New && message.place != Place::Deferred) return false;
        Standing standing = standing_of(message);
        standing.place = Place::Held;
        standing.waits_for.clear();
        if (auto done = move(message.lease.number, standing_of(message), standing); !done) {
            return Unexpected(done.error());
        }
        return true;
    });
}

Result<Spool::Changed> SqliteSpool::release(const Selection& selection) {
    return for_selected(selection, [&](const StoredMessage& message) -> Result<bool> {
        if (message.place != Place::Held) return false;
        // An operator has looked: earlier crashes no longer count.
        leases_.suspect(message.lease.number, 0);
        Standing standing = standing_of(message);
        standing.place = Place::Deferred;
        standing.due = clock_.now();
        if (auto done = move(message.lease.number, standing_of(message), standing); !done) {
            return Unexpected(done.error());
        }
        return true;
    });
}

Result<Spool::Changed> SqliteSpool::remove(const Selection& selection) {
    return for_selected(selection, [&](const StoredMessage& message) -> Result<bool> {
        const std::uint64_t number = message.lease.number;
        auto done = erase(number, standing_of(message));
        // Where a damaged one stood is not known.
        if (done && !message.damage.empty()) done = count_places();
        if (done && !message.damage.empty()) done = recount_waiting();
        if (!done) return Unexpected(done.error());
        leases_.suspect(number, 0);
        if (auto record = leases_.find(number)) {
            record->removed = true;
            leases_.set(number, record);
        }
        return true;
    });
}

Result<Spool::Changed> SqliteSpool::flush(const Selection& selection) {
    return for_selected(selection, [&](const StoredMessage& message) -> Result<bool> {
        if (message.place != Place::Deferred) return false;
        // All of it together has its account tried, which is not done for each of them.
        const bool waits = !message.waits_for.empty();
        if (waits && !selection.id) return false;
        Standing standing = standing_of(message);
        if (!waits && standing.due <= clock_.now()) return true;
        standing.waits_for.clear();
        standing.due = clock_.now();
        if (auto done = move(message.lease.number, standing_of(message), standing); !done) {
            return Unexpected(done.error());
        }
        return true;
    });
}

Result<Spool::Changed> SqliteSpool::expire(const Selection& selection) {
    return for_selected(selection, [&](const StoredMessage& message) -> Result<bool> {
        if (message.place == Place::Dead) return false;
        Standing standing = standing_of(message);
        standing.expire = true;
        standing.waits_for.clear();
        if (message.place == Place::Deferred) standing.due = clock_.now();
        if (auto done = move(message.lease.number, standing_of(message), standing); !done) {
            return Unexpected(done.error());
        }
        return true;
    });
}

Result<ListedMessage> SqliteSpool::listed(StoredMessage message) {
    using enum ListedMessage::Place;
    ListedMessage listed;
    const std::uint64_t number = message.lease.number;
    switch (message.place) {
        case Place::New:
            listed.place = leases_.holds(number) ? Active : Incoming;
            break;
        case Place::Deferred:
            listed.place = leases_.holds(number) ? Active : Deferred;
            break;
        case Place::Held:
            listed.place = Hold;
            break;
        case Place::Dead:
            listed.place = Dead;
            break;
    }
    auto recipients = read_recipients(*database_, number, true);
    if (!recipients) return Unexpected(recipients.error());
    listed.recipients = std::move(recipients->sound);
    listed.damage = message.damage.empty() ? recipients->damage : message.damage;
    if (!listed.damage.empty()) listed.place = Dead;
    listed.number = number;
    listed.id = std::move(message.lease.id);
    listed.arrival = message.lease.arrival;
    // New mail has a place in line instead.
    listed.next_attempt = message.place == Place::New ? message.lease.arrival : message.due;
    listed.waits_for = std::move(message.waits_for);
    listed.size = message.lease.size;
    listed.attempts = message.lease.attempts;
    listed.expire = message.lease.expire;
    listed.submitter_uid = message.lease.submitter_uid;
    listed.envelope = std::move(message.lease.envelope);
    return listed;
}

Result<std::vector<ListedMessage>> SqliteSpool::list(std::uint64_t after, std::size_t limit) {
    if (auto good = usable(); !good) return Unexpected(good.error());
    auto messages = read_messages(*database_, std::min(after, kNumberMax), limit);
    if (!messages) return Unexpected(messages.error());
    std::vector<ListedMessage> list;
    for (StoredMessage& message : *messages) {
        auto made = listed(std::move(message));
        if (!made) return Unexpected(made.error());
        list.push_back(std::move(*made));
    }
    return list;
}

Result<std::optional<ListedMessage>> SqliteSpool::find(const mail::QueueId& id) {
    if (auto good = usable(); !good) return Unexpected(good.error());
    const auto number = number_in(id);
    if (!number || *number == 0 || *number > kNumberMax) return std::optional<ListedMessage>();
    auto found = read_messages(*database_, *number - 1, 1);
    if (!found) return Unexpected(found.error());
    if (found->empty() || found->front().lease.id != id) return std::optional<ListedMessage>();
    auto made = listed(std::move(found->front()));
    if (!made) return Unexpected(made.error());
    return std::optional<ListedMessage>(std::move(*made));
}

Result<QueueCounts> SqliteSpool::counts() {
    if (auto good = usable(); !good) return Unexpected(good.error());
    const auto in = [&](Place place) { return counts_[static_cast<std::size_t>(place)]; };
    QueueCounts counts;
    counts.active = leases_.count(Place::New) + leases_.count(Place::Deferred);
    counts.incoming = in(Place::New)-leases_.count(Place::New);
    counts.deferred = in(Place::Deferred)-leases_.count(Place::Deferred);
    counts.hold = in(Place::Held);
    counts.dead = in(Place::Dead);
    return counts;
}

}  // namespace postrider::queue
