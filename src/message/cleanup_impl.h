// How Cleanup does it: the state of one message between its lines. For cleanup*.cc alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "message/checks.h"
#include "message/cleanup.h"
#include "message/content_writer.h"
#include "message/extracted_recipients.h"
#include "message/header_field.h"
#include "message/line_cutter.h"
#include "message/mime_structure.h"
#include "message/missing_headers.h"
#include "message/recipients.h"

namespace postrider::message {

/// The message as it is being read: a header field or a line at a time. cleanup.cc begins and ends
/// it, cleanup_lines.cc tells fields from body, cleanup_fields.cc treats the fields.
///
///   our Received: --> primary headers --header_end()--> body
///                        ^ fields are collected in header_ until the next line is none of theirs
class Cleanup::Impl final : public LineSink {
public:
    Impl(const CleanupOptions& options, Log log, Submission submission);

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

    void take_field(FieldParts field);
    const table::Tables& checks_of(Field field) const;
    void primary_field(const FieldParts& field);
    void note_message_id(Field field, std::string_view value);
    void count_hop();
    std::optional<std::string> with_rewritten_addresses(const FieldParts& field);
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
    std::size_t own_hop_count_ = 0;
    std::string message_id_;
    ExtractedRecipients extracted_;
    std::optional<Rejected> refusal_;
};

}  // namespace postrider::message
