// The lines of a message of ours to a sender.
#pragma once

#include <string>
#include <string_view>

#include "core/clock.h"
#include "mail/queue_id.h"
#include "message/content_writer.h"
#include "message/date.h"
#include "message/report.h"

namespace postrider::message {

/// Every text from outside passes through text(): after it, it holds no line break and no control
/// character.
class ReportLines {
public:
    explicit ReportLines(bool eight_bit) : eight_bit_(eight_bit) {}

    /// As it may stand in a header of ours and in a part for people.
    std::string text(std::string_view raw) const;
    static void mask_8bit(std::string& text);

    void line(std::string_view text) { out_.line(text); }
    /// Breaks between words, so that lines have at most 79 characters where words allow it.
    void wrapped(std::string_view words);

    /// Who writes what when: what all messages of ours begin with, up to and including To.
    struct Head {
        const mail::QueueId& id;
        WallTime now;
        const Zone& zone;
        std::string_view host, origin, mail_name;
        std::string_view subject;
        std::string_view to;  ///< Completed with the origin if it is a bare name.
    };
    /// Returns the Message-Id, to be written last.
    std::string head(const Head& head);

    std::size_t length() const { return out_.length(); }
    /// Takes it all; header_length, message_id and subject are the caller's.
    Report finish();

private:
    static constexpr std::size_t kRecordMax = 2048;  // line_length_limit, for the size.

    const bool eight_bit_;  ///< Labelled 8bit, and UTF-8 for people.
    ContentWriter out_{kRecordMax};
};

}  // namespace postrider::message
