#include "intake_node.h"

#include <utility>

namespace postrider::simulation {
namespace {

// As in daemon::Intake and intake::SmtpServer.
constexpr std::chrono::seconds kStopGrace{5};
constexpr std::chrono::seconds kFarewell{2};
constexpr std::chrono::seconds kRetirementGrace{60};
constexpr std::chrono::minutes kRetiredMax{60};

/// A control: says that the message is safe, and only then hands it over.
class EarlyInbox final : public queue::Inbox {
public:
    EarlyInbox(queue::Inbox& inbox, net::TaskGroup& tasks) : inbox_(inbox), tasks_(tasks) {}

    net::Awaitable<Result<queue::Ticket>> open() override { return inbox_.open(); }
    net::Awaitable<Result<void>> append(std::uint64_t number, std::string piece) override {
        return inbox_.append(number, std::move(piece));
    }
    net::Awaitable<Result<void>> commit(queue::NewMessage message, std::string last) override {
        auto later = [](queue::Inbox& inbox, queue::NewMessage what,
                        std::string piece) -> net::Awaitable<void> {
            (void)co_await inbox.commit(std::move(what), std::move(piece));
        };
        tasks_.spawn(later(inbox_, std::move(message), std::move(last)), "late commit");
        co_return Result<void>();
    }
    void discard(std::uint64_t) override {}

private:
    queue::Inbox& inbox_;
    net::TaskGroup& tasks_;
};

}  // namespace

IntakeNode::IntakeNode(World& world, Ledger& ledger, const Clock& clock, bool answers_early)
    : sink_(world, ledger),
      log_(sink_, "smtpd"),
      process_(world, "intake"),
      timers_(process_.executor(), clock),
      inbox_(process_.executor(), clock),
      early_(answers_early ? std::make_unique<EarlyInbox>(inbox_, tasks_) : nullptr),
      services_{dialogue_, session_, cleanup_, early_ ? *early_ : inbox_, timers_, log_},
      sessions_(process_.executor(), log_),
      tasks_(process_.executor(), log_) {
    dialogue_.myhostname = "desk.example";
    cleanup_.rewrite.myhostname = cleanup_.rewrite.myorigin = "desk.example";
    cleanup_.rewrite.mydomain = "example";
}

IntakeNode::~IntakeNode() {
    process_.kill();
}

void IntakeNode::accept(std::unique_ptr<net::Stream> stream) {
    auto serve = [](std::unique_ptr<net::Stream> over, const intake::Services& services,
                    intake::Slots& slots) -> net::Awaitable<void> {
        intake::Slot slot(slots, "127.0.0.1");
        intake::Client client = intake::network_client("127.0.0.1", true);
        intake::SmtpSession session(*over, std::move(client), services, slot);
        co_await session.run(false);
    };
    sessions_.spawn(serve(std::move(stream), services_, slots_), "session");
}

void IntakeNode::stop() {
    begin_end(false);
}

void IntakeNode::retire() {
    begin_end(true);
}

void IntakeNode::begin_end(bool retiring) {
    stopping_ = true;
    tasks_.spawn(finish(retiring), "stop");
}

net::Awaitable<void> IntakeNode::finish(bool retiring) {
    if (retiring) {
        auto gone = co_await sessions_.join(timers_.now() + kRetirementGrace);
        slots_.retire();
        gone = co_await sessions_.join(timers_.now() + kRetiredMax);
    }
    const MonotonicTime deadline = timers_.now() + kStopGrace;
    const auto joined = co_await sessions_.join(deadline);
    if (!joined) {
        sessions_.cancel();
        (void)co_await sessions_.join(deadline + kFarewell);
    }
    has_stopped_ = true;
}

}  // namespace postrider::simulation
