#include "message/date.h"

#include <cstdlib>
#include <ctime>
#include <string_view>

#include "core/text.h"

namespace postrider::message {

Zone system_zone(WallTime time) {
    const std::time_t seconds =
        std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
    std::tm parts{};
    if (::localtime_r(&seconds, &parts) == nullptr) return {};
    Zone zone;
    zone.offset = std::chrono::minutes(parts.tm_gmtoff / 60);
    zone.name = parts.tm_zone == nullptr ? "" : parts.tm_zone;
    return zone;
}

std::string mail_date(WallTime time, const Zone& zone) {
    using namespace std::chrono;
    static constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto local = floor<seconds>(time) + zone.offset;
    const auto day = floor<days>(local);
    const year_month_day date(day);
    const hh_mm_ss clock(local - day);
    const auto offset = std::abs(zone.offset.count());
    std::string text = concat(
        {kDays[weekday(day).c_encoding()], ", ", padded(static_cast<unsigned>(date.day()), 2, ' '),
         " ", kMonths[static_cast<unsigned>(date.month()) - 1], " ",
         padded(static_cast<int>(date.year()), 4), " ", padded(clock.hours().count(), 2), ":",
         padded(clock.minutes().count(), 2), ":", padded(clock.seconds().count(), 2),
         zone.offset.count() < 0 ? " -" : " +", padded(offset / 60, 2), padded(offset % 60, 2)});
    if (!zone.name.empty()) append(text, {" (", zone.name, ")"});
    return text;
}

}  // namespace postrider::message
