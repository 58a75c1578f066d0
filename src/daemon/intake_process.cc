#include "daemon/intake_process.h"

#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include <unistd.h>

#include <boost/asio/io_context.hpp>

#include "core/code_pages.h"
#include "core/log_targets.h"
#include "daemon/confine.h"
#include "daemon/link_reader.h"
#include "daemon/log_target.h"
#include "daemon/translate.h"
#include "daemon/worker.h"
#include "intake/smtp_server.h"
#include "net/asio_timers.h"
#include "net/task_group.h"
#include "queue/remote_inbox.h"

namespace postrider::daemon {
namespace {

constexpr int kConfigurationStatus = 78;
constexpr std::chrono::seconds kStopGrace{5};  ///< For sessions, when the machine goes down.
/// For sessions, when others are there already to take new ones; then they end with their message.
constexpr std::chrono::seconds kRetirementGrace{60};

/// All that lives in this process, in the order in which it must go.
class Intake {
public:
    Intake(const config::Config& config, const Log& log, UniqueFd link)
        : log_(log),
          timers_(context_.get_executor(), clock_),
          link_(context_.get_executor(), std::move(link)),
          inbox_(context_.get_executor(), clock_),
          cleanup_(cleanup_options(config, log.named("cleanup"))),
          dialogue_(dialogue_options(config, cleanup_.rewrite, log.named("smtpd"))),
          session_(smtpd_session_options(config)),
          submission_(submission_options(config, log.named("pickup"))),
          rates_(rate_options(config, log.named("smtpd"))),
          services_{dialogue_, session_, cleanup_, inbox_, timers_, log_, &rates_},
          server_(context_.get_executor(), services_, submission_,
                  server_options(config, log.named("smtpd"))),
          tasks_(context_.get_executor(), log) {}

    Result<void> listen(const Doors& doors) {
        for (const UniqueFd& door : doors.smtp) {
            auto listening =
                server_.listen(UniqueFd(::dup(door.get())), intake::SmtpServer::Door::Smtp);
            if (!listening) return listening;
        }
        return server_.listen(UniqueFd(::dup(doors.submit.get())),
                              intake::SmtpServer::Door::Submit);
    }

    void run(LogSink* log_target) {
        tasks_.spawn_vital(heed_master(), "master's notes");
        link_.say(Note(Note::Kind::Ready));
        const GatheredLog gathered(log_target, context_);
        forget_code_pages();
        context_.run();
    }

private:
    net::Awaitable<void> heed_master() {
        while (true) {
            auto note = co_await link_.next();
            // Without a master there is nobody to restart or reload us: better no intake than one
            // that cannot be told anything.
            if (!note) ::_exit(1);
            if (note->kind == Note::Kind::Channel) inbox_.attach(std::move(note->fd));
            if (note->kind == Note::Kind::Drop) {
                tasks_.spawn(take_drop(std::move(note->fd), note->number, note->text), "maildrop");
            }
            if (note->kind == Note::Kind::Quiet) {
                const std::uint64_t served = std::exchange(served_, server_.served_count());
                const bool quiet = server_.is_idle() && served == served_;
                link_.say(Note(Note::Kind::Quiet, quiet ? 1 : 0, ""));
            }
            if (note->kind == Note::Kind::Stop)
                tasks_.spawn_vital(finish(note->number != 0), "stop");
        }
    }

    // Notes are heeded meanwhile: sessions that wait for a new courier need the channel to it, and
    // an intake that retires may be told to stop after all.
    net::Awaitable<void> finish(bool retiring) {
        if (retiring) {
            co_await server_.retire(timers_.now() + kRetirementGrace);
        } else {
            co_await server_.stop(timers_.now() + kStopGrace);
        }
        context_.stop();
    }

    net::Awaitable<void> take_drop(UniqueFd file, std::int64_t uid, std::string name) {
        const auto taken = co_await server_.take_drop(std::move(file), uid, name);
        const bool refused = !taken && taken.error().code == ErrorCode::Invalid;
        const auto kind = taken     ? Note::Kind::Taken
                          : refused ? Note::Kind::Refused
                                    : Note::Kind::Later;
        const Note note(kind, 0, name);
        link_.say(note);
    }

    SystemClock clock_;
    Log log_;
    boost::asio::io_context context_{1};
    net::AsioTimers timers_;
    LinkReader link_;
    queue::RemoteInbox inbox_;
    message::CleanupOptions cleanup_;
    intake::DialogueOptions dialogue_;
    intake::SessionOptions session_;
    intake::SubmissionOptions submission_;
    intake::ClientRates rates_;
    intake::Services services_;
    intake::SmtpServer server_;
    net::TaskGroup tasks_;
    std::uint64_t served_ = 0;  ///< When the master asked last.
};

}  // namespace

int run_intake(const Setup& setup, const Doors& doors, UniqueFd link, bool starting) {
    UniqueFd terminal = take_terminal(setup.detached);
    StderrTarget console(terminal.get());
    auto target = open_log_target(setup.config);
    BothTargets both(target ? target->get() : nullptr, starting ? &console : nullptr);
    const Log log(both, "smtpd");

    Intake intake(setup.config, log, std::move(link));
    auto ready = intake.listen(doors);
    if (ready) ready = drop_privileges(setup.owner);
    if (ready) {
        // Local time is asked for with each message; the C library reads the zone's file once.
        ::tzset();
        confine_reach(Role::Intake, {}, log);
        ready = confine_system_calls(Role::Intake, log);
    }
    if (!ready) {
        log.fatal(ready.error().message);
        return kConfigurationStatus;
    }
    both.drop_second();
    terminal.reset();
    intake.run(target ? target->get() : nullptr);
    // Sessions that outlasted the grace still refer to what would be torn down here, in an order of
    // its own. Nothing of them is left to be done.
    ::_exit(0);
}

}  // namespace postrider::daemon
