#include <algorithm>
#include <filesystem>
#include <memory>

#include "daemon/keeper.h"
#include "daemon/translate.h"
#include "net/endpoint.h"

namespace postrider::daemon {
namespace {

bool lists(const config::Config& config, std::string_view parameter, std::string_view word) {
    const auto words = config.list(parameter);
    return std::find(words.begin(), words.end(), word) != words.end();
}

message::AddressClasses classes(const config::Config& config, std::string_view parameter) {
    return {
        lists(config, parameter, "envelope_sender"), lists(config, parameter, "envelope_recipient"),
        lists(config, parameter, "header_sender"), lists(config, parameter, "header_recipient")};
}

message::FixLineEndings fix_line_endings(const std::string& word) {
    if (word == "strict") return message::FixLineEndings::Strict;
    if (word == "never") return message::FixLineEndings::Never;
    return message::FixLineEndings::Always;
}

std::size_t size(const config::Config& config, std::string_view parameter) {
    return static_cast<std::size_t>(config.integer(parameter));
}

table::Opener opener() {
    return has_keeper() ? ask_keeper : table::Opener();
}

/// The tables of a parameter, but for the default of alias_maps where this machine has no such
/// file: then there are no aliases. A table that main.cf names has to be there.
std::string tables_in_use(const config::Config& config, std::string_view parameter) {
    std::error_code ignored;
    if (config.is_set("alias_maps") || std::filesystem::exists("/etc/aliases", ignored) ||
        std::filesystem::exists("/etc/aliases.lmdb", ignored)) {
        return config.text(parameter);
    }
    const std::string aliases = config.text("alias_maps");
    if (config.text(parameter).find(aliases) == std::string::npos) return config.text(parameter);
    std::string tables;
    for (const std::string& table : config.list(parameter)) {
        if (table != aliases) tables += table + " ";
    }
    return tables;
}

message::RewriteOptions rewrite_options(const config::Config& config, const Log& log) {
    message::RewriteOptions options;
    options.myhostname = config.text("myhostname");
    options.myorigin = config.text("myorigin");
    options.mydomain = config.text("mydomain");
    options.remote_header_rewrite_domain = config.text("remote_header_rewrite_domain");
    options.empty_address_recipient = config.text("empty_address_recipient");
    options.recipient_delimiter = config.text("recipient_delimiter");
    options.append_at_myorigin = config.boolean("append_at_myorigin");
    options.append_dot_mydomain = config.boolean("append_dot_mydomain");
    options.swap_bangpath = config.boolean("swap_bangpath");
    options.allow_percent_hack = config.boolean("allow_percent_hack");
    options.enable_original_recipient = config.boolean("enable_original_recipient");
    options.is_local_domain = local_domains(config, log);

    options.sender_canonical_maps = open_tables(config, "sender_canonical_maps", log);
    options.sender_canonical_classes = classes(config, "sender_canonical_classes");
    options.recipient_canonical_maps = open_tables(config, "recipient_canonical_maps", log);
    options.recipient_canonical_classes = classes(config, "recipient_canonical_classes");
    options.canonical_maps = open_tables(config, "canonical_maps", log);
    options.canonical_classes = classes(config, "canonical_classes");
    options.masquerade_domains = config.list("masquerade_domains");
    options.masquerade_exceptions = config.list("masquerade_exceptions");
    options.masquerade_classes = classes(config, "masquerade_classes");

    options.always_bcc = config.text("always_bcc");
    options.sender_bcc_maps = open_tables(config, "sender_bcc_maps", log);
    options.recipient_bcc_maps = open_tables(config, "recipient_bcc_maps", log);
    options.virtual_alias_maps = open_tables(config, "virtual_alias_maps", log);
    options.virtual_alias_recursion_limit = size(config, "virtual_alias_recursion_limit");
    options.virtual_alias_expansion_limit = size(config, "virtual_alias_expansion_limit");
    options.virtual_alias_address_length_limit = size(config, "virtual_alias_address_length_limit");

    table::OpenOptions aliases;
    aliases.substitution = table::Substitution::Forbidden;
    aliases.source_syntax = table::SourceSyntax::Aliases;
    options.alias_maps = open_tables(config, "alias_maps", log, aliases);
    options.luser_relay = config.text("luser_relay");

    options.propagate_canonical = lists(config, "propagate_unmatched_extensions", "canonical");
    options.propagate_virtual = lists(config, "propagate_unmatched_extensions", "virtual");
    options.propagate_alias = lists(config, "propagate_unmatched_extensions", "alias");
    options.duplicate_filter_limit = size(config, "duplicate_filter_limit");
    return options;
}

}  // namespace

std::function<bool(std::string_view)> local_domains(const config::Config& config, const Log& log) {
    auto destinations =
        std::make_shared<table::MatchList>(open_match_list(config, "mydestination", log));
    return [destinations](std::string_view domain) {
        const auto match = destinations->matches(domain);
        return match && *match;
    };
}

table::Tables open_tables(const config::Config& config, std::string_view parameter, const Log& log,
                          table::OpenOptions options) {
    options.utf8 = options.utf8 && config.boolean("smtputf8_enable");
    options.opener = opener();
    return table::Tables::open(parameter, tables_in_use(config, parameter), options, log);
}

table::MatchList open_match_list(const config::Config& config, std::string_view parameter,
                                 const Log& log) {
    const auto kind = lists(config, "parent_domain_matches_subdomains", parameter)
                          ? table::MatchKind::DomainAndParents
                          : table::MatchKind::Domain;
    table::OpenOptions options;
    options.opener = opener();
    return table::MatchList::open(parameter, config.text(parameter), kind, options, log);
}

message::CleanupOptions cleanup_options(const config::Config& config, const Log& log) {
    message::CleanupOptions options;
    options.rewrite = rewrite_options(config, log);
    options.mail_name = config.text("mail_name");
    options.always_add_missing_headers = config.boolean("always_add_missing_headers");
    options.message_drop_headers = config.list("message_drop_headers");
    options.undisclosed_recipients_header = config.text("undisclosed_recipients_header");
    options.header_from_format = config.text("header_from_format") == "obsolete"
                                     ? message::HeaderFromFormat::Obsolete
                                     : message::HeaderFromFormat::Standard;
    options.full_name_encoding_charset = config.text("full_name_encoding_charset");
    options.sendmail_fix_line_endings = fix_line_endings(config.text("sendmail_fix_line_endings"));

    options.header_checks = open_tables(config, "header_checks", log);
    options.mime_header_checks = open_tables(config, "mime_header_checks", log);
    options.nested_header_checks = open_tables(config, "nested_header_checks", log);
    options.body_checks = open_tables(config, "body_checks", log);
    options.disable_mime_input_processing = config.boolean("disable_mime_input_processing");

    options.message_size_limit = static_cast<std::uint64_t>(config.integer("message_size_limit"));
    options.header_size_limit = size(config, "header_size_limit");
    options.hopcount_limit = size(config, "hopcount_limit");
    options.header_address_token_limit = size(config, "header_address_token_limit");
    options.body_checks_size_limit =
        static_cast<std::uint64_t>(config.integer("body_checks_size_limit"));
    options.mime_nesting_limit = size(config, "mime_nesting_limit");
    options.mime_boundary_length_limit = size(config, "mime_boundary_length_limit");
    options.line_length_limit = size(config, "line_length_limit");
    return options;
}

}  // namespace postrider::daemon
