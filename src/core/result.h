// Success or a described failure: the return type of everything that can fail.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "core/check.h"

namespace postrider {

/// What kind of trouble an Error is. Closed and small: callers switch over it.
enum class ErrorCode {
    Cancelled,    ///< We stopped it ourselves.
    Timeout,      ///< A deadline passed.
    Connection,   ///< Refused, reset, unreachable, or closed by the peer.
    Protocol,     ///< The peer said something its protocol does not allow.
    Io,           ///< The disk or the system failed.
    DiskFull,     ///< No room left: space, inodes, quota.
    NotFound,     ///< The named thing does not exist.
    Denied,       ///< It exists, and we may not.
    Invalid,      ///< Malformed or contradictory input or configuration.
    Limit,        ///< A bound with a name was reached.
    Corrupt,      ///< Stored data does not hold together.
    Unavailable,  ///< A service or lookup failed for now; try again later.
};

/// A failure of the surroundings. `message` is a sentence for people: what was attempted, on what,
/// and what the world answered. It never holds a secret.
struct Error {
    ErrorCode code;
    std::string message;
};

/// "Permission denied" and its kin, mapped to a code; `attempt` says what was tried:
/// `open /etc/postrider/main.cf` becomes `open /etc/postrider/main.cf: No such file or directory`.
Error system_error(std::string attempt, int error_number);

/// The same error with a phrase put in front of its message: `phrase: message`.
Error with_context(std::string_view phrase, Error error);

/// Wraps an error on its way into a Result, as std::unexpected does.
class [[nodiscard]] Unexpected {
public:
    explicit Unexpected(Error error) : error_(std::move(error)) {}
    Unexpected(ErrorCode code, std::string message) : error_{code, std::move(message)} {}
    Error& error() { return error_; }

private:
    Error error_;
};

/// A value, or the Error that prevented it. Named after std::expected, which it shall become.
template <typename T>
class [[nodiscard]] Result {
public:
    using value_type = T;

    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Unexpected unexpected) : state_(std::in_place_index<1>, std::move(unexpected.error())) {}

    bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }

    T& value() & {
        POSTRIDER_CHECK(has_value());
        return *std::get_if<0>(&state_);
    }
    const T& value() const& {
        POSTRIDER_CHECK(has_value());
        return *std::get_if<0>(&state_);
    }
    T&& value() && {
        POSTRIDER_CHECK(has_value());
        return std::move(*std::get_if<0>(&state_));
    }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    Error& error() & {
        POSTRIDER_CHECK(!has_value());
        return *std::get_if<1>(&state_);
    }
    const Error& error() const& {
        POSTRIDER_CHECK(!has_value());
        return *std::get_if<1>(&state_);
    }
    Error&& error() && {
        POSTRIDER_CHECK(!has_value());
        return std::move(*std::get_if<1>(&state_));
    }

    T value_or(T fallback) && {
        return has_value() ? std::move(*this).value() : std::move(fallback);
    }

private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Unexpected unexpected) : error_(std::move(unexpected.error())) {}

    bool has_value() const { return !error_; }
    explicit operator bool() const { return has_value(); }
    void value() const { POSTRIDER_CHECK(has_value()); }

    Error& error() & {
        POSTRIDER_CHECK(error_.has_value());
        return *error_;
    }
    const Error& error() const& {
        POSTRIDER_CHECK(error_.has_value());
        return *error_;
    }
    Error&& error() && {
        POSTRIDER_CHECK(error_.has_value());
        return std::move(*error_);
    }

private:
    std::optional<Error> error_;
};

}  // namespace postrider
