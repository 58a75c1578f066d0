// mail::parse_address: what is read, written and read again is the same address.
#include "mail/address.h"

#include "fuzz.h"

using namespace postrider;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = fuzz::text_of(bytes, size);
    const auto address = mail::parse_address(text);
    if (!address) return 0;

    fuzz::require(!fuzz::has_control(address->local_part), "no control byte in a local part");
    fuzz::require(!fuzz::has_control(address->domain), "no control byte in a domain");
    fuzz::require(address->local_part.size() + address->domain.size() <= size,
                  "an address is no longer than its text");

    const std::string written = mail::external(*address);
    fuzz::require(written.size() <= 2 * size + 2, "quoting at most doubles");
    const auto again = mail::parse_address(written);
    fuzz::require(again.has_value(), "what we write can be read");
    fuzz::require(*again == *address, "and is the same address");
    fuzz::require(mail::same_mailbox(*again, *address), "and the same mailbox");
    return 0;
}
