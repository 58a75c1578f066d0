#include "daemon/accounts.h"

#include <pwd.h>

#include "core/ascii.h"

namespace postrider::daemon {
namespace {

/// The first field of GECOS, in which `&` stands for the capitalised login.
std::string full_name(const passwd& account) {
    std::string name;
    for (const char* at = account.pw_gecos; at && *at && *at != ','; ++at) {
        if (*at != '&') {
            name += *at;
        } else if (*account.pw_name) {
            name += ascii_upper(*account.pw_name);
            name += account.pw_name + 1;
        }
    }
    return name;
}

}  // namespace

Accounts Accounts::load() {
    Accounts accounts;
    ::setpwent();
    while (const passwd* account = ::getpwent()) {
        intake::Login login;
        login.name = account->pw_name;
        login.full_name = full_name(*account);
        // The first of several names for one uid is the one getpwuid gives.
        accounts.logins_.try_emplace(account->pw_uid, std::move(login));
    }
    ::endpwent();
    return accounts;
}

std::optional<intake::Login> Accounts::operator()(std::int64_t uid) const {
    const auto found = logins_.find(uid);
    if (found == logins_.end()) return std::nullopt;
    return found->second;
}

}  // namespace postrider::daemon
