#include "message/cleanup.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
#include "message/address_list.h"
#include "message/checks.h"
#include "message/content_writer.h"
#include "message/header_field.h"
#include "message/line_cutter.h"
#include "message/mime_structure.h"
#include "message/missing_headers.h"
#include "message/recipients.h"
#include "message/trace_field.h"

namespace postrider::message {
namespace {

using Block = MimeStructure::Block;

TrailingCr trailing_cr(const CleanupOptions& options, const Trace& trace) {
    if (trace.door != Trace::Door::Pickup) return TrailingCr::Strip;
    switch (options.sendmail_fix_line_endings) {
        case FixLineEndings::Always:
            return TrailingCr::Strip;
        case FixLineEndings::Strict:
            return TrailingCr::Decide;
        case FixLineEndings::Never:
            return TrailingCr::Keep;
    }
    return TrailingCr::Strip;
}

bool is_mbox_line(std::string_view line) {
    const std::size_t quotes = std::min(line.find_first_not_of('>'), line.size());
    return line.substr(quotes, 5) == "From ";
}

// What an operator wrote in a table may have come with the line ends of another world.
std::string without_line_ends(std::string_view text) {
    std::string line(text);
    std::replace(line.begin(), line.end(), '\r', ' ');
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line;
}

bool is_8bit_encoding(std::string_view value) {
    const std::string_view word = trimmed(value);
    return equals_ignoring_case(word, "8bit") || equals_ignoring_case(word, "binary");
}

// The outermost <...>, as a reply would refer to it.
std::string bracketed(std::string_view value) {
    if (value.substr(0, 1) != "<") return {};
    const std::size_t end = value.find('>');
    if (end == std::string_view::npos) return {};
    return printable(value.substr(0, end + 1));
}

bool is_utf8_address(const mail::Address& address) {
    const std::string text = mail::internal(address);
    return !is_ascii(text) && is_utf8(text);
}

}  // namespace

std::string reply_text(const Rejected& rejected) {
    return fmt::format("{} {}{}", mail::to_string(rejected.status),
                       rejected.own_words ? "" : "Error: ", rejected.text);
}

/// The message as it is being read: a header field or a line at a time.
///
///   our Received: --> primary headers --header_end()--> body
///                        ^ fields are collected in header_ until the next line is none of theirs
class Cleanup::Impl final : public LineSink {
public:
    Impl(const CleanupOptions& options, Log log, Submission submission)
        : options_(options),
          log_(std::move(log)),
          submission_(std::move(submission)),
          rewriter_(options_.rewrite),
          recipients_(rewriter_, {options_.recipient_limit, submission_.address_mappings}, log_,
                      submission_.queue_id.str()),
          cutter_(trailing_cr(options_, submission_.trace), options_.line_length_limit),
          writer_(options_.line_length_limit),
          structure_(options_.mime_nesting_limit, options_.mime_boundary_length_limit),
          checks_(rewrite_envelope()) {
        rewrites_headers_ = submission_.context == RewriteContext::Local ||
                            !options_.rewrite.remote_header_rewrite_domain.empty();
        header_ = received_field(submission_, options_.rewrite.myhostname, options_.mail_name);
        end_field();
    }

    void write(std::string_view bytes) {
        if (!ended_) cutter_.write(bytes, *this);
    }

    void take(const LinePiece& piece) override;
    Verdict finish();

    bool at_end() const { return ended_; }
    bool is_refused() const { return refusal_.has_value() || checks_.refusal().has_value(); }
    ContentWriter& writer() { return writer_; }

private:
    ContentChecks rewrite_envelope();
    bool wants_output() const { return !is_refused() && !checks_.is_discarded(); }
    void refuse(int code, mail::EnhancedStatus status, std::string text, bool own_words);

    bool skips_line(const LinePiece& piece);
    void header_line(const LinePiece& piece);
    void begin_field(std::string_view line, std::size_t name_length);
    void extend_field(std::string_view text);
    void end_field();
    void end_headers(const LinePiece& piece);
    void primary_headers_end();
    void body_line(const LinePiece& piece);

    bool check_header(std::string& header);
    void primary_field(Field field, std::string header);
    void note_message_id(Field field, std::string_view value);
    void count_hop();
    void extract_recipients(Field field, std::string_view value);
    std::string with_rewritten_addresses(Field field, std::string header);
    void add_extracted_recipients();
    bool is_dropped(std::string_view name) const;
    void put_header(std::string_view header);
    void put_body(const LinePiece& piece);

    Rejected rejected();
    Accepted accepted();

    const CleanupOptions& options_;
    Log log_;
    Submission submission_;
    Rewriter rewriter_;
    Recipients recipients_;
    LineCutter cutter_;
    ContentWriter writer_;
    MimeStructure structure_;
    mail::Address sender_;
    ContentChecks checks_;

    bool rewrites_headers_ = false;
    bool started_ = false;   ///< Something other than mbox lines has come.
    bool skipping_ = false;  ///< In an mbox line that is being dropped.
    bool ended_ = false;     ///< By a lone dot.
    std::string header_;     ///< The field being collected, LF between its lines.
    std::size_t header_block_length_ = 0;
    std::size_t line_length_ = 0;
    std::uint64_t segment_offset_ = 0;  ///< In this body segment, for body_checks_size_limit.
    std::uint64_t header_length_ = 0;   ///< 0 until the empty line.

    SeenFields seen_;
    std::size_t hop_count_ = 0;
    std::string message_id_;
    std::vector<mail::Address> extracted_;         ///< From To, Cc and Bcc.
    std::vector<mail::Address> extracted_resent_;  ///< From their Resent- kind.
    bool malformed_recipient_ = false;
    std::optional<Rejected> refusal_;
};

// Lookups happen here, before the first byte: the checks' log lines name the rewritten addresses.
ContentChecks Cleanup::Impl::rewrite_envelope() {
    sender_ = recipients_.sender(submission_.envelope.reverse_path);
    for (const mail::Recipient& recipient : submission_.envelope.recipients) {
        recipients_.add(recipient);
    }
    ContentChecks::Context context;
    context.queue_id = submission_.queue_id.str();
    context.origin = submission_.log_origin;
    context.sender = mail::external(sender_);
    if (recipients_.latest()) context.recipient = mail::external(*recipients_.latest());
    context.proto = submission_.proto;
    context.helo = submission_.helo;
    return ContentChecks(log_, std::move(context), submission_.checks);
}

void Cleanup::Impl::refuse(int code, mail::EnhancedStatus status, std::string text,
                           bool own_words) {
    writer_.stop();
    if (refusal_ && (status.status_class != 4 || !refusal_->is_permanent())) return;
    Rejected rejected;
    rejected.reply_code = code;
    rejected.status = status;
    rejected.text = std::move(text);
    rejected.own_words = own_words;
    refusal_ = std::move(rejected);
}

void Cleanup::Impl::take(const LinePiece& piece) {
    if (ended_) return;
    if (piece.first) line_length_ = 0;
    line_length_ += piece.text.size();
    if (line_length_ > options_.text_line_limit) {
        refuse(554, {5, 6, 0}, "text line length exceeds safety limit", false);
    }
    if (submission_.dot_ends && piece.first && piece.last && piece.text == ".") {
        ended_ = true;
        return;
    }
    if (!started_ && skips_line(piece)) return;
    if (structure_.is_in_headers()) {
        header_line(piece);
    } else {
        body_line(piece);
    }
}

// The line that mbox files have between messages: sendmail drops it, the SMTP server keeps it as a
// field that no mailbox reader takes for a new message.
bool Cleanup::Impl::skips_line(const LinePiece& piece) {
    if (!piece.first) {
        if (!skipping_) extend_field(piece.text);
        return true;
    }
    skipping_ = false;
    if (is_mbox_line(piece.text) && submission_.trace.door != Trace::Door::Internal) {
        skipping_ = submission_.trace.door == Trace::Door::Pickup;
        if (!skipping_) {
            end_field();
            header_ = fmt::format("X-Mailbox-Line: {}", piece.text);
        }
        return true;
    }
    // A first line that begins with white space continues nothing.
    end_field();
    started_ = true;
    return false;
}

void Cleanup::Impl::header_line(const LinePiece& piece) {
    header_block_length_ += piece.text.size() + 2;
    if (structure_.block() == Block::Primary &&
        header_block_length_ > options_.header_block_limit) {
        refuse(554, {5, 6, 0}, "message header length exceeds safety limit", false);
    }
    if (!piece.first) return extend_field(piece.text);
    const bool continues = !piece.text.empty() &&
                           (piece.text.front() == ' ' || piece.text.front() == '\t') &&
                           !header_.empty();
    if (continues) {
        extend_field("\n");
        return extend_field(piece.text);
    }
    end_field();
    if (const std::size_t length = field_name_length(piece.text); length > 0) {
        return begin_field(piece.text, length);
    }
    end_headers(piece);
}

// `Subject : text` becomes `Subject: text`, for us and for all who read it after us.
void Cleanup::Impl::begin_field(std::string_view line, std::size_t name_length) {
    header_ = line.substr(0, name_length);
    extend_field(line.substr(line.find(':', name_length)));
}

void Cleanup::Impl::extend_field(std::string_view text) {
    const std::size_t limit = options_.header_size_limit;
    if (header_.size() + text.size() > limit && submission_.extract_recipients &&
        structure_.block() == Block::Primary) {
        refuse(554, {5, 6, 0}, "message header length exceeds safety limit", false);
    }
    if (header_.size() < limit) header_.append(text.substr(0, limit - header_.size()));
}

void Cleanup::Impl::end_field() {
    if (header_.empty()) return;
    std::string header = std::exchange(header_, std::string());
    Field field = field_of(name_of(header));
    if (!options_.disable_mime_input_processing && field == Field::ContentType) {
        structure_.content_type(value_of(header));
        if (structure_.is_too_deep() && submission_.checks &&
            !(options_.header_checks.empty() && options_.mime_header_checks.empty() &&
              options_.nested_header_checks.empty())) {
            refuse(550, {5, 6, 0}, "MIME nesting exceeds safety limit", true);
        }
    }
    const bool primary = structure_.block() == Block::Primary;
    // An operator's IGNORE must not hide a loop, nor a recipient.
    if (field == Field::Received) ++hop_count_;
    if (primary && submission_.extract_recipients) extract_recipients(field, value_of(header));

    if (!check_header(header)) return;
    field = field_of(name_of(header));
    if (field == Field::ContentTransferEncoding && is_8bit_encoding(value_of(header))) {
        submission_.envelope.body = mail::BodyType::EightBitMime;
    }
    if (primary) {
        primary_field(field, std::move(header));
    } else {
        put_header(header);
    }
}

/// False if a rule removed the field.
bool Cleanup::Impl::check_header(std::string& header) {
    if (!checks_.is_enabled()) return true;
    const table::Tables& tables =
        is_mime(field_of(name_of(header))) || structure_.block() == Block::Multipart
            ? options_.mime_header_checks
        : structure_.block() == Block::Nested ? options_.nested_header_checks
                                              : options_.header_checks;
    CheckEffect effect = checks_.check(tables, ContentChecks::Subject::Header, header);
    if (!wants_output()) writer_.stop();
    if (effect.prepended) put_header(*effect.prepended);
    if (effect.kind == CheckEffect::Kind::Replace) header = std::move(effect.replacement);
    return effect.kind != CheckEffect::Kind::Drop;
}

void Cleanup::Impl::primary_field(Field field, std::string header) {
    seen_.add(field);
    note_message_id(field, value_of(header));
    if (field == Field::Received) count_hop();
    if (is_dropped(name_of(header)) || !wants_output()) return;
    if (rewrites_headers_ && (holds_senders(field) || holds_recipients(field))) {
        header = with_rewritten_addresses(field, std::move(header));
    }
    put_header(header);
}

void Cleanup::Impl::note_message_id(Field field, std::string_view value) {
    const std::string& id = submission_.queue_id.str();
    if (field == Field::MessageId) {
        log_.info(fmt::format("{}: message-id={}", id, value));
        if (message_id_.empty()) message_id_ = bracketed(value);
    } else if (field == Field::ResentMessageId) {
        log_.info(fmt::format("{}: resent-message-id={}", id, value));
    }
}

void Cleanup::Impl::count_hop() {
    if (hop_count_ < options_.hopcount_limit) return;
    log_.warning(
        fmt::format("{}: message rejected: hopcount exceeded", submission_.queue_id.str()));
    refuse(554, {5, 4, 0}, "too many hops", false);
}

void Cleanup::Impl::extract_recipients(Field field, std::string_view value) {
    const bool plain = field == Field::To || field == Field::Cc || field == Field::Bcc;
    const bool resent =
        field == Field::ResentTo || field == Field::ResentCc || field == Field::ResentBcc;
    if (!plain && !resent) return;
    // No limit on tokens here: it would drop recipients in silence.
    const AddressList list(value, value.size() + 1);
    if (!list.is_well_formed()) malformed_recipient_ = true;
    auto& into = resent ? extracted_resent_ : extracted_;
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (into.size() >= options_.recipient_limit) {
            return refuse(452, {4, 5, 3}, "too many recipients", false);
        }
        into.push_back(list.address(i));
    }
}

// What was not changed keeps its spelling and its folding.
std::string Cleanup::Impl::with_rewritten_addresses(Field field, std::string header) {
    const AddressClass address_class =
        holds_senders(field) ? AddressClass::HeaderSender : AddressClass::HeaderRecipient;
    AddressList list(value_of(header), options_.header_address_token_limit);
    if (!list.is_well_formed()) return header;
    bool changed = false;
    for (std::size_t i = 0; i < list.size(); ++i) {
        mail::Address address = rewriter_.standard_form(list.address(i), submission_.context);
        if (submission_.address_mappings) {
            auto canonical = rewriter_.canonical(address, address_class);
            if (!canonical) {
                log_.warning(submission_.queue_id.str() + ": " + canonical.error().message);
                refuse(451, {4, 3, 0}, "Temporary lookup failure", false);
                return header;
            }
            address = std::move(*canonical);
        }
        if (address == list.address(i)) continue;
        changed = true;
        list.replace(i, std::move(address));
    }
    if (!changed) return header;
    return folded(fmt::format("{}: {}", name_of(header), list.text()));
}

bool Cleanup::Impl::is_dropped(std::string_view name) const {
    const auto& names = options_.message_drop_headers;
    return std::any_of(names.begin(), names.end(), [&](const std::string& dropped) {
        return equals_ignoring_case(dropped, name);
    });
}

void Cleanup::Impl::put_header(std::string_view header) {
    if (!wants_output()) return writer_.stop();
    for (bool first = true; first || !header.empty(); first = false) {
        const std::size_t end = std::min(header.find('\n'), header.size());
        const std::string line = without_line_ends(header.substr(0, end));
        header.remove_prefix(std::min(end + 1, header.size()));
        const bool is_folded = !line.empty() && (line.front() == ' ' || line.front() == '\t');
        writer_.line(first || is_folded ? line : "\t" + line);
    }
}

void Cleanup::Impl::end_headers(const LinePiece& piece) {
    const bool empty_line = piece.text.empty() && piece.last;
    const bool primary = structure_.block() == Block::Primary;
    if (primary) primary_headers_end();
    structure_.headers_end(empty_line);
    segment_offset_ = 0;
    if (primary && !empty_line) put_body(LinePiece{"", true, true});
    if (structure_.is_in_headers()) {
        put_body(piece);
    } else {
        body_line(piece);
    }
}

void Cleanup::Impl::primary_headers_end() {
    if (!wants_output()) return;
    if (!rewrites_headers_ && !options_.always_add_missing_headers) {
        if (!seen_.has(Field::MessageId)) {
            log_.info(fmt::format("{}: message-id=<>", submission_.queue_id.str()));
        }
        return;
    }
    const MissingHeaders missing = missing_headers(seen_, options_, submission_, sender_);
    for (const std::string& field : missing.fields) put_header(field);
    if (!missing.message_id.empty()) {
        note_message_id(seen_.any_resent() ? Field::ResentMessageId : Field::MessageId,
                        missing.message_id);
    }
    if (seen_.any_resent() && !seen_.has(Field::MessageId)) {
        log_.info(fmt::format("{}: message-id=<>", submission_.queue_id.str()));
    }
}

void Cleanup::Impl::body_line(const LinePiece& piece) {
    if (piece.first && structure_.body_line(piece.text)) segment_offset_ = 0;
    put_body(piece);
}

void Cleanup::Impl::put_body(const LinePiece& piece) {
    const std::uint64_t limit = options_.body_checks_size_limit;
    const bool checked = !options_.body_checks.empty() && checks_.is_enabled() &&
                         (limit == 0 || segment_offset_ < limit) && !piece.text.empty();
    segment_offset_ += piece.text.size() + 1;
    if (!checked) {
        writer_.write(piece.text, piece.last);
    } else {
        CheckEffect effect =
            checks_.check(options_.body_checks, ContentChecks::Subject::Body, piece.text);
        if (effect.prepended) writer_.line(without_line_ends(*effect.prepended));
        if (effect.kind == CheckEffect::Kind::Keep) {
            writer_.write(piece.text, piece.last);
        } else if (effect.kind == CheckEffect::Kind::Replace) {
            writer_.write(without_line_ends(effect.replacement), piece.last);
        } else if (piece.last && writer_.is_line_open()) {
            writer_.line("");
        }
        if (!wants_output()) writer_.stop();
    }
    if (header_length_ == 0) header_length_ = writer_.length();
    if (options_.message_size_limit > 0 && writer_.size() > options_.message_size_limit) {
        refuse(552, {5, 3, 4}, "message file too big", false);
    }
}

Verdict Cleanup::Impl::finish() {
    if (!ended_) cutter_.finish(*this);
    end_field();
    if (structure_.block() == Block::Primary) primary_headers_end();
    if (options_.message_size_limit > 0 && writer_.size() > options_.message_size_limit) {
        refuse(552, {5, 3, 4}, "message file too big", false);
    }
    add_extracted_recipients();
    recipients_.add_always_bcc();
    for (const std::string& copy : checks_.bcc()) {
        for (const mail::Address& address : parse_address_list(copy)) {
            if (recipients_.latest()) recipients_.add_blind(address);
        }
    }
    if (const auto& trouble = recipients_.trouble()) {
        refuse(trouble->reply_code, trouble->status, trouble->text,
               trouble->status == mail::EnhancedStatus(4, 6, 0));
    }
    if (checks_.is_discarded() && !is_refused()) return Discarded{};
    if (!is_refused() && recipients_.empty()) {
        refuse(550, {5, 1, 0},
               submission_.extract_recipients ? "No recipient addresses found in message header"
                                              : "no recipients specified",
               false);
    }
    if (is_refused()) return rejected();
    return accepted();
}

// If the message was sent again, it goes to those it was sent again to.
void Cleanup::Impl::add_extracted_recipients() {
    if (!submission_.extract_recipients) return;
    if (malformed_recipient_) refuse(501, {5, 1, 3}, "bad address syntax", false);
    auto& addresses = extracted_resent_.empty() ? extracted_ : extracted_resent_;
    for (mail::Address& address : addresses) recipients_.add(mail::Recipient(std::move(address)));
}

Rejected Cleanup::Impl::rejected() {
    writer_.stop();
    Rejected result;
    const auto& by_rule = checks_.refusal();
    const bool rule_counts =
        by_rule && (!refusal_ || (refusal_->is_permanent() && by_rule->status.status_class == 4));
    if (rule_counts) {
        result.status = by_rule->status;
        result.reply_code = result.is_permanent() ? 550 : 451;
        result.text = by_rule->text;
        result.own_words = true;
    } else {
        result = *refusal_;
    }
    result.envelope = submission_.envelope;
    result.envelope.reverse_path = sender_;
    result.envelope.recipients = recipients_.take();
    return result;
}

Accepted Cleanup::Impl::accepted() {
    Accepted result;
    if (!checks_.redirect().empty()) {
        const auto to = parse_address_list(checks_.redirect());
        if (!to.empty()) recipients_.redirect(to.front());
    }
    result.envelope = std::move(submission_.envelope);
    result.envelope.reverse_path = sender_;
    result.envelope.recipients = recipients_.take();
    // A program on this machine cannot say SMTPUTF8; the addresses say it for it. Text in header
    // fields alone does not: every server has taken it as it is, for as long as there is mail.
    if (submission_.trace.door == Trace::Door::Pickup) {
        const auto& list = result.envelope.recipients;
        result.envelope.smtputf8 =
            result.envelope.smtputf8 || is_utf8_address(sender_) ||
            std::any_of(list.begin(), list.end(),
                        [](const mail::Recipient& to) { return is_utf8_address(to.address); });
    }
    result.size = writer_.size();
    result.content_length = writer_.length();
    result.checksum = writer_.checksum();
    result.header_length =
        static_cast<std::uint32_t>(header_length_ > 0 ? header_length_ : writer_.length());
    result.longest_line = static_cast<std::uint32_t>(writer_.longest_line());
    result.has_8bit = writer_.has_8bit();
    result.held = checks_.is_held();
    result.content_filter = checks_.filter();
    result.message_id = message_id_;
    return result;
}

Cleanup::Cleanup(const CleanupOptions& options, Log log, Submission submission)
    : impl_(std::make_unique<Impl>(options, std::move(log), std::move(submission))) {}
Cleanup::~Cleanup() = default;
Cleanup::Cleanup(Cleanup&&) noexcept = default;
Cleanup& Cleanup::operator=(Cleanup&&) noexcept = default;

void Cleanup::write(std::string_view bytes) {
    impl_->write(bytes);
}
bool Cleanup::at_end() const {
    return impl_->at_end();
}
bool Cleanup::is_refused() const {
    return impl_->is_refused();
}
std::size_t Cleanup::output_size() const {
    return impl_->writer().pending();
}
std::string Cleanup::take_output() {
    return impl_->writer().take();
}
Verdict Cleanup::finish() {
    return impl_->finish();
}

}  // namespace postrider::message
