// The registry of parameters: one row for each, with all that is fixed about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postrider::config {

enum class Type {
    Text,
    Boolean,  ///< yes, no
    Integer,  ///< Decimal; sizes in bytes, without suffix.
    Time,     ///< Number and unit: s, m, h, d, w. The default's unit is taken when none is given.
    Choice,   ///< One of the words in `choices`.
    List,     ///< Parted by comma and white space.
    Tables,   ///< A list of `type:name`.
    Path,
};

/// What becomes of a parameter in postrider.
enum class Treatment {
    Served,   ///< It does what its meaning says.
    Moot,     ///< What it governs does not exist here; accepted in silence.
    Ignored,  ///< Without effect; a warning says so when it is set to something else than the
              ///< default.
    Refused,  ///< Without effect, and that would weaken security: an error when it is set so.
};

/// Bounds of a value: of the number, of the seconds, or of the length of a text. 0 means none.
struct Range {
    std::int64_t min = 0;
    std::int64_t max = 0;
};

struct Parameter {
    std::string_view name;
    Type type;
    Treatment treatment;
    /// As main.cf would write it; may have `$name`. Empty for those that the host decides
    /// (myhostname, mydomain, mynetworks, config_directory, mail_version).
    std::string_view default_value;
    std::string_view meaning;  ///< For people: one or two sentences.
    Range range = {};
    std::string_view choices = {};  ///< Of a Choice, parted by space.
};

/// All rows in the order of their names.
std::span<const Parameter* const> parameters();

/// The row of `name`, or null.
const Parameter* find_parameter(std::string_view name);

/// A parameter that each transport has under its own name: `relay_destination_rate_delay` is that
/// of the transport `relay`. `fallback` names the parameter that counts where it is not set.
struct TransportParameter {
    std::string_view transport;
    std::string_view suffix;  ///< `destination_rate_delay`
    std::string_view fallback;
    std::string_view default_value;  ///< `$` and the fallback.
};

/// Recognises names of that pattern, for any transport.
std::optional<TransportParameter> find_transport_parameter(std::string_view name);
/// The fallback of `suffix`; empty if there is no such suffix.
std::string_view transport_fallback(std::string_view suffix);
/// All names of that pattern that `transport` has.
std::vector<std::string> transport_names(std::string_view transport);

/// A title and the rows that belong together, in the order a reader wants them.
struct Subject {
    std::string_view title;
    std::span<const Parameter> rows;
};
std::span<const Subject> subjects();

/// The unit that a time without one has: the last letter of the default.
char default_unit(const Parameter&);

}  // namespace postrider::config
