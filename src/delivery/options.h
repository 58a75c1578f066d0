// What the operator can set about delivery, as plain values; daemon fills it from main.cf.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "delivery/destination.h"
#include "delivery/known_answers.h"
#include "sasl/mechanism.h"
#include "sasl/security_options.h"
#include "smtp/capabilities.h"
#include "table/table.h"

namespace postrider::delivery {

/// smtp_*_timeout. Each bounds one wait, as RFC 5321 4.5.3.2 wants.
struct Timeouts {
    std::chrono::seconds connect{30};
    std::chrono::seconds helo{300};  ///< Greeting, EHLO, and each step of AUTH.
    std::chrono::seconds starttls{300};
    std::chrono::seconds mail{300};
    std::chrono::seconds rcpt{300};
    std::chrono::seconds data_init{120};
    std::chrono::seconds data_xfer{180};  ///< Each piece of content.
    std::chrono::seconds data_done{600};  ///< RFC 5321 4.5.3.2.6. Never lower it: duplicates.
    std::chrono::seconds rset{20};
    std::chrono::seconds quit{300};
};

/// How recipients find their way.
struct RouteOptions {
    std::string relayhost;                   ///< As written; empty: none.
    std::string default_transport = "smtp";  ///< `transport[:nexthop]`
    /// mydestination and literals of own addresses; unset: nothing is local.
    std::function<bool(std::string_view domain)> is_local;
    std::string recipient_delimiter;          ///< Characters; empty: none.
    bool parent_domain_matches = false;       ///< transport_maps: `parent` instead of `.parent`.
    std::uint16_t default_port = 25;          ///< smtp_tcp_port
    PortNames ports = PortNames::standard();  ///< known_tcp_ports
};

/// One SMTP session, up to and including AUTH.
struct SessionOptions {
    std::string helo_name;  ///< smtp_helo_name, else myhostname.
    std::string myhostname;
    bool always_send_ehlo = true;                       ///< smtp_always_send_ehlo
    bool tls_wrappermode = false;                       ///< smtp_tls_wrappermode: implicit TLS.
    bool sasl_auth_enable = false;                      ///< smtp_sasl_auth_enable
    bool sender_dependent_auth = false;                 ///< smtp_sender_dependent_authentication
    char password_delimiter = ':';                      ///< smtp_sasl_password_result_delimiter
    sasl::MechanismFilter mechanism_filter;             ///< smtp_sasl_mechanism_filter
    sasl::SecurityOptions security;                     ///< smtp_sasl_security_options
    sasl::SecurityOptions tls_security;                 ///< smtp_sasl_tls_security_options
    sasl::SecurityOptions verified_security;            ///< smtp_sasl_tls_verified_security_options
    smtp::DiscardedKeywords discarded_keywords;         ///< smtp_discard_ehlo_keywords
    std::size_t address_limit = 5;                      ///< smtp_mx_address_limit
    std::shared_ptr<const KnownAnswers> known_answers;  ///< Null: our own.
    unsigned logins_per_minute = 60;  ///< smtp_login_rate_limit, for each account.
    Timeouts timeouts;
};

/// One message over one session.
struct TransactionOptions {
    std::size_t recipient_limit = 50;     ///< smtp_destination_recipient_limit
    std::size_t line_length_limit = 998;  ///< smtp_line_length_limit
    bool disable_mime_output_conversion = false;
    bool send_dummy_mail_auth = false;
    std::shared_ptr<const KnownAnswers> known_answers;  ///< Null: our own.
    Timeouts timeouts;
};

struct PoolOptions {
    std::chrono::seconds idle_max{30};    ///< smtp_connection_cache_time_limit
    std::chrono::seconds reuse_max{300};  ///< smtp_connection_reuse_time_limit
    unsigned uses_max = 0;                ///< smtp_connection_reuse_count_limit; 0: no limit.
    std::size_t idle_count_max = 20;      ///< Idle connections kept, over all destinations.
};

/// When to try again and when to give up.
struct RetryOptions {
    std::chrono::seconds minimal_backoff{300};
    std::chrono::seconds maximal_backoff{4000};
    std::chrono::seconds maximal_queue_lifetime{432000};
    std::chrono::seconds bounce_queue_lifetime{432000};
    std::chrono::seconds delay_warning_time{0};  ///< 0: no delay notices.
    /// Refused authentication, exhausted quota: the account waits this long, doubling. From
    /// minimal_backoff_time to an hour, or maximal_backoff_time if that is less.
    std::chrono::seconds account_pause_min{300};
    std::chrono::seconds account_pause_max{3600};
};

/// How many at once to one destination.
struct ConcurrencyOptions {
    unsigned initial = 5;  ///< initial_destination_concurrency
    unsigned limit = 20;   ///< smtp_destination_concurrency_limit
    /// Sessions to one smarthost, whatever `limit` says: more look like abuse to providers.
    unsigned sessions_max = 5;
    double positive_feedback = 1;  ///< default_destination_concurrency_positive_feedback
    double negative_feedback = 1;
    double failed_cohort_limit = 1;
};

/// For reports to senders.
struct ReportOptions {
    std::string myhostname;
    std::string myorigin;
    std::string mail_name = "postrider";
    bool smtputf8_enable = true;
    bool threaded_bounces = false;
    std::size_t bounce_size_limit = 50000;
    /// A sender gets so many reports in an interval (0: any number), then one for all that follow.
    unsigned sender_limit = 100;                 ///< sender_report_limit
    std::chrono::seconds sender_interval{3600};  ///< sender_report_interval
};

struct Options {
    RouteOptions route;
    SessionOptions session;
    TransactionOptions transaction;
    PoolOptions pool;
    RetryOptions retry;
    ConcurrencyOptions concurrency;
    ReportOptions report;
    int delay_resolution = 2;              ///< delay_logging_resolution_limit
    std::size_t active_message_max = 200;  ///< Messages leased at once.
    std::chrono::seconds stop_grace{30};   ///< For transactions whose dot has been sent.
    bool long_queue_ids = false;           ///< For the names of reports.
};

/// The tables delivery asks, opened.
struct Maps {
    table::Tables transport;                   ///< transport_maps
    table::Tables sender_dependent_relayhost;  ///< sender_dependent_relayhost_maps
    table::Tables passwords;                   ///< smtp_sasl_password_maps
};

}  // namespace postrider::delivery
