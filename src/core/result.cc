#include "core/result.h"

#include <cerrno>
#include <cstring>

namespace postrider {
namespace {

ErrorCode code_of(int error_number) {
    switch (error_number) {
        case ENOENT:
        case ENOTDIR:
            return ErrorCode::NotFound;
        case EACCES:
        case EPERM:
        case EROFS:
            return ErrorCode::Denied;
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
            return ErrorCode::DiskFull;
        case ETIMEDOUT:
            return ErrorCode::Timeout;
        case ECANCELED:
            return ErrorCode::Cancelled;
        case ECONNREFUSED:
        case ECONNRESET:
        case ECONNABORTED:
        case EPIPE:
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENOTCONN:
            return ErrorCode::Connection;
        case EMFILE:
        case ENFILE:
        case ENOMEM:
            return ErrorCode::Limit;
        case EAGAIN:
            return ErrorCode::Unavailable;
        default:
            return ErrorCode::Io;
    }
}

}  // namespace

Error system_error(std::string attempt, int error_number) {
    attempt += ": ";
    attempt += std::strerror(error_number);
    return {code_of(error_number), std::move(attempt)};
}

Error with_context(std::string_view phrase, Error error) {
    error.message.insert(0, ": ").insert(0, phrase);
    return error;
}

}  // namespace postrider
