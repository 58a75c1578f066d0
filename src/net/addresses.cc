#include "net/addresses.h"

#include <algorithm>
#include <random>

namespace postrider::net {
namespace {

bool is_ipv6(const HostAddress& entry) {
    return entry.address.is_v6();
}

// The list is cut at the limit, but a family that is in the minority keeps its place in it.
void balance(std::vector<HostAddress>& list, std::size_t limit) {
    const auto ipv6 = static_cast<std::size_t>(std::count_if(list.begin(), list.end(), is_ipv6));
    const std::size_t ipv4 = list.size() - ipv6;
    if (ipv6 == 0 || ipv4 == 0) return;

    std::size_t keep_ipv4 = 0;
    if (ipv6 <= limit / 2) {
        keep_ipv4 = limit - ipv6;
    } else if (ipv4 <= limit / 2) {
        keep_ipv4 = ipv4;
    } else {
        keep_ipv4 = (limit + (is_ipv6(list.front()) ? 0 : 1)) / 2;
    }
    std::size_t keep_ipv6 = limit - keep_ipv4;
    std::erase_if(list, [&](const HostAddress& entry) {
        std::size_t& left = is_ipv6(entry) ? keep_ipv6 : keep_ipv4;
        if (left == 0) return true;
        --left;
        return false;
    });
}

}  // namespace

std::vector<HostAddress> ordered(std::vector<HostAddress> list, const AddressOrder& order,
                                 std::uint64_t seed) {
    std::mt19937_64 random(seed);
    AddressPreference preference = order.preference;
    if (preference == AddressPreference::Any) {
        preference = random() % 2 == 0 ? AddressPreference::Ipv6 : AddressPreference::Ipv4;
    }
    if (order.randomize) std::shuffle(list.begin(), list.end(), random);
    std::stable_sort(list.begin(), list.end(), [&](const HostAddress& a, const HostAddress& b) {
        if (a.preference != b.preference) return a.preference < b.preference;
        const bool ipv6_first = preference == AddressPreference::Ipv6;
        return is_ipv6(a) != is_ipv6(b) && is_ipv6(a) == ipv6_first;
    });
    if (order.limit > 0 && list.size() > order.limit) {
        if (order.balance_families) balance(list, order.limit);
        list.resize(std::min(list.size(), order.limit));
    }
    return list;
}

}  // namespace postrider::net
