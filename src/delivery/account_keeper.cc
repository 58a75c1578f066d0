#include "delivery/account_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"

namespace postrider::delivery {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPage = 500;
/// A laptop is offline half of the day, and nobody wants to hear of it.
constexpr auto kUnreachableTold = 1h;
constexpr auto kNothingDue = 600s;

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
        tasks_.spawn(forget(trouble.account), "account");
    }
    for (const auto& [key, count] : *waiting) {
        const Account account = Account::of_key(key);
        if (accounts_.find(account) == nullptr) {
            tasks_.spawn(wake_all(account), "account");
            continue;
        }
        tasks_.spawn(let_go_of_strays(account), "account");
    }
    co_return Result<void>();
}

// The configuration may have changed since they began to wait. Nobody waits for this: there may be
// a million of them.
net::Awaitable<void> AccountKeeper::let_go_of_strays(Account account) {
    std::uint64_t after = 0;
    for (;;) {
        const auto page = co_await queue_.waiting(account, after, kPage);
        if (!page) co_return log_.warning(page.error().message);
        for (const queue::ListedMessage& message : *page) {
            after = message.number;
            if (leads_to(message, account)) continue;
            const auto released = co_await queue_.flush(message.id);
            if (!released) co_return log_.warning(released.error().message);
        }
        if (page->size() < kPage) co_return;
    }
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
    tasks_.spawn(save(trouble), "account");
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
    tasks_.spawn(forget(trouble.account), "account");
}

void AccountKeeper::waiting_recorded(const Account& account) {
    if (accounts_.find(account) == nullptr) tasks_.spawn(wake_all(account), "account");
}

net::Awaitable<void> AccountKeeper::save(AccountTrouble trouble) {
    const auto saved = co_await queue_.save(std::move(trouble));
    if (!saved) log_.warning("account trouble not recorded: " + saved.error().message);
}

net::Awaitable<void> AccountKeeper::forget(Account account) {
    const auto forgotten = co_await queue_.forget(account);
    if (!forgotten) log_.warning("account trouble not forgotten: " + forgotten.error().message);
    co_await wake_all(std::move(account));
}

// In batches, so that nobody waits long; until it is in trouble again.
net::Awaitable<void> AccountKeeper::wake_all(Account account) {
    while (accounts_.find(account) == nullptr) {
        const auto woken = co_await queue_.wake(account, std::nullopt, kPage);
        if (!woken) log_.warning(woken.error().message);
        if (!woken || *woken < kPage) co_return;
    }
}

void AccountKeeper::pause(const std::string& next_hops) {
    AccountTrouble paused = accounts_.pause(next_hops, clock_.now());
    log_.info(next_hops + ": paused by the operator, all its mail waits");
    tasks_.spawn(save(std::move(paused)), "account");
}

void AccountKeeper::resume(const std::string& next_hops) {
    for (const AccountTrouble& trouble : accounts_.resume(next_hops, clock_.now())) {
        log_.info(display_name(trouble.account) + ": resumed by the operator");
        tasks_.spawn(forget(trouble.account), "account");
    }
}

void AccountKeeper::try_now(bool all) {
    accounts_.try_now(all, clock_.now());
}

}  // namespace postrider::delivery
