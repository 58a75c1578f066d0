#include <algorithm>

#include "config/check.h"
#include "config/known_names.h"
#include "config/values.h"
#include "core/ascii.h"

namespace postrider::config {
namespace {

bool contains(const std::vector<std::string>& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

/// Whether serving `permit...` alone, that is, doing nothing, is what the list asks for.
bool only_permits(const std::vector<std::string>& restrictions) {
    return std::all_of(restrictions.begin(), restrictions.end(),
                       [](const std::string& word) { return word.starts_with("permit"); });
}

/// Guides older than smtpd_relay_restrictions put the relay restrictions here. We do at RCPT what
/// smtpd_relay_restrictions says, so a list that says the same needs no serving of its own.
bool repeats_relay_restrictions(const std::vector<std::string>& restrictions) {
    constexpr std::string_view kSame[] = {"permit_mynetworks", "permit_sasl_authenticated",
                                          "defer_unauth_destination", "reject_unauth_destination",
                                          "permit_inet_interfaces"};
    return std::all_of(restrictions.begin(), restrictions.end(), [&](const std::string& word) {
        return word == "permit"
                   ? &word == &restrictions.back()
                   : std::find(std::begin(kSame), std::end(kSame), word) != std::end(kSame);
    });
}

bool is_harmless(const Parameter& row, const std::string& value) {
    if (contains(split_list(row.choices), value)) return true;
    if (!row.name.ends_with("_restrictions")) return false;
    const auto list = split_list(value);
    return only_permits(list) ||
           (row.name == "smtpd_recipient_restrictions" && repeats_relay_restrictions(list));
}

void check_row(const Settings& settings, const Parameter& row, const Entry& entry,
               Findings& findings) {
    if (row.treatment == Treatment::Served || row.treatment == Treatment::Moot) return;
    const auto value = settings.text(entry.name);
    const auto usual = settings.expand(row.default_value);
    if (usual && equals_ignoring_case(*usual, value)) return;
    const auto what = settings.place_of(entry.name) + ": " + entry.name + " = " + value;
    if (row.treatment == Treatment::Refused && !is_harmless(row, value))
        findings.errors.push_back(
            what + ": postrider does not serve this, and to ignore it would make mail less secure" +
            " (remove it, or keep the mail that needs it on Postfix)");
    else
        findings.warnings.push_back(what + ": postrider does not serve this; it has no effect");
}

}  // namespace

void check_treatment(const Settings& settings, Findings& findings) {
    for (const auto& entry : settings.entries()) {
        if (const auto* const row = find_parameter(entry.name)) {
            check_row(settings, *row, entry, findings);
        } else if (const auto own = find_transport_parameter(entry.name)) {
            if (own->transport != "smtp" && own->transport != "relay")
                findings.warnings.push_back(settings.place_of(entry.name) + ": " + entry.name +
                                            ": postrider has no transport " +
                                            std::string(own->transport));
        } else if (is_known_to_postfix(entry.name)) {
            findings.warnings.push_back(settings.place_of(entry.name) + ": " + entry.name + " = " +
                                        entry.value +
                                        ": postrider does not serve this; it has no effect");
        }
    }
}

void check_names(const Settings& settings, Findings& findings) {
    for (const auto* const entry : settings.unused_entries())
        findings.warnings.push_back(settings.place_of(entry->name) +
                                    ": unused parameter: " + entry->name + "=" + entry->value);
}

}  // namespace postrider::config
