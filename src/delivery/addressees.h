// The recipients of one transaction, and what the server's answers make of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "delivery/classify.h"
#include "queue/message.h"

namespace postrider::delivery {

/// Each of them is settled once, or left over for another transaction; what is said of it after
/// that says nothing new.
class Addressees {
public:
    /// Those of the lease with these ordinals. `answers` may be null: our own, then. All but
    /// `ordinals` must outlive it.
    Addressees(const queue::Lease& lease, const std::vector<std::uint32_t>& ordinals,
               const Peer& peer, const KnownAnswers* answers);

    /// Those who are asked for, in the order of the lease.
    std::size_t size() const { return asked_.size(); }
    bool empty() const { return asked_.empty(); }
    const mail::Recipient& operator[](std::size_t i) const { return asked_[i].queued->recipient; }

    /// Before anything is said: this one cannot be put into a command.
    void cannot_be_said(std::size_t i, mail::Disposition why);
    /// Those are not asked for. The others close ranks.
    void leave_out_settled();

    /// The reply to RCPT.
    void heard_of(std::size_t i, const smtp::Reply&);
    /// The reply to DATA, a chunk or the end of the content: it is about those who were accepted.
    void heard_of_accepted(Stage, const smtp::Reply&);
    /// A refusal that is about all.
    void refused(Stage, const smtp::Reply&);
    /// A trouble that is about all, whatever had been said of them.
    void settle_rest(const Verdict&);

    /// Whether somebody would get the message if its content were sent now.
    bool any_accepted() const;
    /// Whether an answer was of a kind after which nothing more should be said over the session.
    bool ends_session() const { return ends_session_; }

    // What it came to; see Outcomes.
    std::vector<queue::Outcome> take_settled() { return std::move(settled_); }
    std::vector<std::uint32_t> take_left_over() { return std::move(left_over_); }
    const Verdict& trouble() const { return trouble_; }

private:
    struct Addressee {
        explicit Addressee(const queue::QueuedRecipient& who) : queued(&who) {}

        const queue::QueuedRecipient* queued;
        bool accepted = false;
        bool done = false;  // Settled or left over.
    };
    void settle(Addressee&, mail::Disposition);
    void settle_all(const Verdict&, bool accepted_only);
    void note(const Verdict&);

    const Peer& peer_;
    const KnownAnswers* const answers_;
    std::vector<Addressee> asked_;
    std::vector<queue::Outcome> settled_;
    std::vector<std::uint32_t> left_over_;
    Verdict trouble_;
    bool ends_session_ = false;
};

}  // namespace postrider::delivery
