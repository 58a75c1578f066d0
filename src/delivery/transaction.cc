#include "delivery/transaction.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
#include "delivery/addressees.h"
#include "delivery/outgoing_content.h"
#include "smtp/commands.h"

namespace postrider::delivery {

namespace {

// Chunks sent ahead of their replies: enough to keep a long line full, few enough that a refusal
// in the middle wastes little.
constexpr unsigned kChunksAhead = 4;
// A connection that answered so lately is still there, as far as anybody can know.
constexpr auto kTrustedFor = std::chrono::seconds(1);

bool needs_smtputf8(const queue::Lease& lease, const Addressees& addressees) {
    const auto is_plain = [](const mail::Address& address) {
        return is_ascii(address.local_part) && is_ascii(address.domain);
    };
    bool all_plain = is_plain(lease.envelope.reverse_path);
    for (std::size_t i = 0; i < addressees.size(); ++i) {
        all_plain = all_plain && is_plain(addressees[i].address);
    }
    return lease.envelope.smtputf8 || !all_plain;
}

// The dialogue of one transaction. Lives in the frame of transact().
class Dialogue {
public:
    Dialogue(Session& session, const queue::Lease& lease,
             const std::vector<std::uint32_t>& recipients, ContentSource& content,
             const TransactionOptions& options, const Clock& clock, const Log& log,
             TransactionMarks& marks)
        : session_(session),
          lease_(lease),
          content_(content),
          options_(options),
          clock_(clock),
          log_(log),
          marks_(marks),
          offers_(session.capabilities),
          addressees_(lease, recipients, session.peer, options.known_answers.get()) {}

    net::Awaitable<Outcomes> run();

private:
    // What will be said. False if there is nobody to say it for; everything is settled then.
    bool prepare();

    // The phases. Each returns false when the dialogue cannot go on; everything is settled then.
    net::Awaitable<bool> say_in_one_flight();
    net::Awaitable<bool> say_one_by_one();
    net::Awaitable<bool> say_envelope_first();
    net::Awaitable<bool> hear_envelope();
    net::Awaitable<void> finish_data(bool asked);
    net::Awaitable<void> send_content();
    net::Awaitable<void> finish_chunks();
    net::Awaitable<void> abandon();

    // Content. False as above.
    void begin_content(bool chunked);
    net::Awaitable<bool> read_next();
    net::Awaitable<bool> send_chunk();

    net::Awaitable<bool> send(std::string_view bytes, unsigned replies, Stage,
                              std::chrono::seconds timeout);
    net::Awaitable<std::optional<smtp::Reply>> hear(Stage, std::chrono::seconds timeout);

    void heard_of_mail(const smtp::Reply&);
    void lose(Stage, const Error&);
    bool is_over() const { return broken_ || addressees_.ends_session(); }
    MonotonicTime after(std::chrono::seconds timeout) const { return clock_.monotonic() + timeout; }

    Session& session_;
    const queue::Lease& lease_;
    ContentSource& content_;
    const TransactionOptions& options_;
    const Clock& clock_;
    const Log& log_;
    TransactionMarks& marks_;
    const smtp::Capabilities& offers_;

    Addressees addressees_;
    std::string mail_command_;
    std::vector<std::string> rcpt_commands_;  // In the order of addressees_.
    unsigned heard_ = 0;
    bool was_idle_ = false;
    bool broken_ = false;         // Nothing more can be said.
    bool stale_ = false;          // As in Outcomes.
    bool damaged_ = false;        // As in Outcomes.
    bool mail_accepted_ = false;  // A transaction is open at the server.

    bool downgrade_ = false;
    std::optional<OutgoingContent> outgoing_;
};

net::Awaitable<Outcomes> Dialogue::run() {
    ++session_.uses;
    was_idle_ = session_.uses > 1 && clock_.monotonic() - session_.last_heard >= kTrustedFor;
    if (prepare()) {
        if (offers_.pipelining) {
            co_await say_in_one_flight();
        } else {
            co_await say_one_by_one();
        }
    }
    if (is_over()) session_.channel->close();
    Outcomes outcomes;
    outcomes.settled = addressees_.take_settled();
    outcomes.left_over = addressees_.take_left_over();
    outcomes.trouble = addressees_.trouble();
    outcomes.damaged = damaged_;
    outcomes.reusable = session_.channel->is_open();
    outcomes.stale = stale_;
    co_return outcomes;
}

bool Dialogue::prepare() {
    if (offers_.size_max && *offers_.size_max > 0 && lease_.size > *offers_.size_max) {
        addressees_.settle_rest(too_big(lease_.size, *offers_.size_max, session_.peer));
        return false;
    }
    const bool utf8 = needs_smtputf8(lease_, addressees_);
    if (utf8 && !offers_.smtputf8) {
        addressees_.settle_rest(smtputf8_missing(session_.peer));
        return false;
    }
    downgrade_ =
        message::needs_downgrade(lease_.has_8bit, lease_.envelope.body == mail::BodyType::SevenBit,
                                 offers_.eight_bit_mime, options_.disable_mime_output_conversion);
    smtp::MailOptions parameters;
    if (!downgrade_) parameters.size = lease_.size;
    parameters.smtputf8 = utf8;
    parameters.auth_null = options_.send_dummy_mail_auth;
    auto mail = smtp::mail_command(lease_.envelope, offers_, parameters);
    if (!mail) {
        addressees_.settle_rest(local_trouble(mail.error().message));
        return false;
    }
    mail_command_ = *std::move(mail);
    for (std::size_t i = 0; i < addressees_.size(); ++i) {
        auto rcpt = smtp::rcpt_command(addressees_[i], offers_);
        if (rcpt) {
            rcpt_commands_.push_back(*std::move(rcpt));
        } else {
            addressees_.cannot_be_said(i, local_trouble(rcpt.error().message).disposition);
        }
    }
    addressees_.leave_out_settled();
    return !addressees_.empty();
}

net::Awaitable<bool> Dialogue::say_in_one_flight() {
    std::string flight = mail_command_;
    for (const std::string& command : rcpt_commands_) flight += command;
    const auto replies = static_cast<unsigned>(addressees_.size()) + 2;

    const bool chunked = offers_.chunking;
    begin_content(chunked);
    if (chunked && was_idle_) co_return co_await say_envelope_first();
    if (chunked) {
        if (!co_await read_next()) co_return false;
        flight += smtp::bdat_command(outgoing_->piece().size(), outgoing_->is_complete());
        flight += outgoing_->piece();
        marks_.committing = outgoing_->is_complete();
    } else {
        flight += smtp::kDataCommand;
    }
    if (!co_await send(flight, replies, Stage::Mail, options_.timeouts.mail)) co_return false;
    if (!co_await hear_envelope()) co_return false;
    if (chunked) {
        co_await finish_chunks();
    } else {
        co_await finish_data(true);
    }
    co_return true;
}

// The server may have closed a connection that was idle, and its farewell be on its way. If the end
// of the content had gone out by then, nobody could tell whether the message was taken.
net::Awaitable<bool> Dialogue::say_envelope_first() {
    std::string flight = mail_command_;
    for (const std::string& command : rcpt_commands_) flight += command;
    const auto replies = static_cast<unsigned>(addressees_.size()) + 1;
    if (!co_await send(flight, replies, Stage::Mail, options_.timeouts.mail)) co_return false;
    if (!co_await hear_envelope()) co_return false;
    if (!addressees_.any_accepted()) {
        co_await abandon();
        co_return true;
    }
    if (!co_await send_chunk()) co_return false;
    co_await finish_chunks();
    co_return true;
}

net::Awaitable<bool> Dialogue::hear_envelope() {
    const auto mail = co_await hear(Stage::Mail, options_.timeouts.mail);
    if (!mail) co_return false;
    heard_of_mail(*mail);
    for (std::size_t i = 0; i < addressees_.size() && !is_over(); ++i) {
        const auto reply = co_await hear(Stage::Rcpt, options_.timeouts.rcpt);
        if (!reply) co_return false;
        addressees_.heard_of(i, *reply);
    }
    co_return !is_over();
}

net::Awaitable<bool> Dialogue::say_one_by_one() {
    begin_content(false);
    if (!co_await send(mail_command_, 1, Stage::Mail, options_.timeouts.mail)) co_return false;
    const auto mail = co_await hear(Stage::Mail, options_.timeouts.mail);
    if (!mail) co_return false;
    heard_of_mail(*mail);
    if (!mail_accepted_ || is_over()) co_return false;

    for (std::size_t i = 0; i < addressees_.size(); ++i) {
        const std::string& command = rcpt_commands_[i];
        if (!co_await send(command, 1, Stage::Rcpt, options_.timeouts.rcpt)) co_return false;
        const auto reply = co_await hear(Stage::Rcpt, options_.timeouts.rcpt);
        if (!reply) co_return false;
        addressees_.heard_of(i, *reply);
        if (is_over()) co_return false;
    }
    co_await finish_data(false);
    co_return true;
}

// From the reply to DATA on; says DATA first if it has not been said with the envelope.
net::Awaitable<void> Dialogue::finish_data(bool asked) {
    if (!asked) {
        if (!addressees_.any_accepted()) co_return co_await abandon();
        if (!co_await send(smtp::kDataCommand, 1, Stage::Data, options_.timeouts.data_init)) {
            co_return;
        }
    }
    const auto go = co_await hear(Stage::Data, options_.timeouts.data_init);
    if (!go) co_return;
    if (go->code == 354 && addressees_.any_accepted()) co_return co_await send_content();
    if (go->code == 354) {
        // Nobody is left, yet it wants content: a lone dot ends it without a message.
        if (!co_await send(".\r\n", 1, Stage::EndOfData, options_.timeouts.data_done)) co_return;
        co_await hear(Stage::EndOfData, options_.timeouts.data_done);
        co_return;
    }
    if (addressees_.any_accepted()) addressees_.heard_of_accepted(Stage::Data, *go);
    if (!is_over()) co_await abandon();
}

net::Awaitable<void> Dialogue::send_content() {
    do {
        if (!co_await read_next()) co_return;
        marks_.committing = outgoing_->is_complete();
        const unsigned replies = marks_.committing ? 1 : 0;
        const Stage stage = marks_.committing ? Stage::EndOfData : Stage::Content;
        if (!co_await send(outgoing_->piece(), replies, stage, options_.timeouts.data_xfer)) {
            co_return;
        }
    } while (!outgoing_->is_complete());
    const auto reply = co_await hear(Stage::EndOfData, options_.timeouts.data_done);
    if (reply) addressees_.heard_of_accepted(Stage::EndOfData, *reply);
}

// The first chunk has gone out with the envelope.
net::Awaitable<void> Dialogue::finish_chunks() {
    unsigned ahead = 1;
    while (ahead > 0) {
        if (!outgoing_->is_complete() && addressees_.any_accepted() && ahead < kChunksAhead &&
            heard_ > addressees_.size() + 1) {
            if (!co_await send_chunk()) co_return;
            ++ahead;
            continue;
        }
        const bool last = outgoing_->is_complete() && ahead == 1;
        const Stage stage = last ? Stage::EndOfData : Stage::Content;
        const auto timeout = last ? options_.timeouts.data_done : options_.timeouts.data_xfer;
        const auto reply = co_await hear(stage, timeout);
        if (!reply) co_return;
        --ahead;
        if (!addressees_.any_accepted()) co_return co_await abandon();
        if (last || !reply->is_positive()) {
            addressees_.heard_of_accepted(stage, *reply);
            // Replies to further chunks are still to come; not worth waiting for.
            if (ahead > 0) broken_ = true;
            if (!is_over() && !reply->is_positive()) co_await abandon();
            co_return;
        }
        if (!outgoing_->is_complete() && ahead == 0 && heard_ == addressees_.size() + 2) {
            // The first chunk was taken, so the recipients were: the rest follows at full speed.
            if (!co_await send_chunk()) co_return;
            ++ahead;
        }
    }
}

// Leaves the server without an open transaction, so that the session can be used again.
net::Awaitable<void> Dialogue::abandon() {
    if (!mail_accepted_ || is_over()) co_return;
    auto sent =
        co_await session_.channel->send(smtp::kRsetCommand, 1, after(options_.timeouts.rset));
    if (sent) {
        const auto reply = co_await session_.channel->receive(after(options_.timeouts.rset));
        if (reply && reply->is_positive()) co_return;
    }
    broken_ = true;
}

void Dialogue::begin_content(bool chunked) {
    message::OutgoingOptions how;
    how.chunked = chunked;
    how.line_length_max = options_.line_length_limit;
    how.convert_to_7bit = downgrade_;
    outgoing_.emplace(content_, lease_, how);
}

net::Awaitable<bool> Dialogue::read_next() {
    const auto prepared = co_await outgoing_->advance();
    if (!prepared) {
        const std::string& trouble = prepared.error().message;
        log_.error(fmt::format("{}: {}", lease_.id.str(), trouble));
        // Without the end of data the server has nothing. If content has begun, only closing the
        // connection ends it.
        addressees_.settle_rest(local_trouble("queue file read error: " + trouble));
        damaged_ = prepared.error().code == ErrorCode::Corrupt;
        if (mail_accepted_) broken_ = true;
        co_return false;
    }
    if (outgoing_->is_complete() && outgoing_->broke_line()) {
        log_.info(fmt::format("{}: breaking line > {} bytes with <CR><LF>SPACE", lease_.id.str(),
                              options_.line_length_limit));
    }
    co_return true;
}

net::Awaitable<bool> Dialogue::send_chunk() {
    if (!co_await read_next()) co_return false;
    const bool last = outgoing_->is_complete();
    const std::string chunk =
        smtp::bdat_command(outgoing_->piece().size(), last) + outgoing_->piece();
    marks_.committing = last;
    const Stage stage = last ? Stage::EndOfData : Stage::Content;
    co_return co_await send(chunk, 1, stage, options_.timeouts.data_xfer);
}

net::Awaitable<bool> Dialogue::send(std::string_view bytes, unsigned replies, Stage stage,
                                    std::chrono::seconds timeout) {
    // Known to be closed: nothing of this goes out.
    if (!session_.channel->is_open()) marks_.committing = false;
    auto sent = co_await session_.channel->send(bytes, replies, after(timeout));
    if (!sent) lose(stage, sent.error());
    co_return sent.has_value();
}

net::Awaitable<std::optional<smtp::Reply>> Dialogue::hear(Stage stage,
                                                          std::chrono::seconds timeout) {
    auto reply = co_await session_.channel->receive(after(timeout));
    if (!reply) {
        lose(stage, reply.error());
        co_return std::nullopt;
    }
    ++heard_;
    co_return *std::move(reply);
}

void Dialogue::heard_of_mail(const smtp::Reply& reply) {
    mail_accepted_ = reply.is_positive();
    if (!mail_accepted_) addressees_.refused(Stage::Mail, reply);
}

// The connection is gone. If it had been used before and never said a word since, that happened
// meanwhile, and nobody is to blame -- unless the end of the content is out: then the message may
// have arrived all the same (P3).
void Dialogue::lose(Stage stage, const Error& error) {
    broken_ = true;
    const bool unheard = heard_ == 0 && session_.uses > 1 && !marks_.committing;
    if (unheard && error.code == ErrorCode::Connection) {
        stale_ = true;
        return;
    }
    // Once the end of data is out, the message may have arrived, whatever we were waiting for.
    if (marks_.committing) stage = Stage::EndOfData;
    addressees_.settle_rest(classify(stage, error, session_.peer));
}

}  // namespace

net::Awaitable<Outcomes> transact(Session& session, const queue::Lease& lease,
                                  const std::vector<std::uint32_t>& recipients,
                                  ContentSource& content, const TransactionOptions& options,
                                  const Clock& clock, const Log& log, TransactionMarks& marks) {
    Dialogue dialogue(session, lease, recipients, content, options, clock, log, marks);
    auto outcomes = co_await dialogue.run();
    session.last_heard = clock.monotonic();
    marks.committing = false;
    co_return outcomes;
}

}  // namespace postrider::delivery
