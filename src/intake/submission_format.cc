#include "intake/submission_format.h"

#include <algorithm>
#include <utility>

#include "core/ascii.h"
#include "core/check.h"
#include "core/log.h"

namespace postrider::intake {
namespace {

constexpr std::string_view kPreamble = "PRS1";
constexpr std::size_t kFieldHeadSize = 5;

void append_number(std::string& out, std::uint32_t value) {
    for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(value >> shift);
}

std::uint32_t read_number(std::string_view bytes) {
    std::uint32_t value = 0;
    for (const char c : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

void append_field(std::string& out, char tag, std::string_view value) {
    out += tag;
    append_number(out, static_cast<std::uint32_t>(value.size()));
    out += value;
}

std::string notify_letters(const mail::Notify& notify) {
    std::string letters;
    if (notify.never) letters += 'n';
    if (notify.success) letters += 's';
    if (notify.failure) letters += 'f';
    if (notify.delay) letters += 'd';
    return letters;
}

bool read_notify(std::string_view letters, mail::Notify& notify) {
    for (const char letter : letters) {
        bool* const flag = letter == 'n'   ? &notify.never
                           : letter == 's' ? &notify.success
                           : letter == 'f' ? &notify.failure
                           : letter == 'd' ? &notify.delay
                                           : nullptr;
        if (flag == nullptr) return false;
        *flag = true;
    }
    return !(notify.never && (notify.success || notify.failure || notify.delay));
}

/// Text that may get into headers, envelope or log: one line, no control character.
bool is_clean(std::string_view text) {
    return std::none_of(text.begin(), text.end(), [](char c) { return is_ascii_control(c); });
}

/// Addresses come as RFC 5322 text, which may be folded.
bool is_clean_list(std::string_view text) {
    return std::none_of(text.begin(), text.end(), [](char c) {
        return is_ascii_control(c) && c != '\t' && c != '\n' && c != '\r';
    });
}

bool apply(char tag, std::string_view value, SubmissionRequest& request) {
    switch (tag) {
        case 'm':
            if (value != "s") return false;
            request.mode = SubmissionRequest::Mode::Smtp;
            return true;
        case 'f':
            request.sender = std::string(value);
            return is_clean_list(value);
        case 'F':
            request.full_name = std::string(value);
            return is_clean(value);
        case 'r':
            request.recipients.emplace_back(value);
            return is_clean_list(value);
        case 't':
            request.extract_recipients = true;
            return value.empty();
        case 'i':
            request.dot_is_data = true;
            return value.empty();
        case 'G':
            request.gateway = true;
            return value.empty();
        case 'B':
            request.body = value == "8" ? mail::BodyType::EightBitMime : mail::BodyType::SevenBit;
            return value == "8" || value == "7";
        case 'N':
            return read_notify(value, request.notify);
        case 'R':
            request.dsn_return = value == "f" ? mail::DsnReturn::Full : mail::DsnReturn::Headers;
            return value == "f" || value == "h";
        case 'V':
            request.envelope_id = std::string(value);
            return value.size() <= 100 && is_clean(value) && is_ascii(value);
        default:
            return false;
    }
}

}  // namespace

Result<std::string> encode_request(const SubmissionRequest& request) {
    std::string fields;
    if (request.mode == SubmissionRequest::Mode::Smtp) append_field(fields, 'm', "s");
    if (request.sender) append_field(fields, 'f', *request.sender);
    if (!request.full_name.empty()) append_field(fields, 'F', request.full_name);
    for (const std::string& recipient : request.recipients) append_field(fields, 'r', recipient);
    if (request.extract_recipients) append_field(fields, 't', {});
    if (request.dot_is_data) append_field(fields, 'i', {});
    if (request.gateway) append_field(fields, 'G', {});
    if (request.body != mail::BodyType::Unknown)
        append_field(fields, 'B', request.body == mail::BodyType::EightBitMime ? "8" : "7");
    if (!request.notify.is_unspecified()) append_field(fields, 'N', notify_letters(request.notify));
    if (request.dsn_return != mail::DsnReturn::Unspecified)
        append_field(fields, 'R', request.dsn_return == mail::DsnReturn::Full ? "f" : "h");
    if (!request.envelope_id.empty()) append_field(fields, 'V', request.envelope_id);
    if (fields.size() > kOptionsMax)
        return Unexpected(ErrorCode::Limit, "too many recipients on the command line");

    FrameHead head;
    head.type = 'O';
    head.length = static_cast<std::uint32_t>(fields.size());
    return std::string(kPreamble) + encode_frame_head(head) + fields;
}

Result<SubmissionRequest> decode_request(std::string_view fields) {
    SubmissionRequest request;
    while (!fields.empty()) {
        if (fields.size() < kFieldHeadSize)
            return Unexpected(ErrorCode::Invalid, "submission: options end in the middle");
        const char tag = fields.front();
        const std::uint32_t length = read_number(fields.substr(1));
        fields.remove_prefix(kFieldHeadSize);
        if (length > fields.size())
            return Unexpected(ErrorCode::Invalid, "submission: options end in the middle");
        if (!apply(tag, fields.substr(0, length), request))
            return Unexpected(ErrorCode::Invalid,
                              "submission: bad option '" + printable({&tag, 1}) + "'");
        fields.remove_prefix(length);
    }
    return request;
}

std::string encode_frame_head(FrameHead head) {
    std::string out(1, head.type);
    append_number(out, head.length);
    return out;
}

FrameHead decode_frame_head(std::string_view bytes) {
    POSTRIDER_CHECK(bytes.size() >= kFrameHeadSize);
    FrameHead head;
    head.type = bytes.front();
    head.length = read_number(bytes.substr(1));
    return head;
}

Result<std::size_t> decode_preamble(std::string_view bytes) {
    POSTRIDER_CHECK(bytes.size() >= kPreambleSize + kFrameHeadSize);
    if (!bytes.starts_with(kPreamble))
        return Unexpected(ErrorCode::Invalid, "submission: not a submission of this version");
    const FrameHead head = decode_frame_head(bytes.substr(kPreambleSize));
    if (head.type != 'O' || head.length > kOptionsMax)
        return Unexpected(ErrorCode::Invalid, "submission: bad options frame");
    return std::size_t{head.length};
}

Result<ContentFrames::Step> ContentFrames::next(std::string_view input) {
    POSTRIDER_CHECK(!ended_);
    Step step;
    if (left_ > 0) {
        step.content = input.substr(0, left_);
        step.consumed = step.content.size();
        left_ -= static_cast<std::uint32_t>(step.consumed);
        return step;
    }
    step.consumed = std::min(kFrameHeadSize - head_.size(), input.size());
    head_ += input.substr(0, step.consumed);
    if (head_.size() < kFrameHeadSize) return step;

    const FrameHead head = decode_frame_head(head_);
    head_.clear();
    if (head.type == 'E' && head.length == 0) {
        ended_ = true;
    } else if (head.type == 'C') {
        left_ = head.length;
    } else {
        return Unexpected(ErrorCode::Invalid, "submission: bad frame");
    }
    return step;
}

std::string encode_answer(const SubmissionAnswer& answer) {
    const std::string_view text = std::string_view(answer.text).substr(0, kAnswerTextMax);
    FrameHead head;
    head.type = 'R';
    head.length = static_cast<std::uint32_t>(text.size() + 2);
    std::string out = encode_frame_head(head);
    out += static_cast<char>(answer.status);
    out += answer.is_temporary ? 't' : '-';
    out += text;
    return out;
}

Result<std::optional<SubmissionAnswer>> decode_answer(std::string_view bytes) {
    using Answer = std::optional<SubmissionAnswer>;
    if (bytes.size() < kFrameHeadSize) return Answer();
    const FrameHead head = decode_frame_head(bytes);
    if (head.type != 'R' || head.length < 2 || head.length > kAnswerTextMax + 2)
        return Unexpected(ErrorCode::Invalid, "bad answer from the mail system");
    if (bytes.size() < kFrameHeadSize + head.length) return Answer();
    bytes = bytes.substr(kFrameHeadSize, head.length);
    SubmissionAnswer answer;
    answer.status = static_cast<std::uint8_t>(bytes[0]);
    answer.is_temporary = bytes[1] == 't';
    answer.text = std::string(bytes.substr(2));
    return Answer(std::move(answer));
}

}  // namespace postrider::intake
