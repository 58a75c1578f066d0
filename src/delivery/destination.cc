#include "delivery/destination.h"

#include <charconv>

#include <arpa/inet.h>

#include <fmt/format.h>

#include "core/ascii.h"

namespace postrider::delivery {

namespace {

std::vector<std::string_view> words(std::string_view list) {
    std::vector<std::string_view> found;
    std::size_t at = 0;
    while (at < list.size()) {
        const std::size_t begin = list.find_first_not_of(", \t\r\n", at);
        if (begin == std::string_view::npos) break;
        const std::size_t end = std::min(list.find_first_of(", \t\r\n", begin), list.size());
        found.push_back(list.substr(begin, end - begin));
        at = end;
    }
    return found;
}

std::optional<std::uint16_t> port_number(std::string_view text) {
    unsigned value = 0;
    const auto [end, trouble] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (trouble != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    if (value < 1 || value > 65535) return std::nullopt;
    return static_cast<std::uint16_t>(value);
}

bool is_ipv6(const std::string& text) {
    in6_addr unused{};
    return inet_pton(AF_INET6, text.c_str(), &unused) == 1;
}

bool is_ipv4(const std::string& text) {
    in_addr unused{};
    return inet_pton(AF_INET, text.c_str(), &unused) == 1;
}

// Generous about which names exist, strict about what could be something else: a control character
// or a stray bracket here is a typing error that DNS would report less clearly.
bool is_host_name(std::string_view text) {
    if (text.empty() || text.size() > 255 || text.front() == '.') return false;
    for (const char c : text) {
        if (!is_ascii_alnum(c) && c != '.' && c != '-' && c != '_' && is_ascii(c)) return false;
    }
    return text.find("..") == std::string_view::npos;
}

struct Split {
    std::string_view host;
    std::string_view port;
    bool bracketed = false;
};

// `[v6]:port` needs its brackets: in `fe80::1:25` nobody can tell the port from the address.
std::optional<Split> split(std::string_view text) {
    Split parts;
    std::string_view rest;
    if (text.front() == '[') {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos) return std::nullopt;
        parts.bracketed = true;
        parts.host = text.substr(1, close - 1);
        rest = text.substr(close + 1);
    } else {
        const std::size_t colon = text.find(':');
        parts.host = text.substr(0, colon);
        rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon);
    }
    if (rest.empty()) return parts;
    if (rest.front() != ':' || rest.size() < 2) return std::nullopt;
    parts.port = rest.substr(1);
    return parts;
}

}  // namespace

Result<PortNames> PortNames::parse(std::string_view list) {
    PortNames names;
    for (const std::string_view entry : words(list)) {
        const std::size_t last = entry.rfind('=');
        const auto port =
            last == std::string_view::npos ? std::nullopt : port_number(entry.substr(last + 1));
        if (!port) {
            return Unexpected(ErrorCode::Invalid,
                              fmt::format("known_tcp_ports: {}: expected name=number", entry));
        }
        std::string_view left = entry.substr(0, last);
        while (!left.empty()) {
            const std::size_t equals = std::min(left.find('='), left.size());
            names.ports_.insert_or_assign(ascii_lowercase(left.substr(0, equals)), *port);
            left.remove_prefix(std::min(equals + 1, left.size()));
        }
    }
    return names;
}

PortNames PortNames::standard() {
    return *parse("lmtp=24, smtp=25, smtps=submissions=465, submission=587");
}

std::optional<std::uint16_t> PortNames::find(std::string_view service) const {
    if (!service.empty() && is_ascii_digit(service.front())) return port_number(service);
    const auto found = ports_.find(ascii_lowercase(service));
    if (found == ports_.end()) return std::nullopt;
    return found->second;
}

Result<NextHop> parse_next_hop(std::string_view text, const PortNames& ports,
                               std::uint16_t default_port) {
    const auto malformed = [text](std::string_view why) {
        return Unexpected(ErrorCode::Invalid, fmt::format("next hop {}: {}", text, why));
    };
    text = trimmed(text);
    if (text.empty()) return malformed("is empty; expected [host]:port");
    const auto parts = split(text);
    if (!parts) return malformed("expected [host]:port or host:port");

    NextHop hop;
    hop.written = std::string(text);
    hop.port = default_port;
    if (!parts->port.empty()) {
        const auto port = ports.find(parts->port);
        if (!port) return malformed(fmt::format("unknown port or service {}", parts->port));
        hop.port = *port;
    }
    std::string_view host = parts->host;
    const bool said_ipv6 = parts->bracketed && starts_with_ignoring_case(host, "ipv6:");
    if (said_ipv6) host.remove_prefix(5);
    hop.host = ascii_lowercase(host);
    hop.is_literal = is_ipv6(hop.host) || (!said_ipv6 && is_ipv4(hop.host));
    hop.lookup_mx = !parts->bracketed && !hop.is_literal;
    if (said_ipv6 && !hop.is_literal) return malformed("expected an IPv6 address after IPv6:");
    if (!hop.is_literal && !is_host_name(hop.host)) return malformed("expected a host name");
    if (hop.host.back() == '.') hop.host.pop_back();
    return hop;
}

Result<std::vector<NextHop>> parse_next_hops(std::string_view list, const PortNames& ports,
                                             std::uint16_t default_port) {
    std::vector<NextHop> hops;
    for (const std::string_view word : words(list)) {
        if (hops.size() == kNextHopsMax) {
            return Unexpected(ErrorCode::Limit,
                              fmt::format("more than {} next hops: {}", kNextHopsMax, list));
        }
        auto hop = parse_next_hop(word, ports, default_port);
        if (!hop) return Unexpected(std::move(hop).error());
        hops.push_back(*std::move(hop));
    }
    if (hops.empty()) return Unexpected(ErrorCode::Invalid, "next hop is empty");
    return hops;
}

}  // namespace postrider::delivery
