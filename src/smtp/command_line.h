// The commands a server receives: one line of text, read into values (RFC 5321 4.1, 3461, 6531).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "mail/address.h"
#include "mail/envelope.h"

namespace postrider::smtp {

enum class Verb : std::uint8_t {
    Helo,
    Ehlo,
    Xclient,
    Xforward,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Vrfy,
    Etrn,
    Quit,
    Help,
    Unknown,
};
inline constexpr std::size_t kVerbCount = static_cast<std::size_t>(Verb::Unknown) + 1;

/// `MAIL`, `RCPT`, ...; `UNKNOWN` for what is none of ours.
std::string_view verb_name(Verb);

/// A command line taken apart at its first white space. Views into the line.
struct CommandLine {
    Verb verb = Verb::Unknown;
    std::string_view word;      ///< As the client spelled it.
    std::string_view argument;  ///< Without white space at either end.
};

/// `line` comes without its line end. A line of nothing but white space has an empty word.
CommandLine split_command(std::string_view line);

/// Why a MAIL, RCPT or BDAT is refused; the dialogue knows the words for each.
struct Fault {
    enum class Kind : std::uint8_t {
        Syntax,             ///< Not `FROM:<...>` or `TO:<...>` at all.
        Address,            ///< No address, or one that cannot be.
        Size,               ///< SIZE= is not a number.
        SizeTooBig,         ///< SIZE= is a number beyond 63 bits.
        Return,             ///< RET=
        EnvelopeId,         ///< ENVID=
        Notify,             ///< NOTIFY=
        OriginalRecipient,  ///< ORCPT=
        Auth,               ///< AUTH=, which we do not serve.
        Unsupported,        ///< A parameter that is not ours; `detail` has it.
    };
    Kind kind;
    std::string detail;
};

/// What a server lets pass, beyond RFC 5321's grammar.
struct PathRules {
    bool strict = false;  ///< strict_rfc821_envelopes: brackets, no space before them.
    /// RFC 5321 4.5.3.1; longer ones are a Fault.
    std::size_t local_part_max = 64;
    std::size_t domain_max = 255;
    std::size_t path_max = 256;
};

struct MailCommand {
    mail::Address reverse_path;
    std::optional<std::uint64_t> size;  ///< SIZE=
    mail::BodyType body = mail::BodyType::Unknown;
    mail::DsnReturn dsn_return = mail::DsnReturn::Unspecified;
    std::string envelope_id;  ///< ENVID=, decoded: printable ASCII and nothing else.
    bool uses_dsn = false;    ///< RET= or ENVID= was given.
    bool smtputf8 = false;
};

struct RcptCommand {
    mail::Recipient recipient;
    bool uses_dsn = false;  ///< NOTIFY= or ORCPT= was given.
};

struct BdatCommand {
    std::uint64_t size = 0;
    bool last = false;
};

/// Read the argument of MAIL, RCPT, BDAT. Keywords in any letter case; a space behind the colon and
/// an address without brackets pass unless strict; a source route is dropped (RFC 5321 4.1.1.3).
/// Addresses hold no control character and are well-formed UTF-8; whether 8-bit ones are allowed
/// is the dialogue's to say. No parameter may be given twice.
std::variant<MailCommand, Fault> parse_mail(std::string_view argument, const PathRules& = {});
std::variant<RcptCommand, Fault> parse_rcpt(std::string_view argument, const PathRules& = {});
/// Nothing unless it is `count [LAST]`, count below 2^63.
std::optional<BdatCommand> parse_bdat(std::string_view argument);

/// The address of VRFY: brackets or none, no parameters but SMTPUTF8.
std::optional<mail::Address> parse_vrfy(std::string_view argument, const PathRules& = {});

/// NOTIFY's value: NEVER, or of SUCCESS, FAILURE, DELAY. Nothing if it is neither.
std::optional<mail::Notify> parse_notify(std::string_view value);

}  // namespace postrider::smtp
