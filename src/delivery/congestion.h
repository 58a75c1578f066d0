// How much one destination can bear at once.
#pragma once

#include <chrono>

#include "core/clock.h"
#include "delivery/options.h"

namespace postrider::delivery {

/// Concurrency towards one destination, as Postfix's queue manager does it. When a whole cohort has
/// failed, it gives up: the destination is to be left alone for a time (delivery/accounts.h). After
/// that the window is one until something succeeds. Until a first session has come about, too, only
/// one is tried at a time; it has kHeadStart for that, as a server may say nothing for minutes.
class Congestion {
public:
    explicit Congestion(const ConcurrencyOptions&);

    static constexpr std::chrono::seconds kHeadStart{10};

    /// Whether another transaction may start now.
    bool admits(MonotonicTime now) const {
        return running_ < (untried_ && now < others_from_ ? 1 : window_);
    }
    /// When the others need not wait for the first any more; max() if they do not.
    MonotonicTime head_start_ends(MonotonicTime now) const {
        const bool waits = untried_ && running_ > 0 && now < others_from_;
        return waits ? others_from_ : MonotonicTime::max();
    }
    void started(MonotonicTime now) {
        if (running_++ == 0) others_from_ = now + kHeadStart;
    }
    /// A session has been greeted and logged in.
    void connected() { untried_ = false; }
    void ended() { --running_; }
    /// A session worked, whatever became of the mail.
    void succeeded();
    /// A session was lost, or the host does not want us now. True if it is to be left alone.
    bool failed();
    /// It has been left alone, or soon will be: carefully from now on.
    void give_up();

    unsigned window() const { return window_; }
    unsigned running() const { return running_; }

private:
    unsigned limit() const;

    const ConcurrencyOptions& options_;
    unsigned window_;
    unsigned running_ = 0;
    double successes_ = 0;
    double failures_ = 0;
    double failed_cohorts_ = 0;
    bool probing_ = false;
    bool untried_ = true;  // No session has come about so far.
    MonotonicTime others_from_ = MonotonicTime::max();
};

}  // namespace postrider::delivery
