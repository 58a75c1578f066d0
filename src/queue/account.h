// Trouble with an account or its smarthost, as the queue remembers it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "core/clock.h"
#include "mail/disposition.h"

namespace postrider::queue {

/// Why mail waits; the numbers are the format's.
enum class Trouble : std::uint8_t {
    LoginRefused = 1,
    TlsRefused = 2,    ///< No session as secure as is demanded.
    QuotaReached = 3,  ///< The account may not send now, or not so much.
    Unreachable = 4,
    Paused = 5,  ///< The operator said so.
};

/// What stands in the way of mail: of one login at one smarthost, or, with an empty login, of all
/// mail for the smarthost. Never holds a password.
struct Account {
    std::string next_hops;  ///< As relayhost is written.
    std::string login;

    /// What messages wait for.
    std::string key() const { return next_hops + '\n' + login; }
    static Account of_key(const std::string& key) {
        const std::size_t end = key.find('\n');
        if (end == std::string::npos) return Account{key, std::string()};
        return Account{key.substr(0, end), key.substr(end + 1)};
    }
};

/// What failed messages wait for whose sender has had reports enough: one that tells of them all.
/// Not an account, since it has no next hops. `sender`: in external form.
inline Account summary_for(std::string sender) {
    return Account{std::string(), std::move(sender)};
}
inline bool is_summary(const Account& account) {
    return account.next_hops.empty();
}

struct AccountTrouble {
    Account account;
    Trouble trouble = Trouble::LoginRefused;
    WallTime since;
    WallTime next_attempt;             ///< Means nothing while Paused.
    std::chrono::seconds interval{0};  ///< The latest one.
    mail::EnhancedStatus status;
    std::string reason;  ///< What was said, printable.
    std::string advice;  ///< What a person can do.
    /// A few bits drawn from the password that was refused, to tell whether it has changed since;
    /// -1: none was used.
    std::int32_t password_mark = -1;
    bool alerted = false;  ///< Somebody has been told.
};

}  // namespace postrider::queue
