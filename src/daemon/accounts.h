// The machine's accounts, read while that is still possible.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "intake/submission.h"

namespace postrider::daemon {

/// A copy of the account list (getpwent), for a process that can open no file. The master starts a
/// new generation when /etc/passwd changes.
class Accounts {
public:
    static Accounts load();
    std::optional<intake::Login> operator()(std::int64_t uid) const;

private:
    std::map<std::int64_t, intake::Login> logins_;
};

}  // namespace postrider::daemon
