// The door into a queue that another process owns.
#pragma once

#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/unique_fd.h"
#include "queue/inbox.h"

namespace postrider::queue {

/// Speaks to an InboxServer over a connected unix stream socket. Survives the server: when the
/// channel breaks, messages under way on it fail with Unavailable (those whose commit has been
/// said, with Connection), and open() waits up to `patience` for attach() to bring a new one. The
/// Clock must outlive it.
class RemoteInbox final : public Inbox {
public:
    struct Options {
        Duration patience = std::chrono::seconds{30};
        std::size_t waiting_max = 1000;  ///< open() calls that may wait at once.
    };

    RemoteInbox(boost::asio::any_io_executor network, const Clock&, Options);
    RemoteInbox(boost::asio::any_io_executor network, const Clock& clock)
        : RemoteInbox(std::move(network), clock, Options()) {}
    ~RemoteInbox() override;

    /// Goes on over this channel. An earlier one is closed.
    void attach(UniqueFd channel);
    bool is_attached() const;

    net::Awaitable<Result<Ticket>> open() override;
    net::Awaitable<Result<void>> append(std::uint64_t number, std::string piece) override;
    net::Awaitable<Result<void>> commit(NewMessage message, std::string last_piece) override;
    void discard(std::uint64_t number) override;

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace postrider::queue
