#include "delivery/session_opener.h"

#include <utility>

#include <fmt/format.h>

namespace postrider::delivery {

SessionOpener::SessionOpener(const SessionOptions& options, const std::string& recipient_delimiter,
                             const Maps& maps, TlsChooser choose_tls, tls::Client& tls,
                             boost::asio::any_io_executor executor, const Clock& clock,
                             const Log& log)
    : options_(options),
      recipient_delimiter_(recipient_delimiter),
      maps_(maps),
      choose_tls_(std::move(choose_tls)),
      tls_(tls),
      executor_(std::move(executor)),
      clock_(clock),
      log_(log) {}

net::Awaitable<Dialled> SessionOpener::open(std::unique_ptr<net::Stream> stream, Peer peer,
                                            const NextHop& hop, const DialRequest& request) {
    Dialled dialled;
    dialled.peer = peer;
    const auto choice = choose_tls_(hop);
    if (!choice) {
        log_.warning(choice.error().message);
        dialled.trouble = tls_failure(TlsTrouble::Configuration, peer);
        co_return dialled;
    }
    auto login =
        find_login(maps_.passwords, options_, peer, hop, request.sender, recipient_delimiter_);
    if (!login) {
        log_.warning(request.queue_id.empty()
                         ? "smtp_sasl_password_maps lookup error"
                         : request.queue_id + ": smtp_sasl_password_maps lookup error");
        dialled.trouble =
            local_trouble(fmt::format("local data error while talking to {}", peer.name()));
        dialled.trouble.reach = Reach::Account;
        co_return dialled;
    }
    Handshake handshake(options_, *choice, tls_, executor_, clock_, log_, peer, hop.host,
                        request.queue_id);
    handshake.set_gate(request.gate);
    auto trouble = co_await handshake.run(std::move(stream), *std::move(login));
    auto channel = handshake.take_channel();
    if (trouble) {
        if (channel && channel->is_open()) {
            // Politeness only; nobody waits for the answer.
            co_await channel->send("QUIT\r\n", 1, clock_.monotonic() + std::chrono::seconds(1));
        }
        dialled.trouble = *std::move(trouble);
        co_return dialled;
    }
    dialled.session = std::make_unique<Session>();
    dialled.session->channel = std::move(channel);
    dialled.session->capabilities = handshake.capabilities();
    dialled.session->peer = std::move(peer);
    dialled.session->opened = clock_.monotonic();
    dialled.session->ready = clock_.now();
    co_return dialled;
}

}  // namespace postrider::delivery
