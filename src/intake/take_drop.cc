#include "intake/take_drop.h"

#include <cerrno>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

namespace postrider::intake {
namespace {

/// A file where a stream is expected. Its reads do not wait for a peer, and are small.
class FileStream final : public net::Stream {
public:
    explicit FileStream(UniqueFd file) : file_(std::move(file)) {}

    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime) override {
        ssize_t size = -1;
        do {
            size = ::read(file_.get(), into.data(), into.size());
        } while (size < 0 && errno == EINTR);
        if (size < 0) co_return Unexpected(system_error("read", errno));
        co_return static_cast<std::size_t>(size);
    }
    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer>,
                                       MonotonicTime) override {
        co_return Unexpected(ErrorCode::Invalid, "nobody listens behind a file");
    }
    void cancel() override {}
    void close() override { file_.reset(); }

private:
    UniqueFd file_;
};

/// The same file, unchanged: a name may be used again, and so may an inode, but not both with the
/// same time by the same owner.
Result<std::string> identity_of(const std::string& name, int file) {
    struct stat status {};
    if (::fstat(file, &status) != 0) {
        return Unexpected(system_error("stat maildrop/" + name, errno));
    }
    std::string identity = name;
    for (const auto part :
         {std::int64_t{status.st_uid}, static_cast<std::int64_t>(status.st_ino),
          std::int64_t{status.st_mtim.tv_sec}, std::int64_t{status.st_mtim.tv_nsec}}) {
        identity += ':' + std::to_string(part);
    }
    return identity;
}

}  // namespace

net::Awaitable<Result<void>> take_drop(UniqueFd file, std::int64_t uid, std::string name,
                                       const Services& services, const SubmissionOptions& options) {
    const Log log = services.log.named("pickup");
    auto drop = identity_of(name, file.get());
    if (!drop) co_return Unexpected(std::move(drop).error());
    FileStream stream(std::move(file));
    auto answer = co_await receive_submission(stream, uid, services, options, *std::move(drop));
    if (!answer) {
        Error error = std::move(answer).error();
        // A file that breaks off will never be longer: it got its name when it was complete.
        if (error.code == ErrorCode::Connection) error.code = ErrorCode::Invalid;
        log.warning("maildrop/" + name + ": " + error.message);
        co_return Unexpected(std::move(error));
    }
    if (answer->status == 0) co_return Result<void>();
    log.warning("maildrop/" + name + ": " + answer->text);
    const ErrorCode code = answer->is_temporary ? ErrorCode::Unavailable : ErrorCode::Invalid;
    co_return Unexpected(code, std::move(answer->text));
}

}  // namespace postrider::intake
