#include "submit.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "intake/drop.h"
#include "recipients.h"

namespace postrider::apps {
namespace {

using intake::SubmissionAnswer;
using intake::SubmissionRequest;

/// Content up to here is held, so that it can still go into maildrop when the daemon fails.
constexpr std::size_t kHeldMax = 4 * 1024 * 1024;
constexpr std::size_t kReadSize = 64 * 1024;
/// The daemon answers within one commit; a stuck one is not waited for much longer.
constexpr int kAnswerTimeout = 300 * 1000;
constexpr std::uint8_t kTemporaryFailure = 75;  // EX_TEMPFAIL

SubmissionAnswer failure(std::string text) {
    SubmissionAnswer answer;
    answer.status = kTemporaryFailure;
    answer.text = std::move(text);
    return answer;
}

std::string content_head(std::size_t size) {
    intake::FrameHead head;
    head.type = 'C';
    head.length = static_cast<std::uint32_t>(size);
    return intake::encode_frame_head(head);
}

std::string end_frame() {
    intake::FrameHead head;
    head.type = 'E';
    return intake::encode_frame_head(head);
}

/// The message as it comes: reads until `max` bytes are there, or the end.
class Content {
public:
    Content(int input, bool dot_is_data) : input_(input), dot_is_data_(dot_is_data) {}

    /// Appends to `text`. False after a read error, whose number is in error().
    bool read(std::string& text, std::size_t max) {
        while (!ended_ && text.size() < max) {
            const std::size_t before = text.size();
            text.resize(before + kReadSize);
            const ssize_t size = ::read(input_, text.data() + before, kReadSize);
            text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
            if (size < 0 && errno == EINTR) continue;
            if (size < 0) {
                error_ = errno;
                return false;
            }
            ended_ = size == 0;
            if (dot_is_data_) continue;
            const std::string_view fresh = std::string_view(text).substr(before);
            const std::size_t end = dot_.find_end(fresh);
            if (end == std::string_view::npos) continue;
            text.resize(before + end);
            ended_ = true;
        }
        return true;
    }
    bool at_end() const { return ended_; }
    int error() const { return error_; }

private:
    int input_;
    bool dot_is_data_;
    LoneDot dot_;
    bool ended_ = false;
    int error_ = 0;
};

bool send_all(int fd, std::array<std::string_view, 4> parts) {
    std::size_t first = 0;
    while (first < parts.size()) {
        std::array<iovec, 4> vectors{};
        for (std::size_t i = first; i < parts.size(); ++i) {
            // sendmsg() does not write through the pointer; POSIX has no const form of iovec.
            vectors[i].iov_base = const_cast<char*>(parts[i].data());
            vectors[i].iov_len = parts[i].size();
        }
        msghdr message{};
        message.msg_iov = &vectors[first];
        message.msg_iovlen = parts.size() - first;
        const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return false;
        for (auto left = static_cast<std::size_t>(sent); first < parts.size();) {
            const std::size_t size = std::min(left, parts[first].size());
            parts[first].remove_prefix(size);
            left -= size;
            if (!parts[first].empty()) break;
            ++first;
        }
    }
    return true;
}

/// None if the daemon goes away, or stays silent, without one.
std::optional<SubmissionAnswer> read_answer(int fd) {
    std::string bytes;
    while (true) {
        pollfd waiting{fd, POLLIN, 0};
        const int ready = ::poll(&waiting, 1, kAnswerTimeout);
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return std::nullopt;
        std::array<char, 1024> buffer;
        const ssize_t size = ::read(fd, buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return std::nullopt;
        bytes.append(buffer.data(), static_cast<std::size_t>(size));
        auto answer = intake::decode_answer(bytes);
        if (!answer) return std::nullopt;
        if (*answer) return **answer;
    }
}

/// Leaves the message in maildrop: what is held, then what still comes.
SubmissionAnswer drop(const Doors& doors, const std::string& options, std::string held,
                      const SubmissionRequest& request, Content& content) {
    const std::string label = caller_label(request);
    // The daemon would find these out when there is nobody left to tell.
    if (label.empty())
        return failure("no login name found for user ID " + std::to_string(::getuid()));
    if (request.extract_recipients && request.recipients.empty() && !names_recipients(held))
        return failure(label + ": No recipient addresses found in message header");
    auto file = intake::DropFile::create(doors.maildrop_path());
    if (!file) return failure("mail system is down, and " + file.error().message);
    auto written = file->write(options);
    std::uint64_t size = 0;
    while (written && !held.empty()) {
        size += held.size();
        if (doors.message_size_limit != 0 && size > doors.message_size_limit)
            return failure(label + ": message file too big");
        written = file->write(content_head(held.size()) + held);
        held.clear();
        if (!content.read(held, kReadSize))
            return failure(std::string("error reading input: ") + std::strerror(content.error()));
    }
    if (written) written = file->write(end_frame());
    if (!written) return failure(written.error().message);
    auto name = file->finish();
    if (!name) return failure(name.error().message);
    SubmissionAnswer answer;
    answer.status = 0;
    answer.text = *std::move(name);
    return answer;
}

/// A message too big to hold goes straight through. If the daemon fails now, so do we.
SubmissionAnswer stream(int fd, const std::string& options, std::string held, Content& content) {
    bool sent = send_all(fd, {options, {}, {}, {}});
    while (sent && !held.empty()) {
        sent = send_all(fd, {content_head(held.size()), held, {}, {}});
        held.clear();
        if (!content.read(held, kReadSize))
            return failure(std::string("error reading input: ") + std::strerror(content.error()));
    }
    if (sent) (void)send_all(fd, {end_frame(), {}, {}, {}});
    // A refusal may have come in the middle.
    if (auto answer = read_answer(fd)) return *std::move(answer);
    return failure("mail system went away");
}

}  // namespace

std::string caller_label(const SubmissionRequest& request) {
    const std::string uid = "(" + std::to_string(::getuid()) + ")";
    if (request.sender) return *request.sender + uid;
    const passwd* const account = ::getpwuid(::getuid());
    return account == nullptr ? std::string() : account->pw_name + uid;
}

std::string Doors::socket_path() const {
    return queue_directory + "/" + std::string(intake::kSubmitSocket);
}

std::string Doors::maildrop_path() const {
    return queue_directory + "/" + std::string(intake::kMaildrop);
}

std::size_t LoneDot::find_end(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (state_ == State::Inside) {
            i = bytes.find('\n', i);
            if (i == std::string_view::npos) return i;
            state_ = State::LineStart;
        } else if (state_ == State::LineStart) {
            state_ = bytes[i] == '.'    ? State::Dot
                     : bytes[i] == '\n' ? State::LineStart
                                        : State::Inside;
        } else if (bytes[i] == '\n') {
            return i + 1;
        } else if (bytes[i] != '\r') {
            state_ = State::Inside;
        }
    }
    return std::string_view::npos;
}

UniqueFd connect_submit(const Doors& doors) {
    const std::string path = doors.socket_path();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return UniqueFd();
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) return UniqueFd();
    // The kernel's interface takes any kind of address through this cast.
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(fd.get(), generic, sizeof address) != 0) return UniqueFd();
    return fd;
}

SubmissionAnswer submit(const Doors& doors, const SubmissionRequest& request, int input) {
    auto options = intake::encode_request(request);
    if (!options) return failure(options.error().message);
    Content content(input, request.dot_is_data);
    std::string held;
    if (!content.read(held, kHeldMax))
        return failure(std::string("error reading input: ") + std::strerror(content.error()));

    const UniqueFd fd = connect_submit(doors);
    if (fd && !content.at_end()) {
        SubmissionAnswer answer = stream(fd.get(), *options, std::move(held), content);
        if (answer.status != 0) read_to_end(input);
        return answer;
    }
    if (fd) {
        const std::string head = held.empty() ? std::string() : content_head(held.size());
        (void)send_all(fd.get(), {*options, head, held, end_frame()});
        auto answer = read_answer(fd.get());
        if (answer && !answer->is_temporary) return *std::move(answer);
        // No answer is doubt, and a second copy is better than none.
    }
    SubmissionAnswer answer = drop(doors, *options, std::move(held), request, content);
    if (answer.status != 0) read_to_end(input);
    return answer;
}

void read_to_end(int input) {
    if (::isatty(input) != 0) return;
    std::vector<char> buffer(kReadSize);
    while (true) {
        const ssize_t size = ::read(input, buffer.data(), buffer.size());
        if (size == 0 || (size < 0 && errno != EINTR)) return;
    }
}

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t size = ::write(fd, bytes.data(), bytes.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
}

}  // namespace postrider::apps
