#include "courier_node.h"

#include <fmt/format.h>

namespace postrider::simulation {
namespace {

/// daemon::kDrainGrace.
constexpr std::chrono::seconds kDrainGrace{5};

}  // namespace

void TranscriptLog::write(Severity severity, std::string_view program, std::string_view text) {
    if (muted_) return;
    ledger_.logged(text);
    world_.note(program, fmt::format("{}{}", severity_prefix(severity), text));
}

Result<std::unique_ptr<CourierNode>> CourierNode::start(World& world,
                                                        const CourierSettings& settings,
                                                        Smarthost& smarthost, Ledger& ledger,
                                                        const Clock& clock) {
    auto process = std::make_unique<Process>(world, "courier");
    auto sink = std::make_unique<TranscriptLog>(world, ledger);
    auto spool = queue::Spool::open(settings.spool, clock, Log(*sink, "qmgr"));
    if (!spool) return Unexpected(std::move(spool).error());
    return std::unique_ptr<CourierNode>(new CourierNode(
        std::move(process), std::move(sink), *std::move(spool), settings, smarthost, clock));
}

CourierNode::CourierNode(std::unique_ptr<Process> process, std::unique_ptr<TranscriptLog> sink,
                         std::unique_ptr<queue::Spool> spool, const CourierSettings& settings,
                         Smarthost& smarthost, const Clock& clock)
    : sink_(std::move(sink)),
      log_(*sink_, "qmgr"),
      clock_(clock),
      process_(std::move(process)),
      queue_(std::move(spool), process_->executor(), clock, log_, queue::Queue::Storage::Inline),
      inboxes_(queue_, process_->executor(), clock, log_, {}),
      dialler_(
          settings, [&smarthost](Process& client) { return smarthost.connect(client); }, *process_,
          clock, log_),
      courier_(settings.delivery, settings.maps, queue_, dialler_, clock,
               delivery::Ages(clock, [] { return Duration{}; }), process_->executor(), log_),
      tasks_(process_->executor(), log_) {
    queue_.on_due([this] { courier_.wake(); });
    inboxes_.on_begin([this] { courier_.warm(); });
    tasks_.spawn(courier_.run(), "courier");
}

CourierNode::~CourierNode() {
    process_->kill();
}

void CourierNode::stop() {
    tasks_.spawn(finish(), "stop");
}

net::Awaitable<void> CourierNode::finish() {
    co_await courier_.stop();
    co_await inboxes_.drain(clock_.monotonic() + kDrainGrace);
    has_stopped_ = true;
}

}  // namespace postrider::simulation
