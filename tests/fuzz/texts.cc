// Small texts that come from outside: what is understood is written and read the same, and what is
// shown to people or put into a header can do no harm there.
#include <string>

#include "core/ascii.h"
#include "core/base64.h"
#include "core/log.h"
#include "delivery/destination.h"
#include "fuzz.h"
#include "mail/queue_id.h"
#include "mail/status.h"
#include "message/address_list.h"
#include "message/full_name.h"
#include "net/endpoint.h"
#include "net/hosts_file.h"
#include "table/network.h"

using namespace postrider;

namespace {

void check_shown(std::string_view text) {
    const std::string shown = printable(text);
    fuzz::require(!fuzz::has_control(shown), "shown text has no control character");
    fuzz::require(is_utf8(shown), "and is UTF-8");
    fuzz::require(printable(shown) == shown, "and stays as it is");

    fuzz::require(decode_base64(base64(text)) == text, "base64 both ways");
    if (const auto decoded = decode_base64(text))
        fuzz::require(base64(*decoded) == text, "base64 has one spelling");
}

/// -F, or the GECOS field of a user who is no friend.
void check_full_name(std::string_view name) {
    const std::string phrase = message::phrase(name, "utf-8");
    for (std::size_t i = 0; i < phrase.size(); ++i) {
        const bool fold = phrase[i] == '\n';
        fuzz::require(fold || !fuzz::has_control(phrase.substr(i, 1)), "a phrase is printable");
    }
    const auto addresses = message::parse_address_list(phrase + " <ann@desk.example>");
    fuzz::require(addresses.size() == 1 && addresses[0] == mail::Address("ann", "desk.example"),
                  "a name adds no address");
    const auto commented = message::parse_address_list(
        "ann@desk.example (" + message::comment(name, "utf-8") + "), bob@desk.example");
    fuzz::require(commented.size() == 2 && commented[1].local_part == "bob",
                  "and does not end its comment");
}

void check_next_hops(std::string_view text) {
    static const auto ports = delivery::PortNames::standard();
    const auto hops = delivery::parse_next_hops(text, ports, 25);
    if (!hops) return;
    fuzz::require(!hops->empty() && hops->size() <= delivery::kNextHopsMax, "some, not too many");
    for (const delivery::NextHop& hop : *hops) {
        fuzz::require(!hop.host.empty() && hop.port != 0, "a host and a port");
        fuzz::require(hop.host.find_first_of(" []") == std::string::npos, "without brackets");
        const auto again = delivery::parse_next_hop(hop.written, ports, 25);
        fuzz::require(again && again->host == hop.host && again->port == hop.port &&
                          again->is_literal == hop.is_literal && again->lookup_mx == hop.lookup_mx,
                      "as written, it is the same");
    }
}

void check_network(std::string_view text) {
    if (const auto network = table::Network::parse(text)) {
        fuzz::require(network->prefix_length <= network->address.bits(), "a prefix that fits");
        fuzz::require(network->contains(network->address), "its own address is in it");
        const auto again = table::Network::parse(network->address.text() + "/" +
                                                 std::to_string(network->prefix_length));
        fuzz::require(again && again->address == network->address, "written and read, the same");
    }
    if (const auto address = net::parse_ip_literal(text)) {
        fuzz::require(net::parse_ip_literal(address->to_string()) == address, "an address, too");
    }
    for (const auto& [name, addresses] : net::parse_hosts(text))
        fuzz::require(!name.empty() && !addresses.empty(), "a host has a name and an address");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = fuzz::text_of(bytes, size);
    check_shown(text);
    check_full_name(text);
    check_next_hops(text);
    check_network(text);
    if (const auto status = mail::parse_status(text)) {
        fuzz::require(mail::parse_status(mail::to_string(*status)) == status, "a status, too");
        fuzz::require(mail::after_status(text).size() < size, "and the text behind it");
    }
    if (const auto id = mail::QueueId::parse(text))
        fuzz::require(!fuzz::has_control(id->str()) && id->str().size() <= 255, "a queue id");
    return 0;
}
