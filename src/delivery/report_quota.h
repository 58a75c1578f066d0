// How many reports each sender has had of late.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/clock.h"

namespace postrider::delivery {

/// Counts in intervals of a sender's own, which begin with the first report:
///
///   none --admit()--> counting --admit() beyond the limit: no; owe()--> owing
///     ^                  |                                               | the interval ends
///     +-- interval ends--+                                     begin_summary()
///     ^                                                                  v
///     +----------- an interval passes in which nothing fails -------- summed up --owe()--> owing
///
/// So whose mail goes on failing gets one summary an interval, and whose mail fails now and then
/// gets a report at once.
class ReportQuota {
public:
    /// Beyond so many senders who have had reports within one interval the others are not counted.
    static constexpr std::size_t kSendersMax = 10'000;

    /// `limit` 0: none.
    ReportQuota(unsigned limit, Duration interval) : limit_(limit), interval_(interval) {}

    /// Whether the sender may have one more now; counts it if so.
    bool admit(const std::string& sender, MonotonicTime now);
    /// When the sender's interval ends; now, if there is none.
    MonotonicTime interval_end(const std::string& sender, MonotonicTime now) const;

    /// A report to this sender was left out: there must be a summary, when the interval ends, or,
    /// if there is none, at `otherwise`.
    void owe(const std::string& sender, MonotonicTime otherwise);
    /// Whose summary is due, longest first.
    std::vector<std::string> due(MonotonicTime now) const;
    std::optional<MonotonicTime> next_due() const;
    /// It is being made: another interval begins, in which nothing is reported at once.
    void begin_summary(const std::string& sender, MonotonicTime now);
    /// It could not be made: it is due at `when`.
    void put_off_summary(const std::string& sender, MonotonicTime when);

private:
    struct Record {
        MonotonicTime ends;
        unsigned count = 0;
        bool owed = false;
    };
    void set(const std::string& sender, const Record& record);
    bool make_room(MonotonicTime now);

    const unsigned limit_;
    const Duration interval_;
    std::unordered_map<std::string, Record> senders_;
    std::set<std::pair<MonotonicTime, std::string>> owed_;
    MonotonicTime looked_for_room_{};
};

}  // namespace postrider::delivery
