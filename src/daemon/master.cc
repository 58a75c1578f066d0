#include "daemon/master.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
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
#include "daemon/translate.h"

namespace postrider::daemon {
namespace {

/// What main.cf may hold passwords in: `inline:` and `static:` tables.
constexpr std::string_view kPasswordMaps = "smtp_sasl_password_maps";

std::string describe(int status) {
    if (WIFSIGNALED(status)) return fmt::format("killed by signal {}", WTERMSIG(status));
    return fmt::format("exit status {}", WEXITSTATUS(status));
}

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
    ages_.look();
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
    std::vector<pollfd> waits{{signals_.get(), POLLIN, 0}, {drops_->watch(), POLLIN, 0}};
    if (tables_) waits.push_back({tables_->watch(), POLLIN, 0});
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
    if (state_ == State::Running && tables_) consider(tables_->wake_at());
    if (state_ == State::Running && intake_ && intake_->ready) {
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

void Master::offer_drops() {
    while (state_ == State::Running && intake_ && intake_->ready) {
        auto drop = drops_->next(now(), intake_->pid);
        if (!drop) return;
        const Note note(Note::Kind::Drop, drop->uid, drop->name, std::move(drop->file));
        if (!send_note(intake_->link.get(), note)) {
            drops_->later(drop->name, now());
            return;
        }
    }
}

// Ends and new beginnings.

void Master::reap() {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
        if (alerts_.ended(pid, status, now())) continue;
        if (intake_ && intake_->pid == pid) intake_ended(std::exchange(intake_, nullptr), status);
        if (courier_ && courier_->pid == pid)
            courier_ended(std::exchange(courier_, nullptr), status);
        std::erase_if(retired_, [&](const WorkerSlot& worker) {
            if (worker->pid != pid) return false;
            take_notes(*worker);
            drops_->lost(pid);
            return true;
        });
    }
}

void Master::intake_ended(WorkerSlot worker, int status) {
    take_notes(*worker);  // What it said last still counts.
    drops_->lost(worker->pid);
    if (!worker->stopping) died(*worker, status, intake_restart_);
}

void Master::courier_ended(WorkerSlot worker, int status) {
    if (!worker->stopping) {
        if (WIFEXITED(status) && WEXITSTATUS(status) == kQueueStatus) tell_of_store(true);
        died(*worker, status, courier_restart_);
    } else if (state_ == State::Running) {
        start_courier();  // The next generation.
    }
}

void Master::pass_on(const AlertText& text) {
    if (text.account == kStoreAccount) {
        store_trouble_since_.reset();
        if (text.state != "ok") store_trouble_since_ = text.since;
    }
    alerts_.raise(text, now());
}

/// A courier that cannot open the queue cannot tell anybody itself; nor can one that is gone say
/// that what it told of is over.
void Master::tell_of_store(bool refused) {
    if (refused == store_trouble_since_.has_value()) return;
    const auto seconds = std::chrono::floor<std::chrono::seconds>(clock_.now());
    if (refused) store_trouble_since_ = seconds.time_since_epoch().count();
    AlertText text;
    text.state = refused ? "store-broken" : "ok";
    text.account = kStoreAccount;
    text.reason = refused ? "its store cannot be opened: the log says why"
                          : "over: the queue's store has been opened";
    text.since = *store_trouble_since_;
    if (!refused) store_trouble_since_.reset();
    alerts_.raise(std::move(text), now());
}

void Master::died(const Worker& worker, int status, Restart& restart) {
    const std::string what = describe(status);
    log_.warning(fmt::format("process {} pid {} {}", worker.name, worker.pid, what));
    if (state_ == State::Starting) {
        exit_status_ = WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1;
        stop();
        return;
    }
    if (state_ != State::Running) return;
    if (now() - worker.started >= kSteadyAfter) restart.delay = std::chrono::seconds(0);
    restart_later(restart);
}

void Master::restart_later(Restart& restart) const {
    restart.at = now() + restart.delay;
    restart.delay = std::clamp(restart.delay * 2, std::chrono::seconds(1), kRestartDelayMax);
}

void Master::restart_what_is_due() {
    const auto due = [&](Restart& restart) {
        if (!restart.at || *restart.at > now()) return false;
        restart.at.reset();
        return true;
    };
    if (due(courier_restart_)) start_courier();
    if (due(intake_restart_)) start_intake();
}

void Master::reload() {
    if (state_ != State::Running) return;
    const WipedFrees wiped;
    auto config = config::Config::load(setup_.config.file().parent_path());
    if (!config) {
        log_.error("reload -- the old configuration stays in use: " + config.error().message);
        return;
    }
    if (auto checked = check_relayhost(*config); !checked) {
        log_.error("reload -- the old configuration stays in use: " + checked.error().message);
        return;
    }
    if (config->text("queue_directory") != setup_.config.text("queue_directory")) {
        log_.error("reload -- queue_directory has changed; stop and start for that");
        return;
    }
    if (auto answers = known_answers(*config); !answers) {
        log_.error("reload -- the old configuration stays in use: " + answers.error().message);
        return;
    }
    auto passwords = seal_text(config->text(kPasswordMaps));
    if (!passwords) {
        log_.error("reload -- the old configuration stays in use: " + passwords.error().message);
        return;
    }
    for (const std::string& warning : config->warnings()) log_.warning(warning);
    setup_.config = std::move(config).value();
    log_.info(fmt::format("reload -- version {}, configuration {}", POSTRIDER_VERSION,
                          setup_.config.text("config_directory")));
    password_maps_ = std::move(passwords).value();
    watch_tables();
    setup_.config.forget(kPasswordMaps);
    alerts_.set_program(setup_.config.text("alert_command"));
    await_idleness();
    begin_generation();
}

void Master::watch_tables() {
    auto tables = TableWatch::open(table_files(setup_.config));
    if (tables) {
        tables_.emplace(std::move(tables).value());
    } else {
        log_.warning(tables.error().message);  // Changes take effect on reload, then.
    }
}

/// The workers have read their tables; new ones read what is there now.
void Master::heed_tables() {
    if (!tables_) return;
    const auto table = tables_->changed(now());
    if (!table || state_ != State::Running) return;
    log_.info(fmt::format("table {}(0,lock|fold_fix) has changed -- restarting", *table));
    begin_generation();
}

void Master::begin_generation() {
    if (intake_) {
        tell_to_stop(*intake_, true);
        retired_.push_back(std::move(intake_));
        if (retired_.size() > kRetiredMax) ::kill(retired_.front()->pid, SIGKILL);
    }
    start_intake();
    if (courier_) tell_to_stop(*courier_);
    drops_->rescan();
}

void Master::tell_to_stop(Worker& worker, bool retired) {
    worker.stopping = true;
    const Note note(Note::Kind::Stop, retired ? 1 : 0, "");
    if (worker.link && send_note(worker.link.get(), note)) return;
    ::kill(worker.pid, SIGKILL);  // It does not listen.
}

// Idleness.

void Master::await_idleness() {
    ask_at_.reset();
    const std::chrono::seconds interval = setup_.config.time("daemon_idle_exit");
    if (interval.count() == 0) return;
    if (doors_.are_kept_open) {
        ask_at_ = now() + interval;
    } else {
        log_.warning("daemon_idle_exit is of no effect: no service manager keeps all sockets open");
    }
}

/// An answer is about the time since the question before it.
void Master::ask_whether_quiet() {
    if (state_ != State::Running || !ask_at_ || *ask_at_ > now()) return;
    ask_at_ = now() + setup_.config.time("daemon_idle_exit");
    for (Worker* worker : workers()) {
        worker->quiet.reset();
        (void)send_note(worker->link.get(), Note(Note::Kind::Quiet));  // No answer: not quiet.
    }
}

void Master::heed_quiet() {
    if (resting_ && state_ == State::StoppingIntake && !intake_ && courier_ && courier_->quiet) {
        if (*courier_->quiet) return begin_stopping_courier();
        // Somebody came while intake stopped. Who comes now waits at our doors meanwhile.
        resting_ = false;
        state_ = State::Running;
        kill_at_.reset();
        start_intake();
        return;
    }
    const bool quiet = state_ == State::Running && ask_at_ && intake_ && intake_->quiet == true &&
                       courier_ && courier_->quiet == true && retired_.empty() &&
                       drops_->is_empty();
    if (!quiet) return;
    log_.info(fmt::format("nothing to do for {} s -- ending until the service manager needs us",
                          setup_.config.time("daemon_idle_exit").count()));
    resting_ = true;
    asked_again_ = false;
    stop();
}

void Master::stop() {
    intake_restart_.at.reset();
    courier_restart_.at.reset();
    if (state_ == State::StoppingIntake || state_ == State::StoppingCourier) return;
    state_ = State::StoppingIntake;
    kill_at_ = now() + kIntakeGrace;
    if (intake_) tell_to_stop(*intake_);
}

/// First those who take mail in, so that all of it has a courier to be given to.
void Master::go_on_stopping() {
    if (kill_at_ && *kill_at_ <= now()) {
        if (state_ == State::StoppingCourier) log_.warning("the courier does not end: killed");
        if (state_ == State::StoppingCourier && courier_) ::kill(courier_->pid, SIGKILL);
        if (intake_) ::kill(intake_->pid, SIGKILL);
        for (const WorkerSlot& worker : retired_) ::kill(worker->pid, SIGKILL);
        resting_ = false;
        kill_at_.reset();
    }
    if (state_ != State::StoppingIntake || intake_ || !retired_.empty()) return;
    if (resting_ && !courier_) exit_status_ = 1;  // It died, and what it had is not known.
    if (!resting_ || !courier_) return begin_stopping_courier();
    if (std::exchange(asked_again_, true)) return;
    courier_->quiet.reset();
    if (!send_note(courier_->link.get(), Note(Note::Kind::Quiet))) begin_stopping_courier();
}

void Master::begin_stopping_courier() {
    state_ = State::StoppingCourier;
    kill_at_ = now() + kCourierGrace;
    if (courier_) tell_to_stop(*courier_);
}

void Master::kill_all() {
    for (const Worker* worker : workers()) ::kill(worker->pid, SIGKILL);
}

}  // namespace postrider::daemon
