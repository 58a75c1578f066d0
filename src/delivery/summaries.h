// What senders get instead of the thousandth report: one message that tells of many.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "delivery/lane.h"
#include "delivery/options.h"
#include "delivery/report_quota.h"
#include "message/summary.h"
#include "net/event.h"
#include "net/stream.h"
#include "queue/queue.h"

namespace postrider::delivery {

/// A sender gets ReportOptions::sender_limit reports in an interval. Mail that fails beyond that
/// stays in the queue, Failed, and waits for a summary (queue::summary_for()), which takes its
/// place, and of all that waits by then, when the interval ends. What waits stands in the queue
/// alone, so a crash changes nothing.
class Summaries {
public:
    /// All references must outlive it.
    Summaries(const Options&, queue::Queue&, const Clock&, boost::asio::any_io_executor,
              const Log& bounce, const Log& qmgr);

    /// Makes them when they are due, until stop(). Spawn it once.
    net::Awaitable<void> run();
    void stop();

    /// Whether the sender may be told of a failure, or of a delay, at once; counts it if so.
    bool may_report(const mail::Address& sender);
    bool may_warn(const mail::Address& sender);
    /// What to wait for otherwise, and until when at least.
    static queue::Account account_of(const mail::Address& sender);
    WallTime due(const mail::Address& sender) const;
    /// The queue has recorded that mail waits.
    void owe(const mail::Address& sender);

private:
    using Listed = std::vector<queue::ListedMessage>;
    struct Batch {
        queue::Summary summary;
        std::vector<message::FailedMessage> failed;
        mail::Address to;
        std::size_t size = 0;
        bool smtputf8 = false;
    };

    net::Awaitable<Result<void>> take_up();
    net::Awaitable<void> summarise(std::string sender);
    net::Awaitable<Result<void>> tell_of(const Listed& waiting);
    net::Awaitable<void> add(Batch& batch, const queue::ListedMessage& message);
    net::Awaitable<Result<void>> send(Batch& batch);
    void put_off(const std::string& sender, const Error& why);

    const Options& options_;
    queue::Queue& queue_;
    const Clock& clock_;
    const Log& bounce_log_;
    const Log& qmgr_log_;
    ReportQuota failures_;
    ReportQuota delays_;
    net::Event changed_;
    bool stopping_ = false;
};

}  // namespace postrider::delivery
