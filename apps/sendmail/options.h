// The sendmail command's options, as Postfix reads them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "intake/submission_format.h"

namespace postrider::apps {

struct SendmailOptions {
    enum class Mode {
        Submit,      ///< -bm: one message from standard input.
        StandAlone,  ///< -bs: SMTP on standard input and output.
        ListQueue,   ///< -bp, mailq
        Flush,       ///< -q
        FlushId,     ///< -qIqueueid, in `argument`
        FlushSite,   ///< -qRsite, in `argument`
        NewAliases,  ///< -bi, -I, newaliases
        Daemon,      ///< -bd, -bl, smtpd
        Nothing,     ///< -bh, -bH, -q30m: accepted, and done.
    };
    Mode mode = Mode::Submit;
    std::string argument;
    std::string config_directory;  ///< -C; empty if not given.
    std::string alias_file;        ///< -oA
    bool full_name_given = false;  ///< -F, which wins over the environment's NAME.
    intake::SubmissionRequest request;
    std::vector<std::string> warnings;
};

/// Reads the words behind the program's name; `name` is argv[0], whose base name chooses the mode.
/// Options may be clustered and end at the first word that is none; later ones win. The error's
/// message is what stands behind `sendmail: fatal: `.
///
/// Nothing in an option names a program, a log or another queue: -X is refused, -O, -p and their
/// kin are read and forgotten.
Result<SendmailOptions> parse_options(std::string_view name, const std::vector<std::string>& words);

}  // namespace postrider::apps
