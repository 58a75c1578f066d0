// How workers end and are followed by others: after a death, a reload, a changed table; and how all
// end.
#include <algorithm>
#include <utility>

#include <signal.h>
#include <sys/wait.h>

#include <fmt/format.h>

#include "core/wiped_frees.h"
#include "daemon/courier_process.h"
#include "daemon/link.h"
#include "daemon/master.h"
#include "daemon/sealed_text.h"
#include "daemon/translate.h"

namespace postrider::daemon {
namespace {

std::string describe(int status) {
    if (WIFSIGNALED(status)) return fmt::format("killed by signal {}", WTERMSIG(status));
    return fmt::format("exit status {}", WEXITSTATUS(status));
}

}  // namespace

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

/// A change that comes before a start is over is kept: some worker may have read what was before.
bool Master::can_heed_tables() const {
    return state_ == State::Running && tables_;
}

/// The workers have read their tables; new ones read what is there now.
void Master::heed_tables() {
    if (!can_heed_tables()) return;
    const auto table = tables_->changed(now());
    if (!table) return;
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
