// The durable store of accepted mail.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
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
/// That delivery may have succeeded, and a duplicate is better than a loss.
///
/// Blocks on disk and is not thread-safe: it belongs to the storage thread, and the rest of the
/// program reaches it through queue::Queue, which puts many calls into one transaction.
class Spool {
public:
    struct Options {
        std::filesystem::path directory;  ///< Holds queue.db; must be ours alone (R12).
        bool long_queue_ids = false;
    };

    /// Opens the spool, creating it if absent, and takes the lock that proves no other process
    /// owns it. Refuses network file systems, foreign owners and newer formats. Drops what was
    /// being received when the last process ended.
    static Result<std::unique_ptr<Spool>> open(const Options&, const Clock&);
    /// The same on a database in memory, for tests.
    static std::unique_ptr<Spool> open_in_memory(const Clock&);

    virtual ~Spool() = default;

    // Group commit. Between begin() and commit_transaction() any number of calls below; each is
    // all or nothing by itself, so that one failing leaves the others whole.
    virtual Result<void> begin() = 0;
    /// Durable on success. On failure nothing of the transaction holds, now or after a crash (R4);
    /// if even that cannot be made sure, the error is Corrupt and every later call fails.
    virtual Result<void> commit_transaction() = 0;

    /// Reserves `count` message numbers, beginning with the one returned.
    virtual Result<std::uint64_t> reserve(std::uint32_t count) = 0;

    // Receiving.
    virtual Result<void> append(std::uint64_t number, std::uint32_t piece,
                                std::string_view bytes) = 0;
    virtual Result<void> commit(const NewMessage&, std::uint32_t piece,
                                std::string_view last_piece) = 0;
    virtual Result<void> discard(std::uint64_t number) = 0;

    // Delivering.
    /// Leases at most `limit` due messages: new mail and mail to be retried in turn, each oldest
    /// first. Costs follow what is leased, not what is queued.
    virtual Result<std::vector<Lease>> lease_due(std::size_t limit) = 0;
    /// When the next message becomes due; nothing if none waits.
    virtual Result<std::optional<WallTime>> next_due() = 0;
    /// Stored bytes of a message; empty past the end.
    virtual Result<std::string> read_piece(std::uint64_t number, std::uint32_t piece) = 0;
    virtual Result<Settled> settle(const Settlement&) = 0;

    // For operators. Each returns how many messages it changed; an unknown id changes none.
    virtual Result<std::uint64_t> hold(std::optional<mail::QueueId>) = 0;
    virtual Result<std::uint64_t> release(std::optional<mail::QueueId>) = 0;
    virtual Result<std::uint64_t> remove(std::optional<mail::QueueId>) = 0;
    /// Due at once, backoff forgotten; for everything when no id is given.
    virtual Result<std::uint64_t> flush(std::optional<mail::QueueId>) = 0;
    virtual Result<std::uint64_t> expire(std::optional<mail::QueueId>) = 0;
    /// Messages with numbers above `after`, ascending, at most `limit`; in short transactions, so
    /// that a slow reader pins nothing (R7).
    virtual Result<std::vector<ListedMessage>> list(std::uint64_t after, std::size_t limit) = 0;
    virtual Result<std::optional<ListedMessage>> find(const mail::QueueId&) = 0;
    virtual Result<QueueCounts> counts() = 0;

    /// Removes content nobody needs any more, a bounded amount. True if more is left.
    virtual Result<bool> collect_garbage() = 0;
    /// Checks the whole database; the error says what is damaged.
    virtual Result<void> check() = 0;
};

}  // namespace postrider::queue
