#include "daemon/log_target.h"

#include <algorithm>
#include <charconv>

#include <boost/asio/post.hpp>

#include "core/log_targets.h"

namespace postrider::daemon {
namespace {

unsigned mode_of(std::string_view octal) {
    unsigned mode = 0600;
    std::from_chars(octal.data(), octal.data() + octal.size(), mode, 8);
    return mode;
}

}  // namespace

Result<std::unique_ptr<LogSink>> open_log_target(const config::Config& config) {
    std::string host = config.text("myhostname");
    host.resize(std::min(host.size(), host.find('.')));
    LogTag tag{config.text("syslog_name"), std::move(host)};

    const std::string path = config.text("maillog_file");
    if (path.empty()) {
        auto target = SyslogTarget::open(std::move(tag), config.text("syslog_facility"));
        if (!target) return Unexpected(std::move(target).error());
        return std::unique_ptr<LogSink>(std::move(target).value());
    }
    const auto prefixes = config.list("maillog_file_prefixes");
    const bool allowed =
        std::any_of(prefixes.begin(), prefixes.end(),
                    [&](const std::string& prefix) { return path.starts_with(prefix); });
    if (!allowed) {
        return Unexpected(ErrorCode::Invalid, "maillog_file: " + path +
                                                  " lies below none of maillog_file_prefixes (" +
                                                  config.text("maillog_file_prefixes") + ")");
    }
    auto file = FileTarget::open_file(path, mode_of(config.text("maillog_file_permissions")));
    if (!file) return Unexpected(std::move(file).error());
    return std::unique_ptr<LogSink>(new FileTarget(std::move(file).value(), std::move(tag)));
}

GatheredLog::GatheredLog(LogSink* target, boost::asio::io_context& loop)
    : file_(dynamic_cast<FileTarget*>(target)) {
    if (file_ == nullptr) return;
    file_->gather([this, &loop] { boost::asio::post(loop, [this] { file_->flush(); }); });
}

GatheredLog::~GatheredLog() {
    if (file_ != nullptr) file_->gather({});
}

}  // namespace postrider::daemon
