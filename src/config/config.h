// The configuration as typed values: main.cf over the built-in defaults.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/host.h"
#include "core/result.h"

namespace postrider::config {

/// Settings from a command line, `name` and `value`; they win over main.cf, the later over the
/// earlier.
using Overrides = std::vector<std::pair<std::string, std::string>>;

/// A complete, validated configuration. Immutable and cheap to copy; a reload makes another.
///
/// Every parameter has one row in the registry (parameters.h): name, default, type, range, whether
/// we serve it. load() evaluates and checks all rows that we serve, so the accessors below cannot
/// fail; asking for a name or type that the registry does not have is a bug of ours.
class Config {
public:
    /// Reads `directory`/main.cf. All that is wrong is collected: the message of the error has one
    /// line for each problem, with file, line, parameter, value and what to write instead.
    static Result<Config> load(const std::filesystem::path& directory,
                               const Overrides& overrides = {}, const Host& host = this_host());
    /// The same from text, for tests; `directory` becomes config_directory.
    static Result<Config> parse(std::string_view text, const std::filesystem::path& directory,
                                const Overrides& overrides = {}, const Host& host = this_host());

    bool boolean(std::string_view name) const;
    std::int64_t integer(std::string_view name) const;
    std::chrono::seconds time(std::string_view name) const;
    /// The value with every `$name` expanded. Any type may be asked for as text.
    std::string text(std::string_view name) const;
    /// The value split at comma and white space; `{...}` keeps its inside together.
    std::vector<std::string> list(std::string_view name) const;
    /// Set in main.cf, rather than by default.
    bool is_set(std::string_view name) const;

    /// What Postfix names after a transport, such as `relay_destination_recipient_limit`: the value
    /// of `<transport>_<name>` where main.cf has it, else that of `default_<name>`.
    std::int64_t transport_integer(std::string_view transport, std::string_view name) const;
    std::chrono::seconds transport_time(std::string_view transport, std::string_view name) const;

    /// Overwrites the value of a parameter, in every copy of this configuration, and those of the
    /// names of main.cf's own that it was made from: for a process that must not know it. It reads
    /// as empty from then on.
    void forget(std::string_view name);
    /// Gives a value back that was forgotten, as text() told it.
    void remember(std::string_view name, std::string_view text);

    /// The main.cf that was read.
    const std::filesystem::path& file() const;
    /// Things to tell the operator at every start: overridden duplicates, parameters of Postfix
    /// that are not served, unknown names, dangerous settings. Each begins with file and line.
    const std::vector<std::string>& warnings() const;
    /// Those of the warnings that are about danger to mail or passwords.
    const std::vector<std::string>& dangers() const;

    ~Config();
    Config(Config&&) noexcept;
    Config& operator=(Config&&) noexcept;
    Config(const Config&);
    Config& operator=(const Config&);

    struct State;

private:
    explicit Config(std::shared_ptr<const State>);
    std::shared_ptr<const State> state_;
};

/// Where main.cf is: `option` (of -c) if not empty, else `environment` (MAIL_CONFIG) if not empty,
/// else /etc/postrider.
std::filesystem::path configuration_directory(std::string_view option,
                                              std::string_view environment);

}  // namespace postrider::config
