#include "message/cleanup.h"

#include <algorithm>
#include <utility>

#include "core/ascii.h"
#include "core/text.h"
#include "message/address_list.h"
#include "message/cleanup_impl.h"
#include "message/trace_field.h"

namespace postrider::message {
namespace {

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

bool is_utf8_address(const mail::Address& address) {
    const std::string text = mail::internal(address);
    return !is_ascii(text) && is_utf8(text);
}

}  // namespace

std::string reply_text(const Rejected& rejected) {
    return concat(
        {mail::to_string(rejected.status), rejected.own_words ? " " : " Error: ", rejected.text});
}

Cleanup::Impl::Impl(const CleanupOptions& options, Log log, Submission submission)
    : options_(options),
      log_(std::move(log)),
      submission_(std::move(submission)),
      rewriter_(options_.rewrite),
      recipients_(rewriter_, {options_.recipient_limit, submission_.address_mappings}, log_,
                  submission_.queue_id.str()),
      cutter_(trailing_cr(options_, submission_.trace), options_.line_length_limit),
      writer_(options_.line_length_limit),
      structure_(options_.mime_nesting_limit, options_.mime_boundary_length_limit),
      checks_(rewrite_envelope()),
      extracted_(options_.recipient_limit) {
    rewrites_headers_ = submission_.context == RewriteContext::Local ||
                        !options_.rewrite.remote_header_rewrite_domain.empty();
    header_ = received_field(submission_, options_.rewrite.myhostname, options_.mail_name);
    end_field();
}

// Lookups happen here, before the first byte: the checks' log lines name the rewritten addresses.
ContentChecks Cleanup::Impl::rewrite_envelope() {
    sender_ = recipients_.sender(submission_.envelope.reverse_path);
    for (const mail::Recipient& recipient : submission_.envelope.recipients) {
        recipients_.add(recipient);
    }
    const bool has_checks = options_.has_header_checks() || !options_.body_checks.empty();
    ContentChecks::Context context;
    if (!submission_.checks || !has_checks) return ContentChecks(log_, context, false);
    context.queue_id = submission_.queue_id.str();
    context.origin = submission_.log_origin;
    context.sender = mail::external(sender_);
    if (recipients_.latest()) context.recipient = mail::external(*recipients_.latest());
    context.proto = submission_.proto;
    context.helo = submission_.helo;
    return ContentChecks(log_, std::move(context), true);
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

Verdict Cleanup::Impl::finish() {
    if (!ended_) cutter_.finish(*this);
    end_field();
    if (structure_.block() == MimeStructure::Block::Primary) primary_headers_end();
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

void Cleanup::Impl::add_extracted_recipients() {
    if (!submission_.extract_recipients) return;
    if (extracted_.is_malformed()) refuse(501, {5, 1, 3}, "bad address syntax", false);
    for (mail::Address& address : extracted_.take()) {
        recipients_.add(mail::Recipient(std::move(address)));
    }
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
