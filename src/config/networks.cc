#include "config/networks.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "config/values.h"

namespace postrider::config {
namespace {

struct Address {
    int family = AF_INET;
    std::array<unsigned char, 16> bytes{};
    int width() const { return family == AF_INET ? 32 : 128; }
};

std::optional<Address> parse_address(const std::string& text) {
    Address address;
    if (::inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) return address;
    address.family = AF_INET6;
    if (::inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) return address;
    return std::nullopt;
}

/// The address with all bits after the first `prefix` at zero.
Address network_of(Address address, int prefix) {
    for (int bit = prefix; bit < address.width(); ++bit)
        address.bytes[static_cast<std::size_t>(bit / 8)] &=
            static_cast<unsigned char>(~(0x80u >> (bit % 8)));
    return address;
}

std::string written(const Address& network, int prefix) {
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(network.family, network.bytes.data(), text, sizeof text);
    const auto bits = "/" + std::to_string(prefix);
    return network.family == AF_INET ? text + bits : "[" + std::string(text) + "]" + bits;
}

bool is_loopback(const Address& address) {
    if (address.family == AF_INET) return address.bytes[0] == 127;
    const auto last = address.bytes.size() - 1;
    return address.bytes[last] == 1 && std::all_of(address.bytes.begin(), address.bytes.end() - 1,
                                                   [](unsigned char byte) { return byte == 0; });
}

bool is_link_local(const Address& address) {
    if (address.family == AF_INET) return address.bytes[0] == 169 && address.bytes[1] == 254;
    return address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

int prefix_for(std::string_view style, const Address& address, int subnet_prefix) {
    if (style == "subnet") return std::clamp(subnet_prefix, 0, address.width());
    if (style == "class" && address.family == AF_INET)
        return address.bytes[0] < 128 ? 8 : address.bytes[0] < 192 ? 16 : 24;
    return address.width();
}

}  // namespace

std::string default_networks(const Host& host, const NetworkChoice& choice) {
    std::string networks;
    const auto add = [&](const std::string& network) {
        if (!networks.empty()) networks += ' ';
        networks += network;
    };
    if (choice.ipv4) add("127.0.0.0/8");
    if (choice.ipv6) add("[::1]/128");
    const auto listens_on = [&](const std::string& address) {
        return std::any_of(
            choice.interfaces.begin(), choice.interfaces.end(), [&](const std::string& item) {
                return item == "all" || item == address || item == "[" + address + "]";
            });
    };
    for (const auto& own : host.addresses) {
        const auto address = parse_address(own.address);
        if (!address || is_loopback(*address) || is_link_local(*address)) continue;
        if (!(address->family == AF_INET ? choice.ipv4 : choice.ipv6)) continue;
        if (!listens_on(own.address)) continue;
        const int prefix = prefix_for(choice.style, *address, own.prefix_length);
        const auto network = written(network_of(*address, prefix), prefix);
        if ((" " + networks + " ").find(" " + network + " ") == std::string::npos) add(network);
    }
    return networks;
}

Result<void> check_network(std::string_view item) {
    const auto trouble = [&](const std::string& what) {
        return Unexpected(ErrorCode::Invalid, what + " in \"" + std::string(item) + "\"");
    };
    auto address_text = item;
    std::optional<std::int64_t> prefix;
    if (const auto slash = item.rfind('/'); slash != item.npos) {
        prefix = parse_integer(item.substr(slash + 1));
        if (!prefix) return trouble("bad network length");
        address_text = item.substr(0, slash);
    }
    const bool has_brackets = address_text.starts_with('[') && address_text.ends_with(']');
    if (has_brackets) address_text = address_text.substr(1, address_text.size() - 2);
    const auto address = parse_address(std::string(address_text));
    if (!address) return trouble("bad address");
    if (address->family == AF_INET6 && !has_brackets)
        return trouble("an IPv6 address needs [brackets]:");
    if (!prefix) return {};
    if (*prefix < 0 || *prefix > address->width()) return trouble("bad network length");
    const auto network = network_of(*address, static_cast<int>(*prefix));
    if (network.bytes == address->bytes) return {};
    return Unexpected(ErrorCode::Invalid, "non-null host address bits in \"" + std::string(item) +
                                              "\", perhaps you should use \"" +
                                              written(network, static_cast<int>(*prefix)) +
                                              "\" instead");
}

}  // namespace postrider::config
