// Carries out what an operator asks: who may, and what the queue then does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "control/request.h"
#include "core/log.h"
#include "core/result.h"
#include "net/stream.h"
#include "queue/queue.h"

namespace postrider::control {

/// Who asks; the kernel's word.
struct Caller {
    std::int64_t uid = -1;
};

/// Takes the answer line by line, at the reader's pace.
class Answer {
public:
    virtual ~Answer() = default;
    virtual net::Awaitable<Result<void>> line(std::string text) = 0;
};

/// What the service needs of the rest of the process. Empty functions mean "nobody", "nothing".
struct Surroundings {
    std::int64_t owner_uid = 0;  ///< May do everything, as root may.
    std::function<bool(std::int64_t uid)> may_list_all;
    std::function<bool(std::int64_t uid)> may_flush;
    /// Destinations that were given up for a while are tried again at once.
    std::function<void()> unthrottle;
    /// Mail for these next hops waits, or goes on; empty: for the relayhost, everywhere.
    std::function<void(const std::string& next_hops)> pause;
    std::function<void(const std::string& next_hops)> resume;
    /// The value of "status", as JSON text, the queue's counts aside.
    std::function<std::string()> status;
};

class Service {
public:
    Service(queue::Queue& queue, Surroundings surroundings, const Log& log);

    /// Always ends with a `done` or `error` line, unless `answer` fails.
    net::Awaitable<void> answer(Request request, Caller caller, Answer& answer);

private:
    net::Awaitable<Result<std::uint64_t>> list(const Request&, Caller, Answer&);
    net::Awaitable<Result<std::uint64_t>> show(const Request&, Answer&);
    net::Awaitable<Result<std::uint64_t>> flush(const Request&);
    net::Awaitable<Result<std::uint64_t>> change(const Request&, Answer&);
    Result<std::uint64_t> pause_or_resume(const Request&) const;
    net::Awaitable<Result<std::uint64_t>> status(Answer&);
    bool is_operator(Caller) const;

    queue::Queue& queue_;
    Surroundings surroundings_;
    Log log_;
};

}  // namespace postrider::control
