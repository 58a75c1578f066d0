#include "delivery/accounts.h"

#include <algorithm>
#include <utility>

namespace postrider::delivery {

namespace {

using namespace std::chrono_literals;

// A probe whose message went away is asked for again after this time.
constexpr auto kAskAgain = 60s;
constexpr std::chrono::seconds kUnreachableFirst = 60s;

bool is_of_host(Trouble trouble) {
    return trouble == Trouble::TlsRefused || trouble == Trouble::Unreachable ||
           trouble == Trouble::Paused;
}

}  // namespace

std::string_view name_of(Trouble trouble) {
    switch (trouble) {
        case Trouble::LoginRefused:
            return "login refused";
        case Trouble::TlsRefused:
            return "TLS refused";
        case Trouble::QuotaReached:
            return "quota reached";
        case Trouble::Unreachable:
            return "unreachable";
        case Trouble::Paused:
            return "paused by the operator";
    }
    return "";
}

std::string_view keyword_of(Trouble trouble) {
    switch (trouble) {
        case Trouble::LoginRefused:
            return "login-refused";
        case Trouble::TlsRefused:
            return "tls-refused";
        case Trouble::QuotaReached:
            return "quota-reached";
        case Trouble::Unreachable:
            return "unreachable";
        case Trouble::Paused:
            return "paused";
    }
    return "";
}

void Accounts::load(std::vector<AccountTrouble> troubles, WallTime now) {
    entries_.clear();
    for (AccountTrouble& trouble : troubles) {
        Entry entry;
        const bool harmless =
            trouble.trouble == Trouble::TlsRefused || trouble.trouble == Trouble::Unreachable;
        if (harmless) trouble.next_attempt = now;
        entry.noted = std::min(trouble.since, now);
        const std::string key = trouble.account.key();
        entry.trouble = std::move(trouble);
        entries_[key] = std::move(entry);
    }
}

Accounts::Ruling Accounts::rule(const Account& account, WallTime now) const {
    Ruling ruling;
    for (const Account& scope : {host_of(account), account}) {
        const auto found = entries_.find(scope.key());
        if (found == entries_.end()) continue;
        const Entry& entry = found->second;
        ruling.trouble = &entry.trouble;
        ruling.standing = Standing::Probe;
        if (entry.probing || !is_due(entry, now)) {
            ruling.standing = Standing::Blocked;
            return ruling;
        }
    }
    return ruling;
}

// A clock that was wrong must not put a probe off for years (RS6).
bool Accounts::is_due(const Entry& entry, WallTime now) const {
    if (entry.trouble.trouble == Trouble::Paused) return false;
    const Duration left = entry.trouble.next_attempt - now;
    return left.count() <= 0 || left > std::max(retry_.account_pause_max, retry_.minimal_backoff);
}

void Accounts::begin_probe(const Account& account) {
    for (const Account& scope : {host_of(account), account}) {
        const auto found = entries_.find(scope.key());
        if (found != entries_.end()) found->second.probing = true;
    }
}

void Accounts::end_probe(const Account& account) {
    for (const Account& scope : {host_of(account), account}) {
        const auto found = entries_.find(scope.key());
        if (found != entries_.end()) found->second.probing = false;
    }
}

std::chrono::seconds Accounts::next_interval(const Entry& entry) const {
    const std::chrono::seconds before = entry.trouble.interval;
    if (entry.trouble.trouble == Trouble::Unreachable) {
        // The network's return is noticed, and a server's is soon found out.
        const auto first = std::min(kUnreachableFirst, retry_.minimal_backoff);
        return before.count() == 0 ? first : std::min(before * 2, retry_.minimal_backoff);
    }
    if (before.count() == 0) return retry_.account_pause_min;
    return std::min(before * 2, retry_.account_pause_max);
}

const AccountTrouble* Accounts::failed(const Account& account, const Verdict& verdict,
                                       std::int32_t password_mark, WallTime begun, WallTime now) {
    const Account scope = is_of_host(verdict.trouble) ? host_of(account) : account;
    Entry& entry = entries_[scope.key()];
    AccountTrouble& known = entry.trouble;
    const bool is_known = !known.account.next_hops.empty();
    if (is_known && known.trouble == Trouble::Paused) return nullptr;
    if (is_known && begun < entry.noted) return nullptr;
    if (!is_known || known.trouble != verdict.trouble) {
        known = AccountTrouble();
        known.account = scope;
        known.trouble = verdict.trouble;
        known.since = now;
    }
    known.status = verdict.disposition.status;
    known.reason = verdict.disposition.text;
    known.advice = verdict.advice;
    known.password_mark = scope.login.empty() ? -1 : password_mark;
    known.interval = next_interval(entry);
    known.next_attempt = now + known.interval;
    entry.noted = now;
    entry.probing = false;
    entry.asked.reset();
    return &known;
}

bool Accounts::is_proven(const Entry& entry, const Proof& proof) {
    switch (entry.trouble.trouble) {
        case Trouble::LoginRefused:
            return proof.logged_in >= entry.noted;
        case Trouble::QuotaReached:
            return proof.sent && proof.begun >= entry.noted;
        case Trouble::TlsRefused:
        case Trouble::Unreachable:
            return proof.begun >= entry.noted;
        case Trouble::Paused:
            return false;
    }
    return false;
}

std::vector<AccountTrouble> Accounts::worked(const Account& account, const Proof& proof) {
    std::vector<AccountTrouble> over;
    for (const Account& scope : {host_of(account), account}) {
        const auto found = entries_.find(scope.key());
        if (found == entries_.end()) continue;
        Entry& entry = found->second;
        if (!is_proven(entry, proof)) continue;
        over.push_back(std::move(entry.trouble));
        entries_.erase(found);
    }
    return over;
}

const AccountTrouble& Accounts::pause(const std::string& next_hops, WallTime now) {
    Entry entry;
    entry.trouble.account.next_hops = next_hops;
    entry.trouble.trouble = Trouble::Paused;
    entry.trouble.since = now;
    entry.trouble.next_attempt = now;
    entry.trouble.status = mail::EnhancedStatus(4, 3, 2);
    entry.trouble.reason = "paused by the operator";
    entry.trouble.advice = "postrider resume";
    entry.noted = now;
    Entry& kept = entries_[entry.trouble.account.key()];
    kept = std::move(entry);
    return kept.trouble;
}

std::vector<AccountTrouble> Accounts::resume(std::string_view next_hops, WallTime now) {
    std::vector<AccountTrouble> over;
    for (auto at = entries_.begin(); at != entries_.end();) {
        Entry& entry = at->second;
        const bool meant = next_hops.empty() || entry.trouble.account.next_hops == next_hops;
        if (meant && entry.trouble.trouble == Trouble::Paused) {
            over.push_back(std::move(entry.trouble));
            at = entries_.erase(at);
            continue;
        }
        if (meant) try_entry_now(entry, now);
        ++at;
    }
    return over;
}

void Accounts::try_entry_now(Entry& entry, WallTime now) {
    entry.trouble.next_attempt = std::min(entry.trouble.next_attempt, now);
    entry.trouble.interval = std::chrono::seconds(0);
    entry.asked.reset();
}

void Accounts::try_now(bool all, WallTime now) {
    for (auto& [key, entry] : entries_) {
        const Trouble trouble = entry.trouble.trouble;
        if (trouble == Trouble::Paused || (!all && !is_of_host(trouble))) continue;
        try_entry_now(entry, now);
    }
}

std::vector<Account> Accounts::due(WallTime now) {
    std::vector<Account> due;
    for (auto& [key, entry] : entries_) {
        const bool was_asked = entry.asked && *entry.asked <= now && now < *entry.asked + kAskAgain;
        if (entry.probing || was_asked || !is_due(entry, now)) continue;
        entry.asked = now;
        due.push_back(entry.trouble.account);
    }
    return due;
}

std::optional<WallTime> Accounts::next_due() const {
    std::optional<WallTime> next;
    for (const auto& [key, entry] : entries_) {
        if (entry.trouble.trouble == Trouble::Paused || entry.probing) continue;
        const WallTime at = entry.asked ? *entry.asked + kAskAgain : entry.trouble.next_attempt;
        if (!next || at < *next) next = at;
    }
    return next;
}

bool Accounts::network_may_help() const {
    return std::any_of(entries_.begin(), entries_.end(), [](const auto& named) {
        const Trouble trouble = named.second.trouble.trouble;
        return trouble == Trouble::Unreachable || trouble == Trouble::TlsRefused;
    });
}

const AccountTrouble* Accounts::find(const Account& account) const {
    const auto found = entries_.find(account.key());
    return found == entries_.end() ? nullptr : &found->second.trouble;
}

std::vector<AccountTrouble> Accounts::all() const {
    std::vector<AccountTrouble> all;
    for (const auto& [key, entry] : entries_) all.push_back(entry.trouble);
    return all;
}

void Accounts::set_alerted(const Account& account) {
    const auto found = entries_.find(account.key());
    if (found != entries_.end()) found->second.trouble.alerted = true;
}

}  // namespace postrider::delivery
