"""What breaks things from outside: failing calls, a false clock, file systems of our own, kills."""

import ctypes
import errno
import mmap
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

from mailbench import Skip, World, sanitizer, wait_until

LONG = bool(os.environ.get("POSTRIDER_LONG"))
FOR_EVER = 1 << 62
LIE, SHORT = -1, -2  # See faults.c.
#: A daemon that tries again soon, so that a test need not wait.
QUICK = "minimal_backoff_time = 1s\nmaximal_backoff_time = 2s\nqueue_run_delay = 1s\n"


class Call(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("count", "first", "end", "error", "delay_us")]

    def fail(self, error=errno.EIO, after=0, times=FOR_EVER):
        """The call `after` so many more fails, and so on for `times`."""
        self.error = error
        self.first = self.count + after
        self.end = min(self.first + times, FOR_EVER)

    def heal(self):
        self.end = 0


class Page(ctypes.Structure):
    _fields_ = [(name, Call) for name in ("sync", "write", "truncate", "allocate", "memory")] + [("clock_offset_ns", ctypes.c_int64)]

    def move_clock(self, seconds):
        self.clock_offset_ns = int(seconds * 1000000000)


def need(*programs, root=True):
    if root and os.geteuid() != 0:
        raise Skip("needs root")
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"needs {program}")


def start_as_its_owner(world):
    """A user's own queue: nothing of it is root's, and no keeper helps it."""
    need("setpriv")
    world.log_file.touch()
    world.queue.mkdir(exist_ok=True)
    for path in [world.directory, *world.directory.rglob("*")]:
        shutil.chown(path, world.owner, world.owner)
    world.start(prefix=["setpriv", f"--reuid={world.owner}", f"--regid={world.owner}", "--clear-groups"])


def tool(world, source, *options):
    """A C file beside this one, compiled once for each world."""
    need("cc", root=False)
    made = world.directory / source.replace(".c", "")
    if not made.exists():
        subprocess.run(["cc", "-O1", *options, "-o", made, pathlib.Path(__file__).with_name(source)], check=True)
    return made


class FaultyWorld(World):
    """A world whose daemon asks a page of ours, `faults`, before each sync, write, allocation, and
    for the time of day."""

    def __enter__(self):
        library, page = tool(self, "faults.c", "-shared", "-fPIC", "-fexceptions"), self.directory / "faults.page"
        page.write_bytes(bytes(mmap.PAGESIZE))
        page.chmod(0o666)
        with open(page, "r+b") as file:
            self.mapping = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.faults = Page.from_buffer(self.mapping)
        self.daemon_environment = {"LD_PRELOAD": str(library), "POSTRIDER_FAULTS": str(page)}
        return super().__enter__()


def workers(world):
    """The pids of the workers by name."""
    listed = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(world.daemon.pid)], capture_output=True, text=True)
    names = {"postrider-couri": "courier", "postrider-intak": "intake"}
    rows = [line.split(None, 1) for line in listed.stdout.splitlines()]
    return {names[name.strip()]: int(pid) for pid, name in rows if name.strip() in names}


def worker(world, name):
    return wait_until(lambda: workers(world).get(name), f"a running {name}", log=world.log)


def processor_time(pid):
    """Seconds used by a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def limit(world, pid, resource, value):
    """Sets the soft limit of a worker, as its own account: root may lack the capability."""
    need("prlimit")
    if resource == "nofile" and sanitizer() == "address":
        raise Skip("the undefined-behaviour sanitizer needs descriptors to look at objects")
    subprocess.run(["prlimit", f"--pid={pid}", f"--{resource}={value}:"], check=True, user=world.owner,
                   group=pwd.getpwnam(world.owner).pw_gid, extra_groups=[])


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def thread_of(world, victim):
    if victim == "master":
        return world.daemon.pid
    pid = worker(world, "intake" if victim == "intake" else "courier")
    if victim != "storage":
        return pid
    threads = sorted(int(path.name) for path in pathlib.Path(f"/proc/{pid}/task").iterdir())
    assert len(threads) == 2, threads
    return threads[1]


class Sniper:
    """Kills a thread's process at the thread's n-th system call from now on."""

    def __init__(self, world, thread, n):
        self.process = world.spawn([tool(world, "kill_at.c"), thread, n], stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        assert first == "attached\n", first

    def has_shot(self):
        return self.process.poll() == 0

    def is_over(self):
        return self.process.poll() is not None

    def end(self):
        self.process.terminate()
        self.process.wait()


def give_to_owner(world):
    """A file system's own root directory would be taken for a stranger's."""
    shutil.chown(world.queue, world.owner)
    os.chmod(world.queue, 0o755)


class MemoryFileSystem:
    """A tmpfs where the world's queue is."""

    def __init__(self, world, options):
        need("mount")
        self.world, self.options = world, options

    def __enter__(self):
        self.world.queue.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", self.options, "tmpfs", self.world.queue], check=True)
        give_to_owner(self.world)
        return self

    def __exit__(self, kind, value, trace):
        subprocess.run(["umount", "-l", self.world.queue], check=True)


class FileSystem:
    """A file system of its own in an image file, mounted where the world's queue is."""

    def __init__(self, world, megabytes, options="", kind="ext4"):
        need("mount", f"mkfs.{kind}")
        if kind not in pathlib.Path("/proc/filesystems").read_text().split():
            raise Skip(f"this kernel does not know {kind}")
        self.world = world
        self.options = options
        self.image = world.directory / "disk.img"
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        on_error = ["-e", "remount-ro"] if kind == "ext4" else []
        subprocess.run([f"mkfs.{kind}", "-q", *on_error, self.image], check=True, capture_output=True)

    def __enter__(self):
        self.world.queue.mkdir(exist_ok=True)
        self.mount()
        return self

    def __exit__(self, kind, value, trace):
        self.detach()

    def mount(self):
        options = ",".join(["loop", self.options]).rstrip(",")
        done = subprocess.run(["mount", "-o", options, self.image, self.world.queue], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skip(f"no loop mounts here: {done.stderr.strip()}")
        give_to_owner(self.world)

    def force_read_only(self):
        """As ext4 does it after an error, with files open for writing."""
        device = subprocess.run(["findmnt", "-no", "SOURCE", self.world.queue], check=True, capture_output=True, text=True)
        switch = pathlib.Path("/sys/fs/ext4") / pathlib.Path(device.stdout.strip()).name / "trigger_fs_error"
        if not switch.exists():
            raise Skip("this kernel cannot be told to find an error in ext4")
        switch.write_text("a test")

    def detach(self):
        subprocess.run(["umount", "-l", self.world.queue], check=True)

    def unmount(self):
        """Killed processes hold their files until they have ended, and with them the file system."""
        self.detach()
        wait_until(lambda: not subprocess.run(["losetup", "-j", self.image], check=True, capture_output=True).stdout,
                   "the end of all that used the file system", log=self.world.log)

    def copy_as_cut(self):
        """The blocks that have reached the device, and none that wait in memory for a sync."""
        copy = self.image.with_suffix(".cut")
        subprocess.run(["cp", "--sparse=always", self.image, copy], check=True)
        return copy

    def replace(self, copy):
        self.unmount()
        copy.rename(self.image)
        self.mount()


def free_bytes(path):
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize


def fill(world, leave=0):
    """Takes all room but `leave` bytes, as the queue's owner; the file that holds it. What is kept for
    root stays."""
    ballast = world.queue / "ballast"
    size = max(0, free_bytes(world.queue) - leave) + (ballast.stat().st_size if ballast.exists() else 0)
    rest = "" if leave else "".join(f"; dd if=/dev/zero of={ballast} bs={size} oflag=append conv=notrunc" for size in ("64k", "1k"))
    subprocess.run(["sh", "-c", f"fallocate -l {size} {ballast} || fallocate -l {int(size * 0.99)} {ballast}{rest}"],
                   user=world.owner, capture_output=True)
    for _ in range(5):  # What btrfs gives back it has a moment later. Much more is kept by a quota.
        if leave or not 8192 <= free_bytes(world.queue) < 32 << 20:
            break
        subprocess.run(["sh", "-c", f"sync -f {world.queue}{rest}"], user=world.owner, capture_output=True)
    return ballast


def settled_soon(condition, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
