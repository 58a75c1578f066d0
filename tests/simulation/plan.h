// What one seed stands for: who sends what, and everything that goes wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/clock.h"
#include "wire.h"

namespace postrider::simulation {

/// How a smarthost misbehaves (reliability U1-U12, U16, U18, U19).
enum class Mischief : std::uint8_t {
    RefuseConnection,   ///< Nobody listens, or nobody answers.
    Say421,             ///< At any step, and closes.
    SayTemporary,       ///< 4xx at any step.
    SayPermanent,       ///< 5xx at any step.
    SayQuota,           ///< A limit dressed as a permanent refusal.
    FullTransaction,    ///< 452 from the nth recipient on.
    RefuseLogin,        ///< 535 and its kin.
    RefuseAllButGo,     ///< No recipient taken, 354 all the same.
    Close,              ///< Instead of an answer.
    CloseAfterStoring,  ///< The message is taken and the answer never comes.
    Stall,              ///< No answer, for ever.
    Late,               ///< The answer comes shortly before its time is over.
    Surplus,            ///< More answers than questions.
    Missing,            ///< Fewer.
    Mixed,              ///< Lines of one reply with different codes.
    Endless,            ///< A reply of thousands of lines.
    Oversized,          ///< A line of thousands of bytes.
    MultiLine,          ///< What is allowed and seldom seen.
    Garbage,            ///< NUL, escapes, no digits.
    Capabilities,       ///< They change with every session.
    CutConnection,      ///< Reset at any byte, either way.
    CloseIdle,          ///< Between two messages, without a word.
};
inline constexpr int kMischiefCount = 22;
std::string_view to_string(Mischief);

/// What happens to the machine and its processes.
enum class Fault : std::uint8_t {
    KillCourier,
    KillIntake,
    CutPower,
    KillAtWrite,     ///< The courier dies inside its nth write,
    KillAtSync,      ///< or sync from now on;
    CutPowerAtSync,  ///< or the machine does.
    WriteErrorOnce,
    WriteErrorForGood,
    SyncErrorOnce,
    SyncErrorForGood,
    DiskFull,
    SlowDisk,
    ClockForward,
    ClockBack,
    FreezeCourier,
    FreezeIntake,
    ReloadCourier,
    ReloadIntake,
    Hold,
    Release,
    Delete,
    Flush,
    Expire,
};
inline constexpr int kFaultCount = 23;
std::string_view to_string(Fault);

struct PlannedFault {
    Duration when;
    Fault fault;
    std::uint64_t argument;  ///< How much, how long, which; by kind.
};

/// Ways in which the program could be wrong, to see that the ledger would tell.
enum class Control : std::uint8_t {
    None,
    LyingDisk,    ///< Syncs do nothing: a power cut loses what was accepted.
    EarlyAnswer,  ///< 250 before the commit.
    LostReports,  ///< Reports come to nobody.
    TakenTwice,   ///< Every message is there twice.
};

struct Plan {
    std::uint64_t seed = 0;
    Control control = Control::None;

    // The work.
    int clients = 1;
    int messages_max = 3;  ///< Of one client.
    int recipients_max = 3;
    std::size_t content_max = 2000;
    Duration arrivals{0};  ///< Clients begin within this time.

    // The trouble.
    WireManner wire;                        ///< Of clients.
    WireManner relay_wire;                  ///< To the smarthost.
    std::size_t channel_piece_max = 65536;  ///< Between intake and courier.
    double client_trouble = 0;              ///< Vanishing, resetting, stalling: for each message.
    double mischief[kMischiefCount] = {};
    std::vector<PlannedFault> faults;
    /// When all of it is over.
    Duration calm{0};

    /// From the seed alone.
    static Plan make(std::uint64_t seed, Control);
    std::string words() const;
};

}  // namespace postrider::simulation
