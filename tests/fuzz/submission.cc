// What sendmail says over its socket or leaves in maildrop: written and read it is the same, and
// content comes out of its frames the same however they are cut.
#include <string>

#include "fuzz.h"
#include "intake/submission_format.h"

using namespace postrider;

namespace {

struct Content {
    std::string text;
    bool failed = false;
    bool ended = false;
    friend bool operator==(const Content&, const Content&) = default;
};

Content unframed(std::string_view text, fuzz::Packets::Way way) {
    Content content;
    intake::ContentFrames frames;
    for (fuzz::Packets packets(text, way); !packets.empty() && !content.failed && !content.ended;) {
        for (std::string_view packet = packets.next(); !packet.empty() && !frames.at_end();) {
            const auto step = frames.next(packet);
            if (!step) {
                content.failed = true;
                break;
            }
            content.text += step->content;
            packet.remove_prefix(step->consumed);
        }
        content.ended = frames.at_end();
    }
    return content;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = fuzz::text_of(bytes, size);
    if (const auto request = intake::decode_request(text)) {
        const auto encoded = intake::encode_request(*request);
        fuzz::require(encoded.has_value(), "what was understood can be said");
        const std::size_t head = intake::kPreambleSize + intake::kFrameHeadSize;
        const auto length = intake::decode_preamble(std::string_view(*encoded).substr(0, head));
        fuzz::require(length && *length == encoded->size() - head, "with its length");
        const auto again = intake::decode_request(std::string_view(*encoded).substr(head));
        fuzz::require(again && *again == *request, "written and read, the same");
    }
    if (const auto answer = intake::decode_answer(text); answer && *answer) {
        const auto again = intake::decode_answer(intake::encode_answer(**answer));
        fuzz::require(again && *again && **again == **answer, "an answer, too");
    }
    const Content whole = unframed(text, fuzz::Packets::Way::Whole);
    fuzz::require(whole.text.size() <= size, "no more content than was sent");
    for (const auto way : fuzz::Packets::kWays) {
        fuzz::require(unframed(text, way) == whole, "the same however it is cut");
    }
    return 0;
}
