// What the sendmail command says to the daemon, over its socket or in a maildrop file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "mail/envelope.h"

namespace postrider::intake {

/// Below queue_directory.
inline constexpr std::string_view kSubmitSocket = "public/submit";  ///< Mode 0666: all may submit.
inline constexpr std::string_view kMaildrop = "maildrop";           ///< Mode 1733.

/// What the caller wants, as far as its options say.
struct SubmissionRequest {
    enum class Mode : std::uint8_t {
        Submit,  ///< Content follows, and becomes one message.
        Smtp,    ///< -bs: SMTP follows, in both directions.
    };
    Mode mode = Mode::Submit;
    std::optional<std::string> sender;    ///< -f, RFC 5322 text. None: the caller's login name.
    std::string full_name;                ///< -F, or the environment's NAME.
    std::vector<std::string> recipients;  ///< As given: each may hold a list.
    bool extract_recipients = false;      ///< -t
    bool dot_is_data = false;             ///< -i
    bool gateway = false;                 ///< -G
    mail::BodyType body = mail::BodyType::Unknown;
    mail::Notify notify;                                        ///< -N
    mail::DsnReturn dsn_return = mail::DsnReturn::Unspecified;  ///< -R
    std::string envelope_id;                                    ///< -V

    friend bool operator==(const SubmissionRequest&, const SubmissionRequest&) = default;
};

// The format, version 1. Integers are big-endian.
//
//   stream  = "PRS1" options ( content* end / SMTP )     answer = 'R' length status hint text
//   options = 'O' length field*                          status = one byte, the exit status
//   content = 'C' length bytes                         hint   = 't' (temporary) or '-'
//   end     = 'E' 0
//   field   = tag length bytes
//
// Lengths are 32 bits. Options are at most kOptionsMax bytes; a content frame may have any length,
// for it is never held whole. A maildrop file is the stream of mode Submit; without its end it is
// not complete. After the options of mode Smtp the bytes both ways are SMTP.

inline constexpr std::size_t kOptionsMax = 1024 * 1024;
inline constexpr std::size_t kPreambleSize = 4;
inline constexpr std::size_t kFrameHeadSize = 5;
inline constexpr std::size_t kAnswerTextMax = 4096;

struct FrameHead {
    char type = 0;
    std::uint32_t length = 0;
};

/// Preamble and options frame. ErrorCode::Limit if they are beyond kOptionsMax.
Result<std::string> encode_request(const SubmissionRequest&);
/// The inside of an options frame. ErrorCode::Invalid for anything unknown or malformed.
Result<SubmissionRequest> decode_request(std::string_view fields);

std::string encode_frame_head(FrameHead);
/// `bytes` are kFrameHeadSize.
FrameHead decode_frame_head(std::string_view bytes);

/// Preamble and head of the options frame; its length, or ErrorCode::Invalid.
Result<std::size_t> decode_preamble(std::string_view bytes);

/// Takes content frames apart, however they are cut.
class ContentFrames {
public:
    struct Step {
        std::string_view content;  ///< Of the message, in the input.
        std::size_t consumed = 0;
    };
    /// Takes a part of `input`, which is not empty. ErrorCode::Invalid for a frame of another kind.
    Result<Step> next(std::string_view input);
    /// The end frame has been read: the message is complete.
    bool at_end() const { return ended_; }

private:
    std::string head_;  // Of a frame, as far as it has come.
    std::uint32_t left_ = 0;
    bool ended_ = false;
};

/// What the command prints and how it exits.
struct SubmissionAnswer {
    std::uint8_t status = 75;  ///< sysexits: 0, or 75 as all of Postfix's refusals.
    /// Of status 0 the queue id; otherwise the sentence behind `sendmail: fatal: `.
    std::string text;
    /// Nothing is wrong with the message, but the queue cannot take it now: it may be left in
    /// maildrop.
    bool is_temporary = false;

    friend bool operator==(const SubmissionAnswer&, const SubmissionAnswer&) = default;
};

std::string encode_answer(const SubmissionAnswer&);
/// Nothing until `bytes` hold the whole answer. ErrorCode::Invalid if they are none.
Result<std::optional<SubmissionAnswer>> decode_answer(std::string_view bytes);

}  // namespace postrider::intake
