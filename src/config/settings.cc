#include "config/settings.h"

#include <algorithm>
#include <unordered_set>

#include "config/expand.h"
#include "config/known_names.h"
#include "config/networks.h"
#include "config/values.h"
#include "core/ascii.h"
#include "core/secret.h"

namespace postrider::config {
namespace {

constexpr std::string_view kDomainWithoutName = "localdomain";

/// The first line of a file such as /etc/mailname, without white space.
Result<std::string> first_line(const std::filesystem::path& file) {
    auto text = read_text(file);
    if (!text) return text;
    std::string line(trimmed(std::string_view(*text).substr(0, text->find('\n'))));
    if (line.empty())
        return Unexpected(ErrorCode::Invalid, file.string() + ": first line is empty");
    return line;
}

}  // namespace

Settings::Settings(MainCf main_cf, const std::filesystem::path& directory,
                   const Overrides& overrides, const Host& host)
    : main_cf_(std::move(main_cf)) {
    for (const auto& [name, value] : overrides) {
        std::erase_if(main_cf_.entries, [&](const Entry& entry) { return entry.name == name; });
        main_cf_.entries.push_back({name, value, 0});
    }
    // Where the file was found is a fact, whatever it says about itself.
    std::erase_if(main_cf_.entries,
                  [](const Entry& entry) { return entry.name == "config_directory"; });
    for (std::size_t i = 0; i < main_cf_.entries.size(); ++i)
        index_.emplace(main_cf_.entries[i].name, i);

    derived_["config_directory"] = directory.string();
    derived_["mail_version"] = POSTRIDER_VERSION;
    derive_host_names(host);
    read_origin();
    derive_networks(host);
}

/// As Postfix derives them; the DNS is never asked, it may be far away.
void Settings::derive_host_names(const Host& host) {
    // Nobody typed it: what cannot be a name is as good as none.
    const bool usable = is_ascii(host.node_name) && is_host_name(host.node_name);
    std::string name = usable ? host.node_name : "localhost";
    if (name.find('.') == name.npos) {
        const auto domain = text("mydomain");
        (name += '.') += domain.empty() ? kDomainWithoutName : domain;
    }
    derived_["myhostname"] = name;
    const auto own_name = text("myhostname");
    const auto dot = own_name.find('.');
    derived_["mydomain"] =
        dot == own_name.npos ? std::string(kDomainWithoutName) : own_name.substr(dot + 1);
}

void Settings::derive_networks(const Host& host) {
    const auto protocols = split_list(text("inet_protocols"));
    const auto has = [&](std::string_view word) {
        return std::find(protocols.begin(), protocols.end(), word) != protocols.end();
    };
    const auto interfaces = split_list(text("inet_interfaces"));
    const auto style = text("mynetworks_style");
    const NetworkChoice choice = {style, interfaces, has("all") || has("ipv4"),
                                  has("all") || has("ipv6")};
    derived_["mynetworks"] = default_networks(host, choice);
}

void Settings::read_origin() {
    const auto at = index_.find("myorigin");
    if (at == index_.end()) return;
    auto& entry = main_cf_.entries[at->second];
    const auto origin = text("myorigin");
    if (!origin.starts_with('/')) return;
    if (auto line = first_line(origin))
        derived_["myorigin"] = std::move(*line);
    else
        origin_problem_ =
            place_of(entry.name) + ": myorigin = " + origin + ": " + line.error().message;
}

void Settings::forget(std::string_view name) {
    const auto at = index_.find(name);
    if (at == index_.end()) return;
    Entry& entry = main_cf_.entries[at->second];
    std::string value = entry.value;
    wipe(entry.value);
    for (const std::string& referenced : referenced_names(value)) {
        if (find_parameter(referenced) == nullptr) forget(referenced);
    }
    wipe(value);
}

const Entry* Settings::find_entry(std::string_view name) const {
    const auto at = index_.find(name);
    return at == index_.end() ? nullptr : &main_cf_.entries[at->second];
}

std::string Settings::place_of(std::string_view name) const {
    const auto* const entry = find_entry(name);
    if (entry == nullptr) return file().string();
    if (entry->line == 0) return "command line";
    return file().string() + ", line " + std::to_string(entry->line);
}

std::optional<std::string_view> Settings::raw(std::string_view name) const {
    if (const auto* const entry = find_entry(name)) {
        // What was read from the file that myorigin names stands for that name.
        const auto origin = entry->name == "myorigin" ? derived_.find(name) : derived_.end();
        return origin != derived_.end() ? std::string_view(origin->second) : entry->value;
    }
    return raw_default(name);
}

std::optional<std::string_view> Settings::raw_default(std::string_view name) const {
    if (const auto at = derived_.find(name); at != derived_.end() && name != "myorigin")
        return at->second;
    if (const auto* const row = find_parameter(name)) return row->default_value;
    if (const auto of_transport = find_transport_parameter(name))
        return of_transport->default_value;
    return std::nullopt;
}

Result<std::string> Settings::expand(std::string_view value) const {
    if (value.find('$') == value.npos) return std::string(value);
    const Lookup lookup = [this](std::string_view name) { return raw(name); };
    return config::expand(value, lookup);
}

Result<std::string> Settings::expanded(std::string_view name) const {
    return expand(raw(name).value_or(std::string_view()));
}

std::string Settings::text(std::string_view name) const {
    return expanded(name).value_or({});
}

std::vector<const Entry*> Settings::unused_entries() const {
    std::vector<const Entry*> unused;
    for (const auto& entry : entries())
        if (find_parameter(entry.name) == nullptr && !is_known_to_postfix(entry.name) &&
            !find_transport_parameter(entry.name))
            unused.push_back(&entry);
    if (unused.empty()) return unused;  // The usual case, without the search below.

    std::unordered_set<std::string> referenced;
    const auto refer_all = [&](std::string_view value) {
        if (value.find('$') == value.npos) return;
        for (auto& name : referenced_names(value)) referenced.insert(std::move(name));
    };
    for (const auto& entry : entries()) refer_all(entry.value);
    for (const auto* const row : parameters()) refer_all(row->default_value);
    for (auto& name : split_list(text("smtpd_restriction_classes")))
        referenced.insert(std::move(name));
    std::erase_if(unused, [&](const Entry* entry) { return referenced.contains(entry->name); });
    return unused;
}

}  // namespace postrider::config
