// A header field on its way through: checked, counted, rewritten, written; and those that are
// missing.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
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
    if (field == Field::Received) {
        ++hop_count_;
        const bool ours =
            is_stamp_of(options_.rewrite.myhostname, options_.mail_name, value_of(header));
        if (ours) ++own_hop_count_;
    }
    if (primary && submission_.extract_recipients && !extracted_.add(field, value_of(header))) {
        refuse(452, {4, 5, 3}, "too many recipients", false);
    }

    if (checks_.is_enabled()) {
        if (!check_header(header)) return;
        field = field_of(name_of(header));
    }
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

}  // namespace postrider::message
