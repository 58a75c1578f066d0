#include "mail_system.h"

#include <cerrno>

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "control/client.h"
#include "control/service.h"
#include "core/clock.h"
#include "queue/queue.h"

namespace postrider::apps {
namespace {

std::filesystem::path queue_directory(const config::Config& config) {
    return config.text("queue_directory");
}

/// Hands each line straight to the reader and keeps the last one's word.
class DirectAnswer final : public control::Answer {
public:
    explicit DirectAnswer(const LineReader& reader) : reader_(reader) {}

    net::Awaitable<Result<void>> line(std::string text) override {
        if (control::LastLine last = control::parse_last_line(text); last.is_last) {
            result_ = std::move(last.result);
        } else if (!reader_(text)) {
            co_return Unexpected(ErrorCode::Cancelled, "the reader has seen enough");
        }
        co_return Result<void>();
    }
    Result<std::uint64_t> result() && { return std::move(result_); }

private:
    const LineReader& reader_;
    Result<std::uint64_t> result_ = std::uint64_t{0};
};

/// Root acts as the queue's owner: files it leaves must be the owner's, and nothing that the owner
/// put there is to be followed with more rights than the owner's.
Result<void> become_owner(const struct stat& queue) {
    if (::geteuid() != 0 || queue.st_uid == 0) return {};
    if (::setgroups(0, nullptr) < 0 || ::setresgid(queue.st_gid, queue.st_gid, queue.st_gid) < 0 ||
        ::setresuid(queue.st_uid, queue.st_uid, queue.st_uid) < 0) {
        return Unexpected(system_error("become the owner of the queue", errno));
    }
    return {};
}

Result<std::uint64_t> ask_directly(const std::filesystem::path& directory,
                                   const control::Request& request, const LineReader& reader,
                                   const Log& log) {
    struct stat status {};
    if (::stat((directory / "queue.db").c_str(), &status) < 0) return std::uint64_t{0};
    if (auto became = become_owner(status); !became) return Unexpected(std::move(became).error());
    const SystemClock clock;
    queue::Spool::Options options;
    options.directory = directory;
    auto spool = queue::Spool::open(options, clock, log);
    if (!spool) return Unexpected(std::move(spool).error());

    boost::asio::io_context context;
    DirectAnswer answer(reader);
    {
        queue::Queue queue(std::move(spool).value(), context.get_executor(), clock, log,
                           queue::Queue::Storage::Inline);
        control::Surroundings surroundings;
        surroundings.owner_uid = status.st_uid;
        control::Service service(queue, std::move(surroundings), log);
        const control::Caller caller{static_cast<std::int64_t>(::geteuid())};
        boost::asio::co_spawn(context, service.answer(request, caller, answer),
                              [](std::exception_ptr trouble) {
                                  if (trouble) std::rethrow_exception(trouble);
                              });
        context.run();
    }
    return std::move(answer).result();
}

}  // namespace

Result<std::uint64_t> ask_daemon(const config::Config& config, const control::Request& request,
                                 const LineReader& reader) {
    auto client = control::Client::connect(control::socket_path(queue_directory(config)));
    if (!client) return Unexpected(std::move(client).error());
    return client->ask(request, reader);
}

Result<std::uint64_t> ask(const config::Config& config, const control::Request& request,
                          const LineReader& reader, const Log& log) {
    auto client = control::Client::connect(control::socket_path(queue_directory(config)));
    if (client) return client->ask(request, reader);

    struct stat status {};
    const bool ours = ::geteuid() == 0 || (::stat(queue_directory(config).c_str(), &status) == 0 &&
                                           status.st_uid == ::geteuid());
    if (!ours) return Unexpected(std::move(client).error());
    log.warning("Mail system is down -- accessing queue directly (" + client.error().message + ")");
    return ask_directly(queue_directory(config), request, reader, log);
}

}  // namespace postrider::apps
