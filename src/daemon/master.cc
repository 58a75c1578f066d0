#include "daemon/master.h"

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/code_pages.h"
#include "core/secret.h"
#include "core/wiped_frees.h"
#include "daemon/confine.h"
#include "daemon/courier_process.h"
#include "daemon/intake_process.h"
#include "daemon/link.h"
#include "daemon/sealed_text.h"

namespace postrider::daemon {
namespace {

/// Signals as something to read, instead of something that happens.
UniqueFd open_signals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&signals, signal);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    // Nothing is meant by these here, and none of them is a reason to end.
    for (const int signal : {SIGPIPE, SIGUSR1, SIGUSR2}) ::signal(signal, SIG_IGN);
    return UniqueFd(::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
}

}  // namespace

Master::Master(Setup setup, Doors doors, LogSink& sink, const Clock& clock)
    : setup_(std::move(setup)),
      doors_(std::move(doors)),
      log_(sink, "master"),
      clock_(clock),
      ages_(clock_),
      alerts_(setup_.owner, log_) {}

Master::~Master() {
    kill_all();
}

int Master::run() {
    if (auto prepared = prepare(); !prepared) {
        log_.fatal(prepared.error().message);
        return 1;
    }
    start_courier();
    start_intake();
    while (intake_ || courier_ || !retired_.empty() || intake_restart_.at || courier_restart_.at) {
        wait_for_events();
        ages_.look();
        take_signals();
        for (Worker* worker : workers()) take_notes(*worker);
        reap();
        restart_what_is_due();
        heed_tables();
        ask_whether_quiet();
        alerts_.heed_time(now());
        offer_drops();
        go_on_stopping();
    }
    return exit_status_;
}

Result<void> Master::prepare() {
    if (auto kept = keep_master_privileges(); !kept) return kept;
    signals_ = open_signals();
    if (!signals_) return Unexpected(system_error("wait for signals", errno));
    auto drops = DropBox::open(setup_.layout.maildrop(), log_);
    if (!drops) return Unexpected(std::move(drops).error());
    drops_.emplace(std::move(drops).value());
    {
        const WipedFrees wiped;
        auto passwords = seal_text(setup_.config.text(kPasswordMaps));
        if (!passwords) return Unexpected(std::move(passwords).error());
        password_maps_ = std::move(passwords).value();
        watch_tables();
        setup_.config.forget(kPasswordMaps);
    }
    alerts_.set_program(setup_.config.text("alert_command"));
    return {};
}

// Starting.

void Master::start_intake() {
    intake_restart_.at.reset();
    std::vector<int> keep{doors_.submit.get()};
    for (const UniqueFd& door : doors_.smtp) keep.push_back(door.get());
    auto started = start_worker("intake", now(), keep, [this](UniqueFd link) {
        return run_intake(setup_, doors_, std::move(link), state_ == State::Starting);
    });
    if (!started) {
        log_.error(started.error().message);
        restart_later(intake_restart_);
        return;
    }
    intake_ = std::make_unique<Worker>(std::move(started).value());
    connect(*intake_);
}

void Master::start_courier() {
    courier_restart_.at.reset();
    const std::vector<int> keep{doors_.control.get(), password_maps_.get()};
    auto started = start_worker("courier", now(), keep, [this](UniqueFd link) {
        // It alone must know the passwords, and there in its configuration alone.
        auto maps = read_sealed_text(std::exchange(password_maps_, {}).get());
        if (!maps) throw std::runtime_error(maps.error().message);
        setup_.config.remember(kPasswordMaps, *maps);
        wipe(*maps);
        return run_courier(setup_, doors_, ages_, std::move(link), state_ == State::Starting);
    });
    if (!started) {
        log_.error(started.error().message);
        restart_later(courier_restart_);
        return;
    }
    courier_ = std::make_unique<Worker>(std::move(started).value());
    if (intake_) connect(*intake_);
    for (const WorkerSlot& intake : retired_) connect(*intake);
}

/// Gives an intake and the courier the two ends of a new channel.
void Master::connect(Worker& intake) {
    if (!courier_) return;
    auto channel = make_channel();
    if (!channel) {
        log_.error(channel.error().message);
        return;
    }
    const Note to_courier(Note::Kind::Channel, 0, "", std::move(channel->first));
    const Note to_intake(Note::Kind::Channel, 0, "", std::move(channel->second));
    auto told = send_note(courier_->link.get(), to_courier);
    if (told) told = send_note(intake.link.get(), to_intake);
    if (!told) log_.warning(told.error().message);  // It is about to be reaped, and started anew.
}

// Events.

std::vector<Worker*> Master::workers() const {
    std::vector<Worker*> all;
    if (intake_) all.push_back(intake_.get());
    if (courier_) all.push_back(courier_.get());
    for (const WorkerSlot& worker : retired_) all.push_back(worker.get());
    return all;
}

void Master::wait_for_events() {
    std::vector<pollfd> waits{{signals_.get(), POLLIN, 0}};
    if (can_offer_drops()) waits.push_back({drops_->watch(), POLLIN, 0});
    if (can_heed_tables()) waits.push_back({tables_->watch(), POLLIN, 0});
    for (const Worker* worker : workers()) {
        if (worker->link) waits.push_back({worker->link.get(), POLLIN, 0});
    }
    timespec patience{};
    const auto wake = next_wake();
    if (wake) {
        const auto left = std::max(*wake - now(), MonotonicTime::duration::zero());
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
        patience.tv_sec = seconds.count();
        patience.tv_nsec = std::chrono::nanoseconds(left - seconds).count();
    }
    ::ppoll(waits.data(), waits.size(), wake ? &patience : nullptr, nullptr);
}

std::optional<MonotonicTime> Master::next_wake() const {
    std::optional<MonotonicTime> wake;
    const auto consider = [&](std::optional<MonotonicTime> time) {
        if (time && (!wake || *time < *wake)) wake = time;
    };
    consider(intake_restart_.at);
    consider(courier_restart_.at);
    consider(kill_at_);
    consider(alerts_.wake_at());
    if (state_ == State::Running) consider(ask_at_);
    if (can_heed_tables()) consider(tables_->wake_at());
    if (can_offer_drops()) {
        if (const auto drop = drops_->wake_at(); drop && *drop > now()) consider(drop);
    }
    return wake;
}

void Master::take_signals() {
    signalfd_siginfo signal{};
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
        if (signal.ssi_signo == SIGHUP) reload();
        if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT) {
            log_.info(fmt::format("terminating on signal {}", signal.ssi_signo));
            const bool again = state_ == State::StoppingIntake || state_ == State::StoppingCourier;
            if (again && !std::exchange(resting_, false)) kill_all();
            stop();
        }
    }
}

void Master::take_notes(Worker& worker) {
    while (worker.link) {
        auto note = receive_note(worker.link.get());
        if (!note) {
            worker.link.reset();  // Its end is told by SIGCHLD.
            break;
        }
        if (!*note) break;
        switch ((*note)->kind) {
            case Note::Kind::Ready:
                worker.ready = true;
                if (&worker == courier_.get()) tell_of_store(false);
                break;
            case Note::Kind::Taken:
                drops_->taken((*note)->text);
                break;
            case Note::Kind::Refused:
                drops_->refused((*note)->text);
                break;
            case Note::Kind::Later:
                drops_->later((*note)->text, now());
                break;
            case Note::Kind::Flush:
                drops_->rescan();
                break;
            case Note::Kind::Quiet:
                worker.quiet = (*note)->number == 1;
                heed_quiet();
                break;
            case Note::Kind::Alert:
                if (&worker == courier_.get()) {  // Intake has nothing to tell.
                    pass_on(AlertText::from_note((*note)->text, (*note)->number));
                }
                break;
            case Note::Kind::Stop:
            case Note::Kind::Channel:
            case Note::Kind::Drop:
            case Note::Kind::Open:
                break;  // Ours to say, not theirs.
        }
    }
    if (state_ == State::Starting && intake_ && intake_->ready && courier_ && courier_->ready) {
        state_ = State::Running;
        log_.info(fmt::format("daemon started -- version {}, configuration {}", POSTRIDER_VERSION,
                              setup_.config.text("config_directory")));
        if (on_started_) on_started_();
        await_idleness();
        forget_code_pages();
    }
}

bool Master::can_offer_drops() const {
    return state_ == State::Running && intake_ && intake_->ready;
}

void Master::offer_drops() {
    while (can_offer_drops()) {
        auto drop = drops_->next(now(), intake_->pid);
        if (!drop) return;
        const Note note(Note::Kind::Drop, drop->uid, drop->name, std::move(drop->file));
        if (!send_note(intake_->link.get(), note)) {
            drops_->later(drop->name, now());
            return;
        }
    }
}

}  // namespace postrider::daemon
