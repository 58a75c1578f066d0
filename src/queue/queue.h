// The spool's asynchronous face, for the network thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "core/result.h"
#include "net/stream.h"
#include "queue/spool.h"

namespace postrider::queue {

/// Runs each call on the storage thread and resumes the caller on `network` once the transaction
/// that holds it is durable. All calls that wait at the same moment share one transaction and one
/// sync (group commit); a call that fails is undone alone. Reads share the thread, too.
///
/// Cancelling the waiting coroutine does not cancel the call: what was asked is done, and its
/// outcome is told. When the store breaks, calls answer Unavailable at once while the storage
/// thread keeps trying to reopen it; those whose transaction broke it wait until it is known
/// whether that holds, since an answer could be wrong (R4). If it is not known when the Queue ends,
/// they are never resumed. At kWaitingMax calls the next is answered Limit.
class Queue {
public:
    enum class Storage : std::uint8_t {
        Thread,  ///< A thread of its own, as in the daemon.
        Inline,  ///< In a later turn of `network`, for simulations: same batches, one thread.
    };

    Queue(std::unique_ptr<Spool>, boost::asio::any_io_executor network, const Clock&, const Log&,
          Storage = Storage::Thread);
    /// Finishes what is waiting, then ends the storage thread and closes the spool. The network
    /// executor must still exist; completions not yet run stay with it.
    ~Queue();

    net::Awaitable<Result<std::uint64_t>> reserve(std::uint32_t count);
    net::Awaitable<Result<void>> append(std::uint64_t number, std::uint32_t piece,
                                        std::string bytes);
    net::Awaitable<Result<void>> commit(NewMessage, std::uint32_t piece, std::string last_piece);
    net::Awaitable<Result<void>> discard(std::uint64_t number);
    /// discard() without waiting; what fails now is dropped at the next start.
    void forget(std::uint64_t number);

    net::Awaitable<Result<std::vector<Lease>>> lease_due(std::size_t limit);
    /// Leased messages do not count: to be asked again when one has been settled.
    net::Awaitable<Result<std::optional<WallTime>>> next_due();
    net::Awaitable<Result<std::string>> read_piece(std::uint64_t number, std::uint32_t piece);
    /// That all is deferred, and nothing else, may wait for the sync of another call, for 50 ms at
    /// most: after a power cut meanwhile the message is due as it was before. Other calls but the
    /// three above see it at once.
    net::Awaitable<Result<Settled>> settle(Settlement);

    net::Awaitable<Result<void>> summarise(Summary);

    // As in Spool, for one message or for all; all are taken in batches, so that nobody waits long.
    net::Awaitable<Result<std::uint64_t>> hold(std::optional<mail::QueueId>);
    net::Awaitable<Result<std::uint64_t>> release(std::optional<mail::QueueId>);
    net::Awaitable<Result<std::uint64_t>> remove(std::optional<mail::QueueId>);
    net::Awaitable<Result<std::uint64_t>> flush(std::optional<mail::QueueId>);
    net::Awaitable<Result<std::uint64_t>> expire(std::optional<mail::QueueId>);
    net::Awaitable<Result<std::vector<ListedMessage>>> list(std::uint64_t after, std::size_t limit);
    net::Awaitable<Result<std::optional<ListedMessage>>> find(mail::QueueId);
    net::Awaitable<Result<QueueCounts>> counts();

    // As in Spool.
    net::Awaitable<Result<std::vector<AccountTrouble>>> troubles();
    net::Awaitable<Result<void>> save(AccountTrouble);
    net::Awaitable<Result<void>> forget(Account);
    net::Awaitable<Result<std::map<std::string, std::uint64_t>>> waiting_counts();
    net::Awaitable<Result<std::vector<ListedMessage>>> waiting(Account, std::uint64_t after,
                                                               std::size_t limit);
    net::Awaitable<Result<std::uint64_t>> wake(Account, std::optional<WallTime> reached,
                                               std::size_t limit);

    /// Called on the network thread whenever something may have become due: a commit, a release,
    /// a flush, the end of an attempt for which others stood back. Set once, before the first call.
    void on_due(std::function<void()>);

    /// Called on the network thread when the store gets into trouble that a person should know of:
    /// DiskFull while new mail is refused, Unavailable while nothing works; without an error once
    /// all is well. Set once, before the first call.
    void on_health(std::function<void(const std::optional<Error>&)>);

    /// Transactions committed so far; how well calls are grouped shows in it.
    std::uint64_t transaction_count() const;

    static constexpr std::size_t kWaitingMax = 65536;

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace postrider::queue
