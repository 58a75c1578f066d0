// Opens the sockets that mail and operators come in by.
#include <charconv>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "daemon/master.h"
#include "daemon/service_manager.h"
#include "net/endpoint.h"
#include "net/listener.h"

namespace postrider::daemon {
namespace {

constexpr std::uint16_t kSmtpPort = 25;
constexpr std::chrono::seconds kOrphansGrace{2};
constexpr std::chrono::milliseconds kOrphansPoll{20};

struct Place {
    net::IpAddress address;
    std::uint16_t port = kSmtpPort;
};

Unexpected bad_place(std::string_view parameter, std::string_view item) {
    return Unexpected(ErrorCode::Invalid,
                      fmt::format("{}: \"{}\": expected an address such as 127.0.0.1:25, "
                                  "[::1]:25 or unix:/path",
                                  parameter, item));
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, trouble] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (trouble != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return port;
}

/// `localhost` is what it is everywhere; other names would need a resolver before there is one.
std::vector<net::IpAddress> addresses_of(std::string_view host) {
    if (host == "localhost") {
        return {boost::asio::ip::address_v4::loopback(), boost::asio::ip::address_v6::loopback()};
    }
    if (const auto literal = net::parse_ip_literal(host)) return {*literal};
    return {};
}

Result<std::vector<Place>> parse_place(std::string_view item) {
    const std::size_t colon = item.rfind(':');
    if (colon == std::string_view::npos) return bad_place("smtpd_listen", item);
    const auto port = parse_port(item.substr(colon + 1));
    const auto addresses = addresses_of(item.substr(0, colon));
    if (!port || addresses.empty()) return bad_place("smtpd_listen", item);
    std::vector<Place> places;
    for (const net::IpAddress& address : addresses) places.push_back({address, *port});
    return places;
}

Result<std::vector<net::IpAddress>> interface_addresses(const config::Config& config) {
    std::vector<net::IpAddress> addresses;
    for (const std::string& item : config.list("inet_interfaces")) {
        if (item == "all") {
            addresses.emplace_back(boost::asio::ip::address_v4::any());
            addresses.emplace_back(boost::asio::ip::address_v6::any());
        } else if (item == "loopback-only") {
            for (const auto& address : addresses_of("localhost")) addresses.push_back(address);
        } else {
            const auto named = addresses_of(item);
            if (named.empty()) return bad_place("inet_interfaces", item);
            addresses.insert(addresses.end(), named.begin(), named.end());
        }
    }
    return addresses;
}

bool serves(const config::Config& config, const net::IpAddress& address) {
    for (const std::string& protocol : config.list("inet_protocols")) {
        if (protocol == "all" || protocol == (address.is_v4() ? "ipv4" : "ipv6")) return true;
    }
    return false;
}

/// A machine without IPv6 is no reason not to start, as long as something is listened on.
bool family_is_missing(const Error& error) {
    return error.message.ends_with("Cannot assign requested address") ||
           error.message.ends_with("Address family not supported by protocol");
}

bool is_taken(const Error& error) {
    return error.message.ends_with("Address already in use");
}

/// Workers of a master that was killed keep its ports until they have noticed, for some
/// milliseconds.
template <typename Listen>
auto patiently(Listen listen) -> decltype(listen()) {
    const auto patience = std::chrono::steady_clock::now() + kOrphansGrace;
    for (;;) {
        auto door = listen();
        const bool waits = !door && is_taken(door.error());
        if (!waits || std::chrono::steady_clock::now() >= patience) return door;
        std::this_thread::sleep_for(kOrphansPoll);
    }
}

Result<void> listen_on(const config::Config& config, const Place& place, const Log& log,
                       Doors& doors) {
    if (!serves(config, place.address)) return {};
    auto door = patiently([&] { return net::listen_tcp(place.address, place.port); });
    if (!door) {
        if (place.address.is_v6() && family_is_missing(door.error())) return {};
        Error error = std::move(door).error();
        if (is_taken(error)) {
            error.message += " (another mail server? Stop it, or set smtpd_listen to a free port)";
        } else if (error.message.ends_with("Permission denied")) {
            error.message += " (set smtpd_listen to a port above 1023, or start as root)";
        }
        return Unexpected(std::move(error));
    }
    if (!place.address.is_loopback()) {
        log.warning(
            fmt::format("listening beyond this machine, on {} port {}: only clients in "
                        "mynetworks may relay",
                        place.address.to_string(), place.port));
    }
    doors.smtp.push_back(std::move(door).value());
    return {};
}

Result<void> open_smtp_doors(const config::Config& config, const Log& log, Doors& doors) {
    const auto items = config.list("smtpd_listen");
    if (items.empty()) {
        const auto addresses = interface_addresses(config);
        if (!addresses) return Unexpected(addresses.error());
        for (const net::IpAddress& address : *addresses) {
            if (auto opened = listen_on(config, {address, kSmtpPort}, log, doors); !opened) {
                return opened;
            }
        }
    }
    for (const std::string& item : items) {
        if (item.starts_with("unix:")) {
            auto door = patiently([&] { return net::listen_unix(item.substr(5), 0666); });
            if (!door) return Unexpected(std::move(door).error());
            doors.smtp.push_back(std::move(door).value());
            continue;
        }
        const auto places = parse_place(item);
        if (!places) return Unexpected(places.error());
        for (const Place& place : *places) {
            if (auto opened = listen_on(config, place, log, doors); !opened) return opened;
        }
    }
    return {};
}

bool is_listening(int fd) {
    int type = 0;
    int listening = 0;
    socklen_t size = sizeof(int);
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0;
}

/// The path that a unix socket is bound to; empty for others.
std::string path_of(int fd) {
    sockaddr_un address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) return "";
    if (address.sun_family != AF_UNIX) return "";
    return std::string(address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path));
}

/// Takes what the service manager has opened for us: unix sockets are told apart by their paths.
void adopt_handed_over(const Layout& layout, const Log& log, Doors& doors) {
    HandedOver handed_over = take_handed_over();
    for (UniqueFd& fd : handed_over.sockets) {
        const std::string path = path_of(fd.get());
        if (!is_listening(fd.get())) {
            log.warning("a descriptor that was handed over is no listening socket: closed");
        } else if (path == layout.submit_socket()) {
            doors.submit = std::move(fd);
        } else if (path == layout.control_socket()) {
            doors.control = std::move(fd);
        } else {
            doors.smtp.push_back(std::move(fd));
        }
    }
    doors.are_kept_open = !handed_over.own && !doors.smtp.empty() && doors.submit && doors.control;
}

}  // namespace

Result<Doors> open_doors(const config::Config& config, const Layout& layout, const Log& log) {
    Doors doors;
    adopt_handed_over(layout, log, doors);
    if (doors.smtp.empty()) {
        if (auto opened = open_smtp_doors(config, log, doors); !opened) {
            return Unexpected(std::move(opened).error());
        }
    }
    if (!doors.submit) {
        auto door = patiently([&] { return net::listen_unix(layout.submit_socket(), 0666); });
        if (!door) return Unexpected(std::move(door).error());
        doors.submit = std::move(door).value();
    }
    if (!doors.control) {
        auto door = patiently([&] { return net::listen_unix(layout.control_socket(), 0666); });
        if (!door) return Unexpected(std::move(door).error());
        doors.control = std::move(door).value();
    }
    return doors;
}

}  // namespace postrider::daemon
