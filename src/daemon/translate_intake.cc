#include <algorithm>
#include <memory>

#include <sys/resource.h>

#include "daemon/accounts.h"
#include "daemon/translate.h"
#include "intake/login_senders.h"
#include "message/rewrite.h"
#include "table/address_keys.h"

namespace postrider::daemon {
namespace {

std::size_t size(const config::Config& config, std::string_view parameter) {
    return static_cast<std::size_t>(config.integer(parameter));
}

/// Who at a local address will have mail: accounts and aliases, as local_recipient_maps says.
std::function<intake::RecipientClass(const mail::Address&)> recipient_classes(
    const config::Config& config, const message::RewriteOptions& rewrite, const Log& log) {
    auto users = std::make_shared<table::Tables>(open_tables(config, "local_recipient_maps", log));
    const std::string delimiters = config.text("recipient_delimiter");
    return [users, delimiters, &rewrite](const mail::Address& address) {
        using intake::RecipientClass;
        const message::Rewriter rewriter(rewrite);
        const mail::Address full = rewriter.standard_form(address);
        if (!rewriter.is_local(full.domain)) return RecipientClass::Remote;
        if (users->empty()) return RecipientClass::Local;
        const auto aliased = rewriter.has_alias(full);
        if (!aliased) return RecipientClass::LookupFailed;
        if (*aliased) return RecipientClass::Local;
        const std::string user =
            full.local_part.substr(0, full.local_part.find_first_of(delimiters));
        const auto found = users->find(user);
        if (!found) return RecipientClass::LookupFailed;
        return *found ? RecipientClass::Local : RecipientClass::UnknownLocal;
    };
}

/// Nothing where everybody may use any sender.
std::function<Result<bool>(std::int64_t, const mail::Address&)> login_senders(
    const config::Config& config, const Log& log) {
    constexpr std::string_view maps = "local_login_sender_maps";
    if (config.text(maps) == "static:*") return {};
    auto senders = std::make_shared<intake::LoginSenders>(
        open_tables(config, maps, log),
        config.text("empty_address_local_login_sender_maps_lookup_key"),
        config.text("recipient_delimiter"));
    return [senders, accounts = Accounts::load()](std::int64_t uid, const mail::Address& sender) {
        const auto login = accounts(uid);
        return senders->allow(login ? login->name : "uid:" + std::to_string(uid), sender);
    };
}

std::function<bool(const std::string&)> clients_in(const config::Config& config,
                                                   std::string_view parameter, const Log& log) {
    auto clients = std::make_shared<table::MatchList>(open_match_list(config, parameter, log));
    return [clients](const std::string& address) {
        const auto match = clients->matches_address(address);
        return match && *match;
    };
}

/// Every session takes a descriptor, and there may be fewer than we would like.
void fit_descriptors(intake::ServerOptions& options) {
    constexpr rlim_t ours = 32;  // The log, the doors, the channel, a reserve.
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    const rlim_t wanted = options.session_limit + options.submission_limit + ours;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = std::min(limit.rlim_max, wanted);
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= wanted) return;
    const std::size_t left = limit.rlim_cur > ours + 6 ? limit.rlim_cur - ours : 6;
    options.submission_limit = left / 3;
    options.session_limit = left - options.submission_limit;
}

}  // namespace

intake::DialogueOptions dialogue_options(const config::Config& config,
                                         const message::RewriteOptions& rewrite, const Log& log) {
    intake::DialogueOptions options;
    options.myhostname = config.text("myhostname");
    options.smtpd_banner = config.text("smtpd_banner");
    options.message_size_limit = static_cast<std::uint64_t>(config.integer("message_size_limit"));
    options.smtpd_helo_required = config.boolean("smtpd_helo_required");
    options.smtpd_forbid_unauth_pipelining = config.boolean("smtpd_forbid_unauth_pipelining");
    options.disable_vrfy_command = config.boolean("disable_vrfy_command");
    options.smtputf8_enable = config.boolean("smtputf8_enable");
    options.strict_smtputf8 = config.boolean("strict_smtputf8");
    options.smtpd_discard_ehlo_keywords = config.list("smtpd_discard_ehlo_keywords");
    options.smtpd_noop_commands = config.list("smtpd_noop_commands");
    options.smtpd_forbidden_commands = config.list("smtpd_forbidden_commands");
    options.smtpd_recipient_limit = size(config, "smtpd_recipient_limit");
    options.smtpd_recipient_overshoot_limit = size(config, "smtpd_recipient_overshoot_limit");
    options.smtpd_soft_error_limit = size(config, "smtpd_soft_error_limit");
    options.smtpd_hard_error_limit = size(config, "smtpd_hard_error_limit");
    options.smtpd_junk_command_limit = size(config, "smtpd_junk_command_limit");
    options.smtpd_reject_unlisted_recipient = config.boolean("smtpd_reject_unlisted_recipient");
    options.path.strict = config.boolean("strict_rfc821_envelopes");
    options.classify_recipient = recipient_classes(config, rewrite, log);
    options.may_send_as = login_senders(config, log);
    return options;
}

intake::SessionOptions smtpd_session_options(const config::Config& config) {
    intake::SessionOptions options;
    options.smtpd_timeout = config.time("smtpd_timeout");
    options.smtpd_error_sleep_time = config.time("smtpd_error_sleep_time");
    options.line_length_limit = size(config, "line_length_limit");
    return options;
}

intake::ServerOptions server_options(const config::Config& config, const Log& log) {
    intake::ServerOptions options;
    options.client_session_limit = size(config, "smtpd_client_connection_count_limit");
    options.min_data_rate = static_cast<std::uint64_t>(config.integer("smtpd_min_data_rate"));
    fit_descriptors(options);
    options.is_trusted = clients_in(config, "mynetworks", log);
    options.is_exempt = clients_in(config, "smtpd_client_event_limit_exceptions", log);
    return options;
}

intake::RateOptions rate_options(const config::Config& config, const Log& log) {
    intake::RateOptions options;
    options.limits = {size(config, "smtpd_client_connection_rate_limit"),
                      size(config, "smtpd_client_message_rate_limit"),
                      size(config, "smtpd_client_recipient_rate_limit")};
    options.time_unit = config.time("anvil_rate_time_unit");
    options.is_exempt = clients_in(config, "smtpd_client_event_limit_exceptions", log);
    return options;
}

intake::SubmissionOptions submission_options(const config::Config& config, const Log& log) {
    intake::SubmissionOptions options;
    options.find_login = Accounts::load();
    auto users =
        std::make_shared<table::MatchList>(open_match_list(config, "authorized_submit_users", log));
    options.may_submit = [users](std::string_view login) {
        const auto match = users->matches(login);
        return match && *match;
    };
    return options;
}

}  // namespace postrider::daemon
