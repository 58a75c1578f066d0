// main.cf over the defaults, before anything is checked.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/config.h"
#include "config/host.h"
#include "config/main_cf.h"
#include "config/parameters.h"
#include "core/result.h"

namespace postrider::config {

/// Answers "what is the value of NAME" for every name there is: a setting of main.cf, else the
/// default of the registry, else nothing. Reports no errors of its own; check.h looks for them.
class Settings {
public:
    Settings(MainCf main_cf, const std::filesystem::path& directory, const Overrides& overrides,
             const Host& host);
    Settings(Settings&&) = default;

    const std::filesystem::path& file() const { return main_cf_.file; }
    /// In the order of the file; those of the command line last, with line 0.
    const std::vector<Entry>& entries() const { return main_cf_.entries; }
    /// What was strange about the file's lines.
    const std::vector<std::string>& file_warnings() const { return main_cf_.warnings; }

    /// Overwrites the value that main.cf has for it, and of what that refers to the names that are
    /// main.cf's own.
    void forget(std::string_view name);

    /// The setting of `name`, or null.
    const Entry* find_entry(std::string_view name) const;
    /// `FILE, line N` where `name` is set, else `FILE`.
    std::string place_of(std::string_view name) const;

    /// Not expanded. What is returned lives as long as the settings.
    std::optional<std::string_view> raw(std::string_view name) const;
    std::optional<std::string_view> raw_default(std::string_view name) const;

    Result<std::string> expand(std::string_view text) const;
    /// raw() expanded; empty if there is no such name.
    Result<std::string> expanded(std::string_view name) const;
    /// Expanded, or empty where that fails.
    std::string text(std::string_view name) const;

    /// Entries whose name means nothing to us, to Postfix, or to another value of main.cf.
    std::vector<const Entry*> unused_entries() const;

    /// Why `myorigin = /file` could not be read; empty if it could.
    const std::string& origin_problem() const { return origin_problem_; }

private:
    void derive_host_names(const Host& host);
    void derive_networks(const Host& host);
    void read_origin();

    MainCf main_cf_;
    std::unordered_map<std::string_view, std::size_t> index_;
    std::map<std::string_view, std::string> derived_;  ///< Defaults that the host decides.
    std::string origin_problem_;
};

}  // namespace postrider::config
