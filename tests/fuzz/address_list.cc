// AddressList: stable when written and read again; replacing one address leaves the others alone.
#include "message/address_list.h"

#include "fuzz.h"

using namespace postrider;

namespace {

std::vector<mail::Address> addresses_of(const message::AddressList& list) {
    std::vector<mail::Address> all;
    for (std::size_t i = 0; i < list.size(); ++i) all.push_back(list.address(i));
    return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = fuzz::text_of(bytes, size);
    const message::AddressList list(text);
    const auto addresses = addresses_of(list);
    fuzz::require(addresses.size() <= message::kAddressTokenLimit, "bounded");
    fuzz::require(message::AddressList(text, 10).size() <= 10, "bounded as asked");

    for (const mail::Address& address : message::parse_address_list(text)) {
        fuzz::require(!fuzz::has_control(mail::internal(address)),
                      "usable addresses are printable");
        fuzz::require(!address.is_null(), "and not null");
    }
    if (!list.is_well_formed()) return 0;

    const std::string written = list.text();
    fuzz::require(written.size() <= 4 * size + 16, "writing does not inflate");
    const message::AddressList again(written);
    fuzz::require(addresses_of(again) == addresses, "written and read: the same addresses");
    fuzz::require(again.text() == written, "written twice: the same text");

    if (addresses.empty()) return 0;
    message::AddressList changed(written);
    const std::size_t index = written.size() % addresses.size();
    changed.replace(index, mail::Address("new one", "example.org"));
    auto expected = addresses;
    expected[index] = mail::Address("new one", "example.org");
    fuzz::require(addresses_of(message::AddressList(changed.text())) == expected,
                  "replacing one changes no other");
    return 0;
}
