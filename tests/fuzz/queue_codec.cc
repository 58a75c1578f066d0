// The envelope that intake, who may be compromised, sends to the courier: an error, or a message
// that may be stored; never more than was sent.
#include <string>

#include "fuzz.h"
#include "queue/codec.h"
#include "queue/frames.h"

using namespace postrider;

namespace {

void check(const mail::Address& address) {
    fuzz::require(!fuzz::has_control(mail::internal(address)), "addresses are printable");
}

void check_frames(std::string_view bytes) {
    while (true) {
        const auto frame = queue::find_frame(bytes);
        if (!frame || !*frame) return;
        fuzz::require((**frame).payload.size() <= queue::kPayloadMax, "bounded");
        std::string again;
        queue::append_frame(again, (**frame).type, (**frame).number, (**frame).payload);
        fuzz::require(bytes.starts_with(again), "a frame is what was sent");
        bytes.remove_prefix(again.size());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = fuzz::text_of(bytes, size);
    check_frames(text);
    queue::DecodeLimits limits;
    limits.recipients_max = 100;
    const auto message = queue::decode(text, limits);
    if (!message) return 0;
    fuzz::require(message->origin == queue::Origin::Submission, "nobody else makes reports");
    fuzz::require(message->envelope.recipients.size() <= limits.recipients_max, "bounded");
    check(message->envelope.reverse_path);
    fuzz::require(!fuzz::has_control(message->envelope.envelope_id), "ENVID is printable");
    fuzz::require(!fuzz::has_control(message->content_filter), "a filter is printable");
    for (const mail::Recipient& recipient : message->envelope.recipients) {
        check(recipient.address);
        check(recipient.original);
        fuzz::require(!fuzz::has_control(recipient.original_recipient), "ORCPT is printable");
    }
    std::string again;
    queue::encode(*message, again);
    fuzz::require(again == text, "encoded again, it is what was sent");
    return 0;
}
