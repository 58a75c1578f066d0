#include "mail/queue_id.h"

#include <algorithm>
#include <cstdio>

#include "core/ascii.h"

namespace postrider::mail {
namespace {

constexpr std::string_view kDigits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
static_assert(kDigits.size() == 52);

std::string in_base(std::uint64_t value, std::uint64_t base, std::size_t width) {
    std::string digits;
    do {
        digits += kDigits[value % base];
        value /= base;
    } while (value > 0);
    while (digits.size() < width) digits += kDigits[0];
    std::reverse(digits.begin(), digits.end());
    return digits;
}

struct Moment {
    std::uint64_t seconds;
    std::uint64_t microseconds;
};

Moment split(WallTime time) {
    const auto count =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.time_since_epoch().count()));
    return {count / 1000000, count % 1000000};
}

}  // namespace

QueueId QueueId::make_short(WallTime created, std::uint64_t number) {
    char text[32];
    std::snprintf(text, sizeof text, "%05llX%llX",
                  static_cast<unsigned long long>(split(created).microseconds),
                  static_cast<unsigned long long>(number));
    return QueueId(text);
}

QueueId QueueId::make_long(WallTime created, std::uint64_t number) {
    const Moment moment = split(created);
    return QueueId(in_base(moment.seconds, 52, 6) + in_base(moment.microseconds, 52, 4) + "z" +
                   in_base(number, 51, 1));
}

std::optional<QueueId> QueueId::parse(std::string_view text) {
    const auto allowed = [](char c) { return is_ascii_alnum(c) || c == '_'; };
    if (text.empty() || text.size() > 255 || !std::all_of(text.begin(), text.end(), allowed)) {
        return std::nullopt;
    }
    return QueueId(std::string(text));
}

bool QueueId::is_long() const {
    return text_.size() > 10 && text_[10] == 'z';
}

}  // namespace postrider::mail
