// Answers of known smarthosts that do not mean what their code says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "smtp/reply.h"

namespace postrider::delivery {

/// Where in the dialogue something happened.
enum class Stage : std::uint8_t {
    Connect,
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Tls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Content,
    EndOfData,
    Rset,
    Quit,
};

/// One row of the table; etc/known_answers describes the columns. It fits when all that it names
/// fits.
struct KnownAnswer {
    enum class Meaning : std::uint8_t { Login, Quota, Destination, Defer, AsItSays };

    std::string stage;   ///< As written; `any`.
    std::string code;    ///< With `x` for any digit.
    std::string status;  ///< `*`: any or none.
    Meaning meaning = Meaning::AsItSays;
    std::string words;  ///< Empty: any.
    std::string advice;
};

/// The rows of an operator, then our own. The first that fits decides.
class KnownAnswers {
public:
    /// Our own rows alone.
    KnownAnswers();
    /// With `text` before them; the error says `NAME, line N: what is wrong`.
    static Result<KnownAnswers> parse(std::string_view name, std::string_view text);

    /// Null if no row fits. Costs follow the rows and the length of the reply.
    const KnownAnswer* find(Stage, const smtp::Reply&) const;
    const std::vector<KnownAnswer>& rows() const { return rows_; }

    /// etc/known_answers, as it was built in.
    static std::string_view built_in();

private:
    Result<void> append(std::string_view name, std::string_view text);

    std::vector<KnownAnswer> rows_;
};

}  // namespace postrider::delivery
