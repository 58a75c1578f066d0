// The header fields that a submitted message lacks.
#pragma once

#include <bitset>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mail/address.h"
#include "message/cleanup.h"
#include "message/header_field.h"

namespace postrider::message {

/// What was seen in the primary header block.
class SeenFields {
public:
    void add(Field field) {
        fields_.set(static_cast<std::size_t>(field));
        if (is_resent(field)) resent_ = true;
    }
    bool has(Field field) const { return fields_.test(static_cast<std::size_t>(field)); }
    /// A Resent- field makes us supply the Resent- kind of what is missing.
    bool any_resent() const { return resent_; }

private:
    std::bitset<32> fields_;
    bool resent_ = false;
};

struct MissingHeaders {
    std::vector<std::string> fields;  ///< In Postfix's order; folded with LF where long.
    std::string message_id;           ///< The one supplied, with brackets; empty if none was.
};

/// Message-Id, Date, From and the undisclosed_recipients_header, as far as they are missing.
/// `sender` is the rewritten reverse-path.
MissingHeaders missing_headers(const SeenFields& seen, const CleanupOptions& options,
                               const Submission& submission, const mail::Address& sender);

/// Puts as many lines of a field together as make lines shorter than 70 characters: a rewritten
/// address list has one address a line.
std::string folded(std::string header);

}  // namespace postrider::message
