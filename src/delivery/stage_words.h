// What the stages of a dialogue are called.
#pragma once

#include <string_view>

#include "delivery/known_answers.h"

namespace postrider::delivery {

struct StageWords {
    std::string_view row;  ///< In the table of known answers.
    /// What the peer is doing to us while we wait, for `lost connection with H while ...`.
    std::string_view activity;
    std::string_view command;  ///< For `(in reply to ...)`; empty before the first transaction.
};

const StageWords& words_of(Stage);

}  // namespace postrider::delivery
