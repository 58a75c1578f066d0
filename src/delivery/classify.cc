#include "delivery/classify.h"

#include <fmt/format.h>

#include "core/log.h"
#include "delivery/stage_words.h"

namespace postrider::delivery {

namespace {

using mail::Disposition;
using mail::EnhancedStatus;

Verdict deferred(EnhancedStatus status, std::string text, Reach reach) {
    Verdict verdict;
    verdict.disposition.kind = Disposition::Kind::Deferred;
    verdict.disposition.status = status;
    verdict.disposition.text = printable(text);
    verdict.reach = reach;
    return verdict;
}

Verdict bounced(EnhancedStatus status, std::string text, Reach reach) {
    Verdict verdict = deferred(status, std::move(text), reach);
    verdict.disposition.kind = Disposition::Kind::Bounced;
    return verdict;
}

Verdict of(queue::Trouble trouble, Verdict verdict) {
    verdict.trouble = trouble;
    return verdict;
}

// A refusal of ours to give up: 5.7.8 becomes 4.7.8.
EnhancedStatus softened(EnhancedStatus status) {
    status.status_class = 4;
    return status;
}

std::string said(Stage stage, const smtp::Reply& reply, const Peer& peer) {
    return fmt::format("host {} said: {} (in reply to {})", peer.name(), smtp::log_text(reply),
                       words_of(stage).command);
}

// Scripts know this text with the line break shown as `?`.
std::string joined_by_question_mark(const smtp::Reply& reply) {
    std::string text;
    for (std::size_t i = 0; i < reply.lines.size(); ++i) {
        const bool last = i + 1 == reply.lines.size();
        text +=
            fmt::format("{}{}{}{}", reply.code, last ? ' ' : '-', reply.lines[i], last ? "" : "?");
    }
    return text;
}

Reach reach_of_refusal(Stage stage, const smtp::Reply& reply, KnownAnswer::Meaning meaning) {
    // RFC 5321 3.8: the server closes after 421, whatever it was asked. Where a row says that the
    // refusal is about this mail, only the connection is lost by it.
    if (reply.code == 421 && meaning != KnownAnswer::Meaning::Defer) return Reach::Destination;
    return stage == Stage::Rcpt ? Reach::Recipient : Reach::Message;
}

Reach reach_of(KnownAnswer::Meaning meaning, Reach otherwise) {
    switch (meaning) {
        case KnownAnswer::Meaning::Login:
        case KnownAnswer::Meaning::Quota:
            return Reach::Account;
        case KnownAnswer::Meaning::Destination:
            return Reach::Destination;
        case KnownAnswer::Meaning::Defer:
        case KnownAnswer::Meaning::AsItSays:
            break;
    }
    return otherwise;
}

queue::Trouble trouble_of(KnownAnswer::Meaning meaning, queue::Trouble otherwise) {
    if (meaning == KnownAnswer::Meaning::Login) return queue::Trouble::LoginRefused;
    if (meaning == KnownAnswer::Meaning::Quota) return queue::Trouble::QuotaReached;
    return otherwise;
}

Verdict refused_in_transaction(Stage stage, const smtp::Reply& reply, const Peer& peer,
                               KnownAnswer::Meaning meaning) {
    const EnhancedStatus status = reply.status_or_generic();
    const Reach reach = reach_of_refusal(stage, reply, meaning);
    if (!reply.is_transient() && !reply.is_permanent()) {
        // A success where none can be, or a code of no class: who is out of step must not decide
        // about mail. Postfix bounces here; doubt means deferred.
        return deferred({4, 5, 0}, "Protocol error: " + said(stage, reply, peer), Reach::Session);
    }
    if (meaning != KnownAnswer::Meaning::AsItSays) {
        return of(trouble_of(meaning, queue::Trouble::Unreachable),
                  deferred(softened(status), said(stage, reply, peer), reach_of(meaning, reach)));
    }
    if (reply.is_permanent()) return bounced(status, said(stage, reply, peer), reach);
    return deferred(status, said(stage, reply, peer), reach);
}

Verdict refused(Stage stage, const smtp::Reply& reply, const Peer& peer,
                KnownAnswer::Meaning meaning) {
    // Before the login it is one address that does not want us.
    const bool another_may_do = meaning == KnownAnswer::Meaning::Destination;
    const EnhancedStatus status = softened(reply.status_or_generic());
    switch (stage) {
        case Stage::StartTls:
            return of(queue::Trouble::TlsRefused,
                      deferred(status,
                               fmt::format("TLS is required, but host {} refused to start TLS: {}",
                                           peer.name(), smtp::log_text(reply)),
                               Reach::Session));
        case Stage::Auth:
            return of(trouble_of(meaning, queue::Trouble::LoginRefused),
                      deferred(status,
                               fmt::format("SASL authentication failed; server {} said: {}",
                                           peer.name(), joined_by_question_mark(reply)),
                               reach_of(meaning, Reach::Account)));
        case Stage::Connect:
        case Stage::Greeting:
        case Stage::Ehlo:
        case Stage::Helo:
        case Stage::Tls:
            return of(
                trouble_of(meaning, queue::Trouble::Unreachable),
                deferred(status,
                         fmt::format("host {} refused to talk to me: {}", peer.name(),
                                     smtp::log_text(reply)),
                         another_may_do ? Reach::Session : reach_of(meaning, Reach::Session)));
        case Stage::Mail:
        case Stage::Rcpt:
        case Stage::Data:
        case Stage::Content:
        case Stage::EndOfData:
        case Stage::Rset:
        case Stage::Quit:
            return refused_in_transaction(stage, reply, peer, meaning);
    }
    return local_trouble("unexpected reply");
}

}  // namespace

std::string Peer::name() const {
    return fmt::format("{}[{}]", host, address);
}

std::string Peer::with_port() const {
    return fmt::format("{}[{}]:{}", host, address, port);
}

Verdict classify(Stage stage, const smtp::Reply& reply, const Peer& peer,
                 const KnownAnswers* answers) {
    static const KnownAnswers kOurs;
    const KnownAnswer* known = (answers != nullptr ? *answers : kOurs).find(stage, reply);
    Verdict verdict = refused(stage, reply, peer,
                              known != nullptr ? known->meaning : KnownAnswer::Meaning::AsItSays);
    if (known != nullptr) verdict.advice = known->advice;
    verdict.disposition.remote_mta = peer.host;
    verdict.disposition.diagnostic = smtp::log_text(reply);
    return verdict;
}

Verdict classify(Stage stage, const Error& error, const Peer& peer) {
    if (stage == Stage::Connect) {
        return deferred({4, 4, 1}, error.message, Reach::Session);
    }
    switch (error.code) {
        case ErrorCode::Timeout:
            return deferred({4, 4, 2},
                            fmt::format("conversation with {} timed out while {}", peer.name(),
                                        words_of(stage).activity),
                            Reach::Session);
        case ErrorCode::Connection:
        case ErrorCode::Cancelled:
            return deferred({4, 4, 2},
                            fmt::format("lost connection with {} while {}", peer.name(),
                                        words_of(stage).activity),
                            Reach::Session);
        case ErrorCode::Protocol:
            return deferred({4, 5, 0},
                            fmt::format("Protocol error: host {}: {} while {}", peer.name(),
                                        error.message, words_of(stage).activity),
                            Reach::Session);
        case ErrorCode::Io:
        case ErrorCode::DiskFull:
        case ErrorCode::NotFound:
        case ErrorCode::Denied:
        case ErrorCode::Invalid:
        case ErrorCode::Limit:
        case ErrorCode::Corrupt:
        case ErrorCode::Unavailable:
            break;
    }
    return local_trouble(
        fmt::format("local data error while talking to {}: {}", peer.name(), error.message));
}

Verdict lookup_failure(const Error& error, bool is_relayhost) {
    if (error.code != ErrorCode::NotFound) {
        return deferred({4, 4, 3}, error.message, Reach::Destination);
    }
    if (is_relayhost) return deferred({4, 3, 5}, error.message, Reach::Destination);
    return bounced({5, 4, 4}, error.message, Reach::Destination);
}

Verdict tls_failure(TlsTrouble trouble, const Peer& peer) {
    Verdict verdict = local_trouble("TLS");
    switch (trouble) {
        case TlsTrouble::NotOffered:
            verdict = deferred(
                {4, 7, 4},
                fmt::format("TLS is required, but was not offered by host {}", peer.name()),
                Reach::Session);
            break;
        case TlsTrouble::Handshake:
            verdict = deferred({4, 7, 5}, "Cannot start TLS: handshake failure", Reach::Session);
            break;
        case TlsTrouble::NotVerified:
            verdict = deferred({4, 7, 5}, "Server certificate not verified", Reach::Session);
            break;
        case TlsTrouble::Configuration:
            verdict = deferred({4, 7, 5}, "client TLS configuration problem", Reach::Destination);
            break;
    }
    return of(queue::Trouble::TlsRefused, std::move(verdict));
}

Verdict no_common_mechanism(const Peer& peer, bool offered_any) {
    const std::string text =
        offered_any ? fmt::format(
                          "SASL authentication failed; cannot authenticate to server {}: no "
                          "mechanism available",
                          peer.name())
                    : fmt::format(
                          "SASL authentication failed: server {} offered no compatible "
                          "authentication mechanisms for this type of connection security",
                          peer.name());
    return of(queue::Trouble::LoginRefused, deferred({4, 7, 0}, text, Reach::Account));
}

Verdict too_big(std::uint64_t size, std::uint64_t limit, const Peer& peer) {
    return bounced(
        {5, 3, 4},
        fmt::format("message size {} exceeds size limit {} of server {}", size, limit, peer.name()),
        Reach::Message);
}

Verdict smtputf8_missing(const Peer& peer) {
    return bounced({5, 6, 7},
                   fmt::format("SMTPUTF8 is required, but was not offered by host {}", peer.name()),
                   Reach::Message);
}

Verdict local_trouble(std::string text) {
    return deferred({4, 3, 0}, std::move(text), Reach::Message);
}

bool is_transaction_full(const smtp::Reply& reply) {
    if (reply.code != 452 && reply.code != 552) return false;
    const auto status = reply.status();
    return !status || *status == EnhancedStatus(4, 5, 3) || *status == EnhancedStatus(5, 5, 3);
}

}  // namespace postrider::delivery
