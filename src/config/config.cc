#include "config/config.h"

#include <algorithm>
#include <utility>

#include "config/check.h"
#include "config/evaluate.h"
#include "config/settings.h"
#include "config/values.h"
#include "core/check.h"
#include "core/secret.h"

namespace postrider::config {
namespace {

/// The place of a row in parameters(): values stand in the same order.
std::size_t index_of(std::string_view name) {
    const auto rows = parameters();
    const auto at = std::lower_bound(
        rows.begin(), rows.end(), name,
        [](const Parameter* row, std::string_view wanted) { return row->name < wanted; });
    POSTRIDER_CHECK(at != rows.end() && (*at)->name == name);
    return static_cast<std::size_t>(at - rows.begin());
}

// One line of the log, whatever it is written to.
std::string in_one_line(const std::vector<std::string>& problems) {
    std::string text;
    for (const auto& problem : problems) (text += text.empty() ? "" : "; ") += problem;
    return text;
}

}  // namespace

struct Config::State {
    explicit State(Settings all) : settings(std::move(all)) {}

    void evaluate_all(std::vector<std::string>& errors);
    void adjust();
    const Value& value_of(std::string_view name, Type type) const {
        const auto index = index_of(name);
        POSTRIDER_CHECK(parameters()[index]->type == type);
        return values[index];
    }
    Value& operator[](std::string_view name) { return values[index_of(name)]; }

    /// What `<transport>_<name>` comes to, else the parameter that it falls back to.
    Value transport_value(std::string_view transport, std::string_view name, Type type) const;

    Settings settings;
    std::vector<Value> values;
    std::vector<std::string> warnings;
    std::vector<std::string> dangers;
};

void Config::State::evaluate_all(std::vector<std::string>& errors) {
    const auto evaluate_one = [&](std::string_view name, const Parameter& row) {
        auto expanded = settings.expanded(name);
        auto value = expanded ? evaluate(name, row, std::move(*expanded))
                              : Result<Value>(Unexpected(with_context(name, expanded.error())));
        if (value) return std::move(*value);
        errors.push_back(settings.place_of(name) + ": " + value.error().message);
        return Value{};
    };
    values.reserve(parameters().size());
    for (const auto* const row : parameters()) values.push_back(evaluate_one(row->name, *row));
    for (const auto& entry : settings.entries()) {
        if (find_parameter(entry.name) != nullptr) continue;
        if (const auto own = find_transport_parameter(entry.name))
            (void)evaluate_one(entry.name, *find_parameter(own->fallback));
        else if (auto expanded = settings.expanded(entry.name); !expanded)
            errors.push_back(settings.place_of(entry.name) + ": " + entry.name + ": " +
                             expanded.error().message);
    }
}

/// Contradictions that have a safe answer; check_meaning() has warned of them.
void Config::State::adjust() {
    const auto clamp = [&](Value& value, std::int64_t seconds) {
        value = Value{std::to_string(seconds) + "s", seconds};
    };
    const auto lifetime = (*this)["maximal_queue_lifetime"].number;
    if (auto& bounce = (*this)["bounce_queue_lifetime"]; bounce.number > lifetime)
        clamp(bounce, lifetime);
    const auto minimum = (*this)["minimal_backoff_time"].number;
    if (auto& maximum = (*this)["maximal_backoff_time"]; maximum.number < minimum)
        clamp(maximum, minimum);
}

Value Config::State::transport_value(std::string_view transport, std::string_view name,
                                     Type type) const {
    const auto fallback = transport_fallback(name);
    POSTRIDER_CHECK(!fallback.empty());
    const auto* const row = find_parameter(fallback);
    POSTRIDER_CHECK(row->type == type);
    const auto own = std::string(transport) + "_" + std::string(name);
    if (settings.find_entry(own) == nullptr) return values[index_of(fallback)];
    auto value = evaluate(own, *row, settings.text(own));
    POSTRIDER_CHECK(value.has_value());  // evaluate_all() has seen to it.
    return std::move(*value);
}

namespace {

Result<std::shared_ptr<const Config::State>> check(MainCf main_cf,
                                                   const std::filesystem::path& directory,
                                                   const Overrides& overrides, const Host& host) {
    auto state =
        std::make_shared<Config::State>(Settings(std::move(main_cf), directory, overrides, host));
    Findings findings;
    findings.warnings = state->settings.file_warnings();
    state->evaluate_all(findings.errors);
    check_treatment(state->settings, findings);
    check_names(state->settings, findings);
    if (findings.errors.empty()) check_meaning(state->settings, findings);
    if (!findings.errors.empty())
        return Unexpected(ErrorCode::Invalid, in_one_line(findings.errors));
    state->adjust();
    state->warnings = std::move(findings.warnings);
    state->dangers = std::move(findings.dangers);
    return std::shared_ptr<const Config::State>(std::move(state));
}

}  // namespace

Result<Config> Config::load(const std::filesystem::path& directory, const Overrides& overrides,
                            const Host& host) {
    auto main_cf = read_main_cf(directory / "main.cf");
    if (!main_cf) return Unexpected(std::move(main_cf).error());
    auto state = check(std::move(*main_cf), directory, overrides, host);
    if (!state) return Unexpected(std::move(state).error());
    return Config(std::move(*state));
}

Result<Config> Config::parse(std::string_view text, const std::filesystem::path& directory,
                             const Overrides& overrides, const Host& host) {
    auto main_cf = parse_main_cf(text, directory / "main.cf");
    if (!main_cf) return Unexpected(std::move(main_cf).error());
    auto state = check(std::move(*main_cf), directory, overrides, host);
    if (!state) return Unexpected(std::move(state).error());
    return Config(std::move(*state));
}

void Config::forget(std::string_view name) {
    // check() has made it, not const.
    const auto state = std::const_pointer_cast<State>(state_);
    state->settings.forget(name);
    wipe((*state)[name].text);
}

void Config::remember(std::string_view name, std::string_view text) {
    (*std::const_pointer_cast<State>(state_))[name].text = text;
}

bool Config::boolean(std::string_view name) const {
    return state_->value_of(name, Type::Boolean).number != 0;
}

std::int64_t Config::integer(std::string_view name) const {
    return state_->value_of(name, Type::Integer).number;
}

std::chrono::seconds Config::time(std::string_view name) const {
    return std::chrono::seconds(state_->value_of(name, Type::Time).number);
}

std::string Config::text(std::string_view name) const {
    return state_->values[index_of(name)].text;
}

std::vector<std::string> Config::list(std::string_view name) const {
    return split_list(state_->values[index_of(name)].text);
}

bool Config::is_set(std::string_view name) const {
    return state_->settings.find_entry(name) != nullptr;
}

std::int64_t Config::transport_integer(std::string_view transport, std::string_view name) const {
    return state_->transport_value(transport, name, Type::Integer).number;
}

std::chrono::seconds Config::transport_time(std::string_view transport,
                                            std::string_view name) const {
    return std::chrono::seconds(state_->transport_value(transport, name, Type::Time).number);
}

const std::filesystem::path& Config::file() const {
    return state_->settings.file();
}

const std::vector<std::string>& Config::warnings() const {
    return state_->warnings;
}

const std::vector<std::string>& Config::dangers() const {
    return state_->dangers;
}

Config::Config(std::shared_ptr<const State> state) : state_(std::move(state)) {}
Config::~Config() = default;
Config::Config(Config&&) noexcept = default;
Config& Config::operator=(Config&&) noexcept = default;
Config::Config(const Config&) = default;
Config& Config::operator=(const Config&) = default;

std::filesystem::path configuration_directory(std::string_view option,
                                              std::string_view environment) {
    if (!option.empty()) return option;
    if (!environment.empty()) return environment;
    return "/etc/postrider";
}

}  // namespace postrider::config
