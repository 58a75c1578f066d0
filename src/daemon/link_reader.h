// A worker's ear: the master's notes, in its event loop.
#pragma once

#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "daemon/link.h"
#include "net/stream.h"

namespace postrider::daemon {

class LinkReader {
public:
    LinkReader(const boost::asio::any_io_executor& executor, UniqueFd link);
    ~LinkReader();

    /// Waits for the next note. Connection when the master is gone: then this process has no
    /// business any more.
    net::Awaitable<Result<Note>> next();
    /// Says something to the master. What it cannot take now is lost; it asks again in time.
    void say(const Note&);

private:
    struct Descriptor;
    std::unique_ptr<Descriptor> descriptor_;
};

}  // namespace postrider::daemon
