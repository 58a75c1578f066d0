// What every fuzz target uses: properties, and the ways in which input can be cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

/// Called for each input by libFuzzer, and by replay.cc.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace postrider::fuzz {

/// A property. Aborts with its name where it does not hold: that is a finding.
inline void require(bool holds, const char* property) {
    if (holds) return;
    std::fprintf(stderr, "property violated: %s\n", property);
    std::abort();
}

inline std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
    return {reinterpret_cast<const char*>(bytes), size};
}

/// The same bytes as a network may bring them: whole, one by one, and cut at places that only
/// depend on the bytes themselves, so that a finding can be repeated.
class Packets {
public:
    enum class Way : std::uint8_t { Whole, Single, Mixed };
    static constexpr Way kWays[] = {Way::Whole, Way::Single, Way::Mixed};

    Packets(std::string_view text, Way way) : left_(text), way_(way) {
        for (const char c : text) state_ = (state_ ^ static_cast<std::uint8_t>(c)) * 16777619U;
    }

    bool empty() const { return left_.empty(); }
    std::string_view next() {
        const std::string_view packet = left_.substr(0, size());
        left_.remove_prefix(packet.size());
        return packet;
    }

private:
    std::size_t size() {
        if (way_ == Way::Whole) return left_.size();
        if (way_ == Way::Single) return 1;
        state_ = state_ * 1664525U + 1013904223U;
        return 1 + (state_ >> 24) % 61;
    }

    std::string_view left_;
    Way way_;
    std::uint32_t state_ = 2166136261U;
};

/// Takes fields off the front of the input: up to a separator, or a number of one byte.
class Fields {
public:
    explicit Fields(std::string_view text) : left_(text) {}

    /// Up to the separator, which is dropped; all that is left if there is none.
    std::string_view until(char separator) {
        const std::size_t end = left_.find(separator);
        const std::string_view field = left_.substr(0, end);
        left_.remove_prefix(end == std::string_view::npos ? left_.size() : end + 1);
        return field;
    }
    std::uint8_t byte() {
        if (left_.empty()) return 0;
        const auto value = static_cast<std::uint8_t>(left_.front());
        left_.remove_prefix(1);
        return value;
    }
    std::string_view rest() const { return left_; }
    bool empty() const { return left_.empty(); }

private:
    std::string_view left_;
};

inline bool has_control(std::string_view text) {
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
    }
    return false;
}

/// Lines end in CRLF, the last one too, and there is no other CR or LF.
inline bool is_canonical(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n') return false;
        if (text[i] != '\r') continue;
        if (++i == text.size() || text[i] != '\n') return false;
    }
    return text.empty() || text.ends_with("\r\n");
}

}  // namespace postrider::fuzz
