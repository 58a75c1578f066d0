// Messages and recipients as rows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "queue/database.h"
#include "queue/message.h"
#include "queue/schema.h"

namespace postrider::queue {

/// A message's row. `lease` holds what delivery sees of it, without recipients.
struct StoredMessage {
    Place place = Place::New;
    WallTime due;
    std::string waits_for;         ///< Key of an account; empty: for its time alone.
    std::uint32_t recipients = 0;  ///< Not yet settled, dead ones included.
    std::uint32_t dead = 0;
    Lease lease;
    std::string
        damage;  ///< Why it cannot be trusted; `lease` then has its number, and what is sound.
};

/// The part of a row that changes; written back as a whole.
struct Standing {
    Place place = Place::New;
    WallTime due;
    std::string waits_for;
    std::uint32_t attempts = 0;
    std::uint32_t recipients = 0;
    std::uint32_t dead = 0;
    bool delay_reported = false;
    bool expire = false;
};

constexpr std::int64_t recipient_id(std::uint64_t number, std::uint32_t ordinal) {
    return static_cast<std::int64_t>(number << kOrdinalBits | ordinal);
}
constexpr std::int64_t content_id(std::uint64_t number, std::uint32_t piece) {
    return static_cast<std::int64_t>(number << kPieceBits | piece);
}
constexpr std::int64_t to_column(WallTime time) {
    return time.time_since_epoch().count();
}
constexpr WallTime to_time(std::int64_t column) {
    return WallTime(Duration(column));
}

/// Writes the message's row and its recipients'. The rows must not exist.
Result<void> insert_message(Database&, const NewMessage&, WallTime due);

/// Nothing if there is no such message; Corrupt if its row does not hold together.
Result<std::optional<StoredMessage>> read_message(Database&, std::uint64_t number);
/// Those with numbers above `after`, ascending. Of a damaged one, `damage` tells.
Result<std::vector<StoredMessage>> read_messages(Database&, std::uint64_t after, std::size_t limit);
Standing standing_of(const StoredMessage&);
/// The same of a message of which nothing else is needed, for less than half of what
/// read_message() takes.
Result<std::optional<Standing>> read_standing(Database&, std::uint64_t number);
Result<void> write_standing(Database&, std::uint64_t number, const Standing&);
/// Those that wait for an account, numbers above `after`, ascending.
Result<std::vector<StoredMessage>> read_waiting(Database&, std::string_view account,
                                                std::uint64_t after, std::size_t limit);
/// Removes the message's row and recipients; content becomes garbage.
Result<void> delete_message(Database&, std::uint64_t number);
/// The same for a message whose recipients' rows are gone and whose content nobody reads any more:
/// a small one's content goes at once, which costs less than remembering it as garbage.
Result<void> delete_settled_message(Database&, std::uint64_t number, std::uint64_t content_length);

struct StoredRecipients {
    std::vector<QueuedRecipient> sound;  ///< By ordinal.
    std::string damage;                  ///< Of one of the others, if there are any.
};
Result<StoredRecipients> read_recipients(Database&, std::uint64_t number, bool with_dead);
// Each answers how many rows it changed.
Result<std::int64_t> delete_recipient(Database&, std::uint64_t number, std::uint32_t ordinal);
Result<std::int64_t> delete_failed_recipient(Database&, std::uint64_t number,
                                             std::uint32_t ordinal);
Result<std::int64_t> bury_recipient(Database&, std::uint64_t number, std::uint32_t ordinal);
Result<std::int64_t> update_recipient(Database&, std::uint64_t number, const Outcome&,
                                      RecipientState);

}  // namespace postrider::queue
