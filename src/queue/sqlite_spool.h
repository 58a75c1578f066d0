// The Spool on one SQLite database: this module's heart. Its parts: sqlite_spool.cc opens, commits,
// recovers and tidies; spool_transactions.cc and spool_room.cc are what each transaction goes
// through; spool_receiving.cc, spool_delivering.cc, spool_operating.cc and spool_accounts.cc hold
// the verbs.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/fair_turns.h"
#include "core/unique_fd.h"
#include "queue/content_files.h"
#include "queue/crash_book.h"
#include "queue/database.h"
#include "queue/lease_book.h"
#include "queue/records.h"
#include "queue/room_reserve.h"
#include "queue/spool.h"
#include "queue/store_files.h"
#include "queue/witness.h"

namespace postrider::queue {

/// One transaction at a time:
///
///   Idle --begin()--> Open --commit_transaction()--> Idle
///                      |  \--a call stopped halfway--> Spoilt --commit_transaction()-->
///                      |     Idle (fails)
///                      \--COMMIT failed--> closed, log written again, reopened:
///                            our serial is there --> Idle (it holds, success)
///                            it is not           --> Idle (nothing holds, error)
///                            no answer           --> Broken --reopen()--> Idle (either)
///
/// Idle    what is in memory (counts, leases) agrees with what is durable.
/// Open    every call so far is whole in the transaction; `undo` knows how to go back.
/// Spoilt  rolled back, since a call stopped halfway; calls and commit fail with its error.
/// Broken  no connection. Memory stands as if the transaction held, `undo` is kept until reopen()
///         knows.
class SqliteSpool : public Spool {
public:
    SqliteSpool(const Options&, bool in_memory, const Clock&, std::optional<Log>, UniqueFd lock);
    ~SqliteSpool() override;

    std::int64_t steps() const { return database_->steps(); }

    /// Connects, recovers what the last process left, makes room for outcomes.
    Result<void> start();

    Result<void> begin() override;
    Result<void> commit_transaction() override;
    bool is_broken() const override { return database_ == nullptr; }
    Result<bool> reopen() override;
    bool made_room() const override { return made_room_; }
    bool lacks_reserve() const override { return reserve_ && !reserve_->is_whole(); }
    std::optional<Error> shortage() const override { return shortage_; }

    Result<std::uint64_t> reserve(std::uint32_t count) override;
    Result<void> append(std::uint64_t number, std::uint32_t piece, std::string_view bytes) override;
    Result<void> commit(const NewMessage&, std::uint32_t piece,
                        std::string_view last_piece) override;
    Result<void> discard(std::uint64_t number) override;

    Result<std::vector<Lease>> lease_due(std::size_t limit) override;
    Result<std::optional<WallTime>> next_due() override;
    Result<std::string> read_piece(std::uint64_t number, std::uint32_t piece) override;
    Result<Settled> settle(const Settlement&) override;
    Result<void> summarise(const Summary&) override;

    Result<Changed> hold(const Selection&) override;
    Result<Changed> release(const Selection&) override;
    Result<Changed> remove(const Selection&) override;
    Result<Changed> flush(const Selection&) override;
    Result<Changed> expire(const Selection&) override;
    Result<std::vector<ListedMessage>> list(std::uint64_t after, std::size_t limit) override;
    Result<std::optional<ListedMessage>> find(const mail::QueueId&) override;
    Result<QueueCounts> counts() override;

    Result<std::vector<AccountTrouble>> troubles() override;
    Result<void> save(const AccountTrouble&) override;
    Result<void> forget(const Account&) override;
    Result<std::map<std::string, std::uint64_t>> waiting_counts() override;
    Result<std::vector<ListedMessage>> waiting(const Account&, std::uint64_t after,
                                               std::size_t limit) override;
    Result<std::uint64_t> wake(const Account&, std::optional<WallTime> reached,
                               std::size_t limit) override;

    Result<bool> collect_garbage() override;
    Result<void> checkpoint(bool idle) override;
    Result<void> check() override;
    void rest() override;

private:
    using Counts = std::array<std::uint64_t, kPlaceCount>;

    // Opening and recovering.
    Result<void> connect();
    Result<void> begin_anew();
    Result<void> drop_unfinished();
    void check_log();
    void ask_witness();
    void testify();
    Result<void> check_tables();
    Result<void> count_places();
    Result<void> read_counts();
    Result<bool> resolve();
    Result<bool> try_to_resolve();
    Result<std::int64_t> stored_serial();
    void forget_transaction();
    void kept();
    void stop_cleanly();

    struct Before {
        Counts counts;
        LeaseBook::Mark leases;
        std::int64_t changes;
    };
    /// Runs a call that writes so that it is whole, never was, or takes the transaction with it.
    template <typename Body>
    auto whole(Body body) -> decltype(body());
    void undo_call(const Before&, const Error&);
    Result<void> usable() const;
    Result<void> prepare_commit(bool wrote);

    // Room.
    Result<void> check_room(std::size_t bytes);
    Result<void> check_place() const;
    void note_shortage(const Error&);
    void note_room();
    Result<void> reserve_log();
    void make_room(const Error&);
    void open_reserve();
    void fill_reserve();
    void mend_reserve();
    bool has_room_for_reserve() const;
    bool release_reserve(const Error&);
    /// Once more with each slice of the reserve, if the disk is full.
    template <typename Body>
    auto with_reserve(Body body) -> decltype(body());

    // Receiving.
    Result<void> store_piece(std::uint64_t number, std::uint32_t piece, std::string_view bytes);
    bool goes_into_file(std::uint64_t number, std::uint32_t piece) const;
    Result<void> check_received(const NewMessage&, std::uint32_t piece, std::uint64_t last);
    Result<void> finish_receiving(std::uint64_t number);
    Result<void> finish_file(std::uint64_t number, std::uint32_t piece,
                             std::string_view last_piece);
    Result<bool> note_taken(const std::string& drop);
    Result<void> drop_received(std::uint64_t number);
    Result<void> add(const NewMessage&);

    // Delivering.
    struct Due {
        std::uint64_t number;
        WallTime due;
    };
    Result<std::vector<Due>> due_in(Place, std::size_t limit, WallTime now);
    Result<std::vector<Due>> too_far_away(std::size_t limit, WallTime now);
    Result<std::optional<WallTime>> first_due(Place);
    Result<std::optional<Lease>> lease(std::uint64_t number);
    Result<void> record_outcomes(const Settlement&, Standing&);
    Result<void> add_report(const OwnMessage&);
    Result<void> add_reports(const Settlement&);
    Result<Standing> waiting_for(const std::string& summary, std::uint64_t number);
    Result<void> tell(const Summary::Told&, Standing);
    Result<void> end_attempt(const Settlement&, const Standing& before, Standing&);

    // Suspecting.
    Result<void> find_suspects();
    Result<void> suspect(const CrashBook::Entry&);
    Result<void> set_aside(const StoredMessage&);
    Result<std::optional<std::uint64_t>> next_suspect();
    void count_attempts();
    void write_down(std::uint64_t number);
    void acquit_leased();

    // Operating.
    template <typename Change>
    Result<Changed> for_selected(const Selection&, Change change);
    Result<ListedMessage> listed(StoredMessage);

    /// The message's row, the counts and the lease change together, here.
    Result<void> move(std::uint64_t number, const Standing& from, const Standing& to);
    Result<void> erase(std::uint64_t number, const Standing& from);
    void entered(Place, WallTime due);
    void left(const Standing& from);

    // How many wait for each account.
    void count_waiting(const std::string& account, std::int64_t more);
    Result<void> write_waiting();
    Result<void> recount_waiting();

    // Constant after construction.
    const Options options_;
    const bool in_memory_;
    const bool in_place_;
    const Clock& clock_;
    const std::optional<Log> log_;
    const UniqueFd lock_;

    std::unique_ptr<Database> database_;  ///< None while broken.
    LeaseBook leases_;
    std::optional<CrashBook> crash_book_;
    std::optional<RoomReserve> reserve_;  ///< None where files are written in place.
    MonotonicTime mend_reserve_at_{};
    Duration mend_interval_{};
    bool release_failed_ = false;  ///< Somebody has been told.
    std::optional<Witness> witness_;
    bool witness_failed_ = false;  ///< Somebody has been told.
    Counts counts_{};
    /// Below this due time every message of the place is leased: where lease_due() starts to look.
    std::array<std::int64_t, kPlaceCount> look_from_{};
    /// New mail is due at once; its column `due` is its place in line among the parties'.
    FairTurns turns_;
    int frames_at_checkpoint_ = 0;
    ContentFiles files_;
    /// Numbers whose row in `receiving` is durable: those may have a file.
    std::unordered_set<std::uint64_t> receiving_;

    // The transaction.
    bool open_ = false;
    std::optional<Error> spoilt_;
    Counts counts_before_{};
    std::int64_t changes_before_ = 0;
    bool takes_mail_ = false;        ///< Content came in, so that it may be refused.
    bool must_be_recorded_ = false;  ///< An outcome, what an operator wants, an account's state.
    bool released_ = false;          ///< Some of the reserve, on the way.
    bool made_room_ = false;
    std::uint64_t room_ = 0;  ///< Bytes that may still come in before the disk is asked again.
    std::vector<std::uint64_t> begun_;             ///< Received from this transaction on.
    std::vector<std::uint64_t> finished_;          ///< Their content is complete with it.
    std::unordered_set<std::uint64_t> discarded_;  ///< Garbage from this transaction on.
    /// By how much the rows of `waiting` will change with it.
    std::map<std::string, std::int64_t> waiting_changes_;
    bool files_removed_ = false;
    bool removal_failed_ = false;  ///< Somebody has been told.
    std::int64_t serial_ = 0;      ///< Of the last transaction that is known to hold.
    std::optional<Error> shortage_;
    std::optional<FileIdentity> identity_;  ///< Of the database that is open.
    MonotonicTime refused_at_{};            ///< For lack of room, the last time.
};

template <typename Body>
auto SqliteSpool::with_reserve(Body body) -> decltype(body()) {
    for (;;) {
        auto result = body();
        if (result || !release_reserve(result.error())) return result;
    }
}

template <typename Body>
auto SqliteSpool::whole(Body body) -> decltype(body()) {
    if (auto good = usable(); !good) return Unexpected(good.error());
    POSTRIDER_CHECK(open_);
    const Before before{counts_, leases_.mark(), database_->total_changes()};
    auto result = body();
    if (!result) undo_call(before, result.error());
    return result;
}

}  // namespace postrider::queue
