"""Fresh Debian systems to install the package in: a root made by debootstrap once, a throw-away
layer over it for each test, and namespaces of its own, so that port 25 and process 1 are its own.

    with Debian([package]) as system:
        system.install(package)
        system.run("sendmail", "-f", "ann@desk.example", "bob@corp.example", input="...")
"""

import fcntl
import functools
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from mailbench import TESTS, Mail, Skip, World, wait_until

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "postrider"
MIRROR = os.environ.get("POSTRIDER_DEBIAN_MIRROR", "http://deb.debian.org/debian")
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", "HOME": "/root",
         "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def in_root(root, *words, timeout=900, **options):
    return subprocess.run(["chroot", str(root), *map(str, words)], check=True, env=QUIET, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                          stdin=subprocess.DEVNULL, **options).stdout


def base(name, *packages):
    """A cached root: Debian's smallest, and `packages`, whose daemons are not started."""
    if os.geteuid() != 0:
        raise Skip("a Debian of one's own needs root")
    if not shutil.which("debootstrap"):
        raise Skip("debootstrap is not installed")
    root = CACHE / f"package-{name}"
    root.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{root}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / ".complete").exists():
            print(f"        making {root}", flush=True)
            make_base(root, name, packages)
    return root


@functools.cache
def fetch(name, *packages_and_deb):
    """Downloads into the cached root what installing a package there takes, so that the systems over
    it need no network. Once in a run."""
    *packages, deb = packages_and_deb
    root = base(name, *packages)
    with open(f"{root}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.copy(deb, root / "var/tmp")
        in_root(root, "apt-get", "update")
        in_root(root, "apt-get", "install", "-y", "--download-only", f"/var/tmp/{deb.name}")
        if "postfix" in packages:
            in_root(root, "apt-get", "install", "-y", "--download-only", "--reinstall", "postfix")


def make_base(root, name, packages):
    part = pathlib.Path(f"{root}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
    if name == "minimal":
        with open(f"{root}.log", "w") as log:
            done = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", part, MIRROR],
                                  stdout=log, stderr=log, timeout=1200)
        if done.returncode != 0:
            raise Skip(f"debootstrap failed: see {root}.log")
    else:
        subprocess.run(["cp", "-a", base("minimal"), part], check=True)
        (part / ".complete").unlink()
        in_root(part, "apt-get", "update")
        (part / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (part / "usr/sbin/policy-rc.d").chmod(0o755)
        in_root(part, "apt-get", "install", "-y", "--no-install-recommends", *packages)
        (part / "usr/sbin/policy-rc.d").unlink()
    (part / ".complete").touch()
    part.rename(root)


INIT = """\
set -e
mount -t overlay overlay -o lowerdir={lower},upperdir={upper},workdir={work} {root}
mount -t proc proc {root}/proc
mount -t tmpfs tmpfs {root}/run
mount --rbind /dev {root}/dev
ip link set lo up
hostname desk
echo ready
while :; do sleep 600 & wait $!; done
"""


class Debian:
    """A running system: nothing of it is left afterwards."""

    def __init__(self, debs, name="minimal", *packages):
        self.lower = base(name, *packages)
        for deb in debs:
            fetch(name, *packages, deb)
        self.fetched = [deb.name for deb in debs]
        self.world = World()
        self.world.make_certificates()
        for part in ("upper", "work", "root"):
            (self.world.directory / part).mkdir()
        self.root = self.world.directory / "root"
        self.world.store.mkdir()

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.world.__exit__(None, None, None)
            raise
        return self

    def begin(self):
        script = INIT.format(lower=self.lower, upper=self.world.directory / "upper",
                             work=self.world.directory / "work", root=self.root)
        holder = self.world.spawn(["unshare", "--mount", "--propagation", "private", "--net", "--uts",
                                   "--ipc", "--pid", "--fork", "--kill-child", "sh", "-c", script],
                                  stdout=subprocess.PIPE, text=True)
        if holder.stdout.readline() != "ready\n":
            raise Skip("namespaces cannot be had here")
        children = pathlib.Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text()
        self.init = int(children.split()[0])
        # As seen from inside: the overlay is mounted in the namespace only.
        self.files = pathlib.Path(f"/proc/{self.init}/root{self.root}")
        self.write("etc/hosts", "127.0.0.1 localhost desk.example desk\n::1 localhost\n")
        self.write("etc/hostname", "desk\n")
        self.write("etc/mailname", "desk.example\n")
        # Without an init, Debian starts services only where this says so.
        self.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", 0o755)

    def __exit__(self, *trouble):
        self.world.__exit__(*trouble)

    def write(self, path, text, mode=0o644):
        file = self.files / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def read(self, path):
        return (self.files / path).read_text(errors="replace")

    def inside(self, *words):
        return ["nsenter", "-t", str(self.init), "--mount", "--uts", "--ipc", "--pid", "--net",
                "chroot", str(self.root), *map(str, words)]

    def run(self, *words, check=True, timeout=300, **options):
        options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
        result = subprocess.run(self.inside(*words), env=QUIET, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                                **options)
        if check and result.returncode != 0:
            raise AssertionError(f"{words}: {result.returncode}\n{result.stdout}")
        return result.stdout

    def install(self, package):
        """With apt-get, as an administrator would. Returns what was said."""
        if package.name not in self.fetched:
            raise AssertionError(f"{package.name} is none of {self.fetched}")
        return self.run("apt-get", "install", "-y", f"/var/tmp/{package.name}")

    # The smarthost, in the same network.

    relayhost = "[localhost]:4650"

    def start_smarthost(self):
        words = [TESTS / "smarthost", "--port", 4650, "--store", self.world.store, "--implicit-tls",
                 "--cert", self.world.certificate, "--key", self.world.key, "--users",
                 "user@gsuite.domain:apppassword"]
        self.smarthost = self.world.spawn(["nsenter", "-t", self.init, "--net", *words])
        wait_until(lambda: ":122A 00000000:0000 0A" in pathlib.Path(f"/proc/{self.init}/net/tcp").read_text(),
                   "a smarthost on port 4650")

    def mails(self):
        return [Mail(path) for path in sorted(self.world.store.glob("*.eml"))]

    def arrived(self, count):
        wait_until(lambda: len(self.mails()) >= count, f"the arrival of {count} messages",
                   log=lambda: self.run("mailq", check=False) + self.log())
        return self.mails()

    def log(self):
        path = self.files / "var/spool/postrider/mail.log"
        return path.read_text(errors="replace") if path.exists() else ""


class Booted(Debian):
    """One with systemd as its process 1, started by systemd-nspawn."""

    def __init__(self, debs):
        if not shutil.which("systemd-nspawn"):
            raise Skip("systemd-nspawn (package systemd-container) is not installed")
        super().__init__(debs, "systemd", "systemd", "systemd-sysv", "dbus")

    def begin(self):
        for part in ("upper", "root"):
            shutil.rmtree(self.world.directory / part, ignore_errors=True)
        subprocess.run(["cp", "-a", self.lower, self.root], check=True)
        self.machine = f"postrider-test-{os.getpid()}"
        holder = self.world.spawn(
            ["systemd-nspawn", "--quiet", "--directory", self.root, "--boot", "--register=no",
             "--keep-unit", "--private-network", "--machine", self.machine,
             # What this version of it does not know to be harmless.
             "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self"],
            stdout=open(self.world.directory / "console", "w"), stderr=subprocess.STDOUT)

        console = lambda: (self.world.directory / "console").read_text(errors="replace")

        def init():
            if holder.poll() is not None:
                raise Skip("systemd-nspawn does not work here: " + console()[-300:])
            for pid in pathlib.Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split():
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return int(pid)
            return None
        self.init = wait_until(init, "systemd's start", log=console)
        self.files = pathlib.Path(f"/proc/{self.init}/root")
        wait_until(lambda: self.run("systemctl", "is-system-running", check=False).strip()
                   in ("running", "degraded"), "the end of the boot", log=console)
        self.write("etc/mailname", "desk.example\n")

    def inside(self, *words):
        return ["nsenter", "-t", str(self.init), "--mount", "--uts", "--ipc", "--pid", "--net",
                "--root", "--wd", "--cgroup", *map(str, words)]

    def log(self):
        return self.run("journalctl", "-u", "postrider", "--no-pager", check=False)
