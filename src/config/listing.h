// Settings as postconf prints them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "core/result.h"

namespace postrider::config {

enum class ParameterClass { All, Builtin, Service, User };

struct ListingForm {
    bool only_set = false;      ///< What main.cf sets (-n).
    bool defaults = false;      ///< As if it set nothing (-d); the settings then come from no file.
    bool expanded = false;      ///< `$name` replaced (-x).
    bool hides_names = false;   ///< Values only (-h).
    bool hides_values = false;  ///< Names only (-H).
    bool folded = false;        ///< Lines of more than 80 columns continue on the next (-f).
    bool json = false;          ///< `{"name": "value"}` (-j).
    ParameterClass of_class = ParameterClass::All;
};

struct Listing {
    std::string text;
    std::vector<std::string> warnings;  ///< `NAME: unknown parameter`
};

/// All parameters in the order of their names, or those that `names` asks for in its order. White
/// space inside values becomes one space, as Postfix prints it.
Result<Listing> list_parameters(const Settings&, const std::vector<std::string>& names,
                                const ListingForm&);

/// What to say after a listing: the file's oddities, and settings without effect. Names that nobody
/// knows come last: `FILE: unused parameter: NAME=VALUE`.
std::vector<std::string> listing_warnings(const Settings&);

}  // namespace postrider::config
