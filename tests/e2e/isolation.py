#!/usr/bin/env python3
"""What each process of a running daemon still could do: its account, capabilities, descriptors, and
what becomes of system calls that an intruder would make in it (TB1, TB4, P9, P10, L8)."""

import errno
import os
import pathlib
import pwd
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
import injected
from faults import workers
from injected import AT_FDCWD, Ended, Injected
from mailbench import BIN, Skip, World, main, sanitizer, wait_until
from memory import writable_memory


def processes(world):
    """The master, and its workers by name."""
    def all_three():
        found = {"master": world.daemon.pid, **workers(world)}
        return found if found.keys() == {"master", "intake", "courier"} else None
    return wait_until(all_three, "two workers", log=world.log)


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def descriptors(pid):
    directory = pathlib.Path(f"/proc/{pid}/fd")
    return {int(entry.name): os.readlink(entry) for entry in directory.iterdir()}


def listeners(pid):
    """The inodes of the TCP sockets in state LISTEN."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found.add(f"socket:[{fields[9]}]")
    return found


def need_root():
    if os.geteuid() != 0:
        raise Skip("a process that cannot be dumped shows its descriptors to root alone")


def workers_have_no_privileges():
    need_root()
    with World() as world:
        world.start()
        owner = pwd.getpwnam(world.owner)
        found = processes(world)
        for name in ("intake", "courier"):
            state = status(found[name])
            assert state["Uid"].split() == [str(owner.pw_uid)] * 4, (name, state["Uid"])
            assert state["Gid"].split() == [str(owner.pw_gid)] * 4, (name, state["Gid"])
            assert state["Groups"] == "", (name, state["Groups"])
            for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert int(state[kind], 16) == 0, (name, kind, state[kind])
            if not sanitizer():
                assert state["Seccomp"] == "2", (name, state["Seccomp"])


def the_master_keeps_little():
    need_root()
    with World() as world:
        world.start()
        state = status(processes(world)["master"])
        # chown, dac_override, fowner, kill, setgid, setuid
        few = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7
        for kind in ("CapPrm", "CapEff"):
            assert int(state[kind], 16) & ~few == 0, (kind, state[kind])
        for kind in ("CapInh", "CapBnd", "CapAmb"):
            assert int(state[kind], 16) == 0, (kind, state[kind])


class Keeper(threading.Thread):
    """What postrider-keeper.socket does: a keeper, as root, for each connection."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.asked = world, 0
        self.path = world.directory / "keeper"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(str(self.path))
        os.chown(self.path, pwd.getpwnam(world.owner).pw_uid, 0)
        self.path.chmod(0o600)
        self.socket.listen(16)

    def run(self):
        while True:
            client, _ = self.socket.accept()
            self.asked += 1
            subprocess.run([BIN / "postriderd", "-k", "-c", self.world.config], stdin=client, timeout=30)
            client.close()


def low_port():
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def start_as_its_unit_does(world, keeper):
    world.daemon = world.spawn(
        ["setpriv", "--reuid", world.owner, "--regid", str(pwd.getpwnam(world.owner).pw_gid),
         "--clear-groups", "--inh-caps", "-all,+net_bind_service", "--ambient-caps",
         "-all,+net_bind_service", "--bounding-set", "-all,+net_bind_service", "--no-new-privs",
         BIN / "postriderd", "-c", world.config],
        env={**os.environ, "POSTRIDER_KEEPER": str(keeper.path)})
    world.wait_log("daemon started")


def nothing_is_root_under_systemd():
    """As postrider.service starts it: with one capability, for port 25, that nobody keeps, and with
    a keeper for what only root, or a user, can read."""
    need_root()
    port = low_port()
    with World(f"smtpd_listen = 127.0.0.1:{port}\n") as world:
        nobody = pwd.getpwnam("nobody")
        for path in (world.queue, world.queue / "maildrop"):
            path.mkdir()
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        (world.queue / "maildrop").chmod(0o1733)
        world.log_file.touch()
        os.chown(world.log_file, nobody.pw_uid, nobody.pw_gid)
        keeper = Keeper(world)
        keeper.start()
        # A drop that neither the daemon's account nor its group can read.
        dropped = subprocess.run(
            ["setpriv", "--reuid", "1", "--regid", "1", "--clear-groups", BIN / "sendmail", "-C",
             world.config, "-f", "ann@desk.example", "bob@corp.example"], input=b"Subject: x\n\nx\n")
        assert dropped.returncode == 0
        assert [path.stat().st_mode & 0o777 for path in (world.queue / "maildrop").iterdir()] == [0o600]
        assert (world.config / "smtp_auth").stat().st_mode & 0o777 == 0o600
        start_as_its_unit_does(world, keeper)
        world.arrived(1)
        assert "uid=1 from=<ann@desk.example>" in world.log()
        assert keeper.asked >= 2
        for name, pid in processes(world).items():
            state = status(pid)
            assert state["Uid"].split() == [str(nobody.pw_uid)] * 4, name
            for kind in ("CapPrm", "CapEff", "CapAmb"):
                assert int(state[kind], 16) == 0, (name, kind, state[kind])
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            assert client.recv(4).startswith(b"220")


def a_keeper_opens_what_main_cf_names_and_nothing_else():
    need_root()
    with World() as world:
        def asked(path):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours, theirs:
                keeper = subprocess.Popen([BIN / "postriderd", "-k", "-c", world.config], stdin=theirs)
                theirs.close()
                ours.send(bytes([8]) + bytes(15) + os.fsencode(path))
                answer, fds, _, _ = socket.recv_fds(ours, 4096, 4)
                keeper.wait(timeout=30)
            for fd in fds:
                os.close(fd)
            return len(fds)
        (world.queue / "maildrop").mkdir(parents=True)
        secret = world.directory / "secret"
        secret.write_text("x")
        (world.queue / "maildrop" / "5ecre7").symlink_to(secret)
        os.link(secret, world.queue / "maildrop" / "9ecre7")
        assert asked(world.config / "smtp_auth") == 1
        for path in (secret, "/etc/shadow", world.config / "main.cf", world.queue / "queue.db",
                     world.config / ".." / "secret", world.queue / "maildrop" / "5ecre7",
                     world.queue / "maildrop" / "9ecre7", world.queue / "maildrop" / ".." / "x", ""):
            assert asked(path) == 0, path


def no_process_can_gain_privileges_or_leave_a_core():
    need_root()
    with World() as world:
        world.start()
        for name, pid in processes(world).items():
            assert status(pid)["NoNewPrivs"] == "1", name
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            [core] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
            assert core.split()[4:6] == ["0", "0"], (name, core)
            # Whatever runs under the owner's account cannot look inside: /proc is root's.
            assert os.stat(f"/proc/{pid}/mem").st_uid == 0, name


def descriptors_are_where_they_belong():
    need_root()
    with World() as world:
        world.start()
        world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], "Subject: x\n\nx\n")
        world.arrived(1)
        found = processes(world)
        open_in = {name: descriptors(pid) for name, pid in found.items()}
        for name, files in open_in.items():
            secret = [path for path in files.values() if path.startswith(str(world.config))]
            # The courier reads its table of passwords by one descriptor, and nobody else has one.
            assert name == "courier" or not secret, (name, files)
            queue = [path for path in files.values() if "/queue.db" in path or path.endswith(".lock")]
            assert name == "courier" or not queue, (name, files)
            pid_file = [path for path in files.values() if path.endswith("master.pid")]
            assert name == "master" or not pid_file, (name, files)
            assert name == "master" or files[0] == "/dev/null", (name, files[0])
        heard = listeners(found["master"])
        assert not heard & set(open_in["courier"].values()), open_in["courier"]
        assert heard & set(open_in["intake"].values()), open_in["intake"]


def a_password_is_in_no_memory_but_the_couriers():
    need_root()
    with World() as world:
        world.start()
        world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], "Subject: x\n\nx\n")
        world.arrived(1)
        for name, pid in processes(world).items():
            if name != "courier":
                assert world.password.encode() not in writable_memory(pid), name


NEW_USERS = 0x10000000  # CLONE_NEWUSER


def intrusions(master, sibling):
    """What an intruder would try first. None of it is anything that a worker ever does."""
    words = lambda *numbers: b"".join(number.to_bytes(8, "little") for number in numbers)
    inet = b"\x02\x00\x00\x19\x7f\x00\x00\x01" + bytes(8)
    return {
        "start a program": (injected.EXECVE, b"/bin/true", 0, 0),
        "start one by descriptor": (injected.EXECVEAT, 0, b"", 0, 0, 0x1000),
        "become two": (injected.FORK,),
        "become two in a new namespace": (injected.CLONE, NEW_USERS, 0, 0, 0, 0),
        "look into the sibling": (injected.PTRACE, 16, sibling, 0, 0),
        "read the sibling's memory": (injected.PROCESS_VM_READV, sibling, words(0, 0), 1,
                                      words(0, 0), 1, 0),
        "signal the master": (injected.KILL, master, 0),
        "signal everybody": (injected.KILL, -1, 0),
        "hold a process": (injected.PIDFD_OPEN, sibling, 0),
        "become root": (injected.SETUID, 0),
        "mount": (injected.MOUNT, b"/", b"/", 0, 0x1000, 0),
        "load a program into the kernel": (injected.BPF, 5, 0, 0),
        "make calls by a ring": (injected.IO_URING_SETUP, 1, bytes(120)),
        "connect to a neighbour": (injected.SOCKET, 1, 1, 0),
        "connect from a door": (injected.CONNECT, 0, inet, 16),
    }


def attempt(pid, *call):
    """The result, -errno, or the name of the signal that ended the process."""
    try:
        with Injected(pid) as worker:
            return worker.call(*call)
    except Ended as end:
        return str(end)


def opened(pid, path, flags=os.O_RDONLY):
    return attempt(pid, injected.OPENAT, AT_FDCWD, os.fsencode(path), flags, 0o600)


def need_filters():
    need_root()
    if sanitizer():
        raise Skip("system calls are not confined in a sanitized build")


def the_intruder_can_do_all_this_elsewhere():
    """The control: in a process of the same account that is not confined, the same calls do what
    they say."""
    need_root()
    with World() as world:
        nobody = pwd.getpwnam("nobody")
        victim = world.spawn(["setpriv", "--reuid", nobody.pw_uid, "--regid", nobody.pw_gid,
                              "--clear-groups", "sleep", "600"])
        wait_until(lambda: "sleep" in pathlib.Path(f"/proc/{victim.pid}/comm").read_text(), "a victim")
        readable = world.directory / "readable"
        readable.write_text("x")
        assert opened(victim.pid, readable) >= 0
        for name, call in intrusions(os.getpid(), victim.pid).items():
            if name.startswith(("start", "become", "load", "mount", "signal", "hold")):
                continue  # They would change or end it, or need more than its account has.
            found = attempt(victim.pid, *call)
            assert found != "SIGSYS" and found != -errno.ENOSYS, (name, found)
        assert attempt(victim.pid, injected.GETUID) == nobody.pw_uid
        assert attempt(victim.pid, *intrusions(0, victim.pid)["connect to a neighbour"]) >= 0
        assert attempt(victim.pid, *intrusions(0, victim.pid)["become two"]) > 0


def an_intruder_in_the_intake_reads_nothing_and_is_ended():
    need_filters()
    with World() as world:
        world.start()
        found = processes(world)
        (world.directory / "readable").write_text("x")
        for path in (world.queue / "queue.db", world.config / "smtp_auth", world.config / "main.cf",
                     world.directory / "readable", "/etc/passwd", f"/proc/{found['courier']}/mem",
                     f"/proc/{found['master']}/environ", "/proc/self/maps"):
            assert opened(found["intake"], path) == -errno.EPERM, path
        assert opened(found["intake"], world.queue / "maildrop" / "new", os.O_CREAT | os.O_RDWR) < 0
        # It still serves: what was refused was not what it needs.
        world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], "Subject: x\n\nx\n")
        world.arrived(1)
        ended_by_each(world, "intake")


def an_intruder_in_the_courier_reaches_the_queue_and_nothing_else():
    need_filters()
    with World() as world:
        world.start()
        found = processes(world)
        readable = world.directory / "readable"
        readable.write_text("x")
        assert opened(found["courier"], world.queue / "queue.db", os.O_RDWR) >= 0
        if "this kernel does not offer Landlock" not in world.log():
            for path in (readable, "/usr/lib/os-release", world.config / "main.cf",
                         f"/proc/{found['master']}/status"):
                assert opened(found["courier"], path) == -errno.EACCES, path
        for path in (world.config / "smtp_auth", f"/proc/{found['intake']}/mem", "/etc/shadow"):
            assert opened(found["courier"], path) == -errno.EACCES, path
        ended_by_each(world, "courier")


def ended_by_each(world, name):
    """One intrusion for each life of a worker: it ends at once, the next one serves."""
    chosen = intrusions(world.daemon.pid, world.daemon.pid)
    if name == "courier":
        # It may connect, to the smarthost; a unix socket it is refused, and lives.
        del chosen["connect from a door"]
        refused = chosen.pop("connect to a neighbour")
        assert attempt(processes(world)[name], *refused) == -errno.EAFNOSUPPORT
    for what, call in chosen.items():
        # A worker that dies is started anew with growing delays; a whole new daemon is quicker.
        world.kill()
        world.start()
        found = processes(world)
        sibling = found["courier" if name == "intake" else "intake"]
        call = intrusions(world.daemon.pid, sibling)[what]
        assert attempt(found[name], *call) == "SIGSYS", what
        wait_until(lambda: processes(world)[name] != found[name], f"another {name} after: {what}",
                   log=world.log)
        assert processes(world)["courier" if name == "intake" else "intake"] == sibling, what
    assert f"process {name} pid" in world.log() and "killed by signal 31" in world.log()
    wait_until(lambda: world.sendmail(["-f", "ann@desk.example", "last@corp.example"],
                                      "Subject: x\n\nx\n", check=False).returncode == 0, "a new start")
    wait_until(lambda: any("last@corp.example" in mail.recipients for mail in world.mails()),
               "mail after all that", patience=90, log=world.log)


def another_user_reads_nothing():
    """L8, from outside: the store, the drop directory, the passwords, the processes."""
    need_root()
    with World(owner="daemon") as world:
        world.start()
        world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], "Subject: x\n\nx\n")
        world.arrived(1)
        found = processes(world)
        stranger = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        paths = [world.queue / name for name in ("queue.db", "queue.db-wal")]
        paths += [world.config / "smtp_auth", world.config / "smtp_auth.lmdb"]
        paths += [f"/proc/{pid}/{name}" for pid in found.values() for name in ("mem", "environ", "maps")]
        for path in paths:
            assert os.path.exists(path), path
            read = subprocess.run([*stranger, "head", "-c1", path], capture_output=True)
            assert read.returncode != 0 and not read.stdout, path
        for path in (world.queue / "maildrop", f"/proc/{found['courier']}/fd"):
            assert subprocess.run([*stranger, "ls", path], capture_output=True).returncode != 0, path
        # The controls: a stranger can read what is for all, and what is refused is there for root.
        assert subprocess.run([*stranger, "head", "-c1", world.config / "main.cf"],
                              capture_output=True).stdout
        assert (world.queue / "queue.db").read_bytes()


def root_is_led_nowhere_in_a_directory_of_strangers():
    """O8: a link in the place of what a tool writes as root, in a directory that another owns."""
    need_root()
    with World(owner="daemon") as world:
        hostile = world.directory / "hostile"
        hostile.mkdir(mode=0o777)
        hostile.chmod(0o777)
        os.chown(hostile, 65534, 65534)
        treasure = world.directory / "treasure"
        treasure.write_text("untouched")
        (hostile / "table").write_text("a b\n")
        os.chown(hostile / "table", 65534, 65534)
        for name in ("table.lmdb", "table.lmdb.tmp", "table.db", "main.cf", "DB_CONFIG"):
            os.symlink(treasure, hostile / name)
            os.chown(hostile / name, 65534, 65534, follow_symlinks=False)
        for words in (("postmap", f"hash:{hostile}/table"), ("postalias", f"hash:{hostile}/table"),
                      ("postmap", "-q", "a", f"hash:{hostile}/table"),
                      ("postconf", "-c", hostile, "-e", "myhostname=evil.example"),
                      ("postmap", "-c", hostile, "-q", "a", f"texthash:{hostile}/table")):
            world.command(*words, check=False, cwd=hostile)
            assert treasure.read_text() == "untouched", words
            state = treasure.stat()
            assert (state.st_uid, state.st_mode & 0o777) == (0, 0o644), words
        # The pid file lies in a directory of the owner's: not even the owner leads root elsewhere.
        (world.queue / "pid").mkdir(parents=True)
        os.symlink(treasure, world.queue / "pid" / "master.pid")
        for path in (world.queue, world.queue / "pid"):
            os.chown(path, pwd.getpwnam("daemon").pw_uid, pwd.getpwnam("daemon").pw_gid)
        daemon = world.start(wait=False)
        assert daemon.wait(timeout=30) != 0
        assert treasure.read_text() == "untouched"


if __name__ == "__main__":
    main(workers_have_no_privileges, the_master_keeps_little, nothing_is_root_under_systemd,
         a_keeper_opens_what_main_cf_names_and_nothing_else,
         no_process_can_gain_privileges_or_leave_a_core, descriptors_are_where_they_belong,
         a_password_is_in_no_memory_but_the_couriers, the_intruder_can_do_all_this_elsewhere,
         an_intruder_in_the_intake_reads_nothing_and_is_ended,
         an_intruder_in_the_courier_reaches_the_queue_and_nothing_else, another_user_reads_nothing,
         root_is_led_nowhere_in_a_directory_of_strangers)
