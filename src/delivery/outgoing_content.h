// The content of a message on its way out: read piece by piece, checked, encoded for the wire.
#pragma once

#include <cstdint>
#include <string>

#include "core/checksum.h"
#include "core/result.h"
#include "message/outgoing.h"
#include "net/stream.h"
#include "queue/message.h"

namespace postrider::delivery {

/// Where the content of a message comes from.
class ContentSource {
public:
    virtual ~ContentSource() = default;
    /// Stored bytes; empty past the end.
    virtual net::Awaitable<Result<std::string>> read_piece(std::uint32_t piece) = 0;
};

/// One piece at a time is in memory.
class OutgoingContent {
public:
    OutgoingContent(ContentSource& source, const queue::Lease& lease,
                    const message::OutgoingOptions& how)
        : source_(source),
          lease_(lease),
          encoder_(how, message::ContentFacts(lease.longest_line, lease.has_8bit)) {}

    /// Prepares the next piece; the last one only if all of it is what was once accepted (R13).
    /// An error says what is wrong with the stored content.
    net::Awaitable<Result<void>> advance();

    /// The piece as it goes over the wire.
    const std::string& piece() const { return outgoing_; }
    /// It ends the content, and the checksum was right.
    bool is_complete() const { return complete_; }
    bool broke_line() const { return encoder_.broke_line(); }

private:
    ContentSource& source_;
    const queue::Lease& lease_;
    message::OutgoingEncoder encoder_;
    Checksum checksum_;
    std::uint32_t next_ = 0;
    std::uint64_t read_ = 0;
    std::string outgoing_;
    bool complete_ = false;
};

}  // namespace postrider::delivery
