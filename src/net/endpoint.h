// Addresses of the network as values and as text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/ip/address.hpp>

namespace postrider::net {

using IpAddress = boost::asio::ip::address;

/// One side of a connection. For a unix socket `address` is empty and `port` 0.
struct Endpoint {
    std::string address;  ///< `127.0.0.1`, `::1`; an IPv4-mapped IPv6 address in IPv4 form
    std::uint16_t port = 0;

    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// The address in IPv4 form if it is IPv4-mapped IPv6.
IpAddress unmapped(const IpAddress&);

/// `192.0.2.1`, `2001:db8::1`, `IPv6:2001:db8::1`, each also in brackets. Nothing for a name.
std::optional<IpAddress> parse_ip_literal(std::string_view);

}  // namespace postrider::net
