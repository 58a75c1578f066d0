"""Other queues from Debian's packages, to be held against ours: each unpacked in the private root and
run there with a mount namespace of its own. Configured as their guides and packages do it, with TLS
and an account at the smarthost; where the load needs more, it says so.
"""

import os
import pathlib
import shutil

from contestants import Contestant, debian_version, greets
from mailbench import free_port, wait_until
from private_postfix import PrivateRoot, find_private_root

ACCOUNT, PASSWORD = "user@gsuite.domain", "apppassword"


class Peer(Contestant):
    """A package's files under /opt, and over the root what `binds` names (inside: a directory's name).
    One that has a `daemon` takes mail at `port`."""
    comes_with_root = False
    daemon = ()
    process = None

    def __init__(self, directory, ca):
        root = find_private_root(package=None if self.comes_with_root else self.package)
        self.directory = pathlib.Path(directory) / self.name
        binds = {inside: self.directory / name for inside, name in self.binds.items()}
        for path in (*binds.values(), self.directory / "log"):
            path.mkdir(parents=True, exist_ok=True)
        self.etc, self.spool, self.log_file = (
            self.directory / name for name in ("etc", "spool", "log/mail.log"))
        self.version = debian_version(root / self.place.lstrip("/"), self.package)
        self.port, self.relay_port = free_port() if self.daemon else None, free_port()
        self._read = self._sent = 0
        self.root = PrivateRoot(self.directory, binds)
        self.root.__enter__()
        try:
            self.configure(ca)
            if self.daemon:
                self.launch()
        except BaseException:
            self.close()
            raise

    def launch(self):
        with open(self.directory / "out", "a") as out:
            self.process = self.root.spawn(*self.daemon, stdout=out, stderr=out)
        wait_until(lambda: greets(self.port), f"{self.name}'s start",
                   log=(self.directory / "out").read_text)

    def stop(self):
        """And waits for those of its processes that are no children of its daemon."""
        self.process.terminate()
        self.process.wait(timeout=30)
        wait_until(lambda: not self.inhabitants(), f"the end of {self.name}'s processes", 60)

    def inhabitants(self):
        """Who lives in the mount namespace, beside the one that holds it."""
        def namespace(pid):
            try:
                return os.readlink(f"/proc/{pid}/ns/mnt")
            except OSError:
                return None
        ours = namespace(self.root.holder.pid)
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit()
                and int(pid) != self.root.holder.pid and namespace(pid) == ours]

    def empty(self):
        self.stop()
        self.root.run("find", *self.queued, "-type", "f", "-delete")
        self.launch()

    def close(self):
        try:
            if self.process:
                self.stop()
        finally:
            self.root.__exit__(None, None, None)
            shutil.rmtree(self.directory, ignore_errors=True)

    def pid(self):
        return self.process.pid

    def pids(self):
        return super().pids() if self.process else []

    def enter(self):
        self.root.enter()


class Exim(Peer):
    """Each message has a process of its own, which tries to deliver it at once."""
    name, package, place = "Exim", "exim4-daemon-light", "/opt/exim"
    comes_with_root = True
    binds = {"/etc/exim4": "etc", "/var/spool/exim4": "spool", "/var/log": "log"}
    program = place + "/usr/sbin/exim4"
    daemon = (program, "-bdf", "-q30m")
    queued = ("/var/spool/exim4/input", "/var/spool/exim4/msglog", "/var/spool/exim4/db")
    delivered = rb" => "

    def configure(self, ca):
        (self.etc / "ca.pem").write_text(pathlib.Path(ca).read_text())
        # smtp_accept_max is 20 by itself, and the load has 50 sessions.
        (self.etc / "exim4.conf").write_text(f"""\
exim_path = {self.program}
primary_hostname = desk.example
local_interfaces = <; [127.0.0.1]:{self.port}
smtp_accept_max = 100
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim-%slog
host_lookup =
rfc1413_query_timeout = 0s
message_size_limit = 60000000
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept
begin acl
check_rcpt:
  accept hosts = : 127.0.0.1
  deny message = relay not permitted
begin routers
smarthost:
  driver = manualroute
  route_list = * localhost::{self.relay_port} byname
  transport = remote_smtp_smarthost
  self = send
begin transports
remote_smtp_smarthost:
  driver = smtp
  protocol = smtps
  allow_localhost
  hosts_require_auth = *
  tls_verify_certificates = /etc/exim4/ca.pem
  tls_verify_hosts = *
begin retry
* * F,2h,15m; G,16h,1h,1.5; F,4d,6h
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{ACCOUNT}^{PASSWORD}
""")
        self.log_file = self.directory / "log" / "exim-mainlog"
        self.root.run("chown", "-R", "Debian-exim", "/var/spool/exim4", "/var/log")

    def sendmail(self):
        return [self.program]

    def flush(self):
        self.root.spawn(self.program, "-qff")


class OpenSmtpd(Peer):
    name, package, place = "OpenSMTPD", "opensmtpd", "/opt/opensmtpd"
    binds = {"/etc/opensmtpd": "etc", "/var/spool/smtpd": "spool", "/run": "run",
             "/etc/ssl/certs": "authorities"}
    control = place + "/usr/sbin/smtpctl"
    # -d: in the foreground, and its log on standard error.
    daemon = (place + "/usr/sbin/smtpd", "-d", "-f", "/etc/opensmtpd/smtpd.conf")
    queued = ("/var/spool/smtpd/queue",)
    delivered = rb' mta delivery .* result="Ok"'

    def configure(self, ca):
        self.log_file = self.directory / "out"
        shutil.copy(ca, self.directory / "authorities" / "ca-certificates.crt")
        self.spool.chmod(0o711)
        (self.etc / "secrets").write_text(f"account {ACCOUNT}:{PASSWORD}\n")
        # A session may have 100 messages by itself, and some of the load's 50 come in long before others.
        (self.etc / "smtpd.conf").write_text(f"""\
smtp limit max-mails 10000
table secrets file:/etc/opensmtpd/secrets
listen on socket
listen on 127.0.0.1 port {self.port} hostname desk.example
action "relay" relay host smtps://account@localhost:{self.relay_port} auth <secrets>
match from local for any action "relay"
""")
        self.root.run("chown", "root:opensmtpd", "/etc/opensmtpd/secrets")
        self.root.run("chmod", "640", "/etc/opensmtpd/secrets")

    def sendmail(self):
        return [self.place + "/usr/sbin/sendmail"]

    def hold(self):
        # Once refused it waits a quarter of a minute, whatever it is told.
        self.root.run(self.control, "pause", "mta")

    def flush(self):
        self.root.run(self.control, "resume", "mta")


class Nullmailer(Peer):
    """`sendmail` stores by itself; what sends does not run here."""
    name, package, place = "nullmailer", "nullmailer", "/opt/nullmailer"
    binds = {"/etc/nullmailer": "etc", "/var/spool/nullmailer": "spool"}

    def configure(self, _):
        (self.etc / "remotes").write_text(f"localhost smtp --port={self.relay_port}\n")
        for name in ("queue", "tmp", "failed"):
            (self.spool / name).mkdir()
        os.mkfifo(self.spool / "trigger")
        self.root.run("chown", "-R", "mail", "/var/spool/nullmailer")

    def enter(self):
        super().enter()
        os.environ["NULLMAILER_QUEUE"] = self.place + "/usr/sbin/nullmailer-queue"

    def sendmail(self):
        # Its `sendmail` starts this, which it does not find where it lies here.
        return [self.place + "/usr/bin/nullmailer-inject"]


class Dma(Peer):
    """DragonFly's mail agent: its `sendmail` stores and syncs by itself, and there is no daemon."""
    name, package, place = "dma", "dma", "/opt/dma"
    binds = {"/etc/dma": "etc", "/var/spool/dma": "spool"}

    def configure(self, _):
        # DEFER: what is stored waits for `dma -q`.
        (self.etc / "dma.conf").write_text("SMARTHOST localhost\nPORT 1\nDEFER\nMAILNAME desk.example\n")
        (self.etc / "auth.conf").write_text("")
        self.spool.chmod(0o777)

    def sendmail(self):
        return [self.place + "/usr/sbin/dma"]


PEERS = {peer.name: peer for peer in (Exim, OpenSmtpd, Nullmailer, Dma)}
