// What a line of header_checks or body_checks asks for, and what has been asked of a message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "mail/status.h"
#include "table/table.h"

namespace postrider::message {

/// The right-hand side of a rule: `REJECT 5.7.1 not here`.
struct CheckAction {
    enum class Kind : std::uint8_t {
        Bcc,
        Discard,
        Dunno,
        Filter,
        Hold,
        Ignore,
        Info,
        Pass,
        Prepend,
        Redirect,
        Reject,
        Replace,
        Strip,
        Unknown,
        Warn,
    };
    Kind kind = Kind::Unknown;
    std::string_view text;  ///< Behind the word and white space.
};

/// Words are read without regard to case; `OK` is Dunno.
CheckAction parse_check_action(std::string_view rule);

/// What to do with the line that was checked.
struct CheckEffect {
    enum class Kind : std::uint8_t { Keep, Drop, Replace };
    Kind kind = Kind::Keep;
    std::string replacement;
    std::optional<std::string> prepended;  ///< A line to go before it.
};

/// Applies one message's header_checks and body_checks, logs each action in Postfix's words and
/// remembers what is asked for the message as a whole.
class ContentChecks {
public:
    enum class Subject : std::uint8_t { Header, Body };

    /// What every log line of the message says: `QID`, `from ORIGIN; from=<s> to=<r> proto=...`.
    struct Context {
        std::string queue_id;
        std::string origin;
        std::string sender;
        std::optional<std::string> recipient;  ///< The last one known; none with -t.
        std::string proto;
        std::string helo;
    };

    /// What a rule, or a table that failed, made of the message.
    struct Refusal {
        mail::EnhancedStatus status;
        std::string text;
    };

    ContentChecks(Log log, Context context, bool enabled)
        : log_(std::move(log)), context_(std::move(context)), enabled_(enabled) {}

    /// Looks `content` up: a logical header with its LFs, or a body line. A table that fails
    /// refuses the message for now. Nothing is looked up after PASS, REJECT, DISCARD or REDIRECT.
    CheckEffect check(const table::Tables& tables, Subject subject, std::string_view content);

    bool is_enabled() const { return enabled_; }
    const std::optional<Refusal>& refusal() const { return refusal_; }
    bool is_discarded() const { return discarded_; }
    bool is_held() const { return held_; }
    const std::string& filter() const { return filter_; }
    const std::string& redirect() const { return redirect_; }
    const std::vector<std::string>& bcc() const { return bcc_; }

private:
    CheckEffect apply(const CheckAction& action, const std::string& parameter, Subject subject,
                      std::string_view content, const std::string& rule);
    void reject(std::string_view text);
    bool is_usable(const CheckAction& action, const std::string& parameter, Subject subject) const;
    void log(std::string_view word, Subject subject, std::string_view content,
             std::string_view text) const;

    Log log_;
    Context context_;
    bool enabled_;
    std::optional<Refusal> refusal_;
    bool discarded_ = false;
    bool held_ = false;
    std::string filter_;
    std::string redirect_;
    std::vector<std::string> bcc_;
};

}  // namespace postrider::message
