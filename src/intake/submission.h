// Mail from local programs through the sendmail command: its socket and its drop directory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "intake/slots.h"
#include "intake/smtp_session.h"
#include "intake/submission_format.h"
#include "net/stream.h"

namespace postrider::intake {

/// An account, as far as mail needs it.
struct Login {
    std::string name;
    std::string full_name;  ///< The GECOS name: first field, `&` replaced.
};

/// What may be asked about the caller. The worker has no password file: the daemon fills these in.
struct SubmissionOptions {
    /// None: the uid has no account.
    std::function<std::optional<Login>(std::int64_t uid)> find_login;
    /// authorized_submit_users, asked with the login name, or `unknown`. Empty: anyone.
    std::function<bool(std::string_view login)> may_submit;
    std::size_t recipient_limit = 10000;  ///< On the command line.
};

/// Serves one connection on the submission socket: one message, or one SMTP session for `-bs`.
/// `uid` is the kernel's word for who called. All must outlive the call; closes the stream. Told to
/// leave because it is slow, a message is answered as a temporary failure.
net::Awaitable<void> serve_submission(net::Stream& stream, std::int64_t uid,
                                      const Services& services, const SubmissionOptions& options,
                                      Slot& slot);

/// Receives the one message of a stream in mode Submit and says what to answer. An Error means that
/// the stream broke off or was malformed: nothing was accepted. `drop` is queue::NewMessage's.
net::Awaitable<Result<SubmissionAnswer>> receive_submission(net::Stream& stream, std::int64_t uid,
                                                            const Services& services,
                                                            const SubmissionOptions& options,
                                                            std::string drop);

/// There is no room now; the sendmail command has other ways.
SubmissionAnswer busy_answer();

}  // namespace postrider::intake
