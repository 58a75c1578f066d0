#include "sasl/security_options.h"

#include <algorithm>
#include <array>
#include <string>

namespace postrider::sasl {

namespace {

struct Option {
    std::string_view word;
    bool SecurityOptions::*flag;
};

constexpr std::array<Option, 6> kOptions = {{
    {"noplaintext", &SecurityOptions::noplaintext},
    {"noanonymous", &SecurityOptions::noanonymous},
    {"noactive", &SecurityOptions::noactive},
    {"nodictionary", &SecurityOptions::nodictionary},
    {"forward_secrecy", &SecurityOptions::forward_secrecy},
    {"mutual_auth", &SecurityOptions::mutual_auth},
}};

}  // namespace

Result<SecurityOptions> parse_security_options(std::string_view list) {
    static constexpr std::string_view kSeparators = ", \t\r\n";
    SecurityOptions options;
    for (auto rest = list;;) {
        rest.remove_prefix(std::min(rest.find_first_not_of(kSeparators), rest.size()));
        if (rest.empty()) return options;
        const auto word = rest.substr(0, rest.find_first_of(kSeparators));
        rest.remove_prefix(word.size());
        const auto* const found =
            std::find_if(kOptions.begin(), kOptions.end(),
                         [&](const Option& option) { return option.word == word; });
        if (found == kOptions.end())
            return Unexpected(ErrorCode::Invalid, "unknown SASL security options value \"" +
                                                      std::string(word) + "\" in \"" +
                                                      std::string(list) + "\"");
        options.*found->flag = true;
    }
}

}  // namespace postrider::sasl
