// Answers of known smarthosts that do not mean what their code says.
#pragma once

#include <span>
#include <string_view>

#include "delivery/classify.h"

namespace postrider::delivery {

/// Quotas, rate limits and account trouble dressed as refusals of a message. A row fits when all
/// that it names fits.
struct KnownAnswer {
    int code = 0;             ///< Reply code; 0: any.
    std::string_view status;  ///< Enhanced status, as `5.4.5`; empty: any or none.
    std::string_view phrase;  ///< In the text, without regard to case; empty: any.
    std::string_view source;  ///< Who answers so, and where it is documented.
};

/// The row that fits a refusal of MAIL, RCPT, DATA or content; null if none does.
const KnownAnswer* find_account_trouble(const smtp::Reply&);

/// All rows, for tests and for operators to read.
std::span<const KnownAnswer> known_answers();

}  // namespace postrider::delivery
