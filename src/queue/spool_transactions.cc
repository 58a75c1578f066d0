// One transaction at a time: begun, committed, undone; and what became of one that nobody knows of.
#include <limits>
#include <utility>

#include "queue/sqlite_spool.h"
#include "queue/store_files.h"

namespace postrider::queue {

Result<void> SqliteSpool::usable() const {
    if (is_broken()) {
        return Unexpected(ErrorCode::Unavailable, "queue store is broken and being reopened");
    }
    if (spoilt_) return Unexpected(*spoilt_);
    // Not only calls that write do that: memory or room for the cache's pages may be missing.
    if (open_ && !database_->in_transaction()) {
        return Unexpected(ErrorCode::Io, "queue.db: an error has undone the transaction");
    }
    return {};
}

Result<void> SqliteSpool::begin() {
    POSTRIDER_CHECK(!open_);
    if (auto good = usable(); !good) return good;
    if (auto begun = database_->perform("BEGIN"); !begun) return begun;
    open_ = true;
    takes_mail_ = false;
    must_be_recorded_ = false;
    released_ = false;
    made_room_ = false;
    room_ = 0;
    files_removed_ = false;
    counts_before_ = counts_;
    changes_before_ = database_->total_changes();
    return {};
}

Result<void> SqliteSpool::commit_transaction() {
    if (is_broken()) return usable();
    POSTRIDER_CHECK(open_);
    const bool wrote = database_->total_changes() != changes_before_;
    auto prepared = usable();
    if (prepared) prepared = prepare_commit(wrote);
    open_ = false;
    spoilt_.reset();
    if (!prepared) {
        if (database_->in_transaction()) (void)database_->perform("ROLLBACK");
        forget_transaction();
        note_shortage(prepared.error());
        make_room(prepared.error());
        return prepared;
    }
    const auto committed = database_->perform("COMMIT");
    if (committed) {
        if (wrote) {
            ++serial_;
            testify();
        }
        kept();
        note_room();
        return {};
    }
    // From here to the end of resolve() nobody knows whether it holds (R3, R4).
    const auto holds = resolve();
    if (!holds || !*holds) note_shortage(committed.error());
    if (!holds) {
        if (log_) log_->error("queue store is broken: " + holds.error().message);
        return Unexpected(holds.error());
    }
    if (!*holds) {
        make_room(committed.error());
        return committed;
    }
    if (log_) log_->warning("recovered a commit that had answered: " + committed.error().message);
    return {};
}

Result<void> SqliteSpool::prepare_commit(bool wrote) {
    if (!wrote) return {};
    if (!in_memory_) {
        const auto room = database_->allocate();
        // Outcomes find their place in what is allocated already, in most cases.
        if (!room && takes_mail_) return room;
    }
    if (files_removed_) {
        // Before the rows that name them go.
        if (auto synced = sync_directory(options_.directory); !synced) return synced;
    }
    if (auto written = write_waiting(); !written) return written;
    const auto in = [&](Place place) {
        return static_cast<std::int64_t>(counts_[static_cast<std::size_t>(place)]);
    };
    const auto kept = database_
                          ->statement(
                              "UPDATE state SET serial = serial + 1, new_messages = ?, "
                              "deferred_messages = ?, held_messages = ?, dead_messages = ?",
                              in(Place::New), in(Place::Deferred), in(Place::Held), in(Place::Dead))
                          .run();
    if (!kept) return Unexpected(kept.error());
    return {};
}

void SqliteSpool::kept() {
    count_attempts();
    leases_.keep();
    receiving_.insert(begun_.begin(), begun_.end());
    begun_.clear();
    for (const std::uint64_t number : finished_) {
        files_.close(number);
        receiving_.erase(number);
    }
    finished_.clear();
    discarded_.clear();
}

/// In memory, back to where the transaction began. The connection has done so already.
void SqliteSpool::forget_transaction() {
    counts_ = counts_before_;
    leases_.undo(0);
    begun_.clear();
    finished_.clear();
    discarded_.clear();
    waiting_changes_.clear();
    look_from_.fill(std::numeric_limits<std::int64_t>::min());
}

/// After a failed COMMIT: true if the transaction holds and is durable, false if it is gone for
/// good. Its frames may be complete in the log, in the kernel's memory only: writing the log again
/// makes the disk have them, or fails. If they are not complete, one more commit overwrites them,
/// and proves that the store works.
Result<bool> SqliteSpool::resolve() {
    return with_reserve([&] { return try_to_resolve(); });
}

Result<bool> SqliteSpool::try_to_resolve() {
    if (in_memory_) {
        (void)database_->execute("ROLLBACK");
        forget_transaction();
        return false;
    }
    const std::int64_t before = serial_;
    database_.reset();
    auto done = write_again_and_sync(log_file(options_.directory), options_.vfs);
    if (done) done = connect();
    if (!done) return Unexpected(done.error());
    // Makes the reserve free again; if it cannot, the commit below shows what still works.
    (void)database_->checkpoint();
    if (serial_ == before + 1) {
        testify();
        kept();
        return true;
    }
    // By two, so that it is not taken for the transaction in case that this one fails, too.
    done = database_->execute("UPDATE state SET serial = serial + 2");
    if (!done) {
        database_.reset();
        serial_ = before;
        return Unexpected(done.error());
    }
    serial_ += 2;
    testify();
    forget_transaction();
    return false;
}

Result<bool> SqliteSpool::reopen() {
    POSTRIDER_CHECK(is_broken());
    const auto holds = resolve();
    if (holds && log_) log_->info("queue store works again");
    return holds;
}

/// Savepoints would keep the others, and cost all that never fail a copy of each page they change.
void SqliteSpool::undo_call(const Before& before, const Error& error) {
    note_shortage(error);
    // A full disk or an I/O error may have undone everything by itself.
    if (database_->in_transaction()) {
        if (database_->total_changes() == before.changes) {
            counts_ = before.counts;
            leases_.undo(before.leases);
            return;
        }
        (void)database_->perform("ROLLBACK");
    }
    spoilt_ = error;
}

}  // namespace postrider::queue
