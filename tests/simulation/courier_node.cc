#include "courier_node.h"

#include <fmt/format.h>

#include "disk.h"
#include "table/table.h"

namespace postrider::simulation {
namespace {

/// daemon::kDrainGrace.
constexpr std::chrono::seconds kDrainGrace{5};

Result<delivery::TlsChoice> no_tls(const delivery::NextHop&) {
    delivery::TlsChoice choice;
    choice.policy.level = tls::Level::None;
    return choice;
}

}  // namespace

void TranscriptLog::write(Severity severity, std::string_view program, std::string_view text) {
    if (muted_) return;
    ledger_.logged(text);
    world_.note(program, fmt::format("{}{}", severity_prefix(severity), text));
}

CourierSettings::CourierSettings() {
    delivery.route.relayhost = "[smtp.example.net]:587";
    delivery.session.helo_name = delivery.session.myhostname = "desk.example";
    delivery.session.sasl_auth_enable = true;
    delivery.session.security.noanonymous = true;
    delivery.report.myhostname = delivery.report.myorigin = "desk.example";
    CapturedLog sink;
    maps.passwords =
        table::Tables::open("smtp_sasl_password_maps",
                            fmt::format("inline:{{{{ [smtp.example.net]:587 = {}:{} }}}}",
                                        Smarthost::kUser, Smarthost::kPassword),
                            {}, Log(sink, "simulation"));
    spool.directory = ".";
    spool.vfs = Disk::kName;
    spool.free_space_floor = 100'000;
    spool.log_reserve = 128 * 1024;
}

SimulatedDialler::SimulatedDialler(const CourierSettings& settings, Smarthost& smarthost,
                                   Process& process, const Clock& clock, const Log& log)
    : settings_(settings),
      smarthost_(smarthost),
      process_(process),
      log_(log.named("smtp")),
      tls_(tls::Material(), clock),
      opener_(settings.delivery.session, settings.delivery.route.recipient_delimiter, settings.maps,
              no_tls, tls_, process.executor(), clock, log_) {}

net::Awaitable<delivery::Dialled> SimulatedDialler::dial(delivery::DialRequest request) {
    delivery::Dialled dialled;
    delivery::Peer peer;
    peer.host = "smtp.example.net";
    peer.address = "192.0.2.25";
    peer.port = 587;
    const auto hops =
        delivery::parse_next_hops(request.next_hops, settings_.delivery.route.ports, 25);
    POSTRIDER_CHECK(hops.has_value());
    auto stream = smarthost_.connect(process_);
    if (stream) {
        dialled = co_await opener_.open(std::move(stream), peer, hops->front(), request);
    } else {
        const Error error{ErrorCode::Connection,
                          "connect to " + peer.with_port() + ": Connection refused"};
        log_.info(error.message);
        dialled.trouble = classify(delivery::Stage::Connect, error, delivery::Peer());
    }
    // It has no other address.
    if (!dialled.session && dialled.trouble.reach < delivery::Reach::Destination) {
        dialled.trouble.reach = delivery::Reach::Destination;
    }
    co_return dialled;
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
      dialler_(settings, smarthost, *process_, clock, log_),
      courier_(settings.delivery, settings.maps, queue_, dialler_, clock, process_->executor(),
               log_),
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
