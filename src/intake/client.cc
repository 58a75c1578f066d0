#include "intake/client.h"

#include <string_view>
#include <utility>

namespace postrider::intake {
namespace {

bool is_loopback(std::string_view address) {
    return address == "::1" || address.starts_with("127.");
}

}  // namespace

Client network_client(std::string address, bool trusted) {
    // An IPv4 client on a socket for both families is still an IPv4 client.
    constexpr std::string_view mapped = "::ffff:";
    if (address.starts_with(mapped) && address.find('.') != std::string::npos) {
        address.erase(0, mapped.size());
    }
    Client client;
    if (is_loopback(address)) client.name = "localhost";
    client.address = std::move(address);
    client.trusted = trusted;
    return client;
}

Client local_client(std::int64_t uid) {
    Client client;
    client.name = "localhost";
    client.address = "127.0.0.1";
    client.uid = uid;
    client.trusted = true;
    client.stand_alone = true;
    return client;
}

}  // namespace postrider::intake
