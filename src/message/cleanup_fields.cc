// A header field on its way through: checked, counted, rewritten, written; and those that are
// missing.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
#include "core/text.h"
#include "message/address_list.h"
#include "message/cleanup_impl.h"
#include "message/trace_field.h"

namespace postrider::message {
namespace {

using Block = MimeStructure::Block;

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

}  // namespace

void Cleanup::Impl::end_field() {
    if (header_.empty()) return;
    take_field(FieldParts(header_));
    header_.clear();
}

void Cleanup::Impl::take_field(FieldParts field) {
    if (!options_.disable_mime_input_processing && field.kind == Field::ContentType) {
        structure_.content_type(field.value);
        if (structure_.is_too_deep() && submission_.checks && options_.has_header_checks()) {
            refuse(550, {5, 6, 0}, "MIME nesting exceeds safety limit", true);
        }
    }
    const bool primary = structure_.block() == Block::Primary;
    // An operator's IGNORE must not hide a loop, nor a recipient.
    if (field.kind == Field::Received) {
        ++hop_count_;
        if (is_stamp_of(options_.rewrite.myhostname, options_.mail_name, field.value)) {
            ++own_hop_count_;
        }
    }
    if (primary && submission_.extract_recipients && !extracted_.add(field.kind, field.value)) {
        refuse(452, {4, 5, 3}, "too many recipients", false);
    }

    std::string replacement;
    const table::Tables& tables = checks_of(field.kind);
    if (checks_.is_enabled() && !tables.empty()) {
        CheckEffect effect = checks_.check(tables, ContentChecks::Subject::Header, field.text);
        if (!wants_output()) writer_.stop();
        if (effect.prepended) put_header(*effect.prepended);
        if (effect.kind == CheckEffect::Kind::Drop) return;
        if (effect.kind == CheckEffect::Kind::Replace) {
            replacement = std::move(effect.replacement);
            field = FieldParts(replacement);
        }
    }
    if (field.kind == Field::ContentTransferEncoding && is_8bit_encoding(field.value)) {
        submission_.envelope.body = mail::BodyType::EightBitMime;
    }
    if (primary) {
        primary_field(field);
    } else {
        put_header(field.text);
    }
}

const table::Tables& Cleanup::Impl::checks_of(Field field) const {
    if (is_mime(field) || structure_.block() == Block::Multipart) {
        return options_.mime_header_checks;
    }
    return structure_.block() == Block::Nested ? options_.nested_header_checks
                                               : options_.header_checks;
}

void Cleanup::Impl::primary_field(const FieldParts& field) {
    seen_.add(field.kind);
    note_message_id(field.kind, field.value);
    if (field.kind == Field::Received) count_hop();
    if (is_dropped(field.name) || !wants_output()) return;
    if (rewrites_headers_ && (holds_senders(field.kind) || holds_recipients(field.kind))) {
        if (const auto rewritten = with_rewritten_addresses(field)) return put_header(*rewritten);
    }
    put_header(field.text);
}

void Cleanup::Impl::note_message_id(Field field, std::string_view value) {
    const std::string& id = submission_.queue_id.str();
    if (field == Field::MessageId) {
        log_.info(concat({id, ": message-id=", value}));
        if (message_id_.empty()) message_id_ = bracketed(value);
    } else if (field == Field::ResentMessageId) {
        log_.info(concat({id, ": resent-message-id=", value}));
    }
}

void Cleanup::Impl::count_hop() {
    if (own_hop_count_ >= options_.own_hopcount_limit) {
        log_.warning(fmt::format("{}: message rejected: it has been here {} times before",
                                 submission_.queue_id.str(), own_hop_count_ - 1));
        refuse(554, {5, 4, 6}, "mail loops back to myself", false);
        return;
    }
    if (hop_count_ < options_.hopcount_limit) return;
    log_.warning(
        fmt::format("{}: message rejected: hopcount exceeded", submission_.queue_id.str()));
    refuse(554, {5, 4, 0}, "too many hops", false);
}

/// Nothing if none changed: then the field keeps its spelling and its folding.
std::optional<std::string> Cleanup::Impl::with_rewritten_addresses(const FieldParts& field) {
    const AddressClass address_class =
        holds_senders(field.kind) ? AddressClass::HeaderSender : AddressClass::HeaderRecipient;
    AddressList list(field.value, options_.header_address_token_limit);
    if (!list.is_well_formed()) return std::nullopt;
    bool changed = false;
    for (std::size_t i = 0; i < list.size(); ++i) {
        mail::Address address = rewriter_.standard_form(list.address(i), submission_.context);
        if (submission_.address_mappings) {
            auto canonical = rewriter_.canonical(std::move(address), address_class);
            if (!canonical) {
                log_.warning(submission_.queue_id.str() + ": " + canonical.error().message);
                refuse(451, {4, 3, 0}, "Temporary lookup failure", false);
                return std::nullopt;
            }
            address = std::move(*canonical);
        }
        if (address == list.address(i)) continue;
        changed = true;
        list.replace(i, std::move(address));
    }
    if (!changed) return std::nullopt;
    return folded(concat({field.name, ": ", list.text()}));
}

bool Cleanup::Impl::is_dropped(std::string_view name) const {
    const auto& names = options_.message_drop_headers;
    return std::any_of(names.begin(), names.end(), [&](const std::string& dropped) {
        return equals_ignoring_case(dropped, name);
    });
}

/// Line by line. What comes from a table may have CRs, and lines that lack the white space of a
/// folded field.
void Cleanup::Impl::put_header(std::string_view header) {
    if (!wants_output()) return writer_.stop();
    for (bool first = true; first || !header.empty(); first = false) {
        const std::size_t end = std::min(header.find('\n'), header.size());
        const std::string_view line = header.substr(0, end);
        header.remove_prefix(std::min(end + 1, header.size()));
        const bool begins_well = first || continues_field(line);
        if (begins_well && line.find('\r') == line.npos) {
            writer_.line(line);
        } else {
            writer_.line(without_line_ends(begins_well ? line : concat({"\t", line})));
        }
    }
}

void Cleanup::Impl::primary_headers_end() {
    if (!wants_output()) return;
    if (!rewrites_headers_ && !options_.always_add_missing_headers) {
        if (!seen_.has(Field::MessageId)) {
            log_.info(submission_.queue_id.str() + ": message-id=<>");
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
        log_.info(submission_.queue_id.str() + ": message-id=<>");
    }
}

}  // namespace postrider::message
