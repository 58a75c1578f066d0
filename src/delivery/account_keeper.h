// Accounts as the courier keeps them: remembered in the queue, told to people, probed in time.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "delivery/accounts.h"
#include "delivery/logins.h"
#include "delivery/route.h"
#include "net/stream.h"
#include "net/task_group.h"
#include "queue/queue.h"

namespace postrider::delivery {

/// An incident began, or is over.
struct Alert {
    std::string state;    ///< keyword_of() the trouble, or `ok`.
    std::string account;  ///< `LOGIN via NEXTHOPS`, or NEXTHOPS.
    std::string reason;   ///< What was said; printable, and free of secrets.
    WallTime since;
};

/// Who is to be told. Once for each incident and once when it is over.
using Alarm = std::function<void(const Alert&)>;

/// `LOGIN via NEXTHOPS`, or NEXTHOPS for trouble of the smarthost.
std::string display_name(const Account&);

/// Mail that meets trouble waits for the account (queue::Settlement::waits_for) and is not touched
/// again. When the next attempt is due, one message of it is woken; when that works, all of it is.
class AccountKeeper {
public:
    /// All references must outlive it.
    AccountKeeper(const Options&, queue::Queue&, Router&, LoginBook&, const Clock&, net::TaskGroup&,
                  const Log& qmgr);

    void on_alert(Alarm alarm) { alarm_ = std::move(alarm); }
    const Accounts& accounts() const { return accounts_; }

    /// Takes up what the last process knew: a password that has changed since is tried at once, and
    /// mail whose way has changed does not wait for an account that it no longer concerns. To be
    /// called again after an error.
    net::Awaitable<Result<void>> take_up();
    /// Wakes a message for each account that is due. When to call again.
    net::Awaitable<WallTime> probe_due();

    // What attempts find out; `begun` is when they did.
    void begin_probe(const Account& account) { accounts_.begin_probe(account); }
    void end_probe(const Account& account) { accounts_.end_probe(account); }
    void failed(const KnownLogin&, const Verdict&, WallTime begun);
    void worked(const Account&, const Proof&);
    /// Mail was recorded as waiting: if the account has been repaired meanwhile, it is woken again.
    void waiting_recorded(const Account&);

    /// Something else that a person should know.
    void raise(const Alert& alert) const {
        if (alarm_) alarm_(alert);
    }

    // What operators do. Before take_up() has succeeded it is kept until then.
    void pause(const std::string& next_hops);
    void resume(const std::string& next_hops);
    void try_now(bool all);

private:
    net::Awaitable<void> let_go_of_strays(Account account);
    net::Awaitable<Result<bool>> let_go_of_some(const Account& account, std::uint64_t& after);
    void when_known(std::function<void()> act);
    void record(const Account&);
    net::Awaitable<void> record_all();
    net::Awaitable<Result<void>> record_now(const Account account);
    net::Awaitable<Result<void>> wake_all(const Account& account);
    void over(const AccountTrouble&);
    void tell(const AccountTrouble&);
    bool leads_to(const queue::ListedMessage&, const Account&);

    const Options& options_;
    queue::Queue& queue_;
    Router& router_;
    LoginBook& logins_;
    const Clock& clock_;
    net::TaskGroup& tasks_;
    const Log& log_;
    Accounts accounts_;
    bool known_ = false;  ///< What the last process knew, too.
    std::vector<std::function<void()>> when_known_;
    std::optional<bool> try_when_known_;  ///< What try_now() was told.
    std::set<std::string> unrecorded_;  // Keys of accounts that the queue knows otherwise, perhaps.
    bool recording_ = false;
    Alarm alarm_;
};

}  // namespace postrider::delivery
