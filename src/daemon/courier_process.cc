#include "daemon/courier_process.h"

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include <malloc.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "control/server.h"
#include "core/code_pages.h"
#include "core/log_targets.h"
#include "daemon/alert_program.h"
#include "daemon/belongings.h"
#include "daemon/confine.h"
#include "daemon/link_reader.h"
#include "daemon/log_target.h"
#include "daemon/status.h"
#include "daemon/translate.h"
#include "daemon/worker.h"
#include "delivery/courier.h"
#include "delivery/smtp_dialler.h"
#include "net/asio_timers.h"
#include "net/clock_watch.h"
#include "net/network_watch.h"
#include "net/task_group.h"
#include "queue/inbox_server.h"
#include "queue/queue.h"
#include "queue/spool.h"

namespace postrider::daemon {
namespace {

constexpr int kConfigurationStatus = 78;  // EX_CONFIG
/// For messages that clients are handing over, and for answers, when this process is about to end.
constexpr std::chrono::seconds kDrainGrace{5};
constexpr int kHeapSlack = 1024 * 1024;
constexpr std::string_view kOffline = "network unreachable: mail waits for the network";

/// What must be made before the process confines itself, and given to it afterwards.
struct Tools {
    std::unique_ptr<queue::Spool> spool;
    std::unique_ptr<net::Resolver> resolver;
    std::unique_ptr<net::Listener> door;
    std::unique_ptr<net::NetworkWatch> network;  ///< None where the kernel does not tell.
    std::unique_ptr<net::ClockWatch> clock;
};

/// All that lives in this process, in the order in which it must go.
class CourierProcess {
public:
    CourierProcess(boost::asio::io_context& context, net::AsioTimers& timers,
                   const config::Config& config, Belongings belongings, Tools tools, const Log& log,
                   const delivery::Ages& ages, UniqueFd link)
        : context_(context),
          timers_(timers),
          link_(context.get_executor(), std::move(link)),
          belongings_(std::move(belongings)),
          resolver_(std::move(tools.resolver)),
          queue_(std::move(tools.spool), context.get_executor(), timers.clock(), log.named("qmgr")),
          inboxes_(queue_, context.get_executor(), timers.clock(), log.named("qmgr"),
                   inbox_options(config)),
          tls_(std::move(belongings_.material), timers.clock()),
          dialler_(belongings_.dial, belongings_.maps, tls_chooser(), *resolver_, tls_,
                   context.get_executor(), timers.clock(), log.named("smtp"),
                   std::random_device{}()),
          courier_(belongings_.delivery, belongings_.maps, queue_, dialler_, timers.clock(), ages,
                   context.get_executor(), log.named("qmgr")),
          service_(queue_, complete(belongings_.around), log.named("showq")),
          control_(std::move(tools.door), service_, context.get_executor(), timers,
                   log.named("showq")),
          dangers_(config.dangers()),
          network_(std::move(tools.network)),
          clock_(std::move(tools.clock)),
          log_(log.named("qmgr")),
          tasks_(context.get_executor(), log.named("qmgr")) {
        tls_.announce_session_cache(!config.text("smtp_tls_session_cache_database").empty());
        courier_.on_alert([this](const delivery::Alert& alert) { tell_person(alert); });
        queue_.on_health([this](const std::optional<Error>& trouble) { heed_store(trouble); });
        queue_.on_due([this] { courier_.wake(); });
        inboxes_.on_begin([this] { courier_.warm(); });
    }

    void run(LogSink* log_target) {
        // Now, and not while the first message waits for it. What is wrong is said at each use.
        if (auto ready = tls_.prepare(belongings_.tls.policy); !ready) {
            log_.warning(ready.error().message);
        }
        tasks_.spawn_vital(courier_.run(), "courier");
        tasks_.spawn_vital(control_.run(), "control");
        tasks_.spawn_vital(heed_master(), "master's notes");
        if (network_) {
            dialler_.set_online(network_->online());
            if (!network_->online()) log_.info(kOffline);
            tasks_.spawn_vital(heed_network(), "network");
        }
        if (clock_) tasks_.spawn_vital(heed_clock(), "clock");
        link_.say(Note(Note::Kind::Ready));
        // Content comes in pieces: the heap is not to grow and shrink with each of them. At rest it
        // is cut back all the same.
        ::mallopt(M_TRIM_THRESHOLD, kHeapSlack);
        const GatheredLog gathered(log_target, context_);
        forget_code_pages();
        context_.run();
    }

private:
    static queue::InboxServer::Options inbox_options(const config::Config& config) {
        queue::InboxServer::Options options;
        options.long_queue_ids = config.boolean("enable_long_queue_ids");
        return options;
    }

    /// One policy for all next hops, until smtp_tls_policy_maps is served.
    delivery::TlsChooser tls_chooser() const {
        return [choice = belongings_.tls](const delivery::NextHop&) -> Result<delivery::TlsChoice> {
            return choice;
        };
    }

    control::Surroundings complete(control::Surroundings around) {
        around.unthrottle = [this] {
            courier_.flush();
            link_.say(Note(Note::Kind::Flush));
        };
        around.pause = [this](const std::string& next_hops) { courier_.pause(next_hops); };
        around.resume = [this](const std::string& next_hops) { courier_.resume(next_hops); };
        around.status = [this] { return status_json(courier_, dangers_); };
        return around;
    }

    void tell_person(const delivery::Alert& alert) {
        AlertText text;
        text.state = alert.state;
        text.account = alert.account;
        text.reason = alert.reason;
        const auto since = std::chrono::floor<std::chrono::seconds>(alert.since);
        link_.say(Note(Note::Kind::Alert, since.time_since_epoch().count(), text.to_note()));
    }

    void heed_store(const std::optional<Error>& trouble) {
        delivery::Alert alert;
        alert.account = kStoreAccount;
        if (trouble) {
            if (!store_trouble_since_) store_trouble_since_ = timers_.clock().now();
            const bool is_full = trouble->code == ErrorCode::DiskFull;
            alert.state = is_full ? "disk-full" : "store-broken";
            alert.reason = is_full ? "new mail is refused: " + trouble->message : trouble->message;
            log_.warning(alert.reason);
        } else {
            alert.state = "ok";
            alert.reason = "over: the queue's store takes mail again";
            log_.info("the queue's store takes mail again");
        }
        alert.since = store_trouble_since_.value_or(timers_.clock().now());
        if (!trouble) store_trouble_since_.reset();
        tell_person(alert);
    }

    net::Awaitable<void> heed_network() {
        while (true) {
            const bool was_online = network_->online();
            const auto gain = co_await network_->next();
            if (!gain) {
                if (gain.error().code != ErrorCode::Cancelled) log_.warning(gain.error().message);
                // Better to try in vain than to wait for a word that never comes.
                dialler_.set_online(true);
                co_return;
            }
            if (!network_->online()) log_.info(kOffline);
            if (!was_online && network_->online()) log_.info("the network is back");
            dialler_.set_online(network_->online());
            refresh_names();
            courier_.network_changed(*gain);
        }
    }

    net::Awaitable<void> heed_clock() {
        while (const auto asleep = co_await clock_->next()) {
            if (*asleep > Duration::zero()) {
                log_.info(fmt::format("this machine was asleep for {} s",
                                      std::chrono::round<std::chrono::seconds>(*asleep).count()));
                refresh_names();
                courier_.resumed(*asleep);
            }
            // What is due is a matter of the calendar.
            courier_.wake();
        }
    }

    void refresh_names() {
        if (auto read = resolver_->refresh(); !read) log_.warning(read.error().message);
    }

    /// Nothing waits to be sent, and nobody has used the queue since this was asked last.
    net::Awaitable<bool> is_quiet() {
        const bool unused = queue_.transaction_count() == transactions_;
        const auto counts = co_await queue_.counts();
        transactions_ = queue_.transaction_count();
        const bool empty = counts && counts->incoming + counts->active + counts->deferred == 0;
        co_return (unused && empty);
    }

    net::Awaitable<void> heed_master() {
        while (true) {
            auto note = co_await link_.next();
            // Without a master another may be starting: leave the queue to it at once. Nothing is
            // lost by that; a crash would do the same.
            if (!note) ::_exit(1);
            if (note->kind == Note::Kind::Channel) inboxes_.attach(std::move(note->fd));
            if (note->kind == Note::Kind::Quiet) {
                const bool quiet = co_await is_quiet();
                const Note answer(Note::Kind::Quiet, quiet ? 1 : 0, "");
                link_.say(answer);
            }
            // A stop may take as long as the disk is broken, and the master may go meanwhile.
            if (note->kind == Note::Kind::Stop && !std::exchange(stopping_, true)) {
                tasks_.spawn_vital(finish(), "stop");
            }
        }
    }

    net::Awaitable<void> finish() {
        // Mail is taken in while deliveries come to their end, and no longer.
        co_await courier_.stop();
        const MonotonicTime end = timers_.now() + kDrainGrace;
        co_await inboxes_.drain(end);
        // Who asks from now on is answered by the next courier, at the same door.
        co_await control_.finish(end);
        context_.stop();
    }

    boost::asio::io_context& context_;
    net::AsioTimers& timers_;
    LinkReader link_;
    Belongings belongings_;
    std::unique_ptr<net::Resolver> resolver_;
    queue::Queue queue_;
    queue::InboxServer inboxes_;
    tls::Client tls_;
    delivery::SmtpDialler dialler_;
    delivery::Courier courier_;
    control::Service service_;
    control::Server control_;
    const std::vector<std::string> dangers_;  ///< Of the configuration that is in use.
    std::unique_ptr<net::NetworkWatch> network_;
    std::unique_ptr<net::ClockWatch> clock_;
    Log log_;
    std::optional<WallTime> store_trouble_since_;
    bool stopping_ = false;
    net::TaskGroup tasks_;
    std::uint64_t transactions_ = 0;
};

/// From here on the process can open its queue and connections, and little else.
Result<void> confine(const Setup& setup, const Log& log) {
    if (auto dropped = drop_privileges(setup.owner); !dropped) return dropped;
    FileAccess access;
    // resolv.conf and hosts, which are read again when they change: by another file of that name,
    // or one in /run that it leads to. What others must not read there, our account cannot.
    access.read = {"/etc", "/run", "/dev/urandom"};
    access.write = {setup.layout.queue_directory};
    confine_reach(Role::Courier, access, log);
    return confine_system_calls(Role::Courier, log);
}

Result<Tools> make_tools(const Doors& doors, const Belongings& belongings,
                         boost::asio::io_context& context, net::AsioTimers& timers,
                         const Log& log) {
    Tools tools;
    auto resolver = net::Resolver::create(context.get_executor(), belongings.resolver);
    if (!resolver) return Unexpected(std::move(resolver).error());
    tools.resolver = std::move(resolver).value();
    auto door = net::Listener::adopt(context.get_executor(), UniqueFd(::dup(doors.control.get())),
                                     timers, log.named("showq"));
    if (!door) return Unexpected(std::move(door).error());
    tools.door = std::move(door).value();
    auto network = net::NetworkWatch::open(context.get_executor(), timers.clock());
    if (network) {
        tools.network = std::move(network).value();
    } else {
        log.warning("changes of the network will not be noticed: " + network.error().message);
    }
    auto clock = net::ClockWatch::open(context.get_executor());
    if (clock) {
        tools.clock = std::move(clock).value();
    } else {
        log.warning("a suspend will not be noticed: " + clock.error().message);
    }
    auto spool = queue::Spool::open(belongings.spool, timers.clock(), log.named("qmgr"));
    if (!spool) return Unexpected(std::move(spool).error());
    tools.spool = std::move(spool).value();
    return tools;
}

}  // namespace

int run_courier(const Setup& setup, const Doors& doors, const delivery::Ages& ages, UniqueFd link,
                bool starting) {
    UniqueFd terminal = take_terminal(setup.detached);
    StderrTarget console(terminal.get());
    auto target = open_log_target(setup.config);
    BothTargets both(target ? target->get() : nullptr, starting ? &console : nullptr);
    const Log log(both, "qmgr");

    auto belongings = gather(setup, log);
    if (!belongings) {
        log.fatal(belongings.error().message);
        return kConfigurationStatus;
    }
    if (auto confined = confine(setup, log); !confined) {
        log.fatal(confined.error().message);
        return kConfigurationStatus;
    }
    const SystemClock clock;
    boost::asio::io_context context(1);
    net::AsioTimers timers(context.get_executor(), clock);
    auto tools = make_tools(doors, *belongings, context, timers, log);
    if (!tools) {
        log.fatal(tools.error().message);
        return kQueueStatus;
    }
    CourierProcess process(context, timers, setup.config, std::move(belongings).value(),
                           std::move(tools).value(), log, ages, std::move(link));
    log.info(fmt::format("libraries: SQLite {}, {}", queue::Spool::engine_version(),
                         tls::library_version()));
    both.drop_second();
    terminal.reset();
    process.run(target ? target->get() : nullptr);
    return 0;
}

}  // namespace postrider::daemon
