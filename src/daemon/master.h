// The process that starts, restarts, reloads and stops the others, and does next to nothing else.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "config/config.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/result.h"
#include "core/unique_fd.h"
#include "daemon/alert_program.h"
#include "daemon/drop_box.h"
#include "daemon/layout.h"
#include "daemon/table_watch.h"
#include "daemon/worker.h"
#include "delivery/ages.h"

namespace postrider::daemon {

/// The sockets that mail and operators come in by. The master holds them for its whole life, so
/// that no connection is refused while workers change.
struct Doors {
    std::vector<UniqueFd> smtp;
    UniqueFd submit;
    UniqueFd control;
    /// All of them, by a service manager: it starts us when somebody comes.
    bool are_kept_open = false;
};

/// Opens the doors that the configuration names. Sockets handed over by the service manager
/// (LISTEN_FDS) win over smtpd_listen and inet_interfaces.
Result<Doors> open_doors(const config::Config&, const Layout&, const Log&);

/// What master and workers agree on; copied into each worker by the fork.
struct Setup {
    config::Config config;
    Layout layout;
    Owner owner;
    bool detached = false;  ///< Nobody is at the other end of standard output.
};

///   start:   intake and courier are forked, a channel between them is made; when both serve, the
///            mail system is started
///   SIGHUP:  a new configuration, if it can be read, makes a new generation: the new intake takes
///            over the doors while the old one finishes its sessions; the courier is replaced
///            between two commits
///   a table or /etc/passwd is changed: a new generation of the same configuration
///   SIGTERM: intake finishes, then the courier, then this process
///   a worker that dies is started anew, with growing delays
///   daemon_idle_exit: both workers are asked each time that has passed; when nothing has happened
///            since the last question and nothing is queued, intake is stopped, the courier asked
///            once more, and all end
class Master {
public:
    Master(Setup setup, Doors doors, LogSink& sink, const Clock& clock);
    ~Master();
    Master(const Master&) = delete;
    Master& operator=(const Master&) = delete;

    /// Called once, when both workers serve: the start was a success.
    void on_started(std::function<void()> started) { on_started_ = std::move(started); }

    /// Runs until it has been told to stop. The exit status of the daemon.
    int run();

private:
    /// What main.cf may hold passwords in: `inline:` and `static:` tables.
    static constexpr std::string_view kPasswordMaps = "smtp_sasl_password_maps";
    static constexpr std::chrono::seconds kIntakeGrace{10};
    static constexpr std::chrono::seconds kCourierGrace{45};
    /// Intakes that finish their sessions; beyond that the oldest is ended.
    static constexpr std::size_t kRetiredMax = 8;
    static constexpr std::chrono::seconds kRestartDelayMax{60};
    static constexpr std::chrono::seconds kSteadyAfter{
        60};  ///< A worker that lives so long is well.

    enum class State { Starting, Running, StoppingIntake, StoppingCourier };
    /// When a worker that died is to be started anew, and how long it was made to wait.
    struct Restart {
        std::optional<MonotonicTime> at;
        std::chrono::seconds delay{0};
    };
    using WorkerSlot = std::unique_ptr<Worker>;

    Result<void> prepare();
    void start_intake();
    void start_courier();
    void connect(Worker& intake);
    void tell_to_stop(Worker&, bool retired = false);

    void wait_for_events();
    void take_signals();
    void take_notes(Worker&);
    bool can_offer_drops() const;
    void offer_drops();
    void reap();
    void intake_ended(WorkerSlot worker, int status);
    void courier_ended(WorkerSlot worker, int status);
    void died(const Worker& worker, int status, Restart& restart);
    void restart_later(Restart& restart) const;
    void pass_on(const AlertText&);
    void tell_of_store(bool refused);
    void restart_what_is_due();
    void reload();
    void watch_tables();
    bool can_heed_tables() const;
    void heed_tables();
    void begin_generation();
    void await_idleness();
    void ask_whether_quiet();
    void heed_quiet();
    void stop();
    void go_on_stopping();
    void begin_stopping_courier();
    void kill_all();
    std::optional<MonotonicTime> next_wake() const;
    std::vector<Worker*> workers() const;
    MonotonicTime now() const { return clock_.monotonic(); }

    Setup setup_;
    Doors doors_;
    Log log_;
    const Clock& clock_;
    delivery::Ages ages_;  ///< Lives longer than couriers, who are born with what it has noticed.
    UniqueFd signals_;
    std::optional<DropBox> drops_;
    std::optional<TableWatch> tables_;
    UniqueFd password_maps_;  ///< What kPasswordMaps says, sealed.
    AlertProgram alerts_;
    std::function<void()> on_started_;

    State state_ = State::Starting;
    WorkerSlot intake_;
    WorkerSlot courier_;
    std::vector<WorkerSlot>
        retired_;  ///< Intakes of earlier generations, finishing their sessions.
    Restart intake_restart_;
    Restart courier_restart_;
    std::optional<MonotonicTime> ask_at_;   ///< When to ask whether anything has happened.
    bool resting_ = false;                  ///< Stopping because nothing has.
    bool asked_again_ = false;              ///< While resting: the courier, once intake was gone.
    std::optional<MonotonicTime> kill_at_;  ///< While stopping: patience ends.
    std::optional<std::int64_t> store_trouble_since_;  ///< A person has been told.
    int exit_status_ = 0;
};

}  // namespace postrider::daemon
