// How messages come into the spool.
#include <string>

#include "core/checksum.h"
#include "queue/inbox.h"
#include "queue/sqlite_spool.h"
#include "queue/store_files.h"

namespace postrider::queue {
namespace {

/// What NewMessage::drop may be long.
constexpr std::size_t kDropMax = 200;

Error invalid(std::uint64_t number, std::string_view why) {
    return {ErrorCode::Invalid, "message " + std::to_string(number) + ": " + std::string(why)};
}

}  // namespace

Result<void> SqliteSpool::store_piece(std::uint64_t number, std::uint32_t piece,
                                      std::string_view bytes) {
    const auto inserted =
        database_
            ->statement("INSERT INTO content VALUES(?, ?)", content_id(number, piece), Blob{bytes})
            .run();
    if (!inserted) return Unexpected(inserted.error());
    return {};
}

bool SqliteSpool::goes_into_file(std::uint64_t number, std::uint32_t piece) const {
    return !in_memory_ && piece >= options_.pieces_in_database && receiving_.contains(number);
}

Result<void> SqliteSpool::append(std::uint64_t number, std::uint32_t piece,
                                 std::string_view bytes) {
    if (number > kNumberMax || piece >= kPiecesMax - 1) {
        return Unexpected(invalid(number, "too large"));
    }
    const bool into_file = goes_into_file(number, piece);
    if (into_file && bytes.size() != Inbox::kPieceSize) {
        return Unexpected(invalid(number, "a short piece"));
    }
    if (auto room = check_room(bytes.size()); !room) return room;
    return whole([&]() -> Result<void> {
        // Before any row is changed, as in commit(). A piece out of turn spoils what is refused
        // anyway.
        if (into_file) {
            if (auto written = files_.write(number, piece, bytes); !written) return written;
        }
        const auto length = static_cast<std::int64_t>(bytes.size());
        const auto row = static_cast<std::int64_t>(number);
        const auto changed =
            piece == 0
                ? database_->statement("INSERT INTO receiving VALUES(?, 1, ?)", row, length).run()
                : database_
                      ->statement(
                          "UPDATE receiving SET pieces = pieces + 1, length = length + ? "
                          "WHERE number = ? AND pieces = ?",
                          length, row, std::int64_t{piece})
                      .run();
        if (!changed) return Unexpected(changed.error());
        if (*changed != 1) return Unexpected(invalid(number, "a piece is missing"));
        if (piece == 0) begun_.push_back(number);
        return into_file ? Result<void>() : store_piece(number, piece, bytes);
    });
}

/// Whether the pieces before the last one are there, and make up the message with it.
Result<void> SqliteSpool::check_received(const NewMessage& message, std::uint32_t piece,
                                         std::uint64_t last) {
    if (piece == 0) return {};
    const std::uint64_t number = message.ticket.number;
    Statement query = database_->statement(
        "SELECT 1 FROM receiving WHERE number = ? AND pieces = ? AND length + ? = ?",
        static_cast<std::int64_t>(number), std::int64_t{piece}, static_cast<std::int64_t>(last),
        static_cast<std::int64_t>(message.content_length));
    const auto complete = query.step();
    if (!complete) return Unexpected(complete.error());
    if (*complete) return {};
    return Unexpected(invalid(number, "a piece is missing"));
}

Result<void> SqliteSpool::finish_receiving(std::uint64_t number) {
    const auto gone =
        database_
            ->statement("DELETE FROM receiving WHERE number = ?", static_cast<std::int64_t>(number))
            .run();
    if (!gone) return Unexpected(gone.error());
    finished_.push_back(number);
    return {};
}

Result<void> SqliteSpool::commit(const NewMessage& message, std::uint32_t piece,
                                 std::string_view last_piece) {
    const std::uint64_t number = message.ticket.number;
    const std::size_t recipients = message.envelope.recipients.size();
    if (number > kNumberMax || piece >= kPiecesMax || recipients > kRecipientsMax ||
        message.drop.size() > kDropMax) {
        return Unexpected(invalid(number, "too large"));
    }
    if (recipients == 0) return Unexpected(invalid(number, "no recipients"));
    if (piece == 0) {
        if (message.content_length != last_piece.size()) {
            return Unexpected(invalid(number, "content does not have its length"));
        }
        Checksum checksum;
        checksum.add(last_piece);
        if (checksum.value() != message.checksum) {
            return Unexpected(invalid(number, "content does not have its checksum"));
        }
    }
    if (auto room = check_room(last_piece.size()); !room) return room;
    return whole([&]() -> Result<void> {
        // What can be wrong with it, and a disk that is full, shows before any row is changed: then
        // it is nobody else's trouble.
        if (auto complete = check_received(message, piece, last_piece.size()); !complete) {
            return complete;
        }
        if (auto kept = finish_file(number, piece, last_piece); !kept) return kept;
        const auto first = message.drop.empty() ? true : note_taken(message.drop);
        if (!first) return Unexpected(first.error());
        if (!*first) {
            if (log_) {
                log_->info(message.ticket.id.str() + ": removed (maildrop/" + message.drop +
                           " had been taken before)");
            }
            return drop_received(number);
        }
        auto done = piece > 0 ? finish_receiving(number) : Result<void>();
        // The last piece may be empty when the content ended with the one before.
        if (done && !last_piece.empty() && !goes_into_file(number, piece)) {
            done = store_piece(number, piece, last_piece);
        }
        if (done) done = add(message);
        return done;
    });
}

Result<void> SqliteSpool::finish_file(std::uint64_t number, std::uint32_t piece,
                                      std::string_view last_piece) {
    if (goes_into_file(number, piece) && !last_piece.empty()) {
        if (auto written = files_.write(number, piece, last_piece); !written) return written;
    }
    return files_.is_open(number) ? files_.sync(number) : Result<void>();
}

/// False if it is there already.
Result<bool> SqliteSpool::note_taken(const std::string& drop) {
    const auto added =
        database_->statement("INSERT OR IGNORE INTO taken(file) VALUES(?)", drop).run();
    if (!added) return Unexpected(added.error());
    if (*added == 0) return false;
    const auto forgotten =
        database_
            ->statement("DELETE FROM taken WHERE number <= (SELECT max(number) FROM taken) - ?",
                        kTakenMax)
            .run();
    if (!forgotten) return Unexpected(forgotten.error());
    return true;
}

Result<void> SqliteSpool::add(const NewMessage& message) {
    const Place place = message.held ? Place::Held : Place::New;
    WallTime due = message.arrival;
    if (place == Place::New) {
        due = to_time(turns_.place(party_of(message.submitter_uid, message.envelope.reverse_path)));
    }
    if (auto done = insert_message(*database_, message, due); !done) return done;
    ++counts_[static_cast<std::size_t>(place)];
    entered(place, due);
    return {};
}

Result<void> SqliteSpool::discard(std::uint64_t number) {
    return whole([&] { return drop_received(number); });
}

/// Inside a call.
Result<void> SqliteSpool::drop_received(std::uint64_t number) {
    const auto row = static_cast<std::int64_t>(number);
    const auto gone = database_->statement("DELETE FROM receiving WHERE number = ?", row).run();
    if (!gone) return Unexpected(gone.error());
    if (*gone == 0) return {};
    const auto kept = database_->statement("INSERT OR IGNORE INTO garbage VALUES(?)", row).run();
    if (!kept) return Unexpected(kept.error());
    discarded_.insert(number);
    finished_.push_back(number);
    return {};
}

}  // namespace postrider::queue
