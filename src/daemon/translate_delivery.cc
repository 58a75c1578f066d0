#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>

#include "core/ascii.h"
#include "daemon/translate.h"
#include "net/endpoint.h"

namespace postrider::daemon {
namespace {

constexpr std::size_t kKnownAnswersMax = std::size_t{1024} * 1024;

unsigned count(const config::Config& config, std::string_view parameter) {
    return static_cast<unsigned>(config.integer(parameter));
}

Error about(std::string_view parameter, Error error) {
    return with_context(parameter, std::move(error));
}

delivery::Timeouts timeouts(const config::Config& config) {
    delivery::Timeouts timeouts;
    timeouts.connect = config.time("smtp_connect_timeout");
    timeouts.helo = config.time("smtp_helo_timeout");
    timeouts.starttls = config.time("smtp_starttls_timeout");
    timeouts.mail = config.time("smtp_mail_timeout");
    timeouts.rcpt = config.time("smtp_rcpt_timeout");
    timeouts.data_init = config.time("smtp_data_init_timeout");
    timeouts.data_xfer = config.time("smtp_data_xfer_timeout");
    timeouts.data_done = config.time("smtp_data_done_timeout");
    timeouts.rset = config.time("smtp_rset_timeout");
    timeouts.quit = config.time("smtp_quit_timeout");
    return timeouts;
}

Result<delivery::RouteOptions> route_options(const config::Config& config, const Log& log) {
    delivery::RouteOptions options;
    options.relayhost = config.text("relayhost");
    options.default_transport = config.text("default_transport");
    options.is_local = local_domains(config, log);
    options.recipient_delimiter = config.text("recipient_delimiter");
    const auto parents = config.list("parent_domain_matches_subdomains");
    options.parent_domain_matches =
        std::find(parents.begin(), parents.end(), "transport_maps") != parents.end();
    auto ports = delivery::PortNames::parse(config.text("known_tcp_ports"));
    if (!ports) return Unexpected(about("known_tcp_ports", std::move(ports).error()));
    options.ports = std::move(ports).value();
    const auto port = options.ports.find(config.text("smtp_tcp_port"));
    if (!port) {
        return Unexpected(ErrorCode::Invalid, "smtp_tcp_port: unknown service \"" +
                                                  config.text("smtp_tcp_port") + "\"");
    }
    options.default_port = *port;
    if (auto checked = check_relayhost(config); !checked) return Unexpected(checked.error());
    return options;
}

Result<sasl::SecurityOptions> security_options(const config::Config& config,
                                               std::string_view parameter) {
    auto options = sasl::parse_security_options(config.text(parameter));
    if (!options) return Unexpected(about(parameter, std::move(options).error()));
    return options;
}

/// smtp_sasl_mechanism_filter: empty permits all.
sasl::MechanismFilter mechanism_filter(const config::Config& config, const Log& log) {
    if (config.text("smtp_sasl_mechanism_filter").empty()) return {};
    auto list = std::make_shared<table::MatchList>(
        open_match_list(config, "smtp_sasl_mechanism_filter", log));
    return [list](std::string_view mechanism) {
        const auto match = list->matches(mechanism);
        return match && *match;
    };
}

Result<delivery::SessionOptions> session_options(const config::Config& config, const Log& log) {
    delivery::SessionOptions options;
    options.helo_name = config.text("smtp_helo_name");
    options.myhostname = config.text("myhostname");
    options.always_send_ehlo = config.boolean("smtp_always_send_ehlo");
    options.tls_wrappermode = config.boolean("smtp_tls_wrappermode");
    options.sasl_auth_enable = config.boolean("smtp_sasl_auth_enable");
    options.sender_dependent_auth = config.boolean("smtp_sender_dependent_authentication");
    const std::string delimiter = config.text("smtp_sasl_password_result_delimiter");
    if (!delimiter.empty()) options.password_delimiter = delimiter.front();
    options.mechanism_filter = mechanism_filter(config, log);
    auto plain = security_options(config, "smtp_sasl_security_options");
    auto tls = security_options(config, "smtp_sasl_tls_security_options");
    auto verified = security_options(config, "smtp_sasl_tls_verified_security_options");
    for (const auto* each : {&plain, &tls, &verified}) {
        if (!*each) return Unexpected(each->error());
    }
    options.security = *plain;
    options.tls_security = *tls;
    options.verified_security = *verified;
    auto discarded = smtp::parse_discarded_keywords(config.text("smtp_discard_ehlo_keywords"));
    if (!discarded) {
        return Unexpected(about("smtp_discard_ehlo_keywords", std::move(discarded).error()));
    }
    options.discarded_keywords = std::move(discarded).value();
    options.address_limit = count(config, "smtp_mx_address_limit");
    options.logins_per_minute = static_cast<unsigned>(config.integer("smtp_login_rate_limit"));
    options.timeouts = timeouts(config);
    return options;
}

delivery::RetryOptions retry_options(const config::Config& config) {
    delivery::RetryOptions options;
    options.minimal_backoff = config.time("minimal_backoff_time");
    options.maximal_backoff = config.time("maximal_backoff_time");
    options.maximal_queue_lifetime = config.time("maximal_queue_lifetime");
    options.bounce_queue_lifetime =
        std::min(config.time("bounce_queue_lifetime"), options.maximal_queue_lifetime);
    options.delay_warning_time = config.time("delay_warning_time");
    options.account_pause_min = options.minimal_backoff;
    options.account_pause_max = std::max(
        options.account_pause_min, std::min(options.account_pause_max, options.maximal_backoff));
    return options;
}

delivery::ReportOptions report_options(const config::Config& config) {
    delivery::ReportOptions options;
    options.myhostname = config.text("myhostname");
    options.myorigin = config.text("myorigin");
    options.mail_name = config.text("mail_name");
    options.smtputf8_enable = config.boolean("smtputf8_enable");
    options.threaded_bounces = config.boolean("enable_threaded_bounces");
    options.bounce_size_limit = static_cast<std::size_t>(config.integer("bounce_size_limit"));
    options.sender_limit = static_cast<unsigned>(config.integer("sender_report_limit"));
    options.sender_interval = config.time("sender_report_interval");
    return options;
}

Result<net::ConnectOptions> connect_options(const config::Config& config) {
    net::ConnectOptions options;
    options.attempt_timeout = config.time("smtp_connect_timeout");
    const auto source = [&](std::string_view parameter) -> Result<std::optional<net::IpAddress>> {
        const std::string text = config.text(parameter);
        if (text.empty()) return std::optional<net::IpAddress>();
        auto address = net::parse_ip_literal(text);
        if (!address) {
            return Unexpected(ErrorCode::Invalid, std::string(parameter) + ": \"" + text +
                                                      "\" is not an address of this machine");
        }
        return address;
    };
    auto v4 = source("smtp_bind_address");
    if (!v4) return Unexpected(std::move(v4).error());
    auto v6 = source("smtp_bind_address6");
    if (!v6) return Unexpected(std::move(v6).error());
    options.bind_ipv4 = *v4;
    options.bind_ipv6 = *v6;
    return options;
}

net::AddressOrder address_order(const config::Config& config) {
    net::AddressOrder order;
    const std::string preference = config.text("smtp_address_preference");
    if (preference == "ipv4") order.preference = net::AddressPreference::Ipv4;
    if (preference == "ipv6") order.preference = net::AddressPreference::Ipv6;
    order.randomize = config.boolean("smtp_randomize_addresses");
    order.balance_families = config.boolean("smtp_balance_inet_protocols");
    order.limit = static_cast<std::size_t>(config.integer("smtp_mx_address_limit"));
    return order;
}

}  // namespace

Result<void> check_relayhost(const config::Config& config) {
    const std::string relayhost = config.text("relayhost");
    if (relayhost.empty()) return {};
    auto ports = delivery::PortNames::parse(config.text("known_tcp_ports"));
    if (!ports) return Unexpected(about("known_tcp_ports", std::move(ports).error()));
    const auto hops = delivery::parse_next_hops(relayhost, *ports, 25);
    if (!hops) return Unexpected(about("relayhost", hops.error()));
    return {};
}

Result<std::shared_ptr<const delivery::KnownAnswers>> known_answers(const config::Config& config) {
    const std::string path = config.text("smtp_known_answers_file");
    if (path.empty()) return std::make_shared<const delivery::KnownAnswers>();
    std::ifstream file(path);
    std::string text(kKnownAnswersMax + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file.is_open() || file.bad()) {
        return Unexpected(system_error("smtp_known_answers_file: read " + path, errno));
    }
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > kKnownAnswersMax) {
        return Unexpected(ErrorCode::Invalid, "smtp_known_answers_file: " + path + " is too large");
    }
    auto answers = delivery::KnownAnswers::parse(path, text);
    if (!answers) return Unexpected(std::move(answers).error());
    return std::make_shared<const delivery::KnownAnswers>(*std::move(answers));
}

Result<delivery::Options> delivery_options(const config::Config& config, const Log& log) {
    delivery::Options options;
    auto route = route_options(config, log);
    if (!route) return Unexpected(std::move(route).error());
    options.route = std::move(route).value();
    auto session = session_options(config, log);
    if (!session) return Unexpected(std::move(session).error());
    options.session = std::move(session).value();
    auto answers = known_answers(config);
    if (!answers) return Unexpected(std::move(answers).error());
    options.session.known_answers = *answers;
    options.transaction.known_answers = *answers;

    options.transaction.recipient_limit = count(config, "smtp_destination_recipient_limit");
    options.transaction.line_length_limit = count(config, "smtp_line_length_limit");
    options.transaction.disable_mime_output_conversion =
        config.boolean("disable_mime_output_conversion");
    options.transaction.send_dummy_mail_auth = config.boolean("smtp_send_dummy_mail_auth");
    options.transaction.timeouts = timeouts(config);

    options.pool.idle_max = config.time("smtp_connection_cache_time_limit");
    options.pool.reuse_max = config.time("smtp_connection_reuse_time_limit");
    options.pool.uses_max = count(config, "smtp_connection_reuse_count_limit");
    options.retry = retry_options(config);
    options.concurrency.initial = count(config, "initial_destination_concurrency");
    options.concurrency.limit = count(config, "smtp_destination_concurrency_limit");
    options.report = report_options(config);
    options.delay_resolution = static_cast<int>(config.integer("delay_logging_resolution_limit"));
    options.long_queue_ids = config.boolean("enable_long_queue_ids");
    return options;
}

delivery::Maps delivery_maps(const config::Config& config, const Owner& owner, const Log& log) {
    delivery::Maps maps;
    maps.transport = open_tables(config, "transport_maps", log);
    maps.sender_dependent_relayhost = open_tables(config, "sender_dependent_relayhost_maps", log);
    table::OpenOptions secret;
    secret.secret = true;
    secret.trusted_owner = owner.uid;
    secret.substitution = table::Substitution::Forbidden;
    maps.passwords = open_tables(config, "smtp_sasl_password_maps", log, secret);
    return maps;
}

Result<tls::Policy> tls_policy(const config::Config& config) {
    tls::Policy policy;
    // Postfix's older settings speak only where the newer one is silent.
    const std::string level = config.text("smtp_tls_security_level");
    if (const auto parsed = tls::parse_level(level)) {
        policy.level = *parsed;
    } else if (level.empty()) {
        policy.level = tls::Level::None;
        if (config.boolean("smtp_use_tls")) policy.level = tls::Level::May;
        if (config.boolean("smtp_enforce_tls")) {
            policy.level = config.boolean("smtp_tls_enforce_peername") ? tls::Level::Verify
                                                                       : tls::Level::Encrypt;
        }
    } else {
        return Unexpected(ErrorCode::Invalid,
                          "smtp_tls_security_level: \"" + level +
                              "\": expected none, may, encrypt, fingerprint, verify or secure");
    }
    const bool mandatory = policy.level >= tls::Level::Encrypt;

    auto protocols = tls::parse_protocols(
        config.text(mandatory ? "smtp_tls_mandatory_protocols" : "smtp_tls_protocols"));
    if (!protocols) return Unexpected(std::move(protocols).error());
    policy.protocols = *protocols;

    tls::CipherGrades grades;
    grades.high = config.text("tls_high_cipherlist");
    grades.medium = config.text("tls_medium_cipherlist");
    grades.null = config.text("tls_null_cipherlist");
    std::string exclusions = config.text("smtp_tls_exclude_ciphers");
    if (mandatory) exclusions += " " + config.text("smtp_tls_mandatory_exclude_ciphers");
    auto ciphers = tls::cipher_list(
        grades, config.text(mandatory ? "smtp_tls_mandatory_ciphers" : "smtp_tls_ciphers"),
        policy.level, exclusions);
    if (!ciphers) return Unexpected(std::move(ciphers).error());
    policy.ciphers = std::move(ciphers).value();

    policy.match = config.list(policy.level == tls::Level::Secure ? "smtp_tls_secure_cert_match"
                                                                  : "smtp_tls_verify_cert_match");
    policy.fingerprints = config.list("smtp_tls_fingerprint_cert_match");
    policy.fingerprint_digest = config.text("smtp_tls_fingerprint_digest");
    policy.server_name = config.text("smtp_tls_servername");
    policy.trust_anchors = config.text("smtp_tls_trust_anchor_file");
    policy.verify_depth = static_cast<int>(config.integer("smtp_tls_scert_verifydepth"));
    policy.curves = config.text("tls_eecdh_auto_curves");
    policy.session_lifetime = config.time("smtp_tls_session_cache_timeout");
    return policy;
}

tls::MaterialFiles tls_files(const config::Config& config) {
    tls::MaterialFiles files;
    files.ca_file = config.text("smtp_tls_CAfile");
    files.ca_path = config.text("smtp_tls_CApath");
    files.system_store =
        (files.ca_file.empty() && files.ca_path.empty()) || config.boolean("tls_append_default_CA");
    for (const std::string& file : config.list("smtp_tls_chain_files")) files.chain.push_back(file);
    if (files.chain.empty() && !config.text("smtp_tls_cert_file").empty()) {
        files.chain.push_back(config.text("smtp_tls_cert_file"));
        files.key = config.text("smtp_tls_key_file");
    }
    if (const std::string anchors = config.text("smtp_tls_trust_anchor_file"); !anchors.empty()) {
        files.anchors.push_back(anchors);
    }
    return files;
}

net::ResolverOptions resolver_options(const config::Config& config) {
    net::ResolverOptions options;
    const auto protocols = config.list("inet_protocols");
    const auto has = [&](std::string_view name) {
        return std::find(protocols.begin(), protocols.end(), name) != protocols.end();
    };
    options.ipv4 = has("all") || has("ipv4");
    options.ipv6 = has("all") || has("ipv6");
    const auto lookups = config.list("smtp_host_lookup");
    const bool native = std::find(lookups.begin(), lookups.end(), "native") != lookups.end();
    const bool dns = std::find(lookups.begin(), lookups.end(), "dns") != lookups.end() &&
                     !config.boolean("disable_dns_lookups");
    if (native) options.lookup = dns ? net::HostLookup::DnsThenNative : net::HostLookup::Native;
    options.ignore_mx_lookup_error = config.boolean("ignore_mx_lookup_error");
    return options;
}

Result<delivery::DialOptions> dial_options(const config::Config& config,
                                           const delivery::Options& delivery) {
    delivery::DialOptions options;
    options.session = delivery.session;
    options.ports = delivery.route.ports;
    options.default_port = delivery.route.default_port;
    options.recipient_delimiter = delivery.route.recipient_delimiter;
    options.order = address_order(config);
    auto connect = connect_options(config);
    if (!connect) return Unexpected(std::move(connect).error());
    options.connect = *connect;
    return options;
}

int tls_log_level(const config::Config& config) {
    constexpr std::pair<std::string_view, int> kWords[] = {
        {"none", 0},  {"routine", 1},    {"summary", 1},
        {"debug", 2}, {"ssl-expert", 3}, {"ssl-developer", 4},
    };
    int level = 0;
    for (const std::string& word : config.list("smtp_tls_loglevel")) {
        if (word.size() == 1 && is_ascii_digit(word[0])) level = std::max(level, word[0] - '0');
        for (const auto& [name, value] : kWords) {
            if (equals_ignoring_case(word, name)) level = std::max(level, value);
        }
    }
    return std::min(level, 4);
}

queue::Spool::Options spool_options(const config::Config& config) {
    queue::Spool::Options options;
    options.directory = config.text("queue_directory");
    options.next_attempt_max = config.time("maximal_backoff_time");
    options.crashes_max = static_cast<std::uint32_t>(config.integer("message_crash_limit"));
    const auto minfree = static_cast<std::uint64_t>(config.integer("queue_minfree"));
    options.free_space_floor =
        std::max({options.free_space_floor, minfree,
                  2 * static_cast<std::uint64_t>(config.integer("message_size_limit"))});
    return options;
}

}  // namespace postrider::daemon
