#include "net/routes.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "core/unique_fd.h"

namespace postrider::net {
namespace {

// The first interface of every network namespace (LOOPBACK_IFINDEX).
constexpr int kLoopback = 1;
// A router may know a million routes. Whoever has so many is not a laptop, and is online.
constexpr int kReadsMax = 256;
constexpr std::size_t kReadSize = 32 * 1024;

constexpr unsigned char kLinkLocal4[] = {169, 254};

bool is_link_local(int family, std::string_view address) {
    const auto* byte = reinterpret_cast<const unsigned char*>(address.data());
    if (family == AF_INET6) {
        return address.size() == 16 && byte[0] == 0xfe && (byte[1] & 0xc0) == 0x80;
    }
    return address.size() == 4 && std::equal(std::begin(kLinkLocal4), std::end(kLinkLocal4), byte);
}

bool is_multicast(int family, std::string_view address) {
    return family == AF_INET6 && address.starts_with('\xff');
}

/// The attributes behind a message's fixed part, by type.
template <typename Fixed>
class Attributes {
public:
    explicit Attributes(const nlmsghdr* message)
        : first_(reinterpret_cast<const rtattr*>(static_cast<const char*>(NLMSG_DATA(message)) +
                                                 NLMSG_ALIGN(sizeof(Fixed)))),
          size_(static_cast<int>(NLMSG_PAYLOAD(message, sizeof(Fixed)))) {}

    /// Empty when it is missing.
    std::string_view find(int type) const {
        int left = size_;
        for (const rtattr* one = first_; RTA_OK(one, left); one = RTA_NEXT(one, left)) {
            if (one->rta_type == type) {
                return {static_cast<const char*>(RTA_DATA(one)), RTA_PAYLOAD(one)};
            }
        }
        return {};
    }

    unsigned number(int type, unsigned otherwise) const {
        const auto bytes = find(type);
        unsigned value = otherwise;
        if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }

private:
    const rtattr* first_;
    int size_;
};

void add_route(const nlmsghdr* message, Routes& to) {
    if (NLMSG_PAYLOAD(message, 0) < sizeof(rtmsg)) return;
    rtmsg route{};
    std::memcpy(&route, NLMSG_DATA(message), sizeof route);
    const Attributes<rtmsg> attributes(message);
    const unsigned unusable = RTNH_F_DEAD | RTNH_F_LINKDOWN | RTM_F_CLONED;
    if (route.rtm_type != RTN_UNICAST || (route.rtm_flags & unusable) != 0) return;
    if (attributes.number(RTA_TABLE, route.rtm_table) == RT_TABLE_LOCAL) return;
    if (attributes.number(RTA_OIF, 0) == kLoopback) return;
    const auto destination = attributes.find(RTA_DST);
    if (is_link_local(route.rtm_family, destination) || is_multicast(route.rtm_family, destination))
        return;
    to.leads_out = true;
    if (route.rtm_dst_len != 0) return;
    std::string entry(1, static_cast<char>(route.rtm_family));
    for (const int type : {RTA_OIF, RTA_GATEWAY, RTA_VIA, RTA_MULTIPATH}) {
        entry.append(attributes.find(type)).append(1, '|');
    }
    to.defaults.insert(std::move(entry));
}

void add_address(const nlmsghdr* message, Routes& to) {
    if (NLMSG_PAYLOAD(message, 0) < sizeof(ifaddrmsg)) return;
    ifaddrmsg address{};
    std::memcpy(&address, NLMSG_DATA(message), sizeof address);
    if (address.ifa_index == kLoopback || address.ifa_scope >= RT_SCOPE_LINK) return;
    const Attributes<ifaddrmsg> attributes(message);
    // An address of IPv6 that is still being probed for duplicates cannot be used yet.
    if ((attributes.number(IFA_FLAGS, address.ifa_flags) & IFA_F_TENTATIVE) != 0) return;
    auto bytes = attributes.find(IFA_LOCAL);
    if (bytes.empty()) bytes = attributes.find(IFA_ADDRESS);
    if (is_link_local(address.ifa_family, bytes)) return;
    to.addresses.insert(std::string(bytes) + '|' + std::to_string(address.ifa_index));
}

bool includes(const std::set<std::string>& all, const std::set<std::string>& some) {
    return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

/// One question of the kind "tell me all". `stop` looks at what came and may have enough.
Result<void> dump(int type, Routes& into) {
    const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!socket) return Unexpected(system_error("ask for routes", errno));
    struct {
        nlmsghdr header;
        rtgenmsg body;
    } request{};
    request.header.nlmsg_len = NLMSG_LENGTH(sizeof request.body);
    request.header.nlmsg_type = static_cast<std::uint16_t>(type);
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.body.rtgen_family = AF_UNSPEC;
    if (::send(socket.get(), &request, request.header.nlmsg_len, 0) < 0) {
        return Unexpected(system_error("ask for routes", errno));
    }
    alignas(nlmsghdr) std::array<char, kReadSize> buffer;
    for (int reads = 0; reads < kReadsMax; ++reads) {
        const auto count = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (count < 0) return Unexpected(system_error("read routes", errno));
        auto over = add_messages({buffer.data(), static_cast<std::size_t>(count)}, into);
        if (!over) return Unexpected(std::move(over).error());
        if (*over || count == 0) break;
    }
    return {};
}

}  // namespace

void Routes::remove(const Routes& lost) {
    for (const auto& entry : lost.defaults) defaults.erase(entry);
    for (const auto& entry : lost.addresses) addresses.erase(entry);
}

bool Routes::has_more_than(const Routes& before) const {
    return (leads_out && !before.leads_out) || !includes(before.defaults, defaults) ||
           !includes(before.addresses, addresses);
}

Result<bool> add_messages(std::span<const char> bytes, Routes& to, Routes* lost) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(bytes.data());
    auto left = static_cast<unsigned>(bytes.size());
    for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
        switch (message->nlmsg_type) {
            case NLMSG_DONE:
                return true;
            case NLMSG_ERROR: {
                nlmsgerr error{};
                if (NLMSG_PAYLOAD(message, 0) < sizeof error) return true;
                std::memcpy(&error, NLMSG_DATA(message), sizeof error);
                if (error.error == 0) return true;
                return Unexpected(system_error("read routes", -error.error));
            }
            case RTM_NEWROUTE:
                add_route(message, to);
                break;
            case RTM_NEWADDR:
                add_address(message, to);
                break;
            case RTM_DELROUTE:
                if (lost != nullptr) add_route(message, *lost);
                break;
            case RTM_DELADDR:
                if (lost != nullptr) add_address(message, *lost);
                break;
            default:
                break;
        }
    }
    return false;
}

Result<Routes> read_routes() {
    Routes routes;
    for (const int type : {RTM_GETROUTE, RTM_GETADDR}) {
        if (auto told = dump(type, routes); !told) return Unexpected(std::move(told).error());
    }
    return routes;
}

}  // namespace postrider::net
