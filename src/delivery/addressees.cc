#include "delivery/addressees.h"

#include <algorithm>
#include <utility>

namespace postrider::delivery {
namespace {

mail::Disposition sent(const smtp::Reply& reply, const Peer& peer) {
    mail::Disposition disposition;
    disposition.kind = mail::Disposition::Kind::Sent;
    disposition.status = reply.status_or_generic();
    disposition.text = smtp::log_text(reply);
    disposition.remote_mta = peer.host;
    disposition.diagnostic = disposition.text;
    return disposition;
}

}  // namespace

Addressees::Addressees(const queue::Lease& lease, const std::vector<std::uint32_t>& ordinals,
                       const Peer& peer, const KnownAnswers* answers)
    : peer_(peer), answers_(answers) {
    trouble_.reach = Reach::Recipient;
    for (const queue::QueuedRecipient& recipient : lease.recipients) {
        if (std::find(ordinals.begin(), ordinals.end(), recipient.ordinal) != ordinals.end()) {
            asked_.emplace_back(recipient);
        }
    }
}

void Addressees::cannot_be_said(std::size_t i, mail::Disposition why) {
    settle(asked_[i], std::move(why));
}

void Addressees::leave_out_settled() {
    std::erase_if(asked_, [](const Addressee& addressee) { return addressee.done; });
}

void Addressees::heard_of(std::size_t i, const smtp::Reply& reply) {
    Addressee& addressee = asked_[i];
    if (addressee.done) return;  // MAIL was refused: this answer says nothing new.
    if (reply.is_positive()) {
        addressee.accepted = true;
        return;
    }
    // With nobody accepted "too many" cannot be true, and asking again would never end.
    if (is_transaction_full(reply) && any_accepted()) {
        addressee.done = true;
        left_over_.push_back(addressee.queued->ordinal);
        return;
    }
    const Verdict verdict = classify(Stage::Rcpt, reply, peer_, answers_);
    note(verdict);
    settle(addressee, verdict.disposition);
    if (reply.code == 421 || verdict.reach == Reach::Session) settle_all(verdict, false);
}

void Addressees::heard_of_accepted(Stage stage, const smtp::Reply& reply) {
    if (stage != Stage::EndOfData || !reply.is_positive()) {
        return settle_all(classify(stage, reply, peer_, answers_), true);
    }
    for (Addressee& addressee : asked_) {
        if (addressee.accepted && !addressee.done) settle(addressee, sent(reply, peer_));
    }
}

void Addressees::refused(Stage stage, const smtp::Reply& reply) {
    settle_all(classify(stage, reply, peer_, answers_), false);
}

void Addressees::settle_rest(const Verdict& verdict) {
    settle_all(verdict, false);
}

void Addressees::settle_all(const Verdict& verdict, bool accepted_only) {
    note(verdict);
    for (Addressee& addressee : asked_) {
        if (addressee.done || (accepted_only && !addressee.accepted)) continue;
        settle(addressee, verdict.disposition);
    }
}

void Addressees::settle(Addressee& addressee, mail::Disposition disposition) {
    addressee.done = true;
    queue::Outcome outcome;
    outcome.ordinal = addressee.queued->ordinal;
    outcome.disposition = std::move(disposition);
    settled_.push_back(std::move(outcome));
}

void Addressees::note(const Verdict& verdict) {
    const bool closing = verdict.disposition.diagnostic.starts_with("421");
    if (verdict.reach == Reach::Session || verdict.reach == Reach::Destination || closing) {
        ends_session_ = true;
    }
    if (verdict.reach > trouble_.reach) trouble_ = verdict;
}

bool Addressees::any_accepted() const {
    return std::any_of(asked_.begin(), asked_.end(), [](const Addressee& addressee) {
        return addressee.accepted && !addressee.done;
    });
}

}  // namespace postrider::delivery
