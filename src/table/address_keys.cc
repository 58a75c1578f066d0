#include "table/address_keys.h"

#include "core/ascii.h"

namespace postrider::table {
namespace {

/// A dot-string of RFC 5321, or the same in UTF-8 (RFC 6531).
bool is_dot_string(std::string_view local_part) {
    if (local_part.empty() || local_part.front() == '.' || local_part.back() == '.') return false;
    if (local_part.find("..") != std::string_view::npos) return false;
    constexpr std::string_view kAtomSpecials = "()<>[]:;@\\,\"";
    for (const char c : local_part) {
        if (is_ascii_space(c) || is_ascii_control(c)) return false;
        if (kAtomSpecials.find(c) != std::string_view::npos) return false;
    }
    return true;
}

std::string quoted(std::string_view local_part) {
    std::string text = "\"";
    for (const char c : local_part) {
        if (c == '"' || c == '\\') text.push_back('\\');
        text.push_back(c);
    }
    text.push_back('"');
    return text;
}

/// Collects keys; each local part that needs quotes gives two.
class Keys {
public:
    void add(std::string_view local_part, std::string_view rest, AddressKey kind) {
        if (!is_dot_string(local_part)) push(quoted(local_part).append(rest), kind);
        push(std::string(local_part).append(rest), kind);
    }
    void push(std::string text, AddressKey kind) {
        kind.text = std::move(text);
        keys_.push_back(std::move(kind));
    }
    std::vector<AddressKey> take() { return std::move(keys_); }

private:
    std::vector<AddressKey> keys_;
};

constexpr bool kWhole = true;
constexpr bool kBare = true;

}  // namespace

std::pair<std::string_view, std::string_view> split_extension(std::string_view local_part,
                                                              std::string_view delimiters) {
    const std::pair unsplit(local_part, std::string_view());
    for (const std::string_view name : {"postmaster", "mailer-daemon", "double-bounce"}) {
        if (equals_ignoring_case(local_part, name)) return unsplit;
    }
    constexpr std::string_view kRequest = "-request";
    if (delimiters.find('-') != std::string_view::npos) {
        const bool is_request =
            local_part.size() > kRequest.size() &&
            equals_ignoring_case(local_part.substr(local_part.size() - kRequest.size()), kRequest);
        if (is_request || starts_with_ignoring_case(local_part, "owner-")) return unsplit;
    }
    const std::size_t at = local_part.find_first_of(delimiters);
    if (at == std::string_view::npos || at == 0) return unsplit;
    return {local_part.substr(0, at), local_part.substr(at)};
}

std::vector<AddressKey> address_keys(const AddressQuery& query) {
    const auto [bare, extension] = split_extension(query.local_part, query.delimiters);
    const std::string at_domain =
        query.domain.empty() ? std::string() : "@" + std::string(query.domain);
    Keys keys;
    keys.add(query.local_part, at_domain, {"", kWhole, false});
    if (!extension.empty()) keys.add(bare, at_domain, {"", false, kBare});
    if (query.domain.empty()) return keys.take();
    if (query.own_domain) {
        keys.add(query.local_part, "", {});
        if (!extension.empty()) keys.add(bare, "", {"", false, kBare});
    }
    keys.push(at_domain, {});
    return keys.take();
}

std::vector<std::string> domain_keys(std::string_view domain, Parents parents) {
    std::vector<std::string> keys;
    while (!domain.empty()) {
        keys.emplace_back(domain);
        // A dot at the very front belongs to this key.
        const std::size_t dot = domain.find('.', 1);
        if (dot == std::string_view::npos) break;
        domain.remove_prefix(parents == Parents::WithDot ? dot : dot + 1);
    }
    return keys;
}

std::vector<AddressKey> transport_keys(const AddressQuery& query, Parents parents) {
    const auto [bare, extension] = split_extension(query.local_part, query.delimiters);
    const std::string at_domain =
        query.domain.empty() ? std::string() : "@" + std::string(query.domain);
    Keys keys;
    keys.add(query.local_part, at_domain, {"", kWhole, false});
    if (!extension.empty()) keys.add(bare, at_domain, {"", false, kBare});
    for (std::string& key : domain_keys(query.domain, parents)) keys.push(std::move(key), {});
    keys.push("*", {});
    return keys.take();
}

Result<std::optional<AddressHit>> find_first(const Tables& tables,
                                             const std::vector<AddressKey>& keys,
                                             std::string_view extension) {
    for (const AddressKey& key : keys) {
        auto answer = key.whole ? tables.find(key.text) : tables.find_part(key.text);
        if (!answer) return Unexpected(answer.error());
        if (!*answer) continue;
        AddressHit hit{std::move(**answer), ""};
        if (key.without_extension) hit.unmatched_extension = extension;
        return std::optional(std::move(hit));
    }
    return std::optional<AddressHit>();
}

Result<std::optional<AddressHit>> find_address(const Tables& tables, const AddressQuery& query) {
    if (tables.empty()) return std::optional<AddressHit>();
    return find_first(tables, address_keys(query),
                      split_extension(query.local_part, query.delimiters).second);
}

}  // namespace postrider::table
