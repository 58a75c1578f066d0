#include "config/host.h"

#include <memory>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/utsname.h>

namespace postrider::config {
namespace {

int count_bits(const unsigned char* bytes, std::size_t size) {
    int bits = 0;
    for (std::size_t i = 0; i < size; ++i) bits += __builtin_popcount(bytes[i]);
    return bits;
}

InterfaceAddress read_address(const ifaddrs& entry) {
    const bool v4 = entry.ifa_addr->sa_family == AF_INET;
    const auto bytes_of = [v4](const sockaddr* address) {
        const void* const raw = address;
        return v4 ? reinterpret_cast<const unsigned char*>(
                        &static_cast<const sockaddr_in*>(raw)->sin_addr)
                  : static_cast<const sockaddr_in6*>(raw)->sin6_addr.s6_addr;
    };
    InterfaceAddress result;
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(entry.ifa_addr->sa_family, bytes_of(entry.ifa_addr), text, sizeof text);
    result.address = text;
    result.prefix_length = entry.ifa_netmask != nullptr
                               ? count_bits(bytes_of(entry.ifa_netmask), v4 ? 4 : 16)
                               : (v4 ? 32 : 128);
    return result;
}

}  // namespace

Host this_host() {
    Host host;
    utsname names = {};
    host.node_name =
        ::uname(&names) == 0 && names.nodename[0] != '\0' ? names.nodename : "localhost";
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return host;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
        const auto family = entry->ifa_addr->sa_family;
        if (family == AF_INET || family == AF_INET6) host.addresses.push_back(read_address(*entry));
    }
    return host;
}

}  // namespace postrider::config
