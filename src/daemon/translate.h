// The configuration in the words of each module: the only place where both are known.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/config.h"
#include "core/log.h"
#include "core/result.h"
#include "daemon/layout.h"
#include "delivery/options.h"
#include "delivery/smtp_dialler.h"
#include "intake/smtp_server.h"
#include "intake/submission.h"
#include "message/cleanup.h"
#include "net/connect.h"
#include "net/resolve.h"
#include "queue/spool.h"
#include "table/match_list.h"
#include "tls/client.h"
#include "tls/policy.h"

namespace postrider::daemon {

/// Opens a parameter's tables. Those that cannot be opened warn, and fail at every lookup.
table::Tables open_tables(const config::Config&, std::string_view parameter, const Log&,
                          table::OpenOptions options = {});

/// A match list of domains or addresses; parent_domain_matches_subdomains is heeded.
table::MatchList open_match_list(const config::Config&, std::string_view parameter, const Log&);

/// mydestination. A domain that cannot be looked up counts as not ours, and has been logged.
std::function<bool(std::string_view domain)> local_domains(const config::Config&, const Log&);

/// Every table that clean-up asks is opened here, so this needs the file system.
message::CleanupOptions cleanup_options(const config::Config&, const Log&);

/// `rewrite` must outlive the result: recipients are looked up as clean-up will rewrite them.
intake::DialogueOptions dialogue_options(const config::Config&,
                                         const message::RewriteOptions& rewrite, const Log&);
intake::SessionOptions smtpd_session_options(const config::Config&);
intake::ServerOptions server_options(const config::Config&, const Log&);
intake::RateOptions rate_options(const config::Config&, const Log&);
intake::SubmissionOptions submission_options(const config::Config&, const Log&);

/// Whether relayhost names somebody: the certificate of a host without a name says nothing.
Result<void> check_relayhost(const config::Config&);

/// smtp_known_answers_file; the error says which line is wrong.
Result<std::shared_ptr<const delivery::KnownAnswers>> known_answers(const config::Config&);

/// Everything delivery needs, and nothing of it secret.
Result<delivery::Options> delivery_options(const config::Config&, const Log&);

/// The tables of delivery; the passwords among them, so only the courier may call this, while it
/// can still read what is root's.
delivery::Maps delivery_maps(const config::Config&, const Owner&, const Log&);

/// How certificates are judged. The error says which setting is wrong.
Result<tls::Policy> tls_policy(const config::Config&);
/// The files of certificates and keys that the policy rests on.
tls::MaterialFiles tls_files(const config::Config&);

net::ResolverOptions resolver_options(const config::Config&);
Result<delivery::DialOptions> dial_options(const config::Config&, const delivery::Options&);
/// smtp_tls_loglevel as a number from 0 to 4; its words count as the level they belong to.
int tls_log_level(const config::Config&);

queue::Spool::Options spool_options(const config::Config&);

}  // namespace postrider::daemon
