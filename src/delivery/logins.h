// Who we are at a smarthost, and how often we may say so.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "delivery/accounts.h"
#include "delivery/lane.h"
#include "delivery/options.h"
#include "delivery/session.h"
#include "mail/address.h"
#include "net/event.h"

namespace postrider::delivery {

/// An account as the password tables know it.
struct KnownLogin {
    Account account;
    /// Sixteen bits drawn from login and password: they tell a changed password from the one that
    /// was refused, and an intruder next to nothing. -1 without a password.
    std::int32_t password_mark = -1;
};

/// Asks the password tables, without a connection: passwords that are listed by the names behind an
/// MX record alone are not found, and all such mail shares the account with the empty login.
class LoginBook {
public:
    /// Both must outlive it.
    LoginBook(const Options& options, const Maps& maps) : options_(options), maps_(maps) {}

    const KnownLogin& find(const std::string& next_hops, const mail::Address& sender);

private:
    KnownLogin look_up(const std::string& next_hops, const mail::Address& sender) const;

    static constexpr std::size_t kKnownMax = 1000;
    const Options& options_;
    const Maps& maps_;
    std::map<std::string, KnownLogin> known_;  // Tables do not change in a courier's life.
};

/// One login at a time for each account, and so many a minute. One that takes very long does not
/// hold up the others for ever: after kTurnMax they take it for lost.
class LoginTurns {
    struct Turn;
    using Turns = std::map<std::string, Turn>;  // By key of the account.

public:
    /// All references must outlive it.
    LoginTurns(const Options&, const Accounts&, const Gate&, const Clock&,
               boost::asio::any_io_executor);

    /// A gate for one dialling; it ends when its outcome is known to the accounts, so that whoever
    /// comes next does not try what has just been refused. `probe`: the account is in trouble, and
    /// this is the one that tries.
    class Pass final : public LoginGate {
    public:
        Pass(LoginTurns& turns, Account account, bool probe)
            : turns_(turns), book_(turns.book_), account_(std::move(account)), probe_(probe) {}
        ~Pass() override;
        net::Awaitable<std::optional<Verdict>> enter() override;
        /// AUTH was not said, because it was not the time for it.
        bool was_barred() const { return barred_; }

    private:
        LoginTurns& turns_;
        const std::weak_ptr<Turns> book_;  // It may outlive the turns, with the event loop.
        const Account account_;
        const bool probe_;
        bool inside_ = false;
        bool barred_ = false;
    };

private:
    static constexpr std::chrono::seconds kTurnMax{30};
    struct Turn {
        Pass* inside = nullptr;  // Whose turn it is.
        MonotonicTime since;     // When it began.
        std::deque<net::Event*> waiting;
        std::deque<MonotonicTime> recent;  // Of the last minute; bounded by the limit.
    };
    /// When the next login may be made.
    MonotonicTime allowed_at(Turn&, MonotonicTime now) const;

    const Options& options_;
    const Accounts& accounts_;
    const Gate& gate_;
    const Clock& clock_;
    boost::asio::any_io_executor executor_;
    const std::shared_ptr<Turns> book_ = std::make_shared<Turns>();
};

}  // namespace postrider::delivery
