// The durable store of accepted mail.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "core/result.h"
#include "queue/account.h"
#include "queue/message.h"

namespace postrider::queue {

/// The mail postrider has promised to deliver or to return.
///
/// A message is here from the moment its sender reads "250 queued" until its last recipient is
/// settled. The machine may stop at any instant: what the transaction around a call has committed
/// survives; what it has not never was.
///
///   receiving --commit()--> waiting --lease_due()--> leased --settle()--> gone
///                             ^ ^                      |
///                   release() | +-----settle()---------+   (deferred: due again later)
///                             v
///                    hold()  held          settle(dead) --> dead, kept for an operator
///
/// Leases live in memory: after a crash every waiting message that was leased is due as before.
/// That delivery may have succeeded, and a duplicate is better than a loss. A message that kills
/// whoever handles it must not stop the others: what was leased when a process died (queue.leases
/// says so, without a sync) is leased alone by the next one, and put on hold after crashes_max.
///
/// Blocks on disk and is not thread-safe: it belongs to the storage thread, and the rest of the
/// program reaches it through queue::Queue, which puts many calls into one transaction.
class Spool {
public:
    /// With these content of 256 KB costs one sync, and more of it three, but is written once.
    static constexpr std::uint32_t kPiecesInDatabase = 4;
    /// Files of maildrop that are remembered: as many as may lie there at once.
    static constexpr std::int64_t kTakenMax = 10000;

    struct Options {
        std::filesystem::path
            directory;  ///< Holds queue.db; ours alone, not below a network (R12).
        /// New mail is refused with DiskFull while the file system has less room than this.
        std::uint64_t free_space_floor = 64ULL * 1024 * 1024;
        /// The log file never gets smaller than this, so that outcomes can be recorded with no byte
        /// free (R6): blocks of the file are used again after each checkpoint. Where a file system
        /// copies on write instead, there is queue.reserve (room_reserve.h).
        std::int64_t log_reserve = 12LL * 1024 * 1024;
        /// No attempt is scheduled farther away than this, whatever the clock did meanwhile (RS6).
        Duration next_attempt_max = std::chrono::seconds{4000};
        /// Names this run of the machine, since only within one do crash counts mean anything;
        /// empty if unknown.
        std::string boot;
        /// A message is put on hold when so many processes have died while it was leased; 0: never.
        std::uint32_t crashes_max = 3;
        /// What content has beyond so many pieces goes into a file of its own.
        std::uint32_t pieces_in_database = kPiecesInDatabase;
        std::string vfs;  ///< SQLite's file layer by name; empty for the system's. For fault tests.
        /// Whether files are written in place; asked of the file system unless it is said here. For
        /// fault tests.
        std::optional<bool> in_place;
    };

    /// Opens the spool, creating it if absent, and takes the lock that proves no other process
    /// owns it. Refuses network file systems, foreign owners and newer formats. Drops what was
    /// being received when the last process ended. After an unclean stop it checks the tables, for
    /// a bounded time. `log` hears what an operator should know, now and later.
    static Result<std::unique_ptr<Spool>> open(const Options&, const Clock&, const Log& log);
    /// Of SQLite, as it is linked now: what is known to be wrong with it depends on that (R2).
    static std::string_view engine_version();
    /// The same on a database in memory, for tests.
    static std::unique_ptr<Spool> open_in_memory(const Clock&);

    virtual ~Spool() = default;

    // Group commit. Between begin() and commit_transaction() any number of calls below. One that
    // fails before it has changed anything leaves the others whole. One that stops halfway, because
    // of the disk or of memory, takes them with it: every further call and commit_transaction()
    // answer an error, and the others can be made again in another transaction. The same goes for
    // calls that only read.
    virtual Result<void> begin() = 0;
    /// Durable on success. On failure nothing of the transaction holds, now or after a crash (R4);
    /// leases it gave are taken back, leases it ended go on. If even that cannot be made sure, the
    /// spool is broken: the transaction's outcome is unknown, and nobody may be told one.
    virtual Result<void> commit_transaction() = 0;
    /// Every call answers Unavailable until reopen() succeeds.
    virtual bool is_broken() const = 0;
    /// Finds out what became of the transaction that broke the spool: true if it holds and is
    /// durable, as if its commit had succeeded; false if nothing of it does, now or after a crash.
    /// After an error the spool is as broken as before.
    virtual Result<bool> reopen() = 0;
    /// Whether the last transaction, which the disk had no room for, is worth another try: it has
    /// to be recorded, brought no mail, and some of what is kept back for that was given up (R6).
    virtual bool made_room() const = 0;
    /// Not all of that is there again. checkpoint() sees to it, once there is room.
    virtual bool lacks_reserve() const = 0;
    /// Why new mail is refused: for lack of room, or because the store was moved away. It is over
    /// when mail has been taken again and none has been refused for a while.
    virtual std::optional<Error> shortage() const = 0;

    /// Reserves `count` message numbers, beginning with the one returned. They are never given
    /// again, used or not.
    virtual Result<std::uint64_t> reserve(std::uint32_t count) = 0;

    // Receiving. DiskFull below the free space floor. Pieces of a message come in order, from 0;
    // commit() brings the last one, which is piece 0 for a small message. Invalid if pieces are
    // missing or do not add up to `content_length`.
    //
    // Whoever unlinks a file in maildrop may die before: then the file comes again, and commit() of
    // one of the last kTakenMax succeeds without a second message.
    virtual Result<void> append(std::uint64_t number, std::uint32_t piece,
                                std::string_view bytes) = 0;
    virtual Result<void> commit(const NewMessage&, std::uint32_t piece,
                                std::string_view last_piece) = 0;
    virtual Result<void> discard(std::uint64_t number) = 0;

    // Delivering.
    /// Leases at most `limit` due messages: new mail and mail to be retried in turn. New mail of
    /// different parties (party_of()) goes in turn, too, that of one in order; mail to be retried
    /// goes oldest first. Costs follow what is leased, not what is queued.
    virtual Result<std::vector<Lease>> lease_due(std::size_t limit) = 0;
    /// When the next message becomes due; nothing if none waits.
    virtual Result<std::optional<WallTime>> next_due() = 0;
    /// Stored bytes of a message; empty past the end.
    virtual Result<std::string> read_piece(std::uint64_t number, std::uint32_t piece) = 0;
    /// Records outcomes; see Settlement. After an error the lease and the duty to settle remain.
    /// Works on a full disk (R6). Invalid if the message exists and is not leased.
    virtual Result<Settled> settle(const Settlement&) = 0;

    /// Puts the report in the place of the recipients it tells of, and removes messages of which
    /// nothing is left. Invalid, and nothing is changed, if one of them does not wait for it any
    /// more, or is no longer Failed.
    virtual Result<void> summarise(const Summary&) = 0;

    // For operators. Each changes one message, or, without an id, those among the next kBatch
    // messages above `after`: call again until `last` is empty. An unknown id changes none.
    struct Selection {
        std::optional<mail::QueueId> id;
        std::uint64_t after = 0;
    };
    struct Changed {
        std::uint64_t count = 0;
        std::optional<std::uint64_t> last;  ///< Go on after this one; empty at the end.
    };
    static constexpr std::size_t kBatch = 500;

    /// Waiting messages; one that is leased is held once its attempt is over.
    virtual Result<Changed> hold(const Selection&) = 0;
    /// Held messages become due at once.
    virtual Result<Changed> release(const Selection&) = 0;
    /// Any message. A leased one is gone from here at once, its attempt goes on, its content stays
    /// readable, and its next settle() answers `removed`.
    virtual Result<Changed> remove(const Selection&) = 0;
    /// Due at once, backoff forgotten. Without an id, mail that waits for an account goes on
    /// waiting.
    virtual Result<Changed> flush(const Selection&) = 0;
    /// Marks for expiry and makes due at once; a held message is marked and stays held.
    virtual Result<Changed> expire(const Selection&) = 0;
    /// Messages with numbers above `after`, ascending, at most `limit`; in short transactions, so
    /// that a slow reader pins nothing (R7).
    virtual Result<std::vector<ListedMessage>> list(std::uint64_t after, std::size_t limit) = 0;
    virtual Result<std::optional<ListedMessage>> find(const mail::QueueId&) = 0;
    virtual Result<QueueCounts> counts() = 0;

    // Accounts in trouble, and the mail that waits for them. What stands here is what the last
    // process knew.
    virtual Result<std::vector<AccountTrouble>> troubles() = 0;
    virtual Result<void> save(const AccountTrouble&) = 0;
    virtual Result<void> forget(const Account&) = 0;
    /// How many messages wait for each account, by key: also for those nobody knows of any more.
    virtual Result<std::map<std::string, std::uint64_t>> waiting_counts() = 0;
    /// Messages that wait for it, with numbers above `after`, ascending.
    virtual Result<std::vector<ListedMessage>> waiting(const Account&, std::uint64_t after,
                                                       std::size_t limit) = 0;
    /// At most `limit` messages that wait for it, oldest first, become due at once: those whose
    /// `next_attempt` has come, or any.
    virtual Result<std::uint64_t> wake(const Account&, std::optional<WallTime> reached,
                                       std::size_t limit) = 0;

    /// Removes content nobody needs any more, a bounded amount, inside a transaction. True if more
    /// is left.
    virtual Result<bool> collect_garbage() = 0;
    /// Moves what the log holds into the database once it is large enough to be worth it, or large
    /// at all when `idle`. Outside a transaction.
    virtual Result<void> checkpoint(bool idle) = 0;
    /// Checks the whole database; the error says what is damaged.
    virtual Result<void> check() = 0;
    /// Nothing has been asked for a while: gives back memory that was worth having under load.
    virtual void rest() = 0;
};

}  // namespace postrider::queue
