#include "dialler.h"

#include <utility>

#include <fmt/format.h>

#include "disk.h"
#include "table/table.h"

namespace postrider::simulation {
namespace {

Result<delivery::TlsChoice> no_tls(const delivery::NextHop&) {
    delivery::TlsChoice choice;
    choice.policy.level = tls::Level::None;
    return choice;
}

}  // namespace

CourierSettings::CourierSettings() {
    delivery.route.relayhost = "[smtp.example.net]:587";
    delivery.session.helo_name = delivery.session.myhostname = "desk.example";
    delivery.session.sasl_auth_enable = true;
    delivery.session.security.noanonymous = true;
    delivery.report.myhostname = delivery.report.myorigin = "desk.example";
    CapturedLog sink;
    maps.passwords = table::Tables::open(
        "smtp_sasl_password_maps",
        fmt::format("inline:{{{{ [smtp.example.net]:587 = {}:{} }}}}", kUser, kPassword), {},
        Log(sink, "simulation"));
    spool.directory = ".";
    spool.vfs = Disk::kName;
    spool.free_space_floor = 100'000;
    spool.log_reserve = 128 * 1024;
}

SimulatedDialler::SimulatedDialler(const CourierSettings& settings, Connect connect,
                                   Process& process, const Clock& clock, const Log& log)
    : settings_(settings),
      connect_(std::move(connect)),
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
    auto stream = connect_(process_);
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

}  // namespace postrider::simulation
