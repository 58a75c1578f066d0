#include "queue/channel.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

namespace postrider::queue {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t kReadMin = 64UL * 1024;
/// Memory that a large frame needed is given back above this.
constexpr std::size_t kKeptMax = 1024UL * 1024;

Error connection_error(const error_code& code) {
    if (code == asio::error::eof) return {ErrorCode::Connection, "inbox channel: closed by peer"};
    return {ErrorCode::Connection, "inbox channel: " + code.message()};
}

}  // namespace

Channel::Channel(asio::any_io_executor network, UniqueFd connected) : socket_(std::move(network)) {
    error_code failed;
    socket_.assign(asio::local::stream_protocol(), connected.get(), failed);
    if (!failed) connected.release();
}

void Channel::start(std::function<bool(const Frame&)> on_frame, std::function<void(Error)> on_end) {
    on_frame_ = std::move(on_frame);
    on_end_ = std::move(on_end);
    read();
    if (!outgoing_.empty()) flush();
}

void Channel::resume() {
    if (!std::exchange(paused_, false) || reading_ || !is_open()) return;
    // Frames may be waiting that arrived together with the one that made us pause.
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
        if (!self->reading_ && !self->paused_ && self->is_open() && self->take_frames()) {
            self->read();
        }
    });
}

void Channel::read() {
    if (paused_ || reading_ || !is_open()) return;
    reading_ = true;
    if (incoming_.size() - filled_ < kReadMin) incoming_.resize(filled_ + kReadMin);
    socket_.async_read_some(
        asio::buffer(incoming_.data() + filled_, incoming_.size() - filled_),
        [self = shared_from_this()](const error_code& failed, std::size_t count) {
            self->reading_ = false;
            if (!self->is_open()) return;
            if (failed) return self->end(connection_error(failed));
            self->filled_ += count;
            if (self->take_frames()) self->read();
        });
}

/// False if the channel has ended meanwhile.
bool Channel::take_frames() {
    std::string_view bytes(incoming_.data(), filled_);
    while (!paused_) {
        const auto frame = find_frame(bytes);
        if (!frame || (*frame && !on_frame_(**frame))) {
            end({ErrorCode::Protocol, "inbox channel: breach of protocol"});
            return false;
        }
        if (!is_open()) return false;
        if (!*frame) break;
        bytes.remove_prefix(kFrameHeader + (*frame)->payload.size());
    }
    std::memmove(incoming_.data(), bytes.data(), bytes.size());
    filled_ = bytes.size();
    if (incoming_.size() > kKeptMax && filled_ < kKeptMax / 2) {
        incoming_.resize(filled_ + kReadMin);
        incoming_.shrink_to_fit();
    }
    return true;
}

void Channel::flush() {
    if (std::exchange(write_posted_, true)) return;
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->write(); });
}

void Channel::write() {
    if (!is_open() || outgoing_.empty()) {
        write_posted_ = false;
        return;
    }
    writing_.swap(outgoing_);
    asio::async_write(socket_, asio::buffer(writing_),
                      [self = shared_from_this()](const error_code& failed, std::size_t) {
                          self->writing_.clear();
                          if (self->writing_.capacity() > kKeptMax) self->writing_.shrink_to_fit();
                          if (!self->is_open()) return;
                          if (failed) return self->end(connection_error(failed));
                          self->write();
                      });
}

void Channel::end(Error reason) {
    const auto on_end = std::move(on_end_);
    close();
    if (on_end) on_end(std::move(reason));
}

void Channel::close() {
    error_code ignored;
    socket_.close(ignored);
    on_end_ = nullptr;
}

}  // namespace postrider::queue
