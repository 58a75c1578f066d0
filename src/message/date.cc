#include "message/date.h"

#include <cstdlib>
#include <ctime>

#include <fmt/format.h>

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
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto local = floor<seconds>(time) + zone.offset;
    const auto day = floor<days>(local);
    const year_month_day date(day);
    const hh_mm_ss clock(local - day);
    const auto offset = std::abs(zone.offset.count());
    std::string text = fmt::format(
        "{}, {:2} {} {:04} {:02}:{:02}:{:02} {}{:02}{:02}", kDays[weekday(day).c_encoding()],
        static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
        static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
        clock.seconds().count(), zone.offset.count() < 0 ? '-' : '+', offset / 60, offset % 60);
    if (!zone.name.empty()) text += fmt::format(" ({})", zone.name);
    return text;
}

}  // namespace postrider::message
