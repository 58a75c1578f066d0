// How messages leave the spool: leases and settlements.
#include <algorithm>
#include <string>
#include <unordered_set>

#include "queue/sqlite_spool.h"

namespace postrider::queue {
namespace {

/// New and retried mail in turn, new mail first; when one kind ends, the other goes on.
template <typename Item>
std::vector<Item> in_turn(const std::vector<Item>& a, const std::vector<Item>& b,
                          std::size_t limit) {
    std::vector<Item> both;
    for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
        if (i < a.size() && both.size() < limit) both.push_back(a[i]);
        if (i < b.size() && both.size() < limit) both.push_back(b[i]);
    }
    return both;
}

}  // namespace

void SqliteSpool::entered(Place place, WallTime due) {
    std::int64_t& from = look_from_[static_cast<std::size_t>(place)];
    from = std::min(from, to_column(due));
}

Result<std::vector<SqliteSpool::Due>> SqliteSpool::due_in(Place place, std::size_t limit,
                                                          WallTime now) {
    // New mail is due whatever the clock says.
    const std::int64_t until =
        place == Place::New ? std::numeric_limits<std::int64_t>::max() : to_column(now);
    std::int64_t& from = look_from_[static_cast<std::size_t>(place)];
    Statement query = place == Place::New ? database_->statement(
                                                "SELECT number, due FROM message WHERE place = 0 "
                                                "AND due BETWEEN ? AND ? ORDER BY due",
                                                from, until)
                                          : database_->statement(
                                                "SELECT number, due FROM message WHERE place = 1 "
                                                "AND waits_for IS NULL AND due BETWEEN ? AND ? "
                                                "ORDER BY due",
                                                from, until);
    std::vector<Due> found;
    while (found.size() < limit) {
        const auto row = query.step();
        if (!row) return Unexpected(row.error());
        if (!*row) break;
        const auto number = static_cast<std::uint64_t>(query.integer(0));
        if (!leases_.holds(number) && !leases_.is_suspect(number)) {
            found.push_back({number, to_time(query.integer(1))});
        } else if (found.empty()) {
            from = query.integer(1);
        }
    }
    return found;
}

/// A clock that was wrong may have put attempts off for years.
Result<std::vector<SqliteSpool::Due>> SqliteSpool::too_far_away(std::size_t limit, WallTime now) {
    // A second of grace: the clock may be read twice in one settlement.
    const WallTime far = now + options_.next_attempt_max + std::chrono::seconds{1};
    Statement query = database_->statement(
        "SELECT number, due FROM message WHERE place = 1 AND waits_for IS NULL AND due > ? "
        "ORDER BY due",
        to_column(far));
    std::vector<Due> found;
    while (found.size() < limit) {
        const auto row = query.step();
        if (!row) return Unexpected(row.error());
        if (!*row) break;
        const auto number = static_cast<std::uint64_t>(query.integer(0));
        const bool free = !leases_.holds(number) && !leases_.is_suspect(number);
        if (free) found.push_back({number, to_time(query.integer(1))});
    }
    return found;
}

Result<std::vector<Lease>> SqliteSpool::lease_due(std::size_t limit) {
    if (auto good = usable(); !good) return Unexpected(good.error());
    const WallTime now = clock_.now();
    const auto fresh = due_in(Place::New, limit, now);
    if (!fresh) return Unexpected(fresh.error());
    auto retried = due_in(Place::Deferred, limit, now);
    if (!retried) return Unexpected(retried.error());
    if (retried->size() < limit) {
        const auto far = too_far_away(limit - retried->size(), now);
        if (!far) return Unexpected(far.error());
        retried->insert(retried->end(), far->begin(), far->end());
    }
    const auto suspect = next_suspect();
    if (!suspect) return Unexpected(suspect.error());
    std::vector<Due> chosen = in_turn(*fresh, *retried, limit);
    if (*suspect && limit > 0) {
        if (chosen.size() == limit) chosen.pop_back();
        chosen.push_back({**suspect, now});
    }
    const LeaseBook::Mark mark = leases_.mark();
    std::vector<Lease> leases;
    for (const Due& due : chosen) {
        auto leased = lease(due.number);
        if (!leased) {
            leases_.undo(mark);
            return Unexpected(leased.error());
        }
        if (*leased) leases.push_back(std::move(**leased));
    }
    return leases;
}

/// Nothing if the message is damaged: then it stays as if leased, so that it harms only itself, and
/// waits for an operator.
Result<std::optional<Lease>> SqliteSpool::lease(std::uint64_t number) {
    auto message = read_message(*database_, number);
    auto recipients = read_recipients(*database_, number, false);
    if (!recipients) return Unexpected(recipients.error());
    std::string damage = recipients->damage;
    if (!message) {
        if (message.error().code != ErrorCode::Corrupt) return Unexpected(message.error());
        damage = message.error().message;
    } else if (!*message) {
        return std::optional<Lease>();
    } else if (damage.empty() &&
               (*message)->recipients != recipients->sound.size() + (*message)->dead) {
        damage = "message " + std::to_string(number) + ": recipients are missing";
    }
    if (!damage.empty()) {
        if (log_) log_->error(damage + "; not delivered, kept");
        LeaseBook::Record record;
        record.damaged = true;
        leases_.set(number, record);
        return std::optional<Lease>();
    }
    if ((*message)->place == Place::New) turns_.serve(to_column((*message)->due));
    LeaseBook::Record record;
    record.place = (*message)->place;
    record.crashes = leases_.crashes(number);
    record.content_length = (*message)->lease.content_length;
    leases_.set(number, record);
    Lease lease = std::move((*message)->lease);
    lease.recipients = std::move(recipients->sound);
    return std::optional<Lease>(std::move(lease));
}

Result<std::optional<WallTime>> SqliteSpool::first_due(Place place) {
    const auto found = due_in(place, 1, WallTime::max());
    if (!found) return Unexpected(found.error());
    if (found->empty()) return std::optional<WallTime>();
    return std::optional<WallTime>(found->front().due);
}

Result<std::optional<WallTime>> SqliteSpool::next_due() {
    if (auto good = usable(); !good) return Unexpected(good.error());
    const WallTime now = clock_.now();
    const auto fresh = first_due(Place::New);
    if (!fresh) return fresh;
    const auto retried = first_due(Place::Deferred);
    if (!retried) return retried;
    const auto suspect = next_suspect();
    if (!suspect) return Unexpected(suspect.error());
    std::optional<WallTime> next;
    if (*suspect || *fresh) next = now;
    if (*retried) {
        const WallTime due = std::min(**retried, now + options_.next_attempt_max);
        next = next ? std::min(*next, due) : due;
    }
    return next;
}

Result<std::string> SqliteSpool::read_piece(std::uint64_t number, std::uint32_t piece) {
    if (auto good = usable(); !good) return Unexpected(good.error());
    if (number > kNumberMax || piece >= kPiecesMax) return std::string();
    Statement query =
        database_->statement("SELECT bytes FROM content WHERE id = ?", content_id(number, piece));
    const auto row = query.step();
    if (!row) return Unexpected(row.error());
    if (*row) return query.text(0);
    if (in_memory_ || piece < options_.pieces_in_database) return std::string();
    auto bytes = files_.read(number, piece);
    if (bytes && bytes->empty()) {
        // What is missing here may be where the database was moved to: that is no damage.
        if (auto there = check_place(); !there) return Unexpected(there.error());
    }
    return bytes;
}

Result<void> SqliteSpool::record_outcomes(const Settlement& settlement, Standing& standing) {
    const std::uint64_t number = settlement.number;
    for (const Outcome& outcome : settlement.outcomes) {
        using Kind = mail::Disposition::Kind;
        const Kind kind = outcome.disposition.kind;
        if (kind == Kind::Sent) {
            const auto gone = delete_recipient(*database_, number, outcome.ordinal);
            if (!gone) return Unexpected(gone.error());
            standing.recipients -= static_cast<std::uint32_t>(*gone);
            continue;
        }
        const auto changed = update_recipient(
            *database_, number, outcome,
            kind == Kind::Deferred ? RecipientState::Waiting : RecipientState::Failed);
        if (!changed) return Unexpected(changed.error());
    }
    for (const std::uint32_t ordinal : settlement.reported) {
        const auto gone = delete_failed_recipient(*database_, number, ordinal);
        if (!gone) return Unexpected(gone.error());
        standing.recipients -= static_cast<std::uint32_t>(*gone);
    }
    for (const std::uint32_t ordinal : settlement.dead) {
        const auto buried = bury_recipient(*database_, number, ordinal);
        if (!buried) return Unexpected(buried.error());
        standing.dead += static_cast<std::uint32_t>(*buried);
    }
    return {};
}

/// Reports of ours need no room check: they are outcomes. One that is there already came with a
/// settlement whose commit was thought lost.
Result<void> SqliteSpool::add_report(const OwnMessage& report) {
    const auto known = read_message(*database_, report.message.ticket.number);
    if (!known) return Unexpected(known.error());
    if (*known) return {};
    auto done = store_piece(report.message.ticket.number, 0, report.content);
    if (done) done = add(report.message);
    return done;
}

Result<void> SqliteSpool::add_reports(const Settlement& settlement) {
    for (const OwnMessage& report : settlement.reports) {
        if (auto done = add_report(report); !done) return done;
    }
    return {};
}

namespace {

Error waits_no_longer(std::uint64_t number) {
    return {ErrorCode::Invalid,
            "message " + std::to_string(number) + " does not wait for a summary any more"};
}

}  // namespace

/// Of a message that still waits for this summary, what must be known to tell of it.
Result<Standing> SqliteSpool::waiting_for(const std::string& summary, std::uint64_t number) {
    const auto message = read_message(*database_, number);
    if (!message) return Unexpected(message.error());
    const bool waits = *message && !leases_.holds(number) && (*message)->place == Place::Deferred &&
                       (*message)->waits_for == summary;
    if (!waits) return Unexpected(waits_no_longer(number));
    return standing_of(**message);
}

Result<void> SqliteSpool::tell(const Summary::Told& told, Standing standing) {
    for (const std::uint32_t ordinal : told.ordinals) {
        const auto gone = delete_failed_recipient(*database_, told.number, ordinal);
        if (!gone) return Unexpected(gone.error());
        if (*gone != 1) return Unexpected(waits_no_longer(told.number));
        --standing.recipients;
    }
    if (standing.recipients == 0) {
        leases_.suspect(told.number, 0);
        return erase(told.number, standing);
    }
    const Standing before = standing;
    standing.waits_for.clear();
    standing.due = clock_.now();
    return move(told.number, before, standing);
}

Result<void> SqliteSpool::summarise(const Summary& summary) {
    must_be_recorded_ = true;
    return whole([&]() -> Result<void> {
        // All are looked at before any is changed: an operator may have been quicker.
        std::vector<Standing> standings;
        for (const Summary::Told& told : summary.told) {
            auto standing = waiting_for(summary.waits_for, told.number);
            if (!standing) return Unexpected(standing.error());
            standings.push_back(std::move(*standing));
        }
        for (std::size_t i = 0; i < standings.size(); ++i) {
            if (auto done = tell(summary.told[i], std::move(standings[i])); !done) return done;
        }
        return add_report(summary.report);
    });
}

Result<Settled> SqliteSpool::settle(const Settlement& settlement) {
    must_be_recorded_ = true;
    const std::uint64_t number = settlement.number;
    const auto record = leases_.find(number);
    auto outcome = whole([&]() -> Result<Settled> {
        const auto before = read_standing(*database_, number);
        if (!before) return Unexpected(before.error());
        if (*before && !record) {
            return Unexpected(ErrorCode::Invalid,
                              "message " + std::to_string(number) + " is not leased");
        }
        Settled settled;
        settled.removed = true;
        if (!*before) {
            if (record && !record->removed) {
                if (auto done = add_reports(settlement); !done) return Unexpected(done.error());
            }
            if (record && (settlement.finished || !record->removed)) {
                leases_.set(number, std::nullopt);
            }
            return settled;
        }
        Standing standing = **before;
        auto done = record_outcomes(settlement, standing);
        if (done) done = add_reports(settlement);
        if (!done) return Unexpected(done.error());
        if (standing.recipients == 0) {
            done = delete_settled_message(*database_, number, record->content_length);
            if (!done) return Unexpected(done.error());
            left(**before);
            leases_.set(number, std::nullopt);
            discarded_.insert(number);
            return settled;
        }
        done = end_attempt(settlement, **before, standing);
        if (!done) return Unexpected(done.error());
        settled.recipients_left = standing.recipients;
        settled.removed = false;
        return settled;
    });
    if (outcome && record && record->crashes > 0 && !leases_.holds(number)) {
        outcome->others_due = !leases_.suspects().empty();
    }
    return outcome;
}

Result<void> SqliteSpool::end_attempt(const Settlement& settlement, const Standing& before,
                                      Standing& standing) {
    if (settlement.delay_reported) standing.delay_reported = true;
    if (settlement.finished) {
        ++standing.attempts;
        if (standing.dead == standing.recipients) {
            standing.place = Place::Dead;
        } else if (standing.place != Place::Held) {
            standing.place = settlement.hold ? Place::Held : Place::Deferred;
        }
        standing.due = settlement.next_attempt;
        if (standing.place == Place::Deferred) standing.waits_for = settlement.waits_for;
        if (standing.waits_for.empty()) {
            standing.due = std::min(standing.due, clock_.now() + options_.next_attempt_max);
        }
    }
    auto done = move(settlement.number, before, standing);
    if (done && settlement.finished) leases_.set(settlement.number, std::nullopt);
    return done;
}

Result<void> SqliteSpool::move(std::uint64_t number, const Standing& from, const Standing& to) {
    if (auto done = write_standing(*database_, number, to); !done) return done;
    left(from);
    ++counts_[static_cast<std::size_t>(to.place)];
    count_waiting(to.waits_for, 1);
    entered(to.place, to.due);
    if (auto record = leases_.find(number)) {
        record->place = to.place;
        leases_.set(number, record);
    }
    return {};
}

Result<void> SqliteSpool::erase(std::uint64_t number, const Standing& from) {
    if (auto done = delete_message(*database_, number); !done) return done;
    left(from);
    discarded_.insert(number);
    return {};
}

void SqliteSpool::left(const Standing& from) {
    --counts_[static_cast<std::size_t>(from.place)];
    count_waiting(from.waits_for, -1);
}

}  // namespace postrider::queue
