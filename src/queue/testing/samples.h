// Messages and folders for the tests of this module.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "core/checksum.h"
#include "core/clock.h"
#include "queue/message.h"

namespace postrider::queue::testing {

/// A folder of its own, removed at the end.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string path = (std::filesystem::temp_directory_path() / "postrider-XXXXXX").string();
        path_ = ::mkdtemp(path.data());
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

inline mail::Recipient recipient(std::string_view address) {
    return mail::Recipient(*mail::parse_address(address));
}

/// `to` from a@example.org, with this content.
inline NewMessage message(std::uint64_t number, WallTime arrival,
                          const std::vector<std::string>& to, std::string_view content) {
    NewMessage made;
    made.ticket = Ticket::make(number, arrival, false);
    made.arrival = arrival;
    made.envelope.reverse_path = *mail::parse_address("a@example.org");
    for (const std::string& address : to) made.envelope.recipients.push_back(recipient(address));
    made.client = "local";
    made.submitter_uid = 1000;
    made.size = content.size();
    made.content_length = content.size();
    Checksum checksum;
    checksum.add(content);
    made.checksum = checksum.value();
    return made;
}

inline mail::Disposition disposition(mail::Disposition::Kind kind, std::string text) {
    mail::Disposition made;
    made.kind = kind;
    const bool sent = kind == mail::Disposition::Kind::Sent;
    const bool deferred = kind == mail::Disposition::Kind::Deferred;
    made.status = mail::EnhancedStatus(sent ? 2 : deferred ? 4 : 5, 0, 0);
    made.text = std::move(text);
    return made;
}

inline Outcome outcome(std::uint32_t ordinal, mail::Disposition::Kind kind) {
    Outcome made;
    made.ordinal = ordinal;
    made.disposition = disposition(kind, "250 ok");
    return made;
}

}  // namespace postrider::queue::testing
