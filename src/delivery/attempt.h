// One leased message on its way: routed, delivered group by group, settled.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "delivery/depot.h"
#include "delivery/log_lines.h"
#include "delivery/queue_content.h"
#include "delivery/transaction.h"
#include "queue/message.h"

namespace postrider::delivery {

/// Runs once. The queue hears what is decided for good as soon as it is, and the rest at the end,
/// with the reports that it calls for.
class Attempt {
public:
    Attempt(Depot& depot, queue::Lease lease)
        : depot_(depot), lease_(std::move(lease)), content_(depot.queue, depot.larder, lease_) {}
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;

    net::Awaitable<void> run();

    /// A stop: closes the connection, unless the end of data has been sent.
    void cut_off();
    /// The machine slept: as cut_off(), and it is tried again at once over another connection.
    void start_over();
    /// Something is known, or about to be, that the queue has not heard yet.
    bool must_finish() const { return marks_.committing || concluding_ || !outcomes_.empty(); }

private:
    using Ordinals = std::vector<std::uint32_t>;

    // Delivering.
    void settle_by_route(const Route&, std::uint32_t ordinal);
    net::Awaitable<void> deliver(Route route, Ordinals pending);
    /// What delivering to one group is about.
    struct Way {
        Route route;
        KnownLogin login;
        Lane& lane;
        bool probe = false;  ///< The account is in trouble, and this attempt tries it.
    };
    /// A session; without one what is pending has been deferred.
    net::Awaitable<Dialled> session_for(const Way& way, bool fresh, const Ordinals& pending);
    /// True unless the session turned out to be dead: then nothing has happened.
    net::Awaitable<bool> transact_over(const Way& way, Dialled dialled, Ordinals& pending);
    void defer_blocked(const Way&, const Ordinals&);
    void wait_if_in_trouble(const Way&, const Ordinals&);

    // Ending.
    net::Awaitable<void> settle_part();
    net::Awaitable<void> conclude_all();
    std::optional<Account> common_wait(const std::vector<queue::Outcome>&) const;
    WallTime patience(const AccountTrouble&, WallTime now) const;
    void tell_person(const char* state, std::string reason) const;
    net::Awaitable<bool> add_report(queue::Settlement& settlement, message::ReportKind kind,
                                    std::vector<message::ReportedRecipient> recipients);

    // Recording.
    Passage passage(const Session*);
    void record(Lane*, const queue::Outcome&, const Passage&, const Log&);
    void defer_all(Lane&, const Ordinals&, const mail::Disposition&, const std::optional<Peer>&,
                   const Log&);
    const queue::QueuedRecipient& recipient(std::uint32_t ordinal) const;

    Depot& depot_;
    queue::Lease lease_;
    QueueContent content_;
    Stations stations_;
    std::vector<queue::Outcome> outcomes_;  // Not settled yet.
    Ordinals relayed_without_dsn_;
    std::map<std::uint32_t, Account> waits_for_;  // Deferred until an account is repaired.
    std::vector<std::pair<Notice, mail::QueueId>> notices_;

    TransactionMarks marks_;
    Session* session_ = nullptr;  // The one in use.
    bool concluding_ = false;
    bool starting_over_ = false;
    bool damaged_ = false;  // Its content: nobody is to get it.
};

}  // namespace postrider::delivery
