#include "queue/codec.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <limits>

#include "core/ascii.h"
#include "queue/schema.h"

namespace postrider::queue {
namespace {

/// Longer paths than RFC 5321's 256 octets are accepted by option, up to a line's length.
constexpr std::size_t kTextMax = 2048;
constexpr std::int64_t kYear9999 = 253402300800LL * 1000000;

template <std::unsigned_integral Integer>
void put(std::string& out, Integer value) {
    std::array<char, sizeof value> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff);
    }
    out.append(bytes.data(), bytes.size());
}

void put_text(std::string& out, std::string_view text) {
    put(out, static_cast<std::uint32_t>(text.size()));
    out += text;
}

void put_address(std::string& out, const mail::Address& address) {
    put_text(out, address.local_part);
    put_text(out, address.domain);
}

void put_time(std::string& out, WallTime time) {
    put(out, static_cast<std::uint64_t>(time.time_since_epoch().count()));
}

/// Once something is wrong everything further is empty, and `sound()` tells.
class Reader {
public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}

    template <std::unsigned_integral Integer>
    Integer number(std::uint64_t max = std::numeric_limits<Integer>::max()) {
        if (bytes_.size() < sizeof(Integer)) return fail<Integer>();
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < sizeof(Integer); ++i) {
            value |= std::uint64_t{static_cast<unsigned char>(bytes_[i])} << (8 * i);
        }
        bytes_.remove_prefix(sizeof(Integer));
        if (value > max) return fail<Integer>();
        return static_cast<Integer>(value);
    }

    template <typename Enumeration>
    Enumeration enumeration(Enumeration last) {
        return static_cast<Enumeration>(number<std::uint8_t>(static_cast<std::uint8_t>(last)));
    }

    bool flag() { return number<std::uint8_t>(1) != 0; }

    std::string text() {
        const auto size = number<std::uint32_t>(kTextMax);
        if (size > bytes_.size()) return fail<std::string>();
        const std::string_view text = bytes_.substr(0, size);
        bytes_.remove_prefix(size);
        if (std::any_of(text.begin(), text.end(), is_ascii_control)) return fail<std::string>();
        return std::string(text);
    }

    mail::Address address() {
        std::string local = text();
        std::string domain = text();
        return mail::Address(std::move(local), std::move(domain));
    }

    WallTime time() {
        return WallTime(Duration(static_cast<std::int64_t>(number<std::uint64_t>(kYear9999))));
    }

    bool sound() const { return sound_; }
    bool at_end() const { return bytes_.empty(); }

private:
    template <typename T>
    T fail() {
        sound_ = false;
        bytes_ = {};
        return T{};
    }

    std::string_view bytes_;
    bool sound_ = true;
};

void put_recipient(std::string& out, const mail::Recipient& recipient) {
    const mail::Notify& notify = recipient.notify;
    put_address(out, recipient.address);
    put_address(out, recipient.original);
    put_text(out, recipient.original_recipient);
    put(out, static_cast<std::uint8_t>(int{notify.never} | int{notify.success} << 1 |
                                       int{notify.failure} << 2 | int{notify.delay} << 3));
}

mail::Recipient read_recipient(Reader& in) {
    mail::Recipient recipient;
    recipient.address = in.address();
    recipient.original = in.address();
    recipient.original_recipient = in.text();
    const auto notify = in.number<std::uint8_t>(15);
    recipient.notify.never = (notify & 1) != 0;
    recipient.notify.success = (notify & 2) != 0;
    recipient.notify.failure = (notify & 4) != 0;
    recipient.notify.delay = (notify & 8) != 0;
    return recipient;
}

}  // namespace

void encode(const NewMessage& message, std::string& out) {
    const mail::Envelope& envelope = message.envelope;
    put(out, message.ticket.number);
    put_time(out, message.ticket.created);
    put_time(out, message.arrival);
    put(out, static_cast<std::uint8_t>(message.origin));
    put(out, static_cast<std::uint64_t>(message.submitter_uid + 1));
    put_text(out, message.client);
    put(out, message.size);
    put(out, message.content_length);
    put(out, message.checksum);
    put(out, message.header_length);
    put(out, message.longest_line);
    put(out, static_cast<std::uint8_t>(message.has_8bit));
    put(out, static_cast<std::uint8_t>(message.held));
    put_text(out, message.content_filter);
    put_text(out, message.drop);
    put_address(out, envelope.reverse_path);
    put_text(out, envelope.envelope_id);
    put(out, static_cast<std::uint8_t>(envelope.dsn_return));
    put(out, static_cast<std::uint8_t>(envelope.body));
    put(out, static_cast<std::uint8_t>(envelope.smtputf8));
    put(out, static_cast<std::uint32_t>(envelope.recipients.size()));
    for (const mail::Recipient& recipient : envelope.recipients) put_recipient(out, recipient);
}

Result<NewMessage> decode(std::string_view bytes, const DecodeLimits& limits) {
    constexpr std::uint64_t kSizeMax = std::numeric_limits<std::int64_t>::max();
    Reader in(bytes);
    NewMessage message;
    mail::Envelope& envelope = message.envelope;
    const auto number = in.number<std::uint64_t>(kNumberMax);
    message.ticket = Ticket::make(number, in.time(), limits.long_queue_ids);
    message.arrival = in.time();
    message.origin = in.enumeration(Origin::Submission);
    message.submitter_uid = static_cast<std::int64_t>(in.number<std::uint64_t>(
                                std::uint64_t{std::numeric_limits<std::uint32_t>::max()} + 1)) -
                            1;
    message.client = in.text();
    message.size = in.number<std::uint64_t>(kSizeMax);
    message.content_length = in.number<std::uint64_t>(kSizeMax);
    message.checksum = in.number<std::uint32_t>();
    message.header_length = in.number<std::uint32_t>();
    message.longest_line = in.number<std::uint32_t>();
    message.has_8bit = in.flag();
    message.held = in.flag();
    message.content_filter = in.text();
    message.drop = in.text();
    envelope.reverse_path = in.address();
    envelope.envelope_id = in.text();
    envelope.dsn_return = in.enumeration(mail::DsnReturn::Headers);
    envelope.body = in.enumeration(mail::BodyType::EightBitMime);
    envelope.smtputf8 = in.flag();
    const auto count = in.number<std::uint32_t>(
        std::min<std::uint64_t>(limits.recipients_max, kRecipientsMax - 1));
    // No reserve(): the count is a claim, the bytes are a fact.
    for (std::uint32_t i = 0; i < count && in.sound(); ++i) {
        envelope.recipients.push_back(read_recipient(in));
        if (envelope.recipients.back().address.is_null()) break;
    }
    if (in.sound() && in.at_end() && count > 0 && envelope.recipients.size() == count &&
        !envelope.recipients.back().address.is_null()) {
        return message;
    }
    return Unexpected(ErrorCode::Invalid, "malformed message on the inbox channel");
}

}  // namespace postrider::queue
