"""The two queues under measurement, with one face: ours, and Debian's Postfix in a private root.

Both have the configuration that guides for "local queue and authenticated smarthost" give, the same
relayhost, account and log level, and keep their queue on the same file system. Others: peers.py.
"""

import contextlib
import gzip
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "support"))
from mailbench import BIN, TESTS, World, free_port, wait_until
from measures import cpu_seconds, pss
from private_postfix import Postfix, PrivateRoot

HEADER_CHECKS = r"/^Received:.*\(Authenticated sender:/ IGNORE" + "\n"


def guide(relayhost, ca, etc):
    """What the guides have in common, beyond what the two need for themselves."""
    return f"""\
compatibility_level = 3.6
myhostname = desk.example
mydestination =
alias_maps =
alias_database =
relayhost = {relayhost}
smtp_host_lookup = native
smtp_tls_wrappermode = yes
smtp_tls_security_level = verify
smtp_tls_mandatory_protocols = >=TLSv1.2
smtp_tls_CAfile = {ca}
smtp_tls_loglevel = 2
smtp_sasl_auth_enable = yes
smtp_sasl_mechanism_filter = plain
smtp_sasl_security_options = noanonymous
smtp_sasl_password_maps = hash:{etc}/smtp_auth
header_checks = regexp:{etc}/header_checks
message_size_limit = 60000000
mailbox_size_limit = 0
"""


@contextlib.contextmanager
def slow_syncs(counter, milliseconds):
    """What is started meanwhile has a slow disk, unless `milliseconds` is None."""
    if milliseconds is None:
        yield
        return
    counter.write_bytes(bytes(8))
    changes = {"LD_PRELOAD": str(TESTS.parent / "bench" / "slow_sync.so"),
               "SLOW_SYNC_MS": str(milliseconds), "SLOW_SYNC_COUNT": str(counter)}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in changes:
            del os.environ[name]


class Contestant:
    """A queue whose smarthost may be there or not."""
    version = None  # Of other people's.
    delivered = rb" status=sent "

    def sent(self):
        """How many deliveries the log tells of, read on from the last call."""
        with open(self.log_file, "rb") as log:
            log.seek(self._read)
            text = log.read()
        text = text[:text.rfind(b"\n") + 1]
        self._read += len(text)
        self._sent += len(re.findall(self.delivered, text))
        return self._sent

    def memory(self):
        """PSS of all its processes together, in bytes."""
        return pss(self.pids())

    def cpu_seconds(self):
        """Of all its processes so far, those that have ended included."""
        return cpu_seconds(self.pids())

    def restart(self, meanwhile=lambda: None, end=None):
        """Seconds from the start until a client is greeted, after an orderly stop or another `end`."""
        (end or self.stop)()
        meanwhile()
        begun = time.monotonic()
        self.launch()
        while not greets(self.port):
            assert time.monotonic() < begun + 300, f"{self.name} greets nobody\n{open(self.log_file).read()[-2000:]}"
            time.sleep(0.005)
        return time.monotonic() - begun

    def first_line_of_mailq(self):
        """Seconds until it is printed."""
        begun = time.monotonic()
        process = self.spawn_mailq()
        process.stdout.readline()
        seconds = time.monotonic() - begun
        process.kill()
        process.wait()
        return seconds

    def empty(self):
        """Removes what is queued."""
        self.queue_command("postsuper", "-d", "ALL")

    def hold(self):
        """Called before mail comes that is to wait for the smarthost."""

    def flush(self):
        """Makes it try all at once that is queued."""
        self.queue_command("postqueue", "-f")

    def pids(self):
        parents = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                stat = open(f"/proc/{entry}/stat").read()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
        found, left = [], [self.pid()]
        while left:
            found.append(left.pop())
            left += parents.get(found[-1], [])
        return found


class Ours(Contestant):
    name = "postrider"

    def __init__(self, slow_sync_ms=None):
        self.world = World(relay=False)
        self.world.__enter__()
        world = self.world
        own = f"""\
mail_owner = {world.owner}
queue_directory = {world.queue}
maillog_file = {world.log_file}
maillog_file_prefixes = /
smtpd_listen = 127.0.0.1:{world.smtp_port}
"""
        (world.config / "main.cf").write_text(own + guide(world.relayhost, world.ca, world.config))
        (world.config / "header_checks").write_text(HEADER_CHECKS)
        self.port, self.relay_port, self.log_file = world.smtp_port, world.relay_port, world.log_file
        self._read = self._sent = 0
        with slow_syncs(world.directory / "syncs", slow_sync_ms):
            world.start()

    def stop(self):
        self.world.stop()

    def crash(self):
        self.world.kill()

    def launch(self):
        self.world.start(wait=False)

    def fill(self, count):
        """So many deferred messages, while it does not run."""
        subprocess.run([str(TESTS.parent / "bench" / "store"), "fill", str(self.world.queue), str(count)],
                       check=True, user=self.world.owner, stdout=subprocess.DEVNULL)

    def spawn_mailq(self):
        return subprocess.Popen([str(BIN / "postqueue"), "-c", str(self.world.config), "-p"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def slow_syncs(self):
        return int.from_bytes((self.world.directory / "syncs").read_bytes(), sys.byteorder)

    def close(self):
        self.world.stop()
        self.world.__exit__(None, None, None)

    def pid(self):
        return self.world.daemon.pid

    def enter(self):
        """What the measuring child must do to reach sendmail."""

    def sendmail(self):
        return [str(BIN / "sendmail"), "-C", str(self.world.config)]

    def queue_command(self, *words):
        return self.world.command(words[0], "-c", self.world.config, *words[1:]).stdout


class Theirs(Contestant):
    name = "Postfix"

    def __init__(self, ca):
        self.port, self.relay_port = free_port(), free_port()
        self.directory = World(relay=False).directory
        relayhost = f"[localhost]:{self.relay_port}"
        # Dovecot, lmdb and the like are not needed: texthash reads what hash: of ours reads.
        main_cf = guide(relayhost, "/etc/postfix/ca.pem", "/etc/postfix") + """\
maillog_file = /var/log/mail.log
inet_interfaces = loopback-only
mynetworks = 127.0.0.0/8
"""
        self.postfix = Postfix(
            self.directory / "postfix", [f"127.0.0.1:{self.port} inet n - n - - smtpd"], main_cf,
            {"ca.pem": pathlib.Path(ca).read_text(), "header_checks": HEADER_CHECKS,
             "smtp_auth": f"{relayhost} user@gsuite.domain:apppassword\n"})
        self.postfix.__enter__()
        self.postfix.root.run("/usr/sbin/postmap", "hash:/etc/postfix/smtp_auth")
        self.log_file = self.postfix.log_file
        self.version = debian_version(self.postfix.root.root, "postfix")
        self._read = self._sent = 0
        self.postfix.start()
        wait_until(lambda: len(self.pids()) >= 3, "Postfix's processes")

    def close(self):
        self.postfix.stop()
        self.postfix.__exit__(None, None, None)
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop(self):
        self.postfix.stop()

    def launch(self):
        self.postfix.launch()

    def spawn_mailq(self):
        return self.postfix.root.spawn("/usr/sbin/postqueue", "-p", stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)

    def pid(self):
        return self.postfix.process.pid

    def enter(self):
        self.postfix.root.enter()

    def sendmail(self):
        return ["/usr/sbin/sendmail"]

    def queue_command(self, *words):
        return self.postfix.root.run(f"/usr/sbin/{words[0]}", *words[1:])


class Sink(Contestant):
    """smtp-sink: takes mail and stores nothing. What a queue could at best take in."""
    name, version = "smtp-sink", None

    def __init__(self, root):
        self.port = free_port()
        self.process = root.spawn("/usr/sbin/smtp-sink", "-u", "postfix", f"127.0.0.1:{self.port}", "4096")
        wait_until(lambda: listens(self.port), "smtp-sink's start")

    def empty(self):
        pass

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=10)


def debian_version(root, package):
    """Of the package whose files are under `root`."""
    with gzip.open(root / "usr/share/doc" / package / "changelog.Debian.gz", "rt") as changelog:
        return changelog.readline().split("(")[1].split(")")[0]


def greets(port):
    with socket.socket() as client:
        client.settimeout(60)
        try:
            client.connect(("127.0.0.1", port))
            return client.recv(4) == b"220 "
        except OSError:
            return False


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
