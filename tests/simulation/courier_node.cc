#include "courier_node.h"

#include <fmt/format.h>

#include "disk.h"
#include "table/table.h"

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
    tls.policy.level = tls::Level::None;
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
      clock_(clock),
      log_(log.named("smtp")),
      tls_(tls::Material(), clock) {}

net::Awaitable<delivery::Dialled> SimulatedDialler::dial(delivery::DialRequest request) {
    delivery::Dialled dialled;
    delivery::Peer peer;
    peer.host = "smtp.example.net";
    peer.address = "192.0.2.25";
    peer.port = 587;
    auto stream = smarthost_.connect(process_);
    if (!stream) {
        const Error error{ErrorCode::Connection,
                          "connect to " + peer.with_port() + ": Connection refused"};
        log_.info(error.message);
        dialled.trouble = classify(delivery::Stage::Connect, error, delivery::Peer());
        dialled.trouble.reach = delivery::Reach::Destination;
        co_return dialled;
    }
    dialled.peer = peer;
    const auto hops =
        delivery::parse_next_hops(request.next_hops, settings_.delivery.route.ports, 25);
    POSTRIDER_CHECK(hops.has_value());
    const delivery::NextHop& hop = hops->front();
    auto login = delivery::find_login(settings_.maps.passwords, settings_.delivery.session, peer,
                                      hop, request.sender, "");
    POSTRIDER_CHECK(login.has_value() && login->has_value());
    delivery::Handshake handshake(settings_.delivery.session, settings_.tls, tls_,
                                  process_.executor(), clock_, log_, peer, hop.host,
                                  request.queue_id);
    auto trouble = co_await handshake.run(std::move(stream), *std::move(login));
    auto channel = handshake.take_channel();
    if (trouble) {
        if (channel && channel->is_open()) {
            co_await channel->send("QUIT\r\n", 1, clock_.monotonic() + std::chrono::seconds(1));
        }
        dialled.trouble = *std::move(trouble);
        if (dialled.trouble.reach < delivery::Reach::Destination) {
            dialled.trouble.reach = delivery::Reach::Destination;
        }
        co_return dialled;
    }
    dialled.session = std::make_unique<delivery::Session>();
    dialled.session->channel = std::move(channel);
    dialled.session->capabilities = handshake.capabilities();
    dialled.session->peer = std::move(peer);
    dialled.session->opened = clock_.monotonic();
    dialled.session->ready = clock_.now();
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
