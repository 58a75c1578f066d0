#include "delivery/handshake.h"

#include <fmt/format.h>

#include "core/ascii.h"
#include "core/base64.h"
#include "core/traces.h"
#include "sasl/exchange.h"
#include "smtp/commands.h"
#include "table/address_keys.h"

namespace postrider::delivery {

namespace {

Login split_login(const std::string& value, char delimiter) {
    Login login;
    const std::size_t at = value.find(delimiter);
    login.user = value.substr(0, at);
    if (at != std::string::npos) login.password = Secret(std::string_view(value).substr(at + 1));
    return login;
}

std::string_view last_line(const smtp::Reply& reply) {
    return reply.lines.empty() ? std::string_view{} : std::string_view(reply.lines.back());
}

bool mentions_esmtp(const smtp::Reply& greeting) {
    for (const std::string& line : greeting.lines) {
        if (ascii_uppercase(line).find("ESMTP") != std::string::npos) return true;
    }
    return false;
}

// Enough to know a text by; servers cut what they quote.
constexpr std::size_t kTellingSize = 6;

void blot_out(std::string& text, std::string_view secret) {
    constexpr std::string_view kInstead = "...";
    const std::string_view start = secret.substr(0, kTellingSize);
    if (start.empty()) return;
    std::size_t at = 0;
    while ((at = text.find(start, at)) != std::string::npos) {
        std::size_t size = start.size();
        while (size < secret.size() && at + size < text.size() && text[at + size] == secret[size]) {
            ++size;
        }
        text.replace(at, size, kInstead);
        at += kInstead.size();
    }
}

// Some servers quote the line that they refuse, and what they say goes to the log and into reports.
smtp::Reply without_secrets(smtp::Reply reply, const std::vector<Secret>& sent,
                            const Login& login) {
    const std::string encoded = base64(login.password.reveal());
    for (std::string& text : reply.lines) {
        for (const Secret& line : sent) {
            std::string_view said = trimmed(line.reveal());
            said.remove_prefix(said.rfind(' ') + 1);  // None: npos + 1 is 0.
            blot_out(text, said);
        }
        blot_out(text, encoded);
        blot_out(text, login.password.reveal());
    }
    return reply;
}

}  // namespace

Result<std::optional<Login>> find_login(const table::Tables& passwords,
                                        const SessionOptions& options, const Peer& peer,
                                        const NextHop& hop, const mail::Address& sender,
                                        std::string_view recipient_delimiter) {
    std::optional<std::string> value;
    if (options.sender_dependent_auth && !sender.is_null()) {
        table::AddressQuery query;
        query.local_part = sender.local_part;
        query.domain = sender.domain;
        query.delimiters = recipient_delimiter;
        auto hit = table::find_address(passwords, query);
        if (!hit) return Unexpected(std::move(hit).error());
        if (*hit) value = std::move((*hit)->value);
    }
    for (const std::string* key : {&peer.host, &hop.written}) {
        if (value) break;
        auto found = passwords.find(*key);
        if (!found) return Unexpected(std::move(found).error());
        value = *std::move(found);
    }
    if (!value) return std::optional<Login>();
    std::optional<Login> login = split_login(*value, options.password_delimiter);
    wipe(*value);
    return login;
}

Handshake::Handshake(const SessionOptions& options, const TlsChoice& tls_choice, tls::Client& tls,
                     boost::asio::any_io_executor executor, const Clock& clock, const Log& log,
                     Peer peer, std::string next_hop_domain, std::string queue_id)
    : options_(options),
      tls_choice_(tls_choice),
      tls_(tls),
      executor_(std::move(executor)),
      clock_(clock),
      log_(log),
      peer_(std::move(peer)),
      next_hop_domain_(std::move(next_hop_domain)),
      queue_id_(std::move(queue_id)) {}

net::Awaitable<std::optional<Verdict>> Handshake::run(std::unique_ptr<net::Stream> stream,
                                                      std::optional<Login> login) {
    if (options_.tls_wrappermode) {
        if (tls_choice_.policy.level < tls::Level::Encrypt) {
            log_.warning(
                "smtp_tls_wrappermode requires \"smtp_tls_security_level = encrypt\" (or "
                "stronger)");
            Verdict verdict = local_trouble("server unavailable or unable to receive mail");
            verdict.reach = Reach::Destination;
            co_return verdict;
        }
        if (auto trouble = co_await encrypt(std::move(stream))) co_return trouble;
    } else {
        if (peer_.port == 465) {
            log_.info(
                "SMTPS wrappermode (TCP port 465) requires setting \"smtp_tls_wrappermode = "
                "yes\", and \"smtp_tls_security_level = encrypt\" (or stronger)");
        }
        channel_ = std::make_unique<StreamChannel>(std::move(stream), executor_);
    }
    if (auto trouble = co_await greet()) co_return trouble;
    if (auto trouble = co_await hello()) co_return trouble;
    if (!encrypted_ && tls_choice_.policy.level >= tls::Level::May) {
        if (auto trouble = co_await start_tls()) co_return trouble;
    }
    if (login && options_.sasl_auth_enable && capabilities_.auth) {
        if (auto trouble = co_await log_in(*login)) co_return trouble;
    }
    channel_->watch();
    co_return std::nullopt;
}

net::Awaitable<Handshake::Trouble> Handshake::greet() {
    channel_->expect(1);
    const auto greeting = co_await channel_->receive(after(options_.timeouts.helo));
    if (!greeting) co_return lost(Stage::Greeting, greeting.error());
    if (greeting->code != 220)
        co_return classify(Stage::Greeting, *greeting, peer_, options_.known_answers.get());
    esmtp_greeting_ = mentions_esmtp(*greeting);
    co_return std::nullopt;
}

net::Awaitable<Handshake::Trouble> Handshake::hello() {
    capabilities_ = smtp::Capabilities();
    if (options_.always_send_ehlo || esmtp_greeting_) {
        const auto command = smtp::ehlo_command(options_.helo_name);
        if (!command) co_return local_trouble(command.error().message);
        const auto reply = co_await exchange(*channel_, *command, after(options_.timeouts.helo));
        if (!reply) co_return lost(Stage::Ehlo, reply.error());
        if (reply->code == 421)
            co_return classify(Stage::Ehlo, *reply, peer_, options_.known_answers.get());
        if (reply->is_positive()) {
            capabilities_ = smtp::parse_capabilities(*reply, options_.discarded_keywords);
            const std::string discarded = options_.discarded_keywords.log_text();
            if (!discarded.empty()) log_.info(with_id(discarded));
        }
    }
    if (!capabilities_.esmtp) {
        const auto command = smtp::helo_command(options_.helo_name);
        if (!command) co_return local_trouble(command.error().message);
        const auto reply = co_await exchange(*channel_, *command, after(options_.timeouts.helo));
        if (!reply) co_return lost(Stage::Helo, reply.error());
        if (!reply->is_positive())
            co_return classify(Stage::Helo, *reply, peer_, options_.known_answers.get());
        capabilities_ = smtp::plain_capabilities(*reply);
    }
    // Only where others deliver to us: on other ports we may well talk to ourselves in a test.
    if (peer_.port == 25 && equals_ignoring_case(capabilities_.host, options_.myhostname)) {
        log_.warning(fmt::format("host {} replied to HELO/EHLO with my own hostname {}",
                                 peer_.with_port(), options_.myhostname));
        Verdict verdict =
            local_trouble(fmt::format("mail for {} loops back to myself", next_hop_domain_));
        verdict.disposition.status = mail::EnhancedStatus(4, 4, 6);
        verdict.reach = Reach::Destination;
        co_return verdict;
    }
    co_return std::nullopt;
}

net::Awaitable<Handshake::Trouble> Handshake::start_tls() {
    const bool required = tls_choice_.policy.level >= tls::Level::Encrypt;
    if (!capabilities_.starttls) {
        if (required) co_return tls_failure(TlsTrouble::NotOffered, peer_);
        co_return std::nullopt;
    }
    const auto reply =
        co_await exchange(*channel_, smtp::kStartTlsCommand, after(options_.timeouts.starttls));
    if (!reply) co_return lost(Stage::StartTls, reply.error());
    if (reply->code != 220) {
        if (required)
            co_return classify(Stage::StartTls, *reply, peer_, options_.known_answers.get());
        co_return std::nullopt;
    }
    auto stream = channel_->release();
    if (!stream) co_return lost(Stage::StartTls, stream.error());
    if (auto trouble = co_await encrypt(*std::move(stream))) co_return trouble;
    co_return co_await hello();
}

net::Awaitable<Handshake::Trouble> Handshake::encrypt(std::unique_ptr<net::Stream> stream) {
    tls::Peer peer;
    peer.host = peer_.host;
    peer.address = peer_.address;
    peer.port = peer_.port;
    peer.nexthop = next_hop_domain_;
    auto secured =
        co_await tls_.connect(std::move(stream), std::move(peer), tls_choice_.policy,
                              tls_choice_.log_level, log_, after(options_.timeouts.starttls));
    if (!secured) {
        // The connection is closed without a QUIT: there is nobody there we would want to talk to.
        if (secured.error().code == ErrorCode::Denied) {
            co_return tls_failure(TlsTrouble::NotVerified, peer_);
        }
        if (secured.error().code == ErrorCode::Invalid) {
            log_.warning(with_id(secured.error().message));
            co_return tls_failure(TlsTrouble::Configuration, peer_);
        }
        co_return tls_failure(TlsTrouble::Handshake, peer_);
    }
    encrypted_ = true;
    verified_ = (*secured)->session().trust == tls::Trust::Verified;
    tls_stream_ = secured->get();
    channel_ = std::make_unique<StreamChannel>(*std::move(secured), executor_);
    co_return std::nullopt;
}

net::Awaitable<Handshake::Trouble> Handshake::log_in(const Login& login) {
    if (gate_ != nullptr) {
        auto barred = co_await gate_->enter();
        if (barred) co_return barred;
    }
    co_return co_await authenticate(login);
}

net::Awaitable<Handshake::Trouble> Handshake::authenticate(const Login& login) {
    sasl::Credentials credentials;
    credentials.user = login.user;
    credentials.password = login.password;
    credentials.host = peer_.host;
    credentials.port = peer_.port;
    std::vector<std::string> usable;
    std::string all;
    for (const std::string& name : capabilities_.auth_mechanisms) {
        all += (all.empty() ? "" : " ") + name;
        if (!options_.mechanism_filter || options_.mechanism_filter(name)) usable.push_back(name);
    }
    if (usable.empty()) {
        log_.warning(all.empty()
                         ? fmt::format("{} offered null AUTH mechanism list", peer_.with_port())
                         : fmt::format("{} offered no supported AUTH mechanisms: '{}'",
                                       peer_.with_port(), all));
        co_return no_common_mechanism(peer_, false);
    }
    const sasl::SecurityOptions& security = verified_    ? options_.verified_security
                                            : encrypted_ ? options_.tls_security
                                                         : options_.security;
    auto mechanism = sasl::choose(usable, options_.mechanism_filter, security, credentials);
    if (!mechanism) {
        log_.warning(fmt::format("SASL authentication failure: {}", mechanism.error().message));
        co_return no_common_mechanism(peer_, true);
    }

    sasl::Exchange dialogue(*std::move(mechanism));
    if (tls_stream_) tls_stream_->conceal(true);
    auto line = dialogue.begin();
    std::vector<Secret> sent;  // For what a server repeats in its answer.
    Trouble trouble;
    while (!trouble) {
        if (!line) {
            trouble = lost(Stage::Auth, line.error());
            break;
        }
        const auto reply =
            co_await exchange(*channel_, line->reveal(), after(options_.timeouts.helo));
        if (!reply) {
            trouble = lost(Stage::Auth, reply.error());
            break;
        }
        sent.push_back(*std::move(line));
        auto step = dialogue.next(reply->code, last_line(*reply));
        if (!step) {
            trouble = lost(Stage::Auth, step.error());
        } else if (step->kind == sasl::Exchange::Step::Kind::Refused) {
            trouble = classify(Stage::Auth, without_secrets(*reply, sent, login), peer_,
                               options_.known_answers.get());
        } else if (step->kind == sasl::Exchange::Step::Kind::Succeeded) {
            break;
        } else {
            line = std::move(step->line);
        }
    }
    if (tls_stream_) tls_stream_->conceal(false);
    wipe_traces();
    co_return trouble;
}

Handshake::Trouble Handshake::lost(Stage stage, const Error& error) const {
    return classify(stage, error, peer_);
}

std::string Handshake::with_id(std::string_view text) const {
    return queue_id_.empty() ? std::string(text) : fmt::format("{}: {}", queue_id_, text);
}

}  // namespace postrider::delivery
