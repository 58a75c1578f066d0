// ReplyParser: strict, bounded, and the same replies however the server's bytes are cut.
#include "smtp/reply_parser.h"

#include <string>

#include "fuzz.h"

using namespace postrider;

namespace {

struct Heard {
    std::vector<smtp::Reply> replies;
    bool failed = false;
    bool pending = false;

    friend bool operator==(const Heard&, const Heard&) = default;
};

Heard hear(std::string_view text, fuzz::Packets::Way way) {
    Heard heard;
    smtp::ReplyParser parser;
    for (fuzz::Packets packets(text, way); !packets.empty() && !heard.failed;) {
        parser.append(packets.next());
        while (true) {
            auto reply = parser.next();
            if (!reply) {
                heard.failed = true;
                parser.append("250 ok\r\n");
                fuzz::require(!parser.next(), "an error is for good");
                break;
            }
            if (!*reply) break;
            heard.replies.push_back(**std::move(reply));
        }
    }
    heard.pending = heard.failed || parser.pending();
    return heard;
}

void check(const smtp::Reply& reply) {
    fuzz::require(reply.code >= 200 && reply.code <= 599, "a code that SMTP has");
    fuzz::require(!reply.lines.empty() && reply.lines.size() <= smtp::ReplyParser::kLineCountMax,
                  "some lines, not too many");
    for (const std::string& line : reply.lines) {
        fuzz::require(line.size() <= smtp::ReplyParser::kLineLengthMax, "no line too long");
        fuzz::require(!fuzz::has_control(line), "printable");
    }
    fuzz::require(smtp::log_text(reply).size() <= 2000, "bounded in the log");
    fuzz::require(!fuzz::has_control(smtp::log_text(reply)), "printable in the log");
    const Heard again = hear(smtp::wire(reply), fuzz::Packets::Way::Whole);
    fuzz::require(again.replies.size() == 1 && !again.pending, "said again, it is one reply");
    fuzz::require(again.replies[0] == reply, "and the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = fuzz::text_of(bytes, size);
    const Heard whole = hear(text, fuzz::Packets::Way::Whole);
    for (const auto way : fuzz::Packets::kWays) {
        fuzz::require(hear(text, way) == whole, "the same however it is cut");
    }
    for (const smtp::Reply& reply : whole.replies) check(reply);
    return 0;
}
