// Which accounts are in trouble, and when each is tried again.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "delivery/classify.h"
#include "delivery/options.h"
#include "queue/account.h"

namespace postrider::delivery {

using queue::Account;
using queue::AccountTrouble;
using queue::Trouble;

/// `login refused`, `TLS refused`, `quota reached`, `unreachable`, `paused`.
std::string_view name_of(Trouble);
/// For the programs that are told: `login-refused`, ...
std::string_view keyword_of(Trouble);

/// When a transaction went through: what began before some trouble does not prove that it is over.
struct Proof {
    WallTime logged_in;  ///< Its session.
    WallTime begun;      ///< The transaction.
    bool sent = false;   ///< Mail was taken.
};

/// Trouble of an account is trouble of one login at one smarthost; trouble of the smarthost itself
/// (no TLS, no answer, paused by the operator) is that of the account with an empty login.
///
///   ok --refused--> in trouble until next_attempt --one probe--> ok
///                        ^                            |
///                        \------ longer interval -----/
///
/// Pure: time comes in with every call. What changes is to be saved by the caller.
class Accounts {
public:
    explicit Accounts(const RetryOptions& retry) : retry_(retry) {}

    /// What the last process knew. An account that cannot be reached is due at once: nobody is
    /// annoyed by that, and the operator may just have repaired it.
    void load(std::vector<AccountTrouble>, WallTime now);

    enum class Standing : std::uint8_t { Good, Probe, Blocked };
    struct Ruling {
        Standing standing = Standing::Good;
        const AccountTrouble* trouble = nullptr;  ///< Unless Good.
    };
    /// Whether mail for this account may go. Probe is said to one attempt at a time; it ends with
    /// begin_probe() and then failed(), worked() or end_probe().
    Ruling rule(const Account&, WallTime now) const;
    void begin_probe(const Account&);
    void end_probe(const Account&);

    /// Trouble met by an attempt that began at `begun`. Nothing if that is no news: another attempt
    /// of the same time has told.
    const AccountTrouble* failed(const Account&, const Verdict&, std::int32_t password_mark,
                                 WallTime begun, WallTime now);
    /// A transaction went through. What is over by that.
    std::vector<AccountTrouble> worked(const Account&, const Proof&);

    // The operator.
    const AccountTrouble& pause(const std::string& next_hops, WallTime now);
    /// Ends a pause; other trouble is to be tried now. Returns what is over. Empty: everywhere.
    std::vector<AccountTrouble> resume(std::string_view next_hops, WallTime now);
    /// What nobody is annoyed by is tried now, logins and quotas only if `all`. Not what is paused.
    void try_now(bool all, WallTime now);
    /// No longer anybody's.
    void drop(const Account& account) { entries_.erase(account.key()); }

    /// Those that are due for a probe and have not been asked for one lately; marks them asked.
    std::vector<Account> due(WallTime now);
    std::optional<WallTime> next_due() const;

    /// Some smarthost could not be reached.
    bool network_may_help() const;
    const AccountTrouble* find(const Account&) const;
    std::vector<AccountTrouble> all() const;
    /// Remembers that somebody was told.
    void set_alerted(const Account&);

private:
    struct Entry {
        AccountTrouble trouble;
        WallTime noted;  ///< The latest failure.
        bool probing = false;
        std::optional<WallTime> asked;
    };
    static Account host_of(const Account& account) { return Account{account.next_hops, {}}; }
    bool is_due(const Entry&, WallTime now) const;
    static bool is_proven(const Entry&, const Proof&);
    std::chrono::seconds next_interval(const Entry&) const;
    void try_entry_now(Entry&, WallTime now);

    const RetryOptions& retry_;
    std::map<std::string, Entry> entries_;  // By key; only those in trouble.
};

}  // namespace postrider::delivery
