// Delivery status notifications: whatever a server or submitter said, a valid report in which
// nothing of theirs is a header field or a part.
#include "message/report.h"

#include <algorithm>
#include <string>

#include "core/ascii.h"
#include "core/checksum.h"
#include "fuzz.h"

using namespace postrider;

namespace {

mail::Address address(std::string_view text) {
    auto parsed = mail::parse_address(text);
    return parsed && !parsed->is_null() ? *std::move(parsed) : mail::Address("bob", "corp.example");
}

/// Input: a byte of choices, then texts, each on a line; the rest is the original message.
message::ReportRequest request_of(fuzz::Fields fields) {
    message::ReportRequest request;
    const std::uint8_t choices = fields.byte();
    request.kind = static_cast<message::ReportKind>(choices % 3);
    request.smtputf8_enable = (choices & 4) != 0;
    request.original.smtputf8 = (choices & 8) != 0;
    request.threaded = (choices & 16) != 0;
    request.to_postmaster = (choices & 32) != 0;
    request.headers_only = (choices & 64) != 0;
    request.id = *mail::QueueId::parse("A27DEA800E8");
    request.original_id = *mail::QueueId::parse("8AEDBA800E1");
    request.now = request.arrival = WallTime(std::chrono::seconds(1795356698));
    request.host = request.origin = "desk.example";
    request.original.reverse_path = address(fields.until('\n'));
    request.original.envelope_id = fields.until('\n');
    mail::Recipient recipient(address(fields.until('\n')));
    recipient.original_recipient = fields.until('\n');
    mail::Disposition disposition;
    disposition.text = fields.until('\n');
    disposition.remote_mta = fields.until('\n');
    disposition.diagnostic = fields.until('\n');
    for (int i = 0; i < 2; ++i) request.recipients.emplace_back(recipient, disposition);
    request.original_content = fields.rest();
    request.original_size = request.original_content.size();
    return request;
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = text.find("\r\n");
        lines.push_back(text.substr(0, end));
        text.remove_prefix(end + 2);
    }
    return lines;
}

void check_header(std::string_view header) {
    constexpr std::string_view known[] = {"Received",
                                          "Date",
                                          "From",
                                          "Subject",
                                          "To",
                                          "References",
                                          "In-Reply-To",
                                          "Auto-Submitted",
                                          "MIME-Version",
                                          "Content-Type",
                                          "Content-Transfer-Encoding",
                                          "Message-Id"};
    std::vector<std::string_view> seen;
    for (const std::string_view line : lines_of(header)) {
        if (line.empty() || line.front() == '\t') continue;
        const std::string_view name = line.substr(0, line.find(": "));
        fuzz::require(std::find(std::begin(known), std::end(known), name) != std::end(known),
                      "only fields of ours");
        fuzz::require(std::find(seen.begin(), seen.end(), name) == seen.end(), "each once");
        seen.push_back(name);
    }
}

void check_parts(const message::Report& report) {
    const std::string_view content = report.content;
    const std::string_view mark = "boundary=\"";
    const std::size_t begin = content.find(mark) + mark.size();
    const std::string boundary(content.substr(begin, content.find('"', begin) - begin));
    std::size_t parts = 0;
    std::size_t ends = 0;
    for (const std::string_view line : lines_of(content.substr(report.header_length))) {
        if (!line.starts_with("--" + boundary)) continue;
        ++(line == "--" + boundary ? parts : ends);
    }
    fuzz::require(parts == 3 && ends == 1, "three parts and the end");
}

/// Two recipients: a block for the message and one for each.
void check_status(std::string_view content, bool global) {
    const std::size_t begin = content.find("\r\n\r\nReporting-MTA: ") + 4;
    const std::size_t end = content.find("\r\n\r\n--", begin);
    fuzz::require(begin > 4 && end != std::string_view::npos, "a status");
    std::size_t blocks = 1;
    std::size_t recipients = 0;
    for (const std::string_view line : lines_of(content.substr(begin, end + 2 - begin))) {
        if (line.empty()) ++blocks;
        if (line.starts_with("Final-Recipient: ")) ++recipients;
        fuzz::require(global || is_ascii(line), "ASCII unless it is global");
    }
    fuzz::require(blocks == 3 && recipients == 2, "a block for each recipient, no more");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto request = request_of(fuzz::Fields(fuzz::text_of(bytes, size)));
    const message::Report report = message::write_report(request);
    const std::string_view content = report.content;
    fuzz::require(fuzz::is_canonical(content), "canonical");
    fuzz::require(content.substr(report.header_length - 4, 4) == "\r\n\r\n", "a header section");
    fuzz::require(content.size() <= 8 * size + 16384, "it does not inflate");
    Checksum checksum;
    checksum.add(content);
    fuzz::require(report.checksum == checksum.value(), "checksum");
    fuzz::require(report.has_8bit == !is_ascii(content), "8-bit");
    check_header(content.substr(0, report.header_length));
    check_parts(report);
    check_status(content, request.original.smtputf8 && request.smtputf8_enable);
    return 0;
}
