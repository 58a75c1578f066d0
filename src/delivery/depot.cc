#include "delivery/depot.h"

#include <chrono>

#include <fmt/format.h>

namespace postrider::delivery {

Depot::Depot(const Options& what, const Maps& maps, queue::Queue& from, Dialler& dialler,
             const Clock& time, boost::asio::any_io_executor on, const Log& log)
    : options(what),
      queue(from),
      clock(time),
      executor(on),
      smtp_log(log.named("smtp")),
      qmgr_log(log.named("qmgr")),
      bounce_log(log.named("bounce")),
      error_log(log.named("error")),
      router(options.route, maps),
      tasks(on, log.named("qmgr")),
      due(on),
      ages(time),
      lanes(options, dialler, gate, clock, on),
      connections(options, dialler, clock, gate, tasks, on),
      settler(queue, gate, clock, on, qmgr_log,
              [this] {
                  due.set();
                  lanes.wake_all();
              }),
      reporter(options, queue, clock, bounce_log) {}

void Depot::learn(Lane& lane, const std::string& next_hops, Reach reach,
                  const mail::Disposition& trouble) {
    const WallTime now = clock.now();
    switch (reach) {
        case Reach::Recipient:
        case Reach::Message:
            lane.troubled = false;
            if (lane.congestion.succeeded(now)) {
                qmgr_log.info(fmt::format("{}: the account works again, mail flows", next_hops));
            }
            break;
        case Reach::Session:
        case Reach::Destination:
            // A name that does not exist is settled per message, not by waiting.
            if (trouble.kind != mail::Disposition::Kind::Deferred) break;
            lane.troubled = true;
            lane.congestion.failed(trouble, now);
            break;
        case Reach::Account:
            if (lane.congestion.pause(trouble, now)) {
                qmgr_log.warning(fmt::format(
                    "{}: account trouble, all its mail waits; next attempt in {} s: {}", next_hops,
                    std::chrono::ceil<std::chrono::seconds>(lane.congestion.next_attempt() - now)
                        .count(),
                    trouble.text));
            }
            break;
    }
    if (lane.congestion.state() == Congestion::State::Ready) {
        lane.wake_next();
    } else {
        lane.wake_all();
    }
}

}  // namespace postrider::delivery
