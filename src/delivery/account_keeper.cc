#include "delivery/account_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
#include "net/until.h"

namespace postrider::delivery {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPage = 500;
/// A laptop is offline half of the day, and nobody wants to hear of it.
constexpr auto kUnreachableTold = 1h;
constexpr auto kNothingDue = 600s;
constexpr Duration kRecordRetryMin = 1s;
constexpr Duration kRecordRetryMax = 30s;

}  // namespace

std::string display_name(const Account& account) {
    if (account.login.empty()) return account.next_hops;
    return account.login + " via " + account.next_hops;
}

AccountKeeper::AccountKeeper(const Options& options, queue::Queue& queue, Router& router,
                             LoginBook& logins, const Clock& clock, net::TaskGroup& tasks,
                             const Log& qmgr)
    : options_(options),
      queue_(queue),
      router_(router),
      logins_(logins),
      clock_(clock),
      tasks_(tasks),
      log_(qmgr),
      accounts_(options.retry) {}

net::Awaitable<Result<void>> AccountKeeper::take_up() {
    auto troubles = co_await queue_.troubles();
    if (!troubles) co_return Unexpected(std::move(troubles).error());
    const auto waiting = co_await queue_.waiting_counts();
    if (!waiting) co_return Unexpected(waiting.error());
    const std::vector<AccountTrouble> known = *troubles;
    accounts_.load(*std::move(troubles), clock_.now());
    for (const AccountTrouble& trouble : known) {
        const mail::Address nobody;
        const KnownLogin& now = logins_.find(trouble.account.next_hops, nobody);
        const bool changed = trouble.password_mark >= 0 &&
                             now.account.login == trouble.account.login &&
                             now.password_mark != trouble.password_mark;
        const bool nobodys = !waiting->contains(trouble.account.key()) &&
                             trouble.trouble != Trouble::Paused &&
                             trouble.account.next_hops != options_.route.relayhost;
        if (!changed && !nobodys) continue;
        if (changed) {
            log_.info(fmt::format("{}: the password has changed, it is tried at once",
                                  display_name(trouble.account)));
        }
        accounts_.drop(trouble.account);
        record(trouble.account);
    }
    for (const auto& [key, count] : *waiting) {
        const Account account = Account::of_key(key);
        if (queue::is_summary(account)) continue;
        if (accounts_.find(account) == nullptr) {
            record(account);
            continue;
        }
        tasks_.spawn(let_go_of_strays(account), "account");
    }
    known_ = true;
    for (const auto& act : std::exchange(when_known_, {})) act();
    if (const auto all = std::exchange(try_when_known_, std::nullopt)) try_now(*all);
    co_return Result<void>();
}

// The configuration may have changed since they began to wait. Nobody waits for this: there may be
// a million of them.
net::Awaitable<void> AccountKeeper::let_go_of_strays(Account account) {
    std::uint64_t after = 0;
    for (;;) {
        const auto more = co_await let_go_of_some(account, after);
        if (more && !*more) break;
        if (more) continue;
        log_.warning(more.error().message);
        const auto slept = co_await net::sleep_until(clock_.monotonic() + kRecordRetryMax);
        if (!slept) break;
    }
}

// One page, behind `after`; false at the end.
net::Awaitable<Result<bool>> AccountKeeper::let_go_of_some(const Account& account,
                                                           std::uint64_t& after) {
    const auto page = co_await queue_.waiting(account, after, kPage);
    if (!page) co_return Unexpected(page.error());
    for (const queue::ListedMessage& message : *page) {
        if (!leads_to(message, account)) {
            const auto released = co_await queue_.flush(message.id);
            if (!released) co_return Unexpected(released.error());
        }
        after = message.number;
    }
    co_return page->size() == kPage;
}

bool AccountKeeper::leads_to(const queue::ListedMessage& message, const Account& account) {
    const mail::Address& sender = message.envelope.reverse_path;
    return std::all_of(
        message.recipients.begin(), message.recipients.end(),
        [&](const queue::QueuedRecipient& one) {
            if (one.state != queue::RecipientState::Waiting) return true;
            const Route route = router_.route(sender, one.recipient.address);
            return route.next_hops == account.next_hops &&
                   (account.login.empty() ||
                    logins_.find(route.next_hops, sender).account.login == account.login);
        });
}

net::Awaitable<WallTime> AccountKeeper::probe_due() {
    const WallTime now = clock_.now();
    for (const Account& account : accounts_.due(now)) {
        // First those whose lifetime, or patience, is over.
        auto woken = co_await queue_.wake(account, now, kPage);
        if (woken && *woken == 0) woken = co_await queue_.wake(account, std::nullopt, 1);
        if (!woken) log_.warning(woken.error().message);
    }
    co_return accounts_.next_due().value_or(now + kNothingDue);
}

void AccountKeeper::failed(const KnownLogin& login, const Verdict& verdict, WallTime begun) {
    const WallTime now = clock_.now();
    const AccountTrouble* news =
        accounts_.failed(login.account, verdict, login.password_mark, begun, now);
    if (news != nullptr) tell(*news);
}

void AccountKeeper::tell(const AccountTrouble& trouble) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(trouble.next_attempt - clock_.now());
    const bool is_new = trouble.since + trouble.interval == trouble.next_attempt;
    const bool is_quiet = trouble.trouble == Trouble::Unreachable;
    const bool due = !is_quiet || clock_.now() - trouble.since >= kUnreachableTold;
    const std::string text =
        fmt::format("{}: {}: {}, all its mail waits; next attempt in {} s: {}",
                    display_name(trouble.account), is_quiet ? "trouble" : "account trouble",
                    name_of(trouble.trouble), left.count(), trouble.reason);
    if (due && !trouble.alerted) {
        log_.warning(trouble.advice.empty() ? text : text + " -- " + trouble.advice);
        accounts_.set_alerted(trouble.account);
        if (alarm_) {
            Alert alert;
            alert.state = keyword_of(trouble.trouble);
            alert.account = display_name(trouble.account);
            alert.reason = trouble.reason;
            alert.since = trouble.since;
            alarm_(alert);
        }
    } else {
        log_.info(is_new ? text : "still " + text);
    }
    record(trouble.account);
}

void AccountKeeper::worked(const Account& account, const Proof& proof) {
    for (const AccountTrouble& trouble : accounts_.worked(account, proof)) over(trouble);
}

void AccountKeeper::over(const AccountTrouble& trouble) {
    log_.info(
        fmt::format("{}: the account works again, mail flows", display_name(trouble.account)));
    if (trouble.alerted && alarm_) {
        Alert alert;
        alert.state = "ok";
        alert.account = display_name(trouble.account);
        alert.reason = fmt::format("over: {}", name_of(trouble.trouble));
        alert.since = trouble.since;
        alarm_(alert);
    }
    record(trouble.account);
}

void AccountKeeper::waiting_recorded(const Account& account) {
    if (accounts_.find(account) == nullptr) record(account);
}

void AccountKeeper::record(const Account& account) {
    unrecorded_.insert(account.key());
    if (!std::exchange(recording_, true)) tasks_.spawn(record_all(), "accounts");
}

// The queue is told until it has heard: mail that waits for an account which works again would
// wait for ever.
net::Awaitable<void> AccountKeeper::record_all() {
    Duration pause = kRecordRetryMin;
    while (!unrecorded_.empty()) {
        const std::string key = *unrecorded_.begin();
        unrecorded_.erase(unrecorded_.begin());
        const Account account = Account::of_key(key);
        const auto recorded = co_await record_now(account);
        if (recorded) {
            pause = kRecordRetryMin;
            continue;
        }
        log_.warning(fmt::format("{}: state of the account not recorded yet: {}",
                                 display_name(account), recorded.error().message));
        unrecorded_.insert(key);
        const auto slept = co_await net::sleep_until(clock_.monotonic() + pause);
        if (!slept) break;
        pause = std::min<Duration>(pause * 2, kRecordRetryMax);
    }
    recording_ = false;
}

net::Awaitable<Result<void>> AccountKeeper::record_now(const Account account) {
    if (const AccountTrouble* trouble = accounts_.find(account)) {
        AccountTrouble present = *trouble;
        co_return co_await queue_.save(std::move(present));
    }
    auto forgotten = co_await queue_.forget(account);
    if (!forgotten) co_return forgotten;
    co_return co_await wake_all(account);
}

// In batches, so that nobody waits long; until it is in trouble again.
net::Awaitable<Result<void>> AccountKeeper::wake_all(const Account& account) {
    while (accounts_.find(account) == nullptr) {
        const auto woken = co_await queue_.wake(account, std::nullopt, kPage);
        if (!woken) co_return Unexpected(woken.error());
        if (*woken < kPage) break;
    }
    co_return Result<void>();
}

void AccountKeeper::when_known(std::function<void()> act) {
    if (known_) return act();
    when_known_.push_back(std::move(act));
}

void AccountKeeper::pause(const std::string& next_hops) {
    when_known([this, next_hops] {
        const AccountTrouble paused = accounts_.pause(next_hops, clock_.now());
        log_.info(next_hops + ": paused by the operator, all its mail waits");
        record(paused.account);
    });
}

void AccountKeeper::resume(const std::string& next_hops) {
    when_known([this, next_hops] {
        for (const AccountTrouble& trouble : accounts_.resume(next_hops, clock_.now())) {
            log_.info(display_name(trouble.account) + ": resumed by the operator");
            record(trouble.account);
        }
    });
}

void AccountKeeper::try_now(bool all) {
    if (known_) return accounts_.try_now(all, clock_.now());
    // Anybody may ask for it, as often as they like.
    try_when_known_ = all || try_when_known_.value_or(false);
}

}  // namespace postrider::delivery
