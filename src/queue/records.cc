#include "queue/records.h"

#include <string>
#include <utility>

#include "core/checksum.h"

namespace postrider::queue {
namespace {

std::int64_t notify_bits(const mail::Notify& notify) {
    return (notify.never ? 1 : 0) | (notify.success ? 2 : 0) | (notify.failure ? 4 : 0) |
           (notify.delay ? 8 : 0);
}

mail::Notify notify_of(std::int64_t bits) {
    mail::Notify notify;
    notify.never = (bits & 1) != 0;
    notify.success = (bits & 2) != 0;
    notify.failure = (bits & 4) != 0;
    notify.delay = (bits & 8) != 0;
    return notify;
}

/// Reads columns that must lie within bounds, and remembers whether all did.
class Columns {
public:
    explicit Columns(const Statement& row) : row_(row) {}

    template <typename Integer>
    Integer integer(std::int64_t max = std::numeric_limits<Integer>::max()) {
        const std::int64_t value = row_.integer(next_++);
        if (value < 0 || value > max) sound_ = false;
        return static_cast<Integer>(value);
    }
    template <typename Enumeration>
    Enumeration enumeration(Enumeration last) {
        return static_cast<Enumeration>(integer<std::uint8_t>(static_cast<std::int64_t>(last)));
    }
    bool flag() { return integer<std::uint8_t>(1) != 0; }
    std::int64_t any() { return row_.integer(next_++); }
    std::string text() { return row_.text(next_++); }
    bool is_null() const { return row_.is_null(next_); }
    void skip(int columns) { next_ += columns; }
    bool sound() const { return sound_; }

private:
    const Statement& row_;
    int next_ = 0;
    bool sound_ = true;
};

/// Content of four pages at most beside its row's (R6: no large deletion while outcomes are
/// recorded).
constexpr std::uint64_t kSmallContent = 16000;
/// Gathers what never changes in a row, for a checksum: SQLite notices damage to its structure, but
/// not to what stands in it, and mail must not go to an address that nobody gave.
class RowCheck {
public:
    RowCheck& add(std::int64_t value) {
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
        return *this;
    }
    RowCheck& add(std::string_view text) {
        add(static_cast<std::int64_t>(text.size()));
        bytes_.append(text);
        return *this;
    }
    std::int64_t value() const {
        Checksum checksum;
        checksum.add(bytes_);
        return checksum.value();
    }

private:
    std::string bytes_;
};

/// Of a Lease or a NewMessage: what they have in common.
template <typename Message>
std::int64_t row_check(std::uint64_t number, const mail::QueueId& id, const Message& message) {
    const mail::Envelope& envelope = message.envelope;
    RowCheck check;
    check.add(static_cast<std::int64_t>(number)).add(id.str()).add(to_column(message.arrival));
    check.add(static_cast<std::int64_t>(message.origin)).add(message.submitter_uid);
    check.add(message.client).add(static_cast<std::int64_t>(message.size));
    check.add(static_cast<std::int64_t>(message.content_length));
    check.add(std::int64_t{message.checksum}).add(std::int64_t{message.header_length});
    check.add(std::int64_t{message.longest_line}).add(std::int64_t{message.has_8bit});
    check.add(message.content_filter).add(envelope.reverse_path.local_part);
    check.add(envelope.reverse_path.domain).add(envelope.envelope_id);
    check.add(static_cast<std::int64_t>(envelope.dsn_return));
    check.add(static_cast<std::int64_t>(envelope.body)).add(std::int64_t{envelope.smtputf8});
    return check.value();
}

std::int64_t row_check(std::int64_t id, const mail::Recipient& recipient) {
    RowCheck check;
    check.add(id).add(recipient.address.local_part).add(recipient.address.domain);
    check.add(recipient.original.local_part).add(recipient.original.domain);
    check.add(recipient.original_recipient).add(notify_bits(recipient.notify));
    return check.value();
}

constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();

#define POSTRIDER_MESSAGE_COLUMNS                                                           \
    "number, place, due, attempts, recipients, dead, delay_reported, expire, id, arrival, " \
    "origin, submitter_uid, client, size, content_length, checksum, header_length, "        \
    "longest_line, has_8bit, content_filter, sender_local, sender_domain, envelope_id, "    \
    "dsn_return, body, smtputf8, waits_for, row_check"

std::string damaged_row(std::uint64_t number) {
    return "message " + std::to_string(number) + ": damaged row";
}

/// What is said of a message of which nothing can be believed but its number.
StoredMessage damaged(const Lease& read) {
    StoredMessage message;
    message.place = Place::Dead;
    message.lease.number = read.number;
    message.lease.id = Ticket::make(read.number, WallTime(), false).id;
    message.damage = damaged_row(read.number);
    return message;
}

StoredMessage message_of(const Statement& row) {
    Columns columns(row);
    StoredMessage message;
    Lease& lease = message.lease;
    lease.number = columns.integer<std::uint64_t>(kInt64Max);
    message.place = columns.enumeration(Place::Dead);
    message.due = to_time(columns.any());
    lease.attempts = columns.integer<std::uint32_t>();
    message.recipients = columns.integer<std::uint32_t>();
    message.dead = columns.integer<std::uint32_t>();
    lease.delay_reported = columns.flag();
    lease.expire = columns.flag();
    const auto id = mail::QueueId::parse(columns.text());
    lease.id = id.value_or(mail::QueueId());
    lease.arrival = to_time(columns.any());
    lease.origin = columns.enumeration(Origin::Report);
    lease.submitter_uid = columns.any();
    lease.client = columns.text();
    lease.size = columns.integer<std::uint64_t>(kInt64Max);
    lease.content_length = columns.integer<std::uint64_t>(kInt64Max);
    lease.checksum = columns.integer<std::uint32_t>();
    lease.header_length = columns.integer<std::uint32_t>();
    lease.longest_line = columns.integer<std::uint32_t>();
    lease.has_8bit = columns.flag();
    lease.content_filter = columns.text();
    lease.envelope.reverse_path.local_part = columns.text();
    lease.envelope.reverse_path.domain = columns.text();
    lease.envelope.envelope_id = columns.text();
    lease.envelope.dsn_return = columns.enumeration(mail::DsnReturn::Headers);
    lease.envelope.body = columns.enumeration(mail::BodyType::EightBitMime);
    lease.envelope.smtputf8 = columns.flag();
    const bool waits = !columns.is_null();
    std::string waits_for = columns.text();
    if (waits) message.waits_for = std::move(waits_for);
    const bool intact =
        columns.is_null() || columns.any() == row_check(lease.number, lease.id, lease);
    if (columns.sound() && id && intact) return message;
    return damaged(lease);
}

Result<QueuedRecipient> recipient_of(const Statement& row) {
    Columns columns(row);
    QueuedRecipient queued;
    mail::Recipient& recipient = queued.recipient;
    queued.ordinal =
        static_cast<std::uint32_t>(columns.integer<std::uint64_t>(kInt64Max) % kRecipientsMax);
    queued.state = columns.enumeration(RecipientState::Dead);
    recipient.address.local_part = columns.text();
    recipient.address.domain = columns.text();
    recipient.original = recipient.address;
    if (columns.is_null()) {
        columns.skip(2);
    } else {
        recipient.original.local_part = columns.text();
        recipient.original.domain = columns.text();
    }
    recipient.original_recipient = columns.text();
    recipient.notify = notify_of(columns.integer<std::uint8_t>(15));
    bool status_is_sound = true;
    if (columns.is_null()) {
        columns.skip(5);
    } else {
        queued.last.kind = columns.enumeration(mail::Disposition::Kind::Expired);
        const auto status = mail::parse_status(columns.text());
        status_is_sound = status.has_value();
        queued.last.status = status.value_or(mail::EnhancedStatus());
        queued.last.text = columns.text();
        queued.last.remote_mta = columns.text();
        queued.last.diagnostic = columns.text();
    }
    const bool intact = columns.is_null() || columns.any() == row_check(row.integer(0), recipient);
    if (columns.sound() && status_is_sound && intact) return queued;
    return Unexpected(ErrorCode::Corrupt,
                      "recipient " + std::to_string(row.integer(0)) + ": damaged row");
}

Result<void> done(Statement statement) {
    const auto changed = statement.run();
    if (!changed) return Unexpected(changed.error());
    return {};
}

Result<void> insert_recipient(Database& database, std::int64_t id,
                              const mail::Recipient& recipient) {
    const mail::Address& to = recipient.address;
    if (recipient.original == to) {
        return done(database.statement(
            "INSERT INTO recipient(id, state, local_part, domain, original_recipient, notify, "
            "row_check) VALUES(?, 0, ?, ?, ?, ?, ?)",
            id, to.local_part, to.domain, recipient.original_recipient,
            notify_bits(recipient.notify), row_check(id, recipient)));
    }
    return done(database.statement(
        "INSERT INTO recipient(id, state, local_part, domain, original_recipient, notify, "
        "original_local, original_domain, row_check) VALUES(?, 0, ?, ?, ?, ?, ?, ?, ?)",
        id, to.local_part, to.domain, recipient.original_recipient, notify_bits(recipient.notify),
        recipient.original.local_part, recipient.original.domain, row_check(id, recipient)));
}

std::int64_t column(std::uint64_t value) {
    return static_cast<std::int64_t>(value);
}

}  // namespace

Result<void> insert_message(Database& database, const NewMessage& message, WallTime due) {
    const mail::Envelope& envelope = message.envelope;
    const std::uint64_t number = message.ticket.number;
    const auto place = static_cast<std::int64_t>(message.held ? Place::Held : Place::New);
    auto inserted = done(database.statement(
        "INSERT INTO message(" POSTRIDER_MESSAGE_COLUMNS
        ") "
        "VALUES(?, ?, ?, 0, ?, 0, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "NULL, ?)",
        column(number), place, to_column(due), column(envelope.recipients.size()),
        message.ticket.id.str(), to_column(message.arrival),
        static_cast<std::int64_t>(message.origin), message.submitter_uid, message.client,
        column(message.size), column(message.content_length), std::int64_t{message.checksum},
        std::int64_t{message.header_length}, std::int64_t{message.longest_line},
        std::int64_t{message.has_8bit}, message.content_filter, envelope.reverse_path.local_part,
        envelope.reverse_path.domain, envelope.envelope_id,
        static_cast<std::int64_t>(envelope.dsn_return), static_cast<std::int64_t>(envelope.body),
        std::int64_t{envelope.smtputf8}, row_check(number, message.ticket.id, message)));
    std::uint32_t ordinal = 0;
    for (const mail::Recipient& recipient : envelope.recipients) {
        if (!inserted) break;
        inserted = insert_recipient(database, recipient_id(number, ordinal++), recipient);
    }
    return inserted;
}

Result<std::optional<StoredMessage>> read_message(Database& database, std::uint64_t number) {
    Statement query = database.statement(
        "SELECT " POSTRIDER_MESSAGE_COLUMNS " FROM message WHERE number = ?", column(number));
    const auto row = query.step();
    if (!row) return Unexpected(row.error());
    if (!*row) return std::optional<StoredMessage>();
    StoredMessage message = message_of(query);
    if (!message.damage.empty()) return Unexpected(ErrorCode::Corrupt, message.damage);
    return std::optional<StoredMessage>(std::move(message));
}

namespace {

Result<std::vector<StoredMessage>> messages_of(Statement query, std::size_t limit) {
    std::vector<StoredMessage> messages;
    while (messages.size() < limit) {
        const auto row = query.step();
        if (!row) return Unexpected(row.error());
        if (!*row) break;
        messages.push_back(message_of(query));
    }
    return messages;
}

}  // namespace

Result<std::vector<StoredMessage>> read_messages(Database& database, std::uint64_t after,
                                                 std::size_t limit) {
    return messages_of(database.statement("SELECT " POSTRIDER_MESSAGE_COLUMNS
                                          " FROM message WHERE number > ? ORDER BY number",
                                          column(after)),
                       limit);
}

Result<std::vector<StoredMessage>> read_waiting(Database& database, std::string_view account,
                                                std::uint64_t after, std::size_t limit) {
    return messages_of(database.statement("SELECT " POSTRIDER_MESSAGE_COLUMNS
                                          " FROM message WHERE place = 1 AND waits_for IS NOT NULL "
                                          "AND waits_for = ? AND number > ? ORDER BY number",
                                          account, column(after)),
                       limit);
}

Standing standing_of(const StoredMessage& message) {
    Standing standing;
    standing.place = message.place;
    standing.due = message.due;
    standing.waits_for = message.waits_for;
    standing.attempts = message.lease.attempts;
    standing.recipients = message.recipients;
    standing.dead = message.dead;
    standing.delay_reported = message.lease.delay_reported;
    standing.expire = message.lease.expire;
    return standing;
}

Result<std::optional<Standing>> read_standing(Database& database, std::uint64_t number) {
    Statement query = database.statement(
        "SELECT place, due, attempts, recipients, dead, delay_reported, expire, waits_for "
        "FROM message WHERE number = ?",
        column(number));
    const auto row = query.step();
    if (!row) return Unexpected(row.error());
    if (!*row) return std::optional<Standing>();
    Columns columns(query);
    Standing standing;
    standing.place = columns.enumeration(Place::Dead);
    standing.due = to_time(columns.any());
    standing.attempts = columns.integer<std::uint32_t>();
    standing.recipients = columns.integer<std::uint32_t>();
    standing.dead = columns.integer<std::uint32_t>();
    standing.delay_reported = columns.flag();
    standing.expire = columns.flag();
    standing.waits_for = columns.text();
    if (columns.sound()) return std::optional<Standing>(std::move(standing));
    return Unexpected(ErrorCode::Corrupt, damaged_row(number));
}

Result<void> write_standing(Database& database, std::uint64_t number, const Standing& standing) {
    return done(database.statement(
        "UPDATE message SET place = ?, due = ?, attempts = ?, recipients = ?, dead = ?, "
        "delay_reported = ?, expire = ?, waits_for = nullif(?, '') WHERE number = ?",
        static_cast<std::int64_t>(standing.place), to_column(standing.due),
        std::int64_t{standing.attempts}, std::int64_t{standing.recipients},
        std::int64_t{standing.dead}, std::int64_t{standing.delay_reported},
        std::int64_t{standing.expire}, standing.waits_for, column(number)));
}

Result<void> delete_message(Database& database, std::uint64_t number) {
    auto deleted = done(database.statement("DELETE FROM recipient WHERE id >= ? AND id < ?",
                                           recipient_id(number, 0), recipient_id(number + 1, 0)));
    if (!deleted) return deleted;
    deleted = done(database.statement("DELETE FROM message WHERE number = ?", column(number)));
    if (!deleted) return deleted;
    return done(database.statement("INSERT OR IGNORE INTO garbage VALUES(?)", column(number)));
}

Result<void> delete_settled_message(Database& database, std::uint64_t number,
                                    std::uint64_t content_length) {
    auto deleted = done(database.statement("DELETE FROM message WHERE number = ?", column(number)));
    if (!deleted) return deleted;
    if (content_length > kSmallContent) {
        return done(database.statement("INSERT OR IGNORE INTO garbage VALUES(?)", column(number)));
    }
    return done(database.statement("DELETE FROM content WHERE id = ?", content_id(number, 0)));
}

Result<StoredRecipients> read_recipients(Database& database, std::uint64_t number, bool with_dead) {
    Statement query = database.statement(
        "SELECT id, state, local_part, domain, original_local, original_domain, "
        "original_recipient, notify, kind, status, reason, remote_mta, diagnostic, row_check "
        "FROM recipient WHERE id >= ? AND id < ? AND state <= ? ORDER BY id",
        recipient_id(number, 0), recipient_id(number + 1, 0), std::int64_t{with_dead ? 2 : 1});
    StoredRecipients recipients;
    for (;;) {
        const auto row = query.step();
        if (!row) return Unexpected(row.error());
        if (!*row) return recipients;
        auto recipient = recipient_of(query);
        if (recipient) {
            recipients.sound.push_back(std::move(*recipient));
        } else {
            recipients.damage = recipient.error().message;
        }
    }
}

Result<std::int64_t> delete_recipient(Database& database, std::uint64_t number,
                                      std::uint32_t ordinal) {
    return database.statement("DELETE FROM recipient WHERE id = ?", recipient_id(number, ordinal))
        .run();
}

Result<std::int64_t> delete_failed_recipient(Database& database, std::uint64_t number,
                                             std::uint32_t ordinal) {
    return database
        .statement("DELETE FROM recipient WHERE id = ? AND state = 1",
                   recipient_id(number, ordinal))
        .run();
}

Result<std::int64_t> bury_recipient(Database& database, std::uint64_t number,
                                    std::uint32_t ordinal) {
    return database
        .statement("UPDATE recipient SET state = 2 WHERE id = ? AND state = 1",
                   recipient_id(number, ordinal))
        .run();
}

Result<std::int64_t> update_recipient(Database& database, std::uint64_t number,
                                      const Outcome& outcome, RecipientState state) {
    const mail::Disposition& disposition = outcome.disposition;
    const std::string status = mail::to_string(disposition.status);
    return database
        .statement(
            "UPDATE recipient SET state = ?, kind = ?, status = ?, reason = ?, "
            "remote_mta = ?, diagnostic = ? WHERE id = ? AND state <> 2",
            static_cast<std::int64_t>(state), static_cast<std::int64_t>(disposition.kind), status,
            disposition.text, disposition.remote_mta, disposition.diagnostic,
            recipient_id(number, outcome.ordinal))
        .run();
}

}  // namespace postrider::queue
