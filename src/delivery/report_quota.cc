#include "delivery/report_quota.h"

#include <algorithm>

namespace postrider::delivery {

bool ReportQuota::admit(const std::string& sender, MonotonicTime now) {
    if (limit_ == 0) return true;
    const auto found = senders_.find(sender);
    Record record;
    if (found != senders_.end()) record = found->second;
    if (!record.owed && (found == senders_.end() || record.ends <= now)) {
        if (found == senders_.end() && !make_room(now)) return true;
        record.ends = now + interval_;
        record.count = 0;
    }
    if (record.owed || record.count >= limit_) return false;
    ++record.count;
    set(sender, record);
    return true;
}

MonotonicTime ReportQuota::interval_end(const std::string& sender, MonotonicTime now) const {
    const auto found = senders_.find(sender);
    return found == senders_.end() ? now : std::max(now, found->second.ends);
}

void ReportQuota::owe(const std::string& sender, MonotonicTime otherwise) {
    const auto found = senders_.find(sender);
    Record record;
    record.ends = otherwise;
    if (found != senders_.end()) record = found->second;
    record.count = limit_;
    record.owed = true;
    set(sender, record);
}

std::vector<std::string> ReportQuota::due(MonotonicTime now) const {
    std::vector<std::string> senders;
    for (const auto& [when, sender] : owed_) {
        if (when > now) break;
        senders.push_back(sender);
    }
    return senders;
}

std::optional<MonotonicTime> ReportQuota::next_due() const {
    if (owed_.empty()) return std::nullopt;
    return owed_.begin()->first;
}

void ReportQuota::begin_summary(const std::string& sender, MonotonicTime now) {
    Record record;
    record.ends = now + interval_;
    record.count = limit_;
    set(sender, record);
}

void ReportQuota::put_off_summary(const std::string& sender, MonotonicTime when) {
    Record record;
    record.ends = when;
    record.count = limit_;
    record.owed = true;
    set(sender, record);
}

void ReportQuota::set(const std::string& sender, const Record& record) {
    Record& known = senders_[sender];
    if (known.owed) owed_.erase({known.ends, sender});
    known = record;
    if (known.owed) owed_.emplace(known.ends, sender);
}

/// Forgets whose interval is over. Now and then only: with many senders that is work.
bool ReportQuota::make_room(MonotonicTime now) {
    if (senders_.size() < kSendersMax) return true;
    if (now - looked_for_room_ < interval_ / 16) return false;
    looked_for_room_ = now;
    std::erase_if(senders_, [now](const auto& known) {
        return !known.second.owed && known.second.ends <= now;
    });
    return senders_.size() < kSendersMax;
}

}  // namespace postrider::delivery
