// The queue directory: what lies where, whose it is, and who may enter.
#pragma once

#include <filesystem>
#include <string>

#include <sys/types.h>

#include "core/log.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::daemon {

/// The account that owns the queue.
struct Owner {
    uid_t uid = 0;
    gid_t gid = 0;
    std::string name;
    /// We were started as root and shall become `uid`; otherwise we are `uid` already.
    bool change_to = false;
    /// Mail that others left in maildrop can be read: by root, or with a keeper's help.
    bool serves_others = false;
};

/// `mail_owner` when root starts us; otherwise whoever does, so that a user can run a queue of
/// their own. NotFound if root starts us and the account does not exist.
Result<Owner> find_owner(const std::string& mail_owner);

/// What to tell an operator whose mail_owner is not followed, as only root can become somebody
/// else. Empty: nothing.
std::string owner_warning(const Owner&, const std::string& mail_owner);

///   queue_directory/       0755  owner
///     queue.db ...         0600  owner   the queue
///     maildrop/            1733  owner   what sendmail leaves while no daemon runs; 0700 where
///                                        nobody could read what others leave
///     public/              0755  owner   the sockets submit and control, open to anyone
///     pid/master.pid       0600          the master's, locked while it runs
struct Layout {
    std::filesystem::path queue_directory;

    std::filesystem::path maildrop() const { return queue_directory / "maildrop"; }
    std::filesystem::path submit_socket() const { return queue_directory / "public" / "submit"; }
    std::filesystem::path control_socket() const { return queue_directory / "public" / "control"; }
    std::filesystem::path pid_file() const { return queue_directory / "pid" / "master.pid"; }
};

/// Creates what is missing and mends modes and owners; refuses what is a link or belongs to a
/// stranger, and file systems of other machines.
Result<void> prepare(const Layout&, const Owner&);

/// Takes the lock that only one master can hold and writes our pid, for which a full disk may have
/// no room: that is a warning. The lock lasts as long as the descriptor. Denied, naming the other's
/// pid, when a master runs on this queue already.
Result<UniqueFd> take_master_lock(const Layout&, const Log&);

/// The pid of the running master; NotFound if none runs, Denied to those who may not know.
Result<pid_t> running_master(const Layout&);

}  // namespace postrider::daemon
