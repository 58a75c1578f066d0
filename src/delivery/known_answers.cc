#include "delivery/known_answers.h"

#include "core/ascii.h"

namespace postrider::delivery {

namespace {

constexpr std::string_view kRfc4954 = "RFC 4954 6";
constexpr std::string_view kGmail = "Gmail: support.google.com/a/answer/3726730";
constexpr std::string_view kGmailRelay = "Gmail relay: support.google.com/a/answer/2956491";
constexpr std::string_view kMicrosoft =
    "Exchange Online: learn.microsoft.com, Non-delivery reports in Exchange Online";
constexpr std::string_view kSes = "Amazon SES: docs.aws.amazon.com/ses, SMTP response codes";
constexpr std::string_view kSendGrid = "SendGrid: docs.sendgrid.com, SMTP errors";
constexpr std::string_view kCommon = "wording seen at several providers";

// A row must not catch what a message or a recipient is to blame for: a phrase is needed wherever
// the status alone also stands for content or for the other side's mailbox.
constexpr KnownAnswer kAnswers[] = {
    // Authentication asked for or withdrawn in the middle of a session.
    {530, "", "", kRfc4954},
    {534, "", "", kRfc4954},
    {535, "", "", kRfc4954},
    {538, "", "", kRfc4954},
    {0, "5.7.8", "", kRfc4954},
    {0, "5.7.9", "authentication", kRfc4954},
    {0, "5.7.30", "", kMicrosoft},
    {0, "5.7.57", "", kMicrosoft},
    {0, "5.7.139", "", kMicrosoft},
    {0, "", "authentication required", kCommon},

    // Quotas and rates of the sending account.
    {550, "5.4.5", "", kGmail},
    {0, "4.7.0", "", kGmail},
    {452, "4.5.3", "your message has exceeded the daily", kGmail},
    {0, "5.7.1", "sending limit", kGmailRelay},
    {0, "5.7.1", "quota exceeded", kGmailRelay},
    {0, "5.7.1", "rate limit", kGmailRelay},
    {0, "5.7.0", "sending limit", kGmailRelay},
    {0, "", "daily user sending limit", kGmail},
    {0, "", "daily sending quota", kGmail},
    {0, "", "relay sending limit", kGmailRelay},
    {0, "", "daily smtp relay limit", kGmailRelay},
    {0, "5.1.8", "bad outbound sender", kMicrosoft},
    {0, "5.7.705", "", kMicrosoft},
    {0, "5.7.708", "", kMicrosoft},
    {0, "4.3.2", "limit exceeded", kMicrosoft},
    {0, "", "outboundspamexception", kMicrosoft},
    {0, "", "submission quota exceeded", kMicrosoft},
    {454, "", "throttling failure", kSes},
    {0, "", "maximum sending rate exceeded", kSes},
    {0, "", "daily message quota exceeded", kSes},
    {0, "", "sending paused for this account", kSes},
    {0, "", "maximum credits exceeded", kSendGrid},
    {0, "", "hourly limit", kCommon},
    {0, "", "daily limit", kCommon},
    {0, "", "too many messages sent", kCommon},
    {0, "", "exceeded the maximum number of messages", kCommon},
    {0, "", "messages per hour", kCommon},
    {0, "", "sending quota", kCommon},
    {0, "", "account is suspended", kCommon},
    {0, "", "account has been suspended", kCommon},
};

bool contains_ignoring_case(std::string_view text, std::string_view phrase) {
    for (std::size_t at = 0; at + phrase.size() <= text.size(); ++at) {
        if (equals_ignoring_case(text.substr(at, phrase.size()), phrase)) return true;
    }
    return false;
}

// The words behind the status codes, over all lines: a phrase may be broken over two of them.
std::string words(const smtp::Reply& reply) {
    std::string text;
    for (const std::string& line : reply.lines) {
        if (!text.empty()) text += ' ';
        text += mail::parse_status(line) ? mail::after_status(line) : std::string_view(line);
    }
    return text;
}

}  // namespace

std::span<const KnownAnswer> known_answers() {
    return kAnswers;
}

const KnownAnswer* find_account_trouble(const smtp::Reply& reply) {
    const auto status = reply.status();
    const std::string status_text = status ? mail::to_string(*status) : std::string{};
    const std::string text = words(reply);
    for (const KnownAnswer& row : kAnswers) {
        if (row.code != 0 && row.code != reply.code) continue;
        if (!row.status.empty() && row.status != status_text) continue;
        if (!row.phrase.empty() && !contains_ignoring_case(text, row.phrase)) continue;
        return &row;
    }
    return nullptr;
}

}  // namespace postrider::delivery
