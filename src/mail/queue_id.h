// The name of a queued message, made as Postfix makes it.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"

namespace postrider::mail {

/// Identifies one message in the log, in the tools and in Received fields.
///
/// Short form: five upper-case hexadecimal digits of the creation time's microseconds, then the
/// message number in upper-case hexadecimal (`8DC08A800E0`). Long form (enable_long_queue_ids):
/// seconds in base 52 (at least six digits), microseconds in base 52 (four digits), `z`, and the
/// number in base 51; the alphabet has no vowels, base 51 no `z`. The message number, which plays
/// the part of Postfix's inode, is unique in a queue, so the id is.
class QueueId {
public:
    QueueId() = default;
    static QueueId make_short(WallTime created, std::uint64_t number);
    static QueueId make_long(WallTime created, std::uint64_t number);
    /// Accepts letters, digits and `_`, at most 255 characters.
    static std::optional<QueueId> parse(std::string_view text);

    const std::string& str() const { return text_; }
    bool empty() const { return text_.empty(); }
    bool is_long() const;
    friend auto operator<=>(const QueueId&, const QueueId&) = default;

private:
    explicit QueueId(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

}  // namespace postrider::mail
