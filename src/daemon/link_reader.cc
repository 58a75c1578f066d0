#include "daemon/link_reader.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace postrider::daemon {

struct LinkReader::Descriptor {
    Descriptor(const boost::asio::any_io_executor& executor, int fd) : stream(executor, fd) {}
    boost::asio::posix::stream_descriptor stream;
};

LinkReader::LinkReader(const boost::asio::any_io_executor& executor, UniqueFd link)
    : descriptor_(std::make_unique<Descriptor>(executor, link.release())) {}

LinkReader::~LinkReader() = default;

net::Awaitable<Result<Note>> LinkReader::next() {
    auto& stream = descriptor_->stream;
    while (true) {
        auto note = receive_note(stream.native_handle());
        if (!note) co_return Unexpected(std::move(note).error());
        if (*note) co_return std::move(**note);
        auto [failure] =
            co_await stream.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                       boost::asio::as_tuple(boost::asio::use_awaitable));
        if (failure) co_return Unexpected(ErrorCode::Cancelled, "waiting for notes has ended");
    }
}

void LinkReader::say(const Note& note) {
    (void)send_note(descriptor_->stream.native_handle(), note);
}

}  // namespace postrider::daemon
