"""Debian's Postfix in the private root (tests/support/private_root), each in a mount namespace of
its own: as a smarthost for tests, and as the other side of measurements.

    with PrivateRoot(directory) as root:
        postfix = Postfix(root, directory, port, main_cf)
        postfix.start()

Only what is bound over the root changes: /etc/postfix, the spool, the log directory. The cached root
itself stays as it was made.
"""

import ctypes
import os
import pathlib
import shutil
import subprocess

from mailbench import ROOT, Skip, wait_until


def find_private_root(make=False, package=None):
    """Where it is, `package` under its /opt."""
    words = [ROOT / "tests" / "support" / "private_root"]
    words += ["--with", package] if package else [] if make else ["--have"]
    found = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE,
                           stderr=None if make else subprocess.PIPE, text=True)
    if found.returncode != 0:
        raise Skip((found.stderr or "no private root").strip().removeprefix("SKIPPED: "))
    if os.geteuid() != 0:
        raise Skip("a mount namespace of one's own needs root")
    return pathlib.Path(found.stdout.strip())


class PrivateRoot:
    """A view of the root in which `binds` (path inside: directory outside) have been laid over it."""

    def __init__(self, directory, binds, make=False):
        self.root = find_private_root(make)
        self.directory = pathlib.Path(directory)
        self.binds = binds
        self.processes = []

    def __enter__(self):
        script = ["set -e"]
        for inside, outside in {**self.binds, "/dev": "/dev"}.items():
            (self.root / inside.lstrip("/")).mkdir(parents=True, exist_ok=True)
            script.append(f"mount --bind '{outside}' '{self.root}{inside}'")
        script += [f"mount -t proc proc '{self.root}/proc'", "echo ready", "exec sleep infinity"]
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                                        "\n".join(script)], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, text=True, start_new_session=True)
        if self.holder.stdout.readline() != "ready\n":
            raise Skip("a mount namespace cannot be had here")
        self.namespace = os.open(f"/proc/{self.holder.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.holder.kill()
        self.holder.wait()
        os.close(self.namespace)

    def enter(self):
        """Moves the calling process in, for good."""
        if ctypes.CDLL(None, use_errno=True).setns(self.namespace, 0x00020000) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.chroot(self.root)
        os.chdir("/")

    def run(self, *words, check=True, timeout=300, **options):
        result = subprocess.run([str(word) for word in words], preexec_fn=self.enter, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                                **options)
        if check and result.returncode != 0:
            raise AssertionError(f"{words}: {result.returncode}\n{result.stdout}")
        return result.stdout

    def spawn(self, *words, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([str(word) for word in words], preexec_fn=self.enter,
                                   start_new_session=True, **options)
        self.processes.append(process)
        return process


SERVICES = """\
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n -  0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -  - trivial-rewrite
bounce    unix  - - n -  0 bounce
defer     unix  - - n -  0 bounce
trace     unix  - - n -  0 bounce
verify    unix  - - n -  1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -  - proxymap
smtp      unix  - - n -  - smtp
relay     unix  - - n -  - smtp
showq     unix  n - n -  - showq
error     unix  - - n -  - error
retry     unix  - - n -  - error
discard   unix  - - n -  - discard
local     unix  - n n -  - local
virtual   unix  - n n -  - virtual
anvil     unix  - - n -  1 anvil
scache    unix  - - n -  1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One instance. `listeners` are master.cf entries, such as `127.0.0.1:2525 inet n - n - - smtpd`."""

    def __init__(self, directory, listeners, main_cf, files=(), make=False):
        self.directory = pathlib.Path(directory)
        root = find_private_root(make)
        self.etc, self.spool, self.lib, self.logs = (
            self.directory / name for name in ("etc", "spool", "lib", "log"))
        for path in (self.etc, self.logs):
            path.mkdir(parents=True)
        subprocess.run(["cp", "-a", root / "var/spool/postfix", self.spool], check=True)
        subprocess.run(["cp", "-a", root / "var/lib/postfix", self.lib], check=True)
        for name in ("dynamicmaps.cf", "postfix-files"):
            for folder in ("etc/postfix", "usr/share/postfix"):
                if (root / folder / name).exists():
                    shutil.copy(root / folder / name, self.etc / name)
                    break
        (self.etc / "main.cf").write_text(main_cf)
        (self.etc / "master.cf").write_text("".join(f"{entry}\n" for entry in listeners) + SERVICES)
        for name, content in dict(files).items():
            (self.etc / name).parent.mkdir(exist_ok=True)
            (self.etc / name).write_text(content)
        self.root = PrivateRoot(directory, {
            "/etc/postfix": self.etc, "/var/spool/postfix": self.spool,
            "/var/lib/postfix": self.lib, "/var/log": self.logs}, make)
        self.process = None

    def __enter__(self):
        self.root.__enter__()
        return self

    def __exit__(self, *trouble):
        self.root.__exit__(*trouble)

    def launch(self):
        """Starts it and does not wait."""
        # Not `postfix start-fg`: there a shell stands between us and the process to be ended.
        with open(self.directory / "start.out", "w") as out:
            self.process = self.root.spawn("/usr/lib/postfix/sbin/master", "-s", stdout=out,
                                           stderr=out)

    def start(self):
        self.root.run("/usr/sbin/postfix", "check")
        self.launch()
        wait_until(lambda: "daemon started" in self.log() or self.process.poll() is not None,
                   "Postfix's start", log=self.log)
        if self.process.poll() is not None:
            raise AssertionError((self.directory / "start.out").read_text() + self.log())

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)

    @property
    def log_file(self):
        return self.logs / "mail.log"

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
