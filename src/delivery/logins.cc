#include "delivery/logins.h"

#include <algorithm>
#include <utility>

#include "core/checksum.h"
#include "delivery/handshake.h"

namespace postrider::delivery {

namespace {

using namespace std::chrono_literals;

// Longer than any wait for a turn; what is gone after it is a connection, not mail.
constexpr auto kPatience = 120s;

std::int32_t mark_of(const Login& login) {
    Checksum checksum;
    checksum.add(login.user);
    checksum.add(std::string_view("\n", 1));
    checksum.add(login.password.reveal());
    const std::uint32_t value = checksum.value();
    return static_cast<std::int32_t>((value ^ (value >> 16)) & 0xffff);
}

Verdict barred(std::string text) {
    Verdict verdict = local_trouble(std::move(text));
    verdict.reach = Reach::Account;  // Another address would not be given a turn, either.
    return verdict;
}

}  // namespace

const KnownLogin& LoginBook::find(const std::string& next_hops, const mail::Address& sender) {
    std::string key = next_hops + '\n';
    if (options_.session.sender_dependent_auth) key += mail::internal(sender);
    const auto known = known_.find(key);
    if (known != known_.end()) return known->second;
    if (known_.size() >= kKnownMax) known_.clear();
    return known_[key] = look_up(next_hops, sender);
}

KnownLogin LoginBook::look_up(const std::string& next_hops, const mail::Address& sender) const {
    KnownLogin found;
    found.account.next_hops = next_hops;
    if (!options_.session.sasl_auth_enable) return found;
    const auto hops = parse_next_hops(next_hops, options_.route.ports, options_.route.default_port);
    if (!hops) return found;
    for (const NextHop& hop : *hops) {
        Peer peer;
        peer.host = hop.host;
        const auto login = find_login(maps_.passwords, options_.session, peer, hop, sender,
                                      options_.route.recipient_delimiter);
        if (!login || !*login) continue;
        found.account.login = (*login)->user;
        found.password_mark = mark_of(**login);
        break;
    }
    return found;
}

LoginTurns::LoginTurns(const Options& options, const Accounts& accounts, const Gate& gate,
                       const Clock& clock, boost::asio::any_io_executor executor)
    : options_(options),
      accounts_(accounts),
      gate_(gate),
      clock_(clock),
      executor_(std::move(executor)) {}

MonotonicTime LoginTurns::allowed_at(Turn& turn, MonotonicTime now) const {
    while (!turn.recent.empty() && turn.recent.front() + 60s <= now) turn.recent.pop_front();
    const std::size_t limit = std::max(1U, options_.session.logins_per_minute);
    return turn.recent.size() < limit ? now : turn.recent.front() + 60s;
}

net::Awaitable<std::optional<Verdict>> LoginTurns::Pass::enter() {
    Turn& turn = (*turns_.book_)[account_.key()];
    const Clock& clock = turns_.clock_;
    const MonotonicTime patience = clock.monotonic() + kPatience;
    if (inside_) {
        turn.recent.push_back(clock.monotonic());
        co_return std::nullopt;
    }
    net::Event mine(turns_.executor_);
    turn.waiting.push_back(&mine);
    std::optional<Verdict> refusal;
    for (;;) {
        const MonotonicTime now = clock.monotonic();
        const auto ruling = turns_.accounts_.rule(account_, clock.now());
        if (!probe_ && ruling.standing != Accounts::Standing::Good) {
            refusal = barred(ruling.trouble->reason);
            break;
        }
        if (turns_.gate_.stopping || now >= patience) {
            refusal = barred("no turn to log in");
            break;
        }
        const bool first = turn.waiting.front() == &mine;
        MonotonicTime allowed = turns_.allowed_at(turn, now);
        if (turn.inside != nullptr) allowed = std::max(allowed, turn.since + kTurnMax);
        if (first && allowed <= now) break;
        mine.reset();
        const auto waited = co_await mine.wait(std::min(patience, first ? allowed : patience));
        if (!waited && waited.error().code == ErrorCode::Cancelled) {
            refusal = barred("no turn to log in");
            break;
        }
    }
    std::erase(turn.waiting, &mine);
    if (refusal) {
        barred_ = true;
        if (!turn.waiting.empty()) turn.waiting.front()->set();
        co_return refusal;
    }
    turn.inside = this;
    turn.since = clock.monotonic();
    inside_ = true;
    turn.recent.push_back(turn.since);
    // The next one in line looks when it is due.
    if (!turn.waiting.empty()) turn.waiting.front()->set();
    co_return std::nullopt;
}

LoginTurns::Pass::~Pass() {
    const auto book = book_.lock();
    if (!inside_ || !book) return;
    Turn& turn = (*book)[account_.key()];
    // Unless another has taken its place meanwhile.
    if (turn.inside == this) turn.inside = nullptr;
    if (!turn.waiting.empty()) turn.waiting.front()->set();
}

}  // namespace postrider::delivery
