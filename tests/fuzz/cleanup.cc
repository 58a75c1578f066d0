// Clean-up of a message: canonical, bounded and the same however it is cut; what is to be removed
// is absent; what it says of the content is true; cleaned twice, nothing changes.
#include <set>
#include <string>

#include "core/checksum.h"
#include "fuzz.h"
#include "message/cleanup_fixture.h"

using namespace postrider;

namespace {

/// The names of the fields of the first header block, in lower case, read in the plainest way.
std::multiset<std::string> field_names(std::string_view content) {
    std::multiset<std::string> names;
    while (!content.empty() && !content.starts_with("\r\n")) {
        const std::size_t end = content.find("\r\n");
        const std::string_view line = content.substr(0, end);
        content.remove_prefix(end + 2);
        if (line.starts_with(' ') || line.starts_with('\t')) continue;
        const std::string_view name = trimmed(line.substr(0, line.find(':')));
        names.insert(ascii_lowercase(name));
    }
    return names;
}

void check_facts(const message::Accepted& accepted, std::string_view content) {
    fuzz::require(accepted.content_length == content.size(), "length");
    Checksum checksum;
    checksum.add(content);
    fuzz::require(accepted.checksum == checksum.value(), "checksum");
    fuzz::require(accepted.has_8bit == !is_ascii(content), "8-bit");
    std::size_t longest = 0;
    for (std::string_view left = content; !left.empty();) {
        const std::size_t end = left.find("\r\n");
        longest = std::max(longest, end);
        left.remove_prefix(end + 2);
    }
    fuzz::require(accepted.longest_line == longest, "longest line");
    const std::string_view head = content.substr(0, accepted.header_length);
    fuzz::require(head.ends_with("\r\n\r\n") || head == content, "the header section's end");
    const std::size_t empty = head.find("\r\n\r\n");
    fuzz::require(empty == head.npos || empty + 4 == head.size(), "which is the first empty line");
}

void check(const message::Desk& desk, const message::Submission& submission,
           std::string_view text) {
    const auto whole = desk.clean(submission, text);
    for (const std::size_t piece : {std::size_t{1}, 1 + text.size() % 61}) {
        const auto cut = desk.clean(submission, text, piece);
        fuzz::require(cut.raw == whole.raw && cut.log == whole.log, "the same however it is cut");
        fuzz::require(cut.recipients() == whole.recipients(), "and for the same recipients");
    }
    const message::Accepted* accepted = whole.accepted();
    if (accepted == nullptr) return;
    fuzz::require(fuzz::is_canonical(whole.raw), "no bare CR or LF");
    check_facts(*accepted, whole.raw);
    const auto names = field_names(whole.raw);
    for (const char* dropped : {"bcc", "resent-bcc", "return-path", "content-length"}) {
        fuzz::require(!names.contains(dropped), "removed means absent");
    }
    for (const mail::Recipient& to : accepted->envelope.recipients) {
        fuzz::require(!fuzz::has_control(mail::internal(to.address)), "recipients are printable");
        fuzz::require(!to.address.is_null(), "and not null");
    }

    const auto again = desk.clean(desk.smtp("bob@corp.example"), whole.raw);
    if (again.accepted() == nullptr) return;
    fuzz::require(again.raw.ends_with(whole.raw), "cleaned twice, only the trace grows");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static const message::Desk desk;
    const auto text = fuzz::text_of(bytes, size);
    check(desk, desk.sendmail_t(), text);
    check(desk, desk.smtp("bob@corp.example"), text);
    return 0;
}
