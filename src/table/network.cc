#include "table/network.h"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "core/ascii.h"

namespace postrider::table {
namespace {

int family_of(std::size_t size) {
    return size == 16 ? AF_INET6 : AF_INET;
}

/// The address with every bit behind `length` zero.
IpAddress masked(IpAddress address, std::size_t length) {
    for (std::size_t i = 0; i < address.size; ++i) {
        const std::size_t kept = length > i * 8 ? std::min<std::size_t>(8, length - i * 8) : 0;
        address.bytes[i] &= static_cast<unsigned char>(0xff00u >> kept);
    }
    return address;
}

Unexpected invalid(std::string message) {
    return Unexpected(ErrorCode::Invalid, std::move(message));
}

Result<Network> parse_with_length(std::string_view address_text, std::string_view length_text) {
    const std::string both = std::string(address_text) + "/" + std::string(length_text);
    const bool is_v6 = address_text.find(':') != std::string_view::npos;
    std::size_t length = 0;
    const char* end = length_text.data() + length_text.size();
    const auto [stop, failure] = std::from_chars(length_text.data(), end, length);
    if (length_text.empty() || !std::all_of(length_text.begin(), length_text.end(), is_ascii_digit))
        return invalid("bad mask value in \"" + both + "\"");
    if (failure != std::errc() || length > (is_v6 ? 128u : 32u))
        return invalid("bad mask length in \"" + both + "\"");
    const auto address = IpAddress::parse(address_text);
    if (!address) return invalid("bad network value in \"" + both + "\"");
    const IpAddress network = masked(*address, length);
    if (network != *address)
        return invalid("non-null host address bits in \"" + both + "\", perhaps you should use \"" +
                       network.text() + "/" + std::to_string(length) + "\" instead");
    return Network{network, length};
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    IpAddress address;
    address.size = text.find(':') != std::string_view::npos ? 16 : 4;
    const std::string terminated(text);
    if (terminated.find('\0') != std::string::npos) return std::nullopt;
    if (::inet_pton(family_of(address.size), terminated.c_str(), address.bytes.data()) != 1)
        return std::nullopt;
    return address;
}

std::string IpAddress::text() const {
    char buffer[INET6_ADDRSTRLEN] = "";
    ::inet_ntop(family_of(size), bytes.data(), buffer, sizeof buffer);
    return buffer;
}

Result<Network> Network::parse(std::string_view text) {
    std::string_view address = text;
    std::string_view length;
    bool has_length = false;
    if (text.starts_with('[')) {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos)
            return invalid("missing ']' character after \"" + std::string(text) + "\"");
        address = text.substr(1, close - 1);
        const std::string_view rest = text.substr(close + 1);
        if (!rest.empty() && rest.front() != '/')
            return invalid("garbage after \"[" + std::string(address) + "]\"");
        has_length = !rest.empty();
        length = has_length ? rest.substr(1) : rest;
    }
    const std::size_t slash = address.find('/');
    if (!has_length && slash != std::string_view::npos) {
        has_length = true;
        length = address.substr(slash + 1);
        address = address.substr(0, slash);
    }
    if (has_length) return parse_with_length(address, length);
    const auto parsed = IpAddress::parse(address);
    if (!parsed) return invalid("bad address pattern: \"" + std::string(address) + "\"");
    return Network{*parsed, parsed->bits()};
}

bool Network::contains(const IpAddress& other) const {
    return other.size == address.size && masked(other, prefix_length) == address;
}

}  // namespace postrider::table
