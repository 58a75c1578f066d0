// Two books: what clients were promised, and what came out at the other end (reliability 8.2).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plan.h"
#include "queue/message.h"
#include "world.h"

namespace postrider::simulation {

/// One message as a client handed it over. Its number stands in its X-Sim field.
struct Submitted {
    enum class Fate : std::uint8_t {
        Unknown,   ///< The client has heard nothing.
        Accepted,  ///< 250.
        Refused,   ///< 4xx or 5xx.
    };
    std::string from;
    std::vector<std::string> recipients;  ///< Those whose RCPT was accepted.
    std::string content;
    Fate fate = Fate::Unknown;
    std::string id;     ///< Its queue id, once anybody has said it.
    int deletions = 0;  ///< By operators, or perhaps.
};

/// One message that the smarthost has taken, for all its recipients.
struct Stored {
    std::string from;
    std::vector<std::string> recipients;
    std::string content;
    /// No reply of the session was out of order, up to and including the answer to this: the
    /// courier could know. May still become false while the answer is being said.
    std::shared_ptr<bool> clean;
};

class Ledger {
public:
    explicit Ledger(World& world) : world_(world) {}

    // The first book.
    /// The number of a message that a client begins to send; it must never arrive anywhere unless
    /// all of it has been sent.
    std::size_t open();
    /// All of it is about to be sent.
    void submit(std::size_t number, Submitted);
    void accepted(std::size_t number, std::string id);
    void refused(std::size_t number);
    /// An operator has asked to delete it, and may never hear the answer.
    void deleting(const std::string& id) { count_deletion(id, 1); }
    /// There was nothing to delete any more.
    void not_deleted(const std::string& id) { count_deletion(id, -1); }

    // The second.
    /// Returns what to call once the courier has read the 2xx.
    std::function<void()> stored(Stored);
    /// The smarthost has said 2xx where the answer to the end of this was due, taken or not.
    void told(const Stored&);
    void logged(std::string_view text);

    /// The courier has ended without finishing. What it had read and could not have recorded may
    /// come once more: the answers it read since `since`.
    void courier_died(MonotonicTime since);

    /// Something that must never be.
    void violation(std::string text);
    const std::vector<std::string>& violations() const { return violations_; }

    /// What is still in the queue when all is over, with the first bytes of its content.
    void listed(const queue::ListedMessage&, const std::string& content);
    /// Faults are over, the queue is drained and listed: does it add up?
    void balance();

    std::vector<std::string> accepted_ids() const;
    std::size_t submitted_count() const { return submitted_.size(); }
    std::size_t accepted_count() const;
    std::size_t stored_count() const { return copy_count_; }
    std::size_t report_count() const { return reports_.size(); }

private:
    using Pair = std::pair<std::size_t, std::string>;  ///< A message and one recipient.
    struct Copy {
        std::shared_ptr<bool> clean;
        std::optional<MonotonicTime> read;  ///< When the courier read our 2xx.
        bool excused = false;               ///< A crash may have come before it was recorded.
    };
    struct Report {
        std::vector<std::size_t> numbers;  ///< A summary tells of several.
        std::vector<Pair> failed;
        std::vector<std::shared_ptr<Copy>> stored;
    };
    void take_original(const Stored&, const std::shared_ptr<Copy>&);
    void take_report(const Stored&, const std::shared_ptr<Copy>&);
    std::optional<Report> parse_report(std::string_view content);
    std::optional<Report> parse_summary(std::string_view content);
    void count_deletion(const std::string& id, int by);
    void check_content(std::size_t number, const std::string& content);
    void balance_one(std::size_t number);
    void check_log(std::size_t number, const std::string& recipient);
    bool may_differ(const std::vector<std::shared_ptr<Copy>>&, std::size_t allowed) const;

    World& world_;
    std::vector<Submitted> submitted_;
    std::map<Pair, std::vector<std::shared_ptr<Copy>>> copies_;
    std::map<std::string, Report> reports_;           ///< By their Message-Id.
    std::map<Pair, std::set<std::string>> reported_;  ///< Failures: the reports that tell of it.
    std::set<Pair> told_;
    std::set<Pair> listed_;
    std::set<Pair> dead_;
    std::map<std::string, std::vector<std::string>> lines_;  ///< Of the log, by queue id.
    std::size_t copy_count_ = 0;
    std::vector<std::string> violations_;
};

/// The value of the first header field of this name; nothing if there is none.
std::optional<std::string> header_field(std::string_view content, std::string_view name);

}  // namespace postrider::simulation
