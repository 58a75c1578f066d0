// How much one destination can bear: the window, and when it is left alone.
#pragma once

#include <optional>
#include <string>

#include "core/clock.h"
#include "delivery/options.h"
#include "mail/disposition.h"

namespace postrider::delivery {

/// Concurrency towards one destination, as Postfix's queue manager does it, and the pause of an
/// account in trouble. Pure: time comes in with every call.
///
///   Ready --failures of a whole cohort--> Suspended --minimal_backoff--> Ready, probing
///     \----account trouble--------------> Paused ----doubling interval-> Ready, probing
///
/// Probing means a window of one until something succeeds: one attempt per interval, not one per
/// message. Until a first session has logged in, too, only one is tried at a time: a wrong password
/// is refused once, not once for every message in the queue.
class Congestion {
public:
    enum class State : std::uint8_t { Ready, Suspended, Paused };

    Congestion(const ConcurrencyOptions&, const RetryOptions&, WallTime now);

    /// Whether another transaction may start now. Ends a suspension whose time has passed.
    bool admits(WallTime now);
    /// Why not to try at all; nothing when ready.
    const mail::Disposition* suspended(WallTime now);

    void started() { ++running_; }
    /// A session has been greeted and logged in.
    void connected() { untried_ = false; }
    void ended() { --running_; }
    /// A session worked, whatever became of the mail. True if this ended a time of trouble.
    bool succeeded(WallTime now);
    /// No session, or a lost one. True if the destination is now suspended.
    bool failed(const mail::Disposition& reason, WallTime now);
    /// True unless it was in trouble already: the one time to warn.
    bool pause(const mail::Disposition& reason, WallTime now);
    /// As new, but the window.
    void flush(WallTime now);
    /// Ends a suspension; account trouble stays, since another network does not mend it.
    void end_suspension(WallTime now);

    State state() const { return state_; }
    const mail::Disposition& reason() const { return reason_; }
    WallTime since() const { return since_; }
    WallTime next_attempt() const { return next_attempt_; }
    unsigned window() const { return window_; }
    unsigned running() const { return running_; }

private:
    unsigned limit() const;
    void probe(WallTime now);

    const ConcurrencyOptions& concurrency_;
    const RetryOptions& retry_;
    State state_ = State::Ready;
    mail::Disposition reason_;
    WallTime since_;
    WallTime next_attempt_;
    unsigned window_;
    unsigned running_ = 0;
    double successes_ = 0;
    double failures_ = 0;
    double failed_cohorts_ = 0;
    bool probing_ = false;
    bool untried_ = true;              // No session has come about so far.
    bool in_account_trouble_ = false;  // Since the last success.
    std::chrono::seconds pause_{0};    // The latest interval.
};

}  // namespace postrider::delivery
