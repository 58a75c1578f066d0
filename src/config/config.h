// The configuration as typed values: main.cf over the built-in defaults.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace postrider::config {

/// A complete, validated configuration. Immutable; a reload makes another.
///
/// Every parameter has one row in the registry (parameters.h): name, default, type, range, whether
/// we serve it. load() evaluates and checks all rows that we serve, so the accessors below cannot
/// fail; asking for a name or type that the registry does not have is a bug of ours.
class Config {
public:
    /// Reads `directory`/main.cf. The error names file and line, and what to write instead.
    static Result<Config> load(const std::filesystem::path& directory);
    /// The same from text, for tests; `directory` becomes config_directory.
    static Result<Config> parse(std::string_view text, const std::filesystem::path& directory);

    bool boolean(std::string_view name) const;
    std::int64_t integer(std::string_view name) const;
    std::chrono::seconds time(std::string_view name) const;
    /// The value with every `$name` expanded.
    std::string text(std::string_view name) const;
    /// The value split at comma and white space; `{...}` keeps its inside together.
    std::vector<std::string> list(std::string_view name) const;
    /// Set in main.cf, rather than by default.
    bool is_set(std::string_view name) const;

    /// Things to tell the operator at every start: overridden duplicates, parameters of Postfix
    /// that are not served, unknown names, dangerous settings.
    const std::vector<std::string>& warnings() const;

    ~Config();
    Config(Config&&) noexcept;
    Config& operator=(Config&&) noexcept;
    Config(const Config&);
    Config& operator=(const Config&);

private:
    struct State;
    explicit Config(std::shared_ptr<const State>);
    std::shared_ptr<const State> state_;
};

}  // namespace postrider::config
