// One end of an inbox channel: frames over a connected unix stream socket.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "core/result.h"
#include "core/unique_fd.h"
#include "queue/frames.h"

namespace postrider::queue {

/// Frames said in one turn of the event loop leave in one write. Keeps itself alive while the
/// socket works; its owner lets go by close().
class Channel : public std::enable_shared_from_this<Channel> {
public:
    Channel(boost::asio::any_io_executor network, UniqueFd connected);

    /// `on_frame` answers false for a breach of protocol. `on_end` is called once, with the reason,
    /// unless close() came first. Neither is called from within send() or close().
    void start(std::function<bool(const Frame&)> on_frame, std::function<void(Error)> on_end);

    /// Where frames are appended; call flush() afterwards.
    std::string& outgoing() { return outgoing_; }
    /// Sends what is in outgoing() at the end of this turn.
    void flush();
    std::size_t unsent() const { return outgoing_.size() + writing_.size(); }

    /// Stops reading until resume(), so that the peer has to wait.
    void pause() { paused_ = true; }
    void resume();
    void close();
    bool is_open() const { return socket_.is_open(); }

private:
    void read();
    bool take_frames();
    void write();
    void end(Error);

    boost::asio::local::stream_protocol::socket socket_;
    std::function<bool(const Frame&)> on_frame_;
    std::function<void(Error)> on_end_;
    std::string incoming_;
    std::size_t filled_ = 0;
    std::string outgoing_;
    std::string writing_;
    bool write_posted_ = false;
    bool reading_ = false;
    bool paused_ = false;
};

}  // namespace postrider::queue
