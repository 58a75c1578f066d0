#!/usr/bin/env python3
"""What each process of a running daemon still could do: its account, capabilities, descriptors."""

import os
import pathlib
import pwd
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from mailbench import BIN, Skip, World, main, wait_until


def processes(world):
    """The master, and its workers by name."""
    def both():
        found = {"master": world.daemon.pid}
        children = pathlib.Path(f"/proc/{world.daemon.pid}/task/{world.daemon.pid}/children")
        for pid in map(int, children.read_text().split()):
            name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            found[{"postrider-intak": "intake", "postrider-couri": "courier"}[name]] = pid
        return found if len(found) == 3 else None
    return wait_until(both, "two workers", log=world.log)


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


def is_sanitized():
    return b"__asan_init" in (BIN / "postriderd").read_bytes()


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
            if not is_sanitized():
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
                assert not remembers(pid, world.password.encode()), name


def remembers(pid, secret):
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(number, 16) for number in span.split("-"))
            if "w" not in rights or end - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                if secret in memory.read(end - start):
                    return True
            except (OSError, OverflowError):
                pass
    return False


if __name__ == "__main__":
    main(workers_have_no_privileges, the_master_keeps_little,
         no_process_can_gain_privileges_or_leave_a_core, descriptors_are_where_they_belong,
         a_password_is_in_no_memory_but_the_couriers)
