// The operator's socket and its tools: requests and messages that are understood are written and
// read the same; all else is an error. What a tool is told, and what is typed, may be any bytes.
#include <string>

#include "control/client.h"
#include "control/codec.h"
#include "control/request.h"
#include "fuzz.h"

using namespace postrider;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = fuzz::text_of(bytes, size);
    if (const auto request = control::parse_request(text)) {
        for (const std::string& id : request->ids) {
            fuzz::require(mail::QueueId::parse(id).has_value(), "ids are queue ids");
        }
        const std::string line = control::to_line(*request);
        fuzz::require(!fuzz::has_control(line), "one line");
        const auto again = control::parse_request(line);
        fuzz::require(again && control::to_line(*again) == line, "written and read, the same");
    } else {
        fuzz::require(!request.error().message.empty(), "an error has a reason");
    }

    if (const auto message = control::parse_message(text)) {
        const std::string line = control::message_line(*message);
        fuzz::require(!fuzz::has_control(line), "one line");
        const std::string prefix = "{\"message\":";
        fuzz::require(line.starts_with(prefix), "a message line");
        const auto inner =
            std::string_view(line).substr(prefix.size(), line.size() - prefix.size() - 1);
        const auto again = control::parse_message(inner);
        fuzz::require(again && control::message_line(*again) == line, "written and read, the same");
    }

    const auto last = control::parse_last_line(text);
    fuzz::require(last.is_last || last.result, "an answer that fails is over");
    control::Request typed;
    typed.site = text;
    fuzz::require(control::parse_request(control::to_line(typed)).has_value(),
                  "a site of any bytes");
    return 0;
}
