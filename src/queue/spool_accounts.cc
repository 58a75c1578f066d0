// Accounts in trouble, and the mail that waits for them.
#include <algorithm>
#include <string>

#include "queue/sqlite_spool.h"

namespace postrider::queue {
namespace {

constexpr int kTroubles = 5;

Result<AccountTrouble> trouble_of(const Statement& row) {
    AccountTrouble trouble;
    trouble.account = Account::of_key(row.text(0));
    const std::int64_t kind = row.integer(1);
    const auto status = mail::parse_status(row.text(5));
    if (kind < 1 || kind > kTroubles || !status) {
        return Unexpected(ErrorCode::Corrupt,
                          "account " + trouble.account.next_hops + ": damaged row");
    }
    trouble.trouble = static_cast<Trouble>(kind);
    trouble.since = to_time(row.integer(2));
    trouble.next_attempt = to_time(row.integer(3));
    trouble.interval = std::chrono::seconds(std::max<std::int64_t>(0, row.integer(4)));
    trouble.status = *status;
    trouble.reason = row.text(6);
    trouble.advice = row.text(7);
    trouble.password_mark = static_cast<std::int32_t>(row.integer(8));
    trouble.alerted = row.integer(9) != 0;
    return trouble;
}

}  // namespace

/// A damaged row is passed over: its mail is found by waiting_counts().
Result<std::vector<AccountTrouble>> SqliteSpool::troubles() {
    if (auto good = usable(); !good) return Unexpected(good.error());
    Statement query = database_->statement(
        "SELECT key, trouble, since, next_attempt, interval, status, reason, advice, "
        "password_mark, alerted FROM account ORDER BY key");
    std::vector<AccountTrouble> all;
    for (;;) {
        const auto row = query.step();
        if (!row) return Unexpected(row.error());
        if (!*row) return all;
        auto trouble = trouble_of(query);
        if (trouble) {
            all.push_back(std::move(*trouble));
        } else if (log_) {
            log_->error(trouble.error().message);
        }
    }
}

Result<void> SqliteSpool::save(const AccountTrouble& trouble) {
    must_be_recorded_ = true;
    return whole([&]() -> Result<void> {
        const std::string key = trouble.account.key();
        const std::string status = mail::to_string(trouble.status);
        const auto done =
            database_
                ->statement("INSERT OR REPLACE INTO account VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                            key, static_cast<std::int64_t>(trouble.trouble),
                            to_column(trouble.since), to_column(trouble.next_attempt),
                            static_cast<std::int64_t>(trouble.interval.count()), status,
                            trouble.reason, trouble.advice, std::int64_t{trouble.password_mark},
                            std::int64_t{trouble.alerted})
                .run();
        if (!done) return Unexpected(done.error());
        return {};
    });
}

Result<void> SqliteSpool::forget(const Account& account) {
    must_be_recorded_ = true;
    return whole([&]() -> Result<void> {
        const std::string key = account.key();
        const auto done = database_->statement("DELETE FROM account WHERE key = ?", key).run();
        if (!done) return Unexpected(done.error());
        return {};
    });
}

Result<std::map<std::string, std::uint64_t>> SqliteSpool::waiting_counts() {
    if (auto good = usable(); !good) return Unexpected(good.error());
    Statement query = database_->statement("SELECT account, messages FROM waiting");
    std::map<std::string, std::int64_t> waiting = waiting_changes_;
    for (;;) {
        const auto row = query.step();
        if (!row) return Unexpected(row.error());
        if (!*row) break;
        waiting[query.text(0)] += query.integer(1);
    }
    std::map<std::string, std::uint64_t> counts;
    for (const auto& [account, messages] : waiting) {
        if (messages > 0) counts[account] = static_cast<std::uint64_t>(messages);
    }
    return counts;
}

/// After the row has been changed, so that both are undone together.
void SqliteSpool::count_waiting(const std::string& account, std::int64_t more) {
    if (!account.empty()) waiting_changes_[account] += more;
}

Result<void> SqliteSpool::write_waiting() {
    for (const auto& [account, more] : waiting_changes_) {
        if (more == 0) continue;
        const auto changed =
            database_
                ->statement(
                    "INSERT INTO waiting VALUES(?, ?) ON CONFLICT(account) DO UPDATE SET "
                    "messages = messages + excluded.messages",
                    account, more)
                .run();
        if (!changed) return Unexpected(changed.error());
        if (more > 0) continue;
        const auto gone =
            database_->statement("DELETE FROM waiting WHERE account = ? AND messages <= 0", account)
                .run();
        if (!gone) return Unexpected(gone.error());
    }
    waiting_changes_.clear();
    return {};
}

Result<void> SqliteSpool::recount_waiting() {
    waiting_changes_.clear();
    if (auto gone = database_->perform("DELETE FROM waiting"); !gone) return gone;
    return database_->perform(
        "INSERT INTO waiting SELECT waits_for, count(*) FROM message "
        "WHERE place = 1 AND waits_for IS NOT NULL GROUP BY waits_for");
}

Result<std::vector<ListedMessage>> SqliteSpool::waiting(const Account& account, std::uint64_t after,
                                                        std::size_t limit) {
    if (auto good = usable(); !good) return Unexpected(good.error());
    auto messages = read_waiting(*database_, account.key(), std::min(after, kNumberMax), limit);
    if (!messages) return Unexpected(messages.error());
    std::vector<ListedMessage> list;
    for (StoredMessage& message : *messages) {
        auto made = listed(std::move(message));
        if (!made) return Unexpected(made.error());
        list.push_back(std::move(*made));
    }
    return list;
}

Result<std::uint64_t> SqliteSpool::wake(const Account& account, std::optional<WallTime> reached,
                                        std::size_t limit) {
    must_be_recorded_ = true;
    return whole([&]() -> Result<std::uint64_t> {
        const std::string key = account.key();
        const WallTime now = clock_.now();
        std::vector<std::uint64_t> numbers;
        {
            const auto at_most = static_cast<std::int64_t>(limit);
            Statement query =
                reached ? database_->statement(
                              "SELECT number FROM message WHERE place = 1 AND waits_for IS NOT "
                              "NULL AND waits_for = ? AND due <= ? ORDER BY due LIMIT ?",
                              key, to_column(*reached), at_most)
                        : database_->statement(
                              "SELECT number FROM message WHERE place = 1 AND waits_for IS NOT "
                              "NULL AND waits_for = ? ORDER BY number LIMIT ?",
                              key, at_most);
            for (;;) {
                const auto row = query.step();
                if (!row) return Unexpected(row.error());
                if (!*row) break;
                numbers.push_back(static_cast<std::uint64_t>(query.integer(0)));
            }
        }
        for (const std::uint64_t number : numbers) {
            const auto changed =
                database_
                    ->statement("UPDATE message SET waits_for = NULL, due = ? WHERE number = ?",
                                to_column(now), static_cast<std::int64_t>(number))
                    .run();
            if (!changed) return Unexpected(changed.error());
        }
        count_waiting(key, -std::ssize(numbers));
        if (!numbers.empty()) entered(Place::Deferred, now);
        return std::uint64_t{numbers.size()};
    });
}

}  // namespace postrider::queue
