// Messages under suspicion of killing the process that handles them (Q1).
#include <string>

#include "queue/sqlite_spool.h"

namespace postrider::queue {
namespace {

bool is_waiting(Place place) {
    return place == Place::New || place == Place::Deferred;
}

}  // namespace

/// Who was leased when the last process died is leased alone from now on, or, at the limit, not at
/// all until an operator has looked.
Result<void> SqliteSpool::find_suspects() {
    if (in_memory_) return {};
    auto opened = CrashBook::open(options_.directory / "queue.leases", options_.boot);
    if (!opened) {
        if (log_) log_->warning("crashes are not counted: " + opened.error().message);
        return {};
    }
    crash_book_.emplace(std::move(*opened));
    for (const CrashBook::Entry& entry : crash_book_->left()) {
        if (auto done = suspect(entry); !done) return done;
    }
    kept();
    return {};
}

Result<void> SqliteSpool::suspect(const CrashBook::Entry& entry) {
    const auto message = read_message(*database_, entry.number);
    if (!message && message.error().code != ErrorCode::Corrupt) {
        return Unexpected(message.error());
    }
    const bool waits = message && *message && is_waiting((*message)->place);
    leases_.suspect(entry.number, waits ? entry.crashes : 0);
    if (!waits || options_.crashes_max == 0 || entry.crashes < options_.crashes_max) return {};
    const std::string id = (*message)->lease.id.str();
    const auto held = set_aside(**message);
    if (!log_) return {};
    const std::string why = " the program has died " + std::to_string(entry.crashes) +
                            " times while it handled this message";
    if (held) {
        log_->warning(id + ": put on hold:" + why + "; look at it with \"postcat -q " + id +
                      "\", release it with \"postsuper -H " + id + "\"");
    } else {
        log_->warning(id + ":" + why + ", and it cannot be put on hold: " + held.error().message);
    }
    return {};
}

Result<void> SqliteSpool::set_aside(const StoredMessage& message) {
    kept();
    if (auto begun = begin(); !begun) return begun;
    const std::uint64_t number = message.lease.number;
    const auto moved = whole([&]() -> Result<void> {
        leases_.suspect(number, 0);
        Standing standing = standing_of(message);
        standing.place = Place::Held;
        return move(number, standing_of(message), standing);
    });
    const auto committed = commit_transaction();
    return moved ? committed : moved;
}

/// The suspect whose turn it is. Nothing while one is leased: if the process dies, only one can
/// have been the cause.
Result<std::optional<std::uint64_t>> SqliteSpool::next_suspect() {
    if (leases_.suspect_is_leased()) return std::optional<std::uint64_t>();
    for (const auto& [crashes, number] : leases_.suspects()) {
        const auto message = read_message(*database_, number);
        if (!message && message.error().code != ErrorCode::Corrupt) {
            return Unexpected(message.error());
        }
        if (!message || !*message) continue;
        // It was due when it became suspect; what it may wait for now is an account.
        if (is_waiting((*message)->place) && (*message)->waits_for.empty()) {
            return std::optional<std::uint64_t>(number);
        }
    }
    return std::optional<std::uint64_t>();
}

/// Once the transaction holds: whatever is leased now counts as an attempt begun.
void SqliteSpool::count_attempts() {
    if (!crash_book_) return;
    for (const std::uint64_t number : leases_.changed()) write_down(number);
    const auto written = crash_book_->write();
    if (written || !log_) return;
    log_->warning("crashes are not counted: " + written.error().message);
    crash_book_.reset();
}

void SqliteSpool::write_down(std::uint64_t number) {
    CrashBook::Entry entry;
    entry.number = number;
    if (const auto record = leases_.find(number)) {
        entry.crashes = record->crashes;
        entry.leased = !record->damaged;
    } else {
        entry.crashes = leases_.crashes(number);
    }
    if (entry.leased || entry.crashes > 0) {
        crash_book_->put(entry);
    } else {
        crash_book_->erase(number);
    }
}

/// Attempts that end with an orderly stop were not the cause of anything.
void SqliteSpool::acquit_leased() {
    for (const std::uint64_t number : leases_.leased()) {
        const std::uint32_t crashes = leases_.find(number)->crashes;
        leases_.set(number, std::nullopt);
        leases_.suspect(number, crashes);
    }
    count_attempts();
}

}  // namespace postrider::queue
