#include "daemon/link.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/uio.h>

namespace postrider::daemon {
namespace {

struct Fixed {
    std::uint8_t kind;
    std::int64_t number;
};

Result<std::pair<UniqueFd, UniqueFd>> make_pair_of(int type) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) < 0) {
        return Unexpected(system_error("make a pair of sockets", errno));
    }
    return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> make_link() {
    return make_pair_of(SOCK_SEQPACKET);
}
Result<std::pair<UniqueFd, UniqueFd>> make_channel() {
    return make_pair_of(SOCK_STREAM);
}

Result<void> send_note(int link, const Note& note) {
    POSTRIDER_CHECK(note.text.size() <= kNoteTextMax);
    Fixed fixed{};
    fixed.kind = static_cast<std::uint8_t>(note.kind);
    fixed.number = note.number;
    std::string text = note.text;
    std::array<iovec, 2> parts{{{&fixed, sizeof fixed}, {text.data(), text.size()}}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (note.fd) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        const int fd = note.fd.get();
        std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    while (::sendmsg(link, &message, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR)
            return Unexpected(system_error("send a note to a process of ours", errno));
    }
    return {};
}

Result<std::optional<Note>> receive_note(int link) {
    Fixed fixed{};
    std::array<char, kNoteTextMax> text;
    std::array<iovec, 2> parts{{{&fixed, sizeof fixed}, {text.data(), text.size()}}};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t length;
    while ((length = ::recvmsg(link, &message, MSG_CMSG_CLOEXEC)) < 0) {
        if (errno == EAGAIN) return std::optional<Note>();
        if (errno != EINTR)
            return Unexpected(system_error("read a note from a process of ours", errno));
    }
    UniqueFd descriptor;
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message);
        header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
        descriptor.reset(fd);
    }
    if (length == 0) return Unexpected(ErrorCode::Connection, "a process of ours has gone away");
    if (length < static_cast<ssize_t>(sizeof fixed) ||
        fixed.kind > static_cast<std::uint8_t>(Note::Kind::Alert)) {
        return Unexpected(ErrorCode::Protocol, "a process of ours sent a malformed note");
    }
    std::optional<Note> note(
        std::in_place, static_cast<Note::Kind>(fixed.kind), fixed.number,
        std::string(text.data(), static_cast<std::size_t>(length) - sizeof fixed),
        std::move(descriptor));
    return note;
}

}  // namespace postrider::daemon
