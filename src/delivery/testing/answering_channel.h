// A server for tests: what it answers is put into a queue by send().
#pragma once

#include <deque>

#include "delivery/channel.h"

namespace postrider::delivery {

class AnsweringChannel : public Channel {
public:
    net::Awaitable<Result<smtp::Reply>> receive(MonotonicTime) override {
        if (replies_.empty()) co_return Unexpected(ErrorCode::Connection, "closed");
        smtp::Reply reply = replies_.front();
        replies_.pop_front();
        co_return reply;
    }
    void expect(unsigned) override {}
    bool is_open() const override { return open_; }
    void close() override { open_ = false; }

protected:
    std::deque<smtp::Reply> replies_;

private:
    bool open_ = true;
};

}  // namespace postrider::delivery
