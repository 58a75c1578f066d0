#include "table/fold.h"

#include <locale.h>
#include <wctype.h>

#include "core/ascii.h"

namespace postrider::table {
namespace {

/// The system's Unicode tables, whatever language the process runs in. Null where there are none:
/// then only ASCII folds.
locale_t unicode_locale() {
    static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return locale;
}

/// The code point at `i` of well-formed UTF-8; moves `i` behind it.
char32_t next_code_point(std::string_view text, std::size_t& i) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) return lead;
    const int following = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    char32_t point = lead & (0x3f >> following);
    for (int n = 0; n < following; ++n)
        point = (point << 6) | (static_cast<unsigned char>(text[i++]) & 0x3f);
    return point;
}

void append_utf8(std::string& text, char32_t point) {
    const auto byte = [&](char32_t bits) { text.push_back(static_cast<char>(bits)); };
    if (point < 0x80) {
        byte(point);
    } else if (point < 0x800) {
        byte(0xc0 | (point >> 6));
        byte(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        byte(0xe0 | (point >> 12));
        byte(0x80 | ((point >> 6) & 0x3f));
        byte(0x80 | (point & 0x3f));
    } else {
        byte(0xf0 | (point >> 18));
        byte(0x80 | ((point >> 12) & 0x3f));
        byte(0x80 | ((point >> 6) & 0x3f));
        byte(0x80 | (point & 0x3f));
    }
}

}  // namespace

std::string folded(std::string_view key, bool utf8) {
    if (!utf8 || is_ascii(key) || !is_utf8(key) || !unicode_locale()) return ascii_lowercase(key);
    std::string result;
    result.reserve(key.size());
    for (std::size_t i = 0; i < key.size();) {
        const auto point = static_cast<wint_t>(next_code_point(key, i));
        append_utf8(result, static_cast<char32_t>(towlower_l(point, unicode_locale())));
    }
    return result;
}

}  // namespace postrider::table
