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
    queue::NewMessage message;
    if (auto otherwise = conclude(message)) co_return *std::move(otherwise);
    message.submitter_uid = submitter_uid;
    message.client = std::move(client);

    co_await hand_over(cleanup_->take_output());
    if (failure_) co_return *failure_;
    auto committed = co_await inbox_.commit(std::move(message), std::move(rest_));
    if (!committed) co_return std::move(committed).error();
    finished_ = true;
    co_return Committed();
}

/// What is to be committed. If nothing is, why.
std::optional<IncomingMessage::Outcome> IncomingMessage::conclude(queue::NewMessage& message) {
    message::Verdict verdict = cleanup_->finish();
    if (auto* rejected = std::get_if<message::Rejected>(&verdict)) return std::move(*rejected);
    if (std::holds_alternative<message::Discarded>(verdict)) return Dropped();
    auto& accepted = std::get<message::Accepted>(verdict);
    if (accepted.envelope.recipients.empty()) {
        message::Rejected nobody;
        nobody.reply_code = 554;
        nobody.status = mail::EnhancedStatus(5, 5, 1);
        nobody.text = "no recipients specified";
        return nobody;
    }
    message.ticket = ticket_;
    message.envelope = std::move(accepted.envelope);
    message.arrival = arrival_;
    message.size = accepted.size;
    message.content_length = accepted.content_length;
    message.checksum = accepted.checksum;
    message.header_length = accepted.header_length;
    message.longest_line = accepted.longest_line;
    message.has_8bit = accepted.has_8bit;
    message.held = accepted.held;
    message.content_filter = std::move(accepted.content_filter);
    message.drop = std::move(drop_);
    return std::nullopt;
}

bool IncomingMessage::is_in_doubt(const Outcome& outcome) {
    const auto* error = std::get_if<Error>(&outcome);
    return error != nullptr &&
           (error->code == ErrorCode::Connection || error->code == ErrorCode::Cancelled);
}

}  // namespace postrider::intake
