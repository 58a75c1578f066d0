#include "config/parameters.h"

#include <algorithm>
#include <array>

#include "config/rows/cleanup.h"
#include "config/rows/identity.h"
#include "config/rows/logging.h"
#include "config/rows/network.h"
#include "config/rows/notices.h"
#include "config/rows/queue.h"
#include "config/rows/smtp_client.h"
#include "config/rows/smtp_sasl.h"
#include "config/rows/smtp_server.h"
#include "config/rows/smtp_tls.h"
#include "config/rows/startup.h"
#include "config/rows/submission.h"
#include "config/rows/tables.h"
#include "core/ascii.h"

namespace postrider::config {
namespace {

constexpr Subject kSubjects[] = {
    {"Identity and routing", rows::kIdentityRows},
    {"Connecting to the next hop", rows::kSmtpClientRows},
    {"Logging in at the next hop", rows::kSmtpSaslRows},
    {"TLS towards the next hop", rows::kSmtpTlsRows},
    {"Retry, lifetime and concurrency", rows::kQueueRows},
    {"Reports", rows::kNoticesRows},
    {"Checks and rewriting", rows::kCleanupRows},
    {"Mail from local commands", rows::kSubmissionRows},
    {"The SMTP server for local clients", rows::kSmtpServerRows},
    {"Network", rows::kNetworkRows},
    {"Logging", rows::kLoggingRows},
    {"Lookup tables", rows::kTablesRows},
    {"Files, directories and processes", rows::kStartupRows},
};

constexpr std::size_t row_count() {
    std::size_t count = 0;
    for (const auto& subject : kSubjects) count += subject.rows.size();
    return count;
}

constexpr bool name_before(const Parameter* a, const Parameter* b) {
    return a->name < b->name;
}

constexpr auto sorted_rows() {
    std::array<const Parameter*, row_count()> sorted{};
    auto* to = sorted.begin();
    for (const auto& subject : kSubjects)
        for (const auto& row : subject.rows) *to++ = &row;
    std::sort(sorted.begin(), sorted.end(), name_before);
    return sorted;
}

constexpr auto kSorted = sorted_rows();

constexpr bool all_names_differ() {
    for (std::size_t i = 1; i < kSorted.size(); ++i)
        if (kSorted[i - 1]->name == kSorted[i]->name) return false;
    return true;
}
static_assert(all_names_differ());

struct TransportSuffix {
    std::string_view suffix;
    std::string_view default_value;
    constexpr std::string_view fallback() const { return default_value.substr(1); }
};

constexpr TransportSuffix kTransportSuffixes[] = {
    {"delivery_slot_cost", "$default_delivery_slot_cost"},
    {"delivery_slot_discount", "$default_delivery_slot_discount"},
    {"delivery_slot_loan", "$default_delivery_slot_loan"},
    {"destination_concurrency_failed_cohort_limit",
     "$default_destination_concurrency_failed_cohort_limit"},
    {"destination_concurrency_limit", "$default_destination_concurrency_limit"},
    {"destination_concurrency_negative_feedback",
     "$default_destination_concurrency_negative_feedback"},
    {"destination_concurrency_positive_feedback",
     "$default_destination_concurrency_positive_feedback"},
    {"destination_rate_delay", "$default_destination_rate_delay"},
    {"destination_recipient_limit", "$default_destination_recipient_limit"},
    {"extra_recipient_limit", "$default_extra_recipient_limit"},
    {"initial_destination_concurrency", "$initial_destination_concurrency"},
    {"minimum_delivery_slots", "$default_minimum_delivery_slots"},
    {"recipient_limit", "$default_recipient_limit"},
    {"recipient_refill_delay", "$default_recipient_refill_delay"},
    {"recipient_refill_limit", "$default_recipient_refill_limit"},
    {"transport_rate_delay", "$default_transport_rate_delay"},
};

}  // namespace

std::span<const Parameter* const> parameters() {
    return kSorted;
}

const Parameter* find_parameter(std::string_view name) {
    const auto* at = std::lower_bound(
        kSorted.begin(), kSorted.end(), name,
        [](const Parameter* row, std::string_view wanted) { return row->name < wanted; });
    return at != kSorted.end() && (*at)->name == name ? *at : nullptr;
}

std::optional<TransportParameter> find_transport_parameter(std::string_view name) {
    if (name.starts_with("default_")) return std::nullopt;
    // The longest suffix counts: `x_destination_recipient_limit` also ends in `_recipient_limit`.
    std::optional<TransportParameter> found;
    for (const auto& known : kTransportSuffixes) {
        const auto suffix = known.suffix;
        if (name.size() < suffix.size() + 2 || !name.ends_with(suffix)) continue;
        const auto transport = name.substr(0, name.size() - suffix.size() - 1);
        if (name[transport.size()] != '_') continue;
        if (!found || suffix.size() > found->suffix.size())
            found = TransportParameter{transport, suffix, known.fallback(), known.default_value};
    }
    return found;
}

std::string_view transport_fallback(std::string_view suffix) {
    for (const auto& known : kTransportSuffixes)
        if (known.suffix == suffix) return known.fallback();
    return {};
}

std::vector<std::string> transport_names(std::string_view transport) {
    std::vector<std::string> names;
    for (const auto& known : kTransportSuffixes)
        names.push_back(std::string(transport) + "_" + std::string(known.suffix));
    return names;
}

std::span<const Subject> subjects() {
    return kSubjects;
}

char default_unit(const Parameter& parameter) {
    if (!parameter.default_value.empty() && is_ascii_alpha(parameter.default_value.back()))
        return parameter.default_value.back();
    return 's';
}

}  // namespace postrider::config
