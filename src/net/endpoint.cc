#include "net/endpoint.h"

#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>

#include "core/ascii.h"

namespace postrider::net {

IpAddress unmapped(const IpAddress& address) {
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
    }
    return address;
}

std::optional<IpAddress> parse_ip_literal(std::string_view text) {
    if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
        text = text.substr(1, text.size() - 2);
    }
    const bool tagged = starts_with_ignoring_case(text, "IPv6:");
    if (tagged) text.remove_prefix(5);
    boost::system::error_code failure;
    const IpAddress address = boost::asio::ip::make_address(std::string(text), failure);
    if (failure || (tagged && !address.is_v6())) return std::nullopt;
    return address;
}

}  // namespace postrider::net
