#include <algorithm>
#include <span>

#include "config/check.h"
#include "config/expand.h"
#include "config/networks.h"
#include "config/values.h"
#include "core/ascii.h"

namespace postrider::config {
namespace {

using Words = std::span<const std::string_view>;

bool contains(Words words, std::string_view wanted) {
    return std::any_of(words.begin(), words.end(),
                       [&](std::string_view word) { return equals_ignoring_case(word, wanted); });
}

/// Gathers findings about settings by their names.
class Checks {
public:
    Checks(const Settings& settings, Findings& findings)
        : settings_(settings), findings_(findings) {}

    void host_names();
    void interfaces();
    void trusted_networks();
    void relay_restrictions();
    void bare_newlines();
    void smarthost();
    void tls_level();
    void tls_protocols(std::string_view name);
    void tls_exclusions(std::string_view name);
    void tls_loglevel();
    void sasl();
    void sasl_options(std::string_view name);
    void times();
    void log_file();
    void level();

private:
    std::string text(std::string_view name) const { return settings_.text(name); }
    std::vector<std::string> list(std::string_view name) const { return split_list(text(name)); }
    bool is_yes(std::string_view name) const { return equals_ignoring_case(text(name), "yes"); }
    std::string what(std::string_view name) const {
        return settings_.place_of(name) + ": " + std::string(name) + " = " + text(name);
    }
    void error(std::string_view name, std::string_view why) {
        findings_.errors.push_back((what(name) += ": ") += why);
    }
    void warning(std::string_view name, std::string_view why) {
        findings_.warnings.push_back((what(name) += ": ") += why);
    }
    void danger(std::string_view name, std::string_view why) {
        warning(name, why);
        findings_.dangers.push_back(findings_.warnings.back());
    }

    const Settings& settings_;
    Findings& findings_;
};

void Checks::level() {
    if (!parse_level(text("compatibility_level")))
        error("compatibility_level", "write a version such as 3.6");
}

void Checks::host_names() {
    for (const std::string_view name : {"myhostname", "mydomain"})
        if (!is_host_name(text(name)))
            findings_.errors.push_back(settings_.place_of(name) + ": parameter " +
                                       std::string(name) + ": bad parameter value: " + text(name) +
                                       " (write a host name such as mail.example.org)");
    if (!settings_.origin_problem().empty()) {
        findings_.errors.push_back(settings_.origin_problem());
    } else if (list("myorigin").size() > 1) {
        error("myorigin",
              "myorigin parameter setting must not contain multiple values: " + text("myorigin"));
    }
    if (equals_ignoring_case(text("myhostname"), text("relayhost")))
        error("relayhost", "myhostname and relayhost parameter settings must not be identical: " +
                               text("myhostname"));
}

void Checks::interfaces() {
    const auto items = list("inet_interfaces");
    for (const auto& item : items)
        if ((item == "all" || item == "loopback-only") && items.size() > 1)
            error("inet_interfaces", item + " stands alone or not at all");
    constexpr std::string_view kProtocols[] = {"all", "ipv4", "ipv6"};
    for (const auto& item : list("inet_protocols"))
        if (!contains(kProtocols, item))
            error("inet_protocols", "write all, ipv4 or ipv6, not " + item);
}

void Checks::trusted_networks() {
    for (const std::string& item : list("mynetworks")) {
        const auto bare =
            std::string_view(item).substr(std::min(item.find_first_not_of('!'), item.size()));
        // A file, or a table: those are checked where they are opened.
        const bool is_table = bare.find(':') != bare.npos && !bare.starts_with('[') &&
                              is_ascii_alpha(bare.empty() ? '0' : bare.front()) &&
                              bare.find("::") == bare.npos;
        if (bare.starts_with('/') || is_table) continue;
        if (const auto checked = check_network(bare); !checked)
            error("mynetworks", checked.error().message);
        else if (bare.ends_with("/0"))
            danger("mynetworks", "everyone may relay through this host");
    }
}

void Checks::relay_restrictions() {
    constexpr std::string_view kServed[] = {"permit_mynetworks",
                                            "permit_sasl_authenticated",
                                            "defer_unauth_destination",
                                            "reject_unauth_destination",
                                            "permit",
                                            "reject"};
    constexpr std::string_view kClosing[] = {"defer_unauth_destination",
                                             "reject_unauth_destination", "reject"};
    bool is_closed = false;
    for (const auto& word : list("smtpd_relay_restrictions")) {
        if (!contains(kServed, word))
            error("smtpd_relay_restrictions", "postrider does not serve " + word +
                                                  " (use permit_mynetworks, "
                                                  "permit_sasl_authenticated, "
                                                  "defer_unauth_destination, "
                                                  "reject_unauth_destination, permit, reject)");
        if (contains(kClosing, word)) is_closed = true;
        if (word == "permit" && !is_closed) {
            error("smtpd_relay_restrictions",
                  "permit before reject_unauth_destination makes this host an open relay");
            return;
        }
    }
    if (!is_closed)
        error("smtpd_relay_restrictions",
              "specify at least one working instance of: reject_unauth_destination, "
              "defer_unauth_destination, reject");
}

void Checks::bare_newlines() {
    const auto choice = text("smtpd_forbid_bare_newline");
    if (choice == "no" || choice == "note")
        warning("smtpd_forbid_bare_newline",
                "postrider takes LF without CR for the end of a line, never of a message, as "
                "with normalize");
}

void Checks::smarthost() {
    const auto hosts = list("relayhost");
    const bool has_password = !text("smtp_sasl_password_maps").empty();
    for (const auto& host : hosts) {
        const bool implicit =
            host.ends_with(":465") || host.ends_with(":smtps") || host.ends_with(":submissions");
        if (implicit && !is_yes("smtp_tls_wrappermode"))
            warning("relayhost",
                    "port 465 speaks TLS from the first byte: set smtp_tls_wrappermode = yes");
    }
    const auto tls = text("smtp_tls_security_level");
    const bool unverified = tls.empty() || tls == "none" || tls == "may" || tls == "encrypt";
    if (!hosts.empty() && has_password && is_yes("smtp_sasl_auth_enable") && unverified)
        danger("smtp_tls_security_level",
               "the password may go to a host that only claims to be the relayhost (verify "
               "makes sure)");
}

void Checks::tls_level() {
    const auto level = text("smtp_tls_security_level");
    if (is_yes("smtp_tls_wrappermode") && (level.empty() || level == "none" || level == "may"))
        error("smtp_tls_wrappermode",
              "needs smtp_tls_security_level = encrypt, fingerprint, verify or secure, not \"" +
                  level + "\"");
    if (level == "fingerprint" && text("smtp_tls_fingerprint_cert_match").empty())
        error("smtp_tls_security_level", "needs smtp_tls_fingerprint_cert_match");
}

void Checks::tls_protocols(std::string_view name) {
    constexpr std::string_view kNames[] = {"SSLv2",   "SSLv3",   "TLSv1",  "TLSv1.0",
                                           "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    auto value = text(name);
    std::replace(value.begin(), value.end(), ':', ' ');
    for (const auto& item : split_list(value)) {
        std::string_view protocol = item;
        const bool is_bound = protocol.starts_with(">=") || protocol.starts_with("<=");
        protocol.remove_prefix(is_bound ? 2 : protocol.starts_with('!') ? 1 : 0);
        const bool is_number = is_bound && protocol.size() == 4 && protocol.starts_with("03");
        if (!contains(kNames, protocol) && !is_number)
            error(name, "Invalid TLS protocol \"" + item +
                            "\" (write such as >=TLSv1.2, or "
                            "!TLSv1, !TLSv1.1)");
    }
}

void Checks::tls_exclusions(std::string_view name) {
    auto value = text(name);
    std::replace(value.begin(), value.end(), ':', ' ');
    for (const auto& item : split_list(value))
        if (std::string_view("!+-@").find(item.front()) != std::string_view::npos)
            error(name, "invalid unary '!+-@' in cipher exclusion: " + item);
}

void Checks::tls_loglevel() {
    constexpr std::string_view kWords[] = {"0",
                                           "1",
                                           "2",
                                           "3",
                                           "4",
                                           "none",
                                           "routine",
                                           "debug",
                                           "ssl-expert",
                                           "ssl-developer",
                                           "summary",
                                           "untrusted",
                                           "peercert",
                                           "certmatch",
                                           "verbose",
                                           "cache",
                                           "dane",
                                           "ssl-debug",
                                           "ssl-handshake-packet-dump",
                                           "ssl-session-packet-dump",
                                           "trace"};
    for (const auto& word : list("smtp_tls_loglevel"))
        if (!contains(kWords, word))
            error("smtp_tls_loglevel", "write a number from 0 to 4, not " + word);
}

void Checks::sasl() {
    if (!is_yes("smtp_sasl_auth_enable")) return;
    if (text("smtp_sasl_password_maps").empty())
        error("smtp_sasl_auth_enable",
              "specify a password table with smtp_sasl_password_maps, such as "
              "hash:/etc/postrider/sasl_passwd");
    for (const auto& word : list("smtp_sasl_tls_security_options"))
        if (word == "noplaintext")
            warning("smtp_sasl_tls_security_options",
                    "noplaintext rules PLAIN and LOGIN out, which is all that most smarthosts "
                    "offer (write noanonymous)");
}

void Checks::sasl_options(std::string_view name) {
    constexpr std::string_view kWords[] = {"noplaintext", "noactive",        "nodictionary",
                                           "noanonymous", "forward_secrecy", "mutual_auth"};
    for (const auto& word : list(name))
        if (!contains(kWords, word))
            error(name, "unknown SASL security options value \"" + word + "\"");
}

void Checks::times() {
    const auto seconds = [&](std::string_view name) {
        return parse_time(text(name), default_unit(*find_parameter(name)));
    };
    if (seconds("bounce_queue_lifetime") > seconds("maximal_queue_lifetime"))
        warning("bounce_queue_lifetime",
                "bounce_queue_lifetime is larger than maximal_queue_lifetime - adjusting "
                "bounce_queue_lifetime");
    if (seconds("maximal_backoff_time") < seconds("minimal_backoff_time"))
        warning("maximal_backoff_time",
                "maximal_backoff_time is smaller than minimal_backoff_time - adjusting "
                "maximal_backoff_time");
}

void Checks::log_file() {
    const auto file = text("maillog_file");
    if (file.empty()) return;
    const auto prefixes = list("maillog_file_prefixes");
    const bool allowed = std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& prefix) {
        return file.starts_with(prefix) && (file.size() == prefix.size() || prefix.ends_with('/') ||
                                            file[prefix.size()] == '/');
    });
    if (!allowed)
        error("maillog_file",
              "must be below one of maillog_file_prefixes: " + text("maillog_file_prefixes"));
}

}  // namespace

void check_meaning(const Settings& settings, Findings& findings) {
    Checks checks(settings, findings);
    checks.level();
    checks.host_names();
    checks.interfaces();
    checks.trusted_networks();
    checks.relay_restrictions();
    checks.bare_newlines();
    checks.smarthost();
    checks.tls_level();
    for (const std::string_view name : {"smtp_tls_mandatory_protocols", "smtp_tls_protocols"})
        checks.tls_protocols(name);
    for (const std::string_view name :
         {"smtp_tls_exclude_ciphers", "smtp_tls_mandatory_exclude_ciphers"})
        checks.tls_exclusions(name);
    checks.tls_loglevel();
    checks.sasl();
    for (const std::string_view name :
         {"smtp_sasl_security_options", "smtp_sasl_tls_security_options",
          "smtp_sasl_tls_verified_security_options"})
        checks.sasl_options(name);
    checks.times();
    checks.log_file();
}

}  // namespace postrider::config
