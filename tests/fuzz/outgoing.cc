// Content on its way out: a server that undoes dot-stuffing has what was stored, however it was
// cut; no line is too long; what was to be 7 bits is.
#include "message/outgoing.h"

#include <string>

#include "fuzz.h"
#include "smtp/data_reader.h"

using namespace postrider;

namespace {

/// Canonical content as the queue keeps it, made of any bytes.
std::string canonical(std::string_view text) {
    std::string content;
    for (const char c : text) {
        if (c == '\r') continue;
        if (c == '\n') content += '\r';
        content += c;
    }
    if (!content.empty() && !content.ends_with('\n')) content += "\r\n";
    return content;
}

message::ContentFacts facts_of(std::string_view content) {
    message::ContentFacts facts;
    std::size_t length = 0;
    for (const char c : content) {
        length = c == '\n' ? 0 : length + 1;
        if (c != '\r') facts.longest_line = std::max(facts.longest_line, length);
        if (static_cast<unsigned char>(c) >= 0x80) facts.has_8bit = true;
    }
    return facts;
}

std::string encoded(std::string_view content, const message::OutgoingOptions& options,
                    fuzz::Packets::Way way) {
    message::OutgoingEncoder encoder(options, facts_of(content));
    std::string wire;
    for (fuzz::Packets pieces(content, way); !pieces.empty();)
        wire += encoder.encode(pieces.next());
    wire += encoder.finish();
    return wire;
}

/// What a server takes for the content of DATA.
std::string received(std::string_view wire) {
    std::string content;
    smtp::DataReader reader;
    while (!wire.empty() && !reader.at_end()) {
        const auto step = reader.next(wire);
        content += step.content;
        wire.remove_prefix(step.consumed);
    }
    fuzz::require(reader.at_end(), "the content ends");
    fuzz::require(wire.empty(), "and nothing stands behind its end");
    return content;
}

void check(std::string_view content, message::OutgoingOptions options) {
    const std::string wire = encoded(content, options, fuzz::Packets::Way::Whole);
    for (const auto way : fuzz::Packets::kWays) {
        fuzz::require(encoded(content, options, way) == wire, "the same however it is cut");
    }
    const std::string there = options.chunked ? wire : received(wire);
    fuzz::require(fuzz::is_canonical(there), "it arrives canonical");
    const auto facts = facts_of(there);
    if (options.line_length_max > 0) {
        fuzz::require(facts.longest_line <= std::max<std::size_t>(options.line_length_max, 2),
                      "no line is longer than the limit");
    }
    const auto before = facts_of(content);
    const bool changes = options.convert_to_7bit && before.has_8bit;
    const bool folds = options.line_length_max > 0 && before.longest_line > options.line_length_max;
    if (!changes && !folds) fuzz::require(there == content, "what needs no change has none");
    fuzz::require(there.size() <= 8 * content.size() + 4096, "it does not inflate");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    fuzz::Fields fields(fuzz::text_of(bytes, size));
    const std::uint8_t how = fields.byte();
    message::OutgoingOptions options;
    options.chunked = (how & 1) != 0;
    options.convert_to_7bit = (how & 2) != 0;
    options.line_length_max = how >> 2;
    check(canonical(fields.rest()), options);
    return 0;
}
