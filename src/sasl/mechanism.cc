#include "sasl/mechanism.h"

#include <algorithm>
#include <array>

#include "core/ascii.h"
#include "sasl/bearer.h"
#include "sasl/hashed.h"
#include "sasl/plain.h"

namespace postrider::sasl {

namespace {

using Maker = Result<std::unique_ptr<Mechanism>> (*)(const Credentials&);

template <std::unique_ptr<Mechanism> (*make)(const Credentials&)>
Result<std::unique_ptr<Mechanism>> always(const Credentials& credentials) {
    return make(credentials);
}

/// What a mechanism withstands. None of ours is anonymous, none has forward secrecy, and all of
/// them can be attacked with a dictionary by whoever hears them.
struct Kind {
    std::string_view name;
    bool hides_password;
    bool withstands_active_attack;
    bool proves_server;
    bool takes_token;
    Maker make;

    bool satisfies(const SecurityOptions& options) const {
        return (hides_password || !options.noplaintext) &&
               (withstands_active_attack || !options.noactive) &&
               (proves_server || !options.mutual_auth) && !options.nodictionary &&
               !options.forward_secrecy;
    }
};

constexpr std::array<Kind, 7> kStrongestFirst = {{
    {"SCRAM-SHA-256", true, true, true, false, make_scram_sha256},
    {"SCRAM-SHA-1", true, true, true, false, make_scram_sha1},
    {"CRAM-MD5", true, false, false, false, make_cram_md5},
    {"PLAIN", false, false, false, false, always<make_plain>},
    {"LOGIN", false, false, false, false, always<make_login>},
    {"OAUTHBEARER", false, false, false, true, always<make_oauthbearer>},
    {"XOAUTH2", false, false, false, true, always<make_xoauth2>},
}};

/// Characters that separate fields in one mechanism or another.
bool is_usable(const Credentials& credentials) {
    const auto clean = [](std::string_view text) {
        return text.find_first_of(std::string_view("\0\x01", 2)) == std::string_view::npos;
    };
    return clean(credentials.user) && clean(credentials.password.reveal());
}

}  // namespace

Result<std::unique_ptr<Mechanism>> choose(const std::vector<std::string>& offered,
                                          const MechanismFilter& permitted,
                                          const SecurityOptions& options,
                                          const Credentials& credentials) {
    if (!is_usable(credentials))
        return Unexpected(ErrorCode::Invalid, "user name or password with a NUL or ^A in it");
    for (const Kind& kind : kStrongestFirst) {
        const bool is_offered = std::any_of(offered.begin(), offered.end(), [&](const auto& name) {
            return equals_ignoring_case(name, kind.name);
        });
        if (!is_offered || !kind.satisfies(options)) continue;
        // A password is no token: these two must have been asked for.
        if (permitted ? !permitted(kind.name) : kind.takes_token) continue;
        return kind.make(credentials);
    }
    return Unexpected(ErrorCode::NotFound, "No worthy mechs found");
}

}  // namespace postrider::sasl
