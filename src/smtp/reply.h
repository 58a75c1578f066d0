// A server's answer to one command (RFC 5321 4.2): what we say as a server and hear as a client.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mail/status.h"

namespace postrider::smtp {

/// A reply code and its lines. A line is the text behind `250-` or `250 `, without line end; where
/// an enhanced status code is given, the line begins with it: `2.1.0 Ok`.
struct Reply {
    int code = 0;                    ///< 200..599; 0 is no reply.
    std::vector<std::string> lines;  ///< At least one, unless code is 0.

    Reply() = default;
    Reply(int reply_code, std::string text) : code(reply_code) { lines.push_back(std::move(text)); }
    Reply(int reply_code, mail::EnhancedStatus status, const std::string& text)
        : Reply(reply_code, mail::to_string(status) + " " + text) {}
    Reply(int reply_code, std::vector<std::string> texts)
        : code(reply_code), lines(std::move(texts)) {}

    bool is_positive() const { return code / 100 == 2; }
    bool is_intermediate() const { return code / 100 == 3; }
    bool is_transient() const { return code / 100 == 4; }
    bool is_permanent() const { return code / 100 == 5; }

    /// The enhanced status code of the last line, if it is well-formed and its class is the reply
    /// code's first digit (RFC 2034 4); a 3xx reply has none.
    std::optional<mail::EnhancedStatus> status() const;
    /// As status(), else `2.0.0`, `4.0.0`, `5.0.0` by the first digit; `5.5.0` for anything else.
    mail::EnhancedStatus status_or_generic() const;

    friend bool operator==(const Reply&, const Reply&) = default;
};

/// As sent: each line with its code and CRLF. CR, LF and other control characters inside a line
/// become `?`, so that no text can end a line or add a reply. A reply without lines is `250 CRLF`.
std::string wire(const Reply&);
/// Behind others that leave together.
void append_wire(std::string& out, const Reply&);

/// For logs, queue listing and reports: the lines with their codes, joined by a space, as
/// `550-5.1.1 first 550 5.1.1 second`. What does not print is `?`; at most 2000 bytes.
std::string log_text(const Reply&);

}  // namespace postrider::smtp
