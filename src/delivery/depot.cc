#include "delivery/depot.h"

#include <algorithm>

namespace postrider::delivery {

Depot::Depot(const Options& what, const Maps& maps, queue::Queue& from, Dialler& dialler,
             const Clock& time, const Ages& known_ages, boost::asio::any_io_executor on,
             const Log& log)
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
      ages(known_ages),
      logins(options, maps),
      keeper(options, queue, router, logins, clock, tasks, qmgr_log),
      login_turns(options, keeper.accounts(), gate, clock, on),
      lanes(options, dialler, keeper.accounts(), gate, clock, on),
      connections(options, dialler, clock, gate, tasks, on),
      settler(queue, gate, clock, qmgr_log,
              [this] {
                  due.set();
                  lanes.wake_all();
              }),
      reporter(options, queue, clock, bounce_log),
      summaries(options, queue, clock, executor, bounce_log, qmgr_log) {}

void Depot::learn_from_dialling(Lane& lane, const KnownLogin& login, const Verdict& trouble,
                                WallTime begun) {
    // A name that does not exist is settled per message, not by waiting.
    if (trouble.disposition.kind != mail::Disposition::Kind::Deferred) return;
    // Where other sessions work, one more was too many; that alone is no trouble of the smarthost.
    const bool others_work = lane.congestion.running() > 0 && trouble.reach < Reach::Account;
    if (lane.congestion.failed() || !others_work) {
        lane.congestion.give_up();
        keeper.failed(login, trouble, begun);
        lane.wake_all();
    }
    lane.wake_next();
}

void Depot::learn_from_transaction(Lane& lane, const KnownLogin& login, const Outcomes& outcomes,
                                   WallTime ready, WallTime begun) {
    const Verdict& verdict = outcomes.trouble;
    switch (verdict.reach) {
        case Reach::Recipient:
        case Reach::Message: {
            lane.congestion.succeeded();
            Proof proof;
            proof.begun = begun;
            proof.logged_in = ready;
            proof.sent = std::any_of(
                outcomes.settled.begin(), outcomes.settled.end(), [](const queue::Outcome& one) {
                    return one.disposition.kind == mail::Disposition::Kind::Sent;
                });
            keeper.worked(login.account, proof);
            break;
        }
        case Reach::Session:
        case Reach::Destination:
            if (lane.congestion.failed()) keeper.failed(login, verdict, begun);
            break;
        case Reach::Account:
            keeper.failed(login, verdict, begun);
            break;
    }
    if (keeper.accounts().rule(login.account, clock.now()).standing == Accounts::Standing::Good) {
        lane.wake_next();
    } else {
        lane.wake_all();
    }
}

}  // namespace postrider::delivery
