// DataReader: however the bytes are cut, it finds the end and the content that a slow reading of
// the rule finds.
#include "smtp/data_reader.h"

#include <string>

#include "fuzz.h"

using namespace postrider;

namespace {

struct Reading {
    std::string content;
    std::size_t consumed = 0;
    bool at_end = false;
};

Reading read(std::string_view text, fuzz::Packets::Way way) {
    Reading reading;
    smtp::DataReader reader;
    std::string held;  // What a packet left over waits for the next one.
    for (fuzz::Packets packets(text, way); !packets.empty() && !reader.at_end();) {
        held += packets.next();
        std::string_view input = held;
        while (!input.empty() && !reader.at_end()) {
            const auto step = reader.next(input);
            reading.content += step.content;
            reading.consumed += step.consumed;
            input.remove_prefix(step.consumed);
        }
        held = input;
    }
    reading.at_end = reader.at_end();
    return reading;
}

/// CRLF.CRLF ends it, the CRLF of the command included; a dot behind any LF is taken off.
Reading model(std::string_view text) {
    const std::string all = "\r\n" + std::string(text);
    const std::size_t end = all.find("\r\n.\r\n");
    Reading reading;
    reading.at_end = end != std::string::npos;
    reading.consumed = reading.at_end ? end + 3 : text.size();
    const std::string raw = all.substr(0, reading.at_end ? end + 2 : end);
    for (std::size_t i = 2; i < raw.size(); ++i) {
        if (raw[i] == '.' && raw[i - 1] == '\n') continue;
        reading.content += raw[i];
    }
    return reading;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = fuzz::text_of(bytes, size);
    const Reading expected = model(text);
    for (const auto way : fuzz::Packets::kWays) {
        const Reading got = read(text, way);
        fuzz::require(got.at_end == expected.at_end, "one end, the right one");
        fuzz::require(got.content.size() <= size, "content is no longer than the input");
        if (expected.at_end) {
            fuzz::require(got.content == expected.content, "content as the rule has it");
            fuzz::require(got.consumed == expected.consumed, "what follows the end is left alone");
        } else {
            // A dot or CR behind CRLF may be held back.
            fuzz::require(expected.content.starts_with(got.content), "nothing but the content");
            fuzz::require(expected.content.size() - got.content.size() <= 1, "held back: a CR");
        }
    }
    return 0;
}
