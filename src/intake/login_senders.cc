#include "intake/login_senders.h"

#include <algorithm>

#include "table/address_keys.h"
#include "table/fold.h"

namespace postrider::intake {
namespace {

bool is_separator(char c) {
    return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// Takes the next pattern off the list; empty at its end.
std::string_view next_pattern(std::string_view& list) {
    while (!list.empty() && is_separator(list.front())) list.remove_prefix(1);
    std::size_t end = 0;
    for (bool quoted = false; end < list.size() && (quoted || !is_separator(list[end])); ++end) {
        if (list[end] == '"') quoted = !quoted;
        if (list[end] == '\\' && end + 1 < list.size()) ++end;
    }
    const std::string_view pattern = list.substr(0, end);
    list.remove_prefix(end);
    return pattern;
}

bool is_same(std::string_view a, std::string_view b) {
    return table::folded(a, true) == table::folded(b, true);
}

}  // namespace

Result<bool> LoginSenders::allow(std::string_view login, const mail::Address& sender) const {
    auto found = maps_.find(login);
    if (!found) return Unexpected(std::move(found).error());
    if (!*found) return false;
    std::string_view list = **found;
    for (auto pattern = next_pattern(list); !pattern.empty(); pattern = next_pattern(list)) {
        if (matches(pattern, sender)) return true;
    }
    return false;
}

bool LoginSenders::matches(std::string_view pattern, const mail::Address& sender) const {
    if (pattern == "*") return true;
    if (is_same(pattern, null_sender_)) return sender.is_null();
    if (sender.is_null()) return false;
    if (pattern.front() == '@') {
        return !sender.domain.empty() && is_same(pattern.substr(1), sender.domain);
    }
    mail::Address plain = sender;
    plain.local_part = table::split_extension(sender.local_part, delimiters_).first;
    return is_same(pattern, mail::external(plain));
}

}  // namespace postrider::intake
