#include "config/listing.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "config/check.h"
#include "config/known_names.h"
#include "core/ascii.h"

namespace postrider::config {
namespace {

/// The transports that postrider has; each has its own limits.
constexpr std::string_view kTransports[] = {"relay", "smtp"};

constexpr std::size_t kLineLimit = 80;
constexpr std::string_view kIndent = "    ";

std::string json_quoted(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') quoted += '\\';
        if (is_ascii_control(c)) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            quoted += escape;
        } else {
            quoted += c;
        }
    }
    return quoted += '"';
}

/// One line with single spaces between words, or several of at most kLineLimit columns.
void append_line(std::string& to, std::string_view line, bool folded) {
    std::size_t column = 0;
    for (;;) {
        while (!line.empty() && is_ascii_space(line.front())) line.remove_prefix(1);
        if (line.empty()) break;
        const auto word = line.substr(0, line.find_first_of(" \t\r\n"));
        line.remove_prefix(word.size());
        if (column > 0 && folded && column + word.size() >= kLineLimit) {
            (to += '\n') += kIndent;
            column = kIndent.size();
        } else if (column > 0) {
            to += ' ';
            ++column;
        }
        to += word;
        column += word.size();
    }
    to += '\n';
}

ParameterClass class_of(std::string_view name) {
    if (const auto own = find_transport_parameter(name))
        for (const auto transport : kTransports)
            if (own->transport == transport) return ParameterClass::Service;
    const bool has_meaning = find_parameter(name) != nullptr || is_known_to_postfix(name);
    return has_meaning ? ParameterClass::Builtin : ParameterClass::User;
}

/// Every name that can be asked for, with its class.
std::map<std::string, ParameterClass, std::less<>> all_names(const Settings& settings) {
    std::map<std::string, ParameterClass, std::less<>> names;
    const auto add = [&](std::string_view name) { names.emplace(name, class_of(name)); };
    for (const auto* const row : parameters()) add(row->name);
    for (const auto transport : kTransports)
        for (const auto& name : transport_names(transport)) add(name);
    const auto unused = settings.unused_entries();
    for (const auto& entry : settings.entries())
        if (std::find(unused.begin(), unused.end(), &entry) == unused.end()) add(entry.name);
    return names;
}

Result<void> append_parameter(const Settings& settings, std::string_view name,
                              const ListingForm& form, std::string& to) {
    if (form.only_set && settings.find_entry(name) == nullptr) return {};
    std::string value(settings.raw(name).value_or(std::string_view()));
    if (form.hides_values) {
        append_line(to, name, form.folded);
        return {};
    }
    if (form.expanded) {
        auto expanded = settings.expand(value);
        if (!expanded) return Unexpected(with_context(name, std::move(expanded).error()));
        value = std::move(*expanded);
    }
    if (form.json)
        to += "{" + json_quoted(name) + ": " + json_quoted(value) + "}\n";
    else if (form.hides_names)
        append_line(to, value, form.folded);
    else
        append_line(to, std::string(name) + " = " + value, form.folded);
    return {};
}

}  // namespace

Result<Listing> list_parameters(const Settings& settings, const std::vector<std::string>& names,
                                const ListingForm& form) {
    Listing listing;
    const auto known = all_names(settings);
    if (names.empty()) {
        for (const auto& [name, its_class] : known) {
            if (form.of_class != ParameterClass::All && form.of_class != its_class) continue;
            if (auto done = append_parameter(settings, name, form, listing.text); !done)
                return Unexpected(std::move(done).error());
        }
        return listing;
    }
    for (const auto& name : names) {
        if (known.contains(name) || find_transport_parameter(name)) {
            if (auto done = append_parameter(settings, name, form, listing.text); !done)
                return Unexpected(std::move(done).error());
        } else if (is_known_to_postfix(name)) {
            listing.warnings.push_back(name + ": postrider does not serve this parameter");
        } else {
            listing.warnings.push_back(name + ": unknown parameter");
        }
    }
    return listing;
}

std::vector<std::string> listing_warnings(const Settings& settings) {
    auto warnings = settings.file_warnings();
    Findings findings;
    check_treatment(settings, findings);
    warnings.insert(warnings.end(), findings.errors.begin(), findings.errors.end());
    warnings.insert(warnings.end(), findings.warnings.begin(), findings.warnings.end());
    // In Postfix's words, without the line: scripts look for them.
    std::vector<std::string> unused;
    for (const auto* const entry : settings.unused_entries())
        unused.push_back(settings.file().string() + ": unused parameter: " + entry->name + "=" +
                         entry->value);
    std::sort(unused.begin(), unused.end());
    warnings.insert(warnings.end(), unused.begin(), unused.end());
    return warnings;
}

}  // namespace postrider::config
