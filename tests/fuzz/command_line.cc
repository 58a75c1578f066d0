// Command lines of a client: parsed, printed and parsed again they are equal, and no control byte
// survives.
#include "smtp/command_line.h"

#include "core/ascii.h"
#include "fuzz.h"
#include "smtp/commands.h"

using namespace postrider;

namespace {

smtp::Capabilities everything() {
    smtp::Capabilities all;
    all.esmtp = all.eight_bit_mime = all.pipelining = all.dsn = all.smtputf8 = all.size = true;
    return all;
}

/// Escaping may make a path longer than a client may send.
smtp::PathRules printed_rules() {
    smtp::PathRules rules;
    rules.strict = true;
    rules.path_max = 1000;
    return rules;
}

std::string_view argument_of(const std::string& command, std::string_view verb) {
    fuzz::require(command.starts_with(verb) && command.ends_with("\r\n"), "one complete line");
    const auto line = std::string_view(command).substr(0, command.size() - 2);
    fuzz::require(!fuzz::has_control(line), "no control byte in a command of ours");
    return smtp::split_command(line).argument;
}

void check_mail(std::string_view argument, const smtp::PathRules& rules) {
    const auto parsed = smtp::parse_mail(argument, rules);
    const auto* mail = std::get_if<smtp::MailCommand>(&parsed);
    if (mail == nullptr) return;
    fuzz::require(mail->reverse_path.local_part.size() <= rules.local_part_max, "local part bound");
    fuzz::require(mail->reverse_path.domain.size() <= rules.domain_max, "domain bound");
    fuzz::require(!fuzz::has_control(mail->envelope_id), "ENVID is printable");

    mail::Envelope envelope;
    envelope.reverse_path = mail->reverse_path;
    envelope.body = mail->body;
    envelope.dsn_return = mail->dsn_return;
    envelope.envelope_id = mail->envelope_id;
    smtp::MailOptions options;
    options.size = mail->size;
    options.smtputf8 = mail->smtputf8;
    const auto printed = smtp::mail_command(envelope, everything(), options);
    fuzz::require(printed.has_value(), "what was taken can be said");
    const auto again = smtp::parse_mail(argument_of(*printed, "MAIL "), printed_rules());
    const auto* same = std::get_if<smtp::MailCommand>(&again);
    fuzz::require(same != nullptr, "and be understood");
    fuzz::require(same->reverse_path == mail->reverse_path && same->size == mail->size &&
                      same->body == mail->body && same->dsn_return == mail->dsn_return &&
                      same->envelope_id == mail->envelope_id && same->smtputf8 == mail->smtputf8,
                  "MAIL: parse, print, parse is equal");
}

/// An address beyond ASCII has the type that RFC 6533 has for it, whatever the client called it.
std::string as_said(const std::string& original_recipient) {
    const std::size_t semicolon = original_recipient.find(';');
    const auto type = std::string_view(original_recipient).substr(0, semicolon);
    if (is_ascii(original_recipient) || equals_ignoring_case(type, "utf-8"))
        return original_recipient;
    return "utf-8" + original_recipient.substr(semicolon);
}

void check_rcpt(std::string_view argument, const smtp::PathRules& rules) {
    const auto parsed = smtp::parse_rcpt(argument, rules);
    const auto* rcpt = std::get_if<smtp::RcptCommand>(&parsed);
    if (rcpt == nullptr) return;
    const mail::Recipient& recipient = rcpt->recipient;
    fuzz::require(!recipient.address.is_null(), "no null recipient");
    fuzz::require(!fuzz::has_control(recipient.original_recipient), "ORCPT is printable");

    const auto printed = smtp::rcpt_command(recipient, everything());
    fuzz::require(printed.has_value(), "what was taken can be said");
    const auto again = smtp::parse_rcpt(argument_of(*printed, "RCPT "), printed_rules());
    const auto* same = std::get_if<smtp::RcptCommand>(&again);
    fuzz::require(same != nullptr, "and be understood");
    fuzz::require(
        same->recipient.address == recipient.address && same->recipient.notify == recipient.notify,
        "RCPT: parse, print, parse is equal");
    if (recipient.original_recipient.empty()) return;
    fuzz::require(same->recipient.original_recipient == as_said(recipient.original_recipient),
                  "ORCPT: parse, print, parse is equal");
}

void check_rest(std::string_view argument) {
    if (const auto bdat = smtp::parse_bdat(argument)) {
        const auto printed = smtp::bdat_command(bdat->size, bdat->last);
        const auto again = smtp::parse_bdat(argument_of(printed, "BDAT "));
        fuzz::require(again && again->size == bdat->size && again->last == bdat->last,
                      "BDAT: parse, print, parse is equal");
    }
    if (const auto address = smtp::parse_vrfy(argument)) {
        fuzz::require(!fuzz::has_control(mail::internal(*address)), "VRFY's address is printable");
    }
    if (const auto text = smtp::decode_xtext(argument)) {
        fuzz::require(smtp::decode_xtext(smtp::xtext(*text)) == text, "xtext both ways");
    }
    fuzz::require(smtp::decode_xtext(smtp::xtext(argument)) == argument, "xtext carries any bytes");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto line = fuzz::text_of(bytes, size);
    const smtp::CommandLine split = smtp::split_command(line);
    const std::string joined = std::string(split.word) + " " + std::string(split.argument);
    const smtp::CommandLine again = smtp::split_command(joined);
    fuzz::require(
        again.verb == split.verb && again.word == split.word && again.argument == split.argument,
        "a command is the same with one space");

    smtp::PathRules strict;
    strict.strict = true;
    for (const smtp::PathRules& rules : {smtp::PathRules(), strict}) {
        check_mail(split.argument, rules);
        check_rcpt(split.argument, rules);
    }
    check_rest(split.argument);
    return 0;
}
