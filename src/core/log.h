// The administrator's log, in the form Postfix users and their tools read.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postrider {

enum class Severity { Info, Warning, Error, Fatal, Panic };

/// `warning: `, `error: `, ... as it stands in the text; empty for Info.
std::string_view severity_prefix(Severity);

/// Where log lines go. One call is one line; the text has no line break and no control character.
/// Must not block and must not fail loudly: a lost log line never stops mail.
class LogSink {
public:
    virtual ~LogSink() = default;
    virtual void write(Severity, std::string_view program, std::string_view text) = 0;

private:
    friend class Log;
    std::mutex one_line_;  ///< The storage thread logs, too; sinks need not care.
};

/// Writes lines under one program name (smtpd, cleanup, qmgr, smtp, ...). Cheap to copy; the sink
/// must outlive it. Bytes that do not print become `?`, valid UTF-8 stays, and lines are cut at
/// 2000 bytes.
class Log {
public:
    Log(LogSink& sink, std::string program) : sink_(&sink), program_(std::move(program)) {}

    void info(std::string_view text) const { write(Severity::Info, text); }
    void warning(std::string_view text) const { write(Severity::Warning, text); }
    void error(std::string_view text) const { write(Severity::Error, text); }
    void fatal(std::string_view text) const { write(Severity::Fatal, text); }
    void write(Severity, std::string_view text) const;

    /// The same sink under another program name.
    Log named(std::string program) const { return Log(*sink_, std::move(program)); }

private:
    LogSink* sink_;
    std::string program_;
};

/// `text` as it may stand in a log line or on a terminal: whatever does not print becomes `?`.
std::string printable(std::string_view text);

/// Keeps lines for tests: `program: [severity: ]text`.
class CapturedLog final : public LogSink {
public:
    void write(Severity, std::string_view program, std::string_view text) override;
    const std::vector<std::string>& lines() const { return lines_; }
    void clear() { lines_.clear(); }

private:
    std::vector<std::string> lines_;
};

}  // namespace postrider
