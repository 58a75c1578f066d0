#include "intake/incoming_message.h"

#include <utility>

namespace postrider::intake {

IncomingMessage::IncomingMessage(queue::Inbox& inbox, queue::Ticket ticket)
    : inbox_(inbox), ticket_(std::move(ticket)) {}

IncomingMessage::~IncomingMessage() {
    if (!finished_) inbox_.discard(ticket_.number);
}

void IncomingMessage::begin(const message::CleanupOptions& options, Log log,
                            message::Submission submission) {
    submission.queue_id = ticket_.id;
    submission.created = ticket_.created;
    arrival_ = submission.arrival;
    cleanup_.emplace(options, std::move(log), std::move(submission));
}

net::Awaitable<void> IncomingMessage::write(std::string_view bytes) {
    cleanup_->write(bytes);
    if (cleanup_->output_size() < message::Cleanup::kOutputPiece) co_return;
    co_await hand_over(cleanup_->take_output());
}

/// Gives the inbox whole pieces; what is left over waits in rest_.
net::Awaitable<void> IncomingMessage::hand_over(std::string output) {
    if (failure_) co_return;
    if (rest_.empty()) {
        rest_ = std::move(output);
    } else {
        rest_ += output;
    }
    constexpr std::size_t piece_size = queue::Inbox::kPieceSize;
    std::size_t begin = 0;
    while (rest_.size() - begin > piece_size) {
        std::string piece = rest_.substr(begin, piece_size);
        begin += piece_size;
        auto appended = co_await inbox_.append(ticket_.number, std::move(piece));
        if (!appended) {
            failure_ = std::move(appended).error();
            rest_.clear();
            co_return;
        }
    }
    rest_.erase(0, begin);
}

net::Awaitable<IncomingMessage::Outcome> IncomingMessage::commit(std::int64_t submitter_uid,
                                                                 std::string client) {
    message::Verdict verdict = cleanup_->finish();
    if (auto* rejected = std::get_if<message::Rejected>(&verdict)) {
        co_return Outcome(std::move(*rejected));
    }
    if (std::holds_alternative<message::Discarded>(verdict)) co_return Outcome(Dropped());
    auto& accepted = std::get<message::Accepted>(verdict);
    co_return co_await commit_accepted(std::move(accepted), submitter_uid, std::move(client));
}

bool IncomingMessage::is_in_doubt(const Outcome& outcome) {
    const auto* error = std::get_if<Error>(&outcome);
    return error != nullptr &&
           (error->code == ErrorCode::Connection || error->code == ErrorCode::Cancelled);
}

net::Awaitable<IncomingMessage::Outcome> IncomingMessage::commit_accepted(
    message::Accepted accepted, std::int64_t submitter_uid, std::string client) {
    co_await hand_over(cleanup_->take_output());
    if (failure_) co_return Outcome(*failure_);
    if (accepted.envelope.recipients.empty()) {
        message::Rejected nobody;
        nobody.reply_code = 554;
        nobody.status = mail::EnhancedStatus(5, 5, 1);
        nobody.text = "no recipients specified";
        co_return Outcome(std::move(nobody));
    }

    queue::NewMessage message;
    message.ticket = ticket_;
    message.envelope = std::move(accepted.envelope);
    message.arrival = arrival_;
    message.submitter_uid = submitter_uid;
    message.client = std::move(client);
    message.size = accepted.size;
    message.content_length = accepted.content_length;
    message.checksum = accepted.checksum;
    message.header_length = accepted.header_length;
    message.longest_line = accepted.longest_line;
    message.has_8bit = accepted.has_8bit;
    message.held = accepted.held;
    message.content_filter = std::move(accepted.content_filter);
    message.drop = std::move(drop_);

    auto committed = co_await inbox_.commit(std::move(message), std::move(rest_));
    if (!committed) co_return Outcome(std::move(committed).error());
    finished_ = true;
    co_return Outcome(Committed());
}

}  // namespace postrider::intake
