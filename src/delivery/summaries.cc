#include "delivery/summaries.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
#include "delivery/log_lines.h"
#include "delivery/reporter.h"
#include "net/until.h"

namespace postrider::delivery {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPage = 500;
/// Of the text of a summary, about.
constexpr std::size_t kSummarySizeMax = 200'000;
constexpr auto kLookAgain = 600s;
constexpr auto kTroublePause = 30s;

/// Local parts are case-sensitive, domains are not.
std::string key_of(const mail::Address& sender) {
    return mail::external(mail::Address(sender.local_part, ascii_lowercase(sender.domain)));
}

}  // namespace

Summaries::Summaries(const Options& options, queue::Queue& queue, const Clock& clock,
                     boost::asio::any_io_executor executor, const Log& bounce, const Log& qmgr)
    : options_(options),
      queue_(queue),
      clock_(clock),
      bounce_log_(bounce),
      qmgr_log_(qmgr),
      failures_(options.report.sender_limit, options.report.sender_interval),
      delays_(options.report.sender_limit, options.report.sender_interval),
      changed_(std::move(executor)) {}

queue::Account Summaries::account_of(const mail::Address& sender) {
    return queue::summary_for(key_of(sender));
}

bool Summaries::may_report(const mail::Address& sender) {
    return failures_.admit(key_of(sender), clock_.monotonic());
}

bool Summaries::may_warn(const mail::Address& sender) {
    return delays_.admit(key_of(sender), clock_.monotonic());
}

WallTime Summaries::due(const mail::Address& sender) const {
    const MonotonicTime now = clock_.monotonic();
    return clock_.now() +
           std::chrono::duration_cast<Duration>(failures_.interval_end(key_of(sender), now) - now);
}

void Summaries::owe(const mail::Address& sender) {
    failures_.owe(key_of(sender), clock_.monotonic());
    changed_.set();
}

void Summaries::stop() {
    stopping_ = true;
    changed_.set();
}

net::Awaitable<void> Summaries::run() {
    bool taken_up = false;
    while (!stopping_) {
        changed_.reset();
        MonotonicTime wake = clock_.monotonic() + kLookAgain;
        if (!taken_up) {
            const auto known = co_await take_up();
            taken_up = known.has_value();
            if (!known) qmgr_log_.warning(known.error().message);
            if (!known) wake = clock_.monotonic() + kTroublePause;
        }
        for (const std::string& sender : failures_.due(clock_.monotonic())) {
            if (!stopping_) co_await summarise(sender);
        }
        if (stopping_) break;
        if (const auto next = failures_.next_due()) wake = std::min(wake, *next);
        const auto waited = co_await changed_.wait(wake);
        if (!waited && waited.error().code == ErrorCode::Cancelled) break;
    }
}

// Each message was put off until the end of its sender's interval.
net::Awaitable<Result<void>> Summaries::take_up() {
    const auto counts = co_await queue_.waiting_counts();
    if (!counts) co_return Unexpected(counts.error());
    for (const auto& [key, count] : *counts) {
        const queue::Account account = queue::Account::of_key(key);
        if (!queue::is_summary(account)) continue;
        const auto first = co_await queue_.waiting(account, 0, 1);
        if (!first) co_return Unexpected(first.error());
        if (first->empty()) continue;
        const Duration left = std::clamp<Duration>(first->front().next_attempt - clock_.now(),
                                                   Duration(0), options_.report.sender_interval);
        failures_.owe(account.login, clock_.monotonic() + left);
    }
    co_return Result<void>();
}

// All that waits now; what comes meanwhile is for the next one.
net::Awaitable<void> Summaries::summarise(std::string sender) {
    failures_.begin_summary(sender, clock_.monotonic());
    const queue::Account account = queue::summary_for(sender);
    std::uint64_t after = 0;
    for (;;) {
        const auto page = co_await queue_.waiting(account, after, kPage);
        if (!page) co_return put_off(sender, page.error());
        const auto told = co_await tell_of(*page);
        if (!told) co_return put_off(sender, told.error());
        if (page->size() < kPage || stopping_) break;
        after = page->back().number;
    }
}

void Summaries::put_off(const std::string& sender, const Error& why) {
    bounce_log_.warning(fmt::format("summary for <{}> not made yet: {}", sender, why.message));
    failures_.put_off_summary(sender, clock_.monotonic() + kTroublePause);
}

net::Awaitable<Result<void>> Summaries::tell_of(const Listed& waiting) {
    Batch batch;
    for (const queue::ListedMessage& message : waiting) {
        if (!message.damage.empty()) continue;  // It is listed as dead, and kept.
        co_await add(batch, message);
        if (batch.size < kSummarySizeMax) continue;
        auto sent = co_await send(batch);
        if (!sent) co_return sent;
        batch = Batch();
    }
    co_return co_await send(batch);
}

net::Awaitable<void> Summaries::add(Batch& batch, const queue::ListedMessage& message) {
    message::FailedMessage failed;
    failed.id = message.id;
    failed.arrival = message.arrival;
    failed.zone = message::system_zone(message.arrival);
    // Without its subject it is told of all the same.
    const auto content = co_await queue_.read_piece(message.number, 0);
    if (content) failed.subject = message::subject_of(*content);
    queue::Summary::Told told;
    told.number = message.number;
    batch.size += failed.subject.size() + 100;
    for (const queue::QueuedRecipient& one : message.recipients) {
        if (one.state != queue::RecipientState::Failed) continue;
        told.ordinals.push_back(one.ordinal);
        failed.recipients.emplace_back(one.recipient, one.last);
        batch.size += mail::external(one.recipient.address).size() + one.last.text.size();
    }
    batch.to = message.envelope.reverse_path;
    batch.smtputf8 = batch.smtputf8 || message.envelope.smtputf8;
    batch.summary.waits_for = message.waits_for;
    batch.summary.told.push_back(std::move(told));
    batch.failed.push_back(std::move(failed));
}

net::Awaitable<Result<void>> Summaries::send(Batch& batch) {
    if (batch.failed.empty()) co_return Result<void>();
    const auto number = co_await queue_.reserve(1);
    if (!number) co_return Unexpected(number.error());
    const WallTime now = clock_.now();
    const queue::Ticket ticket = queue::Ticket::make(*number, now, options_.long_queue_ids);
    message::SummaryRequest request;
    request.id = ticket.id;
    request.now = now;
    request.zone = message::system_zone(now);
    request.host = options_.report.myhostname;
    request.origin = options_.report.myorigin;
    request.mail_name = options_.report.mail_name;
    request.to = mail::external(batch.to);
    request.smtputf8_enable = options_.report.smtputf8_enable;
    request.failed = std::move(batch.failed);
    batch.summary.report =
        own_message(ticket, now, batch.to, batch.smtputf8, message::write_summary(request));
    auto recorded = co_await queue_.summarise(std::move(batch.summary));
    if (!recorded) co_return recorded;
    for (const message::FailedMessage& one : request.failed) {
        bounce_log_.info(notice_line(one.id, Notice::NonDelivery, ticket.id));
        qmgr_log_.info(removed_line(one.id));
    }
    co_return recorded;
}

}  // namespace postrider::delivery
