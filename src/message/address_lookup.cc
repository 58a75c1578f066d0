#include "message/address_lookup.h"

#include <utility>
#include <vector>

#include "core/ascii.h"

namespace postrider::message {
namespace {

using table::Answer;

enum class Key { Whole, Part };

Answer find_once(const table::Tables& tables, const std::string& key, Key kind) {
    if (key.empty()) return std::optional<std::string>();
    return kind == Key::Whole ? tables.find(key) : tables.find_part(key);
}

Answer find_both_forms(const table::Tables& tables, const mail::Address& address, Key kind) {
    const std::string quoted = mail::external(address);
    Answer answer = find_once(tables, quoted, kind);
    if (!answer || answer->has_value()) return answer;
    const std::string plain = mail::internal(address);
    return plain == quoted ? std::move(answer) : find_once(tables, plain, kind);
}

}  // namespace

SplitLocalPart split_local_part(std::string_view local_part, std::string_view delimiters,
                                bool owners) {
    const SplitLocalPart whole{local_part, {}};
    if (delimiters.empty() || local_part.empty()) return whole;
    if (equals_ignoring_case(local_part, "mailer-daemon")) return whole;
    if (equals_ignoring_case(local_part, "double-bounce")) return whole;
    if (owners && delimiters.find('-') != std::string_view::npos) {
        if (starts_with_ignoring_case(local_part, "owner-")) return whole;
        constexpr std::string_view kRequest = "-request";
        if (local_part.size() > kRequest.size() &&
            equals_ignoring_case(local_part.substr(local_part.size() - kRequest.size()),
                                 kRequest)) {
            return whole;
        }
    }
    const std::size_t at = local_part.find_first_of(delimiters, 1);
    if (at == std::string_view::npos) return whole;
    return {local_part.substr(0, at), local_part.substr(at)};
}

Result<std::optional<AddressAnswer>> find_address(const table::Tables& tables,
                                                  const mail::Address& address,
                                                  const AddressQuery& query) {
    using Found = std::optional<AddressAnswer>;
    if (tables.empty() || address.is_null()) return Found();
    const auto split = split_local_part(address.local_part, query.delimiters, query.owners);
    const std::string extension(split.extension);
    const mail::Address bare(std::string(split.user), address.domain);

    struct Try {
        mail::Address key;
        Key kind;
        std::string unmatched;
    };
    std::vector<Try> tries;
    tries.push_back({address, Key::Whole, ""});
    if (!extension.empty()) tries.push_back({bare, Key::Part, extension});
    if (query.is_own_domain && !address.domain.empty()) {
        tries.push_back({mail::Address(address.local_part, ""), Key::Part, ""});
        if (!extension.empty()) {
            tries.push_back({mail::Address(bare.local_part, ""), Key::Part, extension});
        }
    }
    for (Try& attempt : tries) {
        Answer answer = find_both_forms(tables, attempt.key, attempt.kind);
        if (!answer) return Unexpected(std::move(answer).error());
        if (answer->has_value()) {
            AddressAnswer found{std::move(**answer), std::move(attempt.unmatched)};
            return Found(std::move(found));
        }
    }
    if (address.domain.empty()) return Found();
    Answer answer = find_once(tables, "@" + address.domain, Key::Part);
    if (!answer) return Unexpected(std::move(answer).error());
    if (!answer->has_value()) return Found();
    AddressAnswer found{std::move(**answer), ""};
    return Found(std::move(found));
}

}  // namespace postrider::message
