"""A small world for end-to-end tests: a scratch queue, a daemon, a scripted smarthost.

    with World() as world:
        world.start()
        world.sendmail(["bob@corp.example"], "Subject: hi\n\nhello\n")
        [mail] = world.arrived(1)

Everything lives below one temporary directory and on loopback; every process started here is ended
here, by its pid. Waits are bounded and fail with the log.
"""

import atexit
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("POSTRIDER_BIN", ROOT / "build" / "bin"))
TESTS = pathlib.Path(os.environ.get("POSTRIDER_TESTS", ROOT / "build" / "tests"))
PATIENCE = 30


# Of programs that were built with sanitizers: what any of them finds, in whichever process, stands in
# a file there, and its status is this one.
REPORTS = pathlib.Path(tempfile.mkdtemp(prefix="postrider-reports-"))
REPORTS.chmod(0o1777)
atexit.register(shutil.rmtree, REPORTS, ignore_errors=True)
_options = f"log_path={REPORTS}/report:exitcode=86:print_stacktrace=1"
# What is preloaded comes before its library: it hands on what it does not change (faults.c). Beside it
# the sanitizer of undefined behaviour knows no file: it aborts, which the other one reports.
os.environ["ASAN_OPTIONS"] = _options + ":verify_asan_link_order=0:handle_abort=1"
os.environ["UBSAN_OPTIONS"] = _options + ":abort_on_error=1"
os.environ["TSAN_OPTIONS"] = _options


def sanitizer():
    """By which the programs were built: `address`, `thread`, or none."""
    program = (BIN / "postriderd").read_bytes() if (BIN / "postriderd").exists() else b""
    return "address" if b"__asan_init" in program else "thread" if b"__tsan_init" in program else None


#: What tests wait for may take so many times as long.
SLOWNESS = 4 if sanitizer() else 1


def take_reports():
    """What sanitizers have reported since they were asked last."""
    found = []
    for path in sorted(REPORTS.iterdir()):
        text = path.read_text(errors="replace")
        if text.strip():  # An empty one is that of a process that may have something to say yet.
            found.append(text)
            path.unlink()
    return found


def check_measure(holds, what):
    """Asserts what is a matter of time, of processor or of memory."""
    if sanitizer():
        print(f"SKIPPED measure: {what}: sanitizers take time and memory of their own", flush=True)
    else:
        assert holds, what


class Skip(Exception):
    """A facility is missing: the test says so loudly and does not pass."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, patience=PATIENCE, log=lambda: ""):
    patience *= SLOWNESS
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {patience:.0f} s\n{log()}")


class Mail:
    """What the smarthost stored of one message: envelope and content."""

    def __init__(self, path):
        raw = path.read_bytes()
        head, _, self.content = raw.partition(b"\n\n")
        fields = [line.split(" ", 1) for line in head.decode("utf-8", "replace").split("\n")]
        self.sender = next((rest for name, rest in fields if name == "MAIL"), "")
        self.recipients = [rest for name, rest in fields if name == "RCPT"]

    @property
    def header(self):
        return self.content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")

    @property
    def body(self):
        return self.content.partition(b"\r\n\r\n")[2]


class World:
    host = "localhost"

    def __init__(self, main_cf="", owner=None, wrappermode=True, smarthost_options=(), script="",
                 password="apppassword", relay=True):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="postrider-test-"))
        os.chmod(self.directory, 0o755)
        self.processes = []
        self.extra = main_cf
        self.owner = owner or ("nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
        self.password = password
        self.wrappermode = wrappermode
        self.smarthost_options = list(smarthost_options)
        self.script = script
        self.relay = relay
        self.smtp_port = free_port()
        self.relay_port = free_port()
        self.config = self.directory / "etc"
        self.queue = self.directory / "queue"
        self.store = self.directory / "store"
        self.log_file = self.directory / "mail.log"
        self.transcript = self.directory / "transcript"
        self.console = self.directory / "console"
        self.daemon = None
        self.daemon_environment = {}
        self.smarthost = None

    # Set-up -----------------------------------------------------------------------------------

    def __enter__(self):
        for path in (self.config, self.store):
            path.mkdir()
        self.make_certificates()
        self.write_config()
        if self.relay:
            self.start_smarthost()
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and self.log_file.exists():
            sys.stderr.write(self.log())
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=60 * SLOWNESS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        said = self.console.read_text(errors="replace") if self.console.exists() else ""
        if not os.environ.get("POSTRIDER_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)
        if kind is not None:
            sys.stderr.write(said)
        else:
            # What a process says that falls over its own feet, whatever else went well.
            assert not re.search(r"terminate called|virtual method|Sanitizer|runtime error:|panic:", said), said

    def make_certificates(self):
        tls = self.directory / "tls"
        tls.mkdir()
        self.ca, self.certificate, self.key = tls / "ca.pem", tls / "server.pem", tls / "server.key"
        run = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True,
                                            capture_output=True, cwd=tls)
        ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        run("req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30000", "-subj",
            "/O=Test/CN=Test CA")
        run("req", *ec, "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={self.host}")
        (tls / "ext").write_text(f"subjectAltName=DNS:{self.host}\nextendedKeyUsage=serverAuth\n")
        run("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "30000", "-extfile", "ext", "-out", "server.pem")

    @property
    def relayhost(self):
        return f"[{self.host}]:{self.relay_port}"

    def write_config(self):
        wrapper = "smtp_tls_wrappermode = yes\n" if self.wrappermode else ""
        (self.config / "main.cf").write_text(f"""\
compatibility_level = 3.6
myhostname = desk.example
mail_owner = {self.owner}
queue_directory = {self.queue}
maillog_file = {self.log_file}
maillog_file_prefixes = /
smtpd_listen = 127.0.0.1:{self.smtp_port}
relayhost = {self.relayhost}
smtp_host_lookup = native
{wrapper}smtp_tls_security_level = verify
smtp_tls_CAfile = {self.ca}
smtp_tls_loglevel = 1
smtp_sasl_auth_enable = yes
smtp_sasl_mechanism_filter = plain
smtp_sasl_security_options = noanonymous
smtp_sasl_password_maps = hash:{self.config}/smtp_auth
alias_maps = 
{self.extra}
""")
        source = self.config / "smtp_auth"
        source.write_text(f"{self.relayhost} user@gsuite.domain:{self.password}\n")
        source.chmod(0o600)
        self.command("postmap", f"hash:{source}")

    def tell_alerts(self):
        """Names an alert_command; returns a function for what it has been told: (state, account, reason)."""
        told = self.directory / "told"
        told.mkdir()
        told.chmod(0o777)
        program = self.directory / "alert"
        program.write_text(f'#!/bin/sh\necho "$1|$2|$3" >> {told}/lines\n')
        program.chmod(0o755)
        with open(self.config / "main.cf", "a") as main_cf:
            main_cf.write(f"alert_command = {program}\n")
        lines = told / "lines"
        return lambda: [tuple(line.split("|")) for line in lines.read_text().splitlines()] if lines.exists() else []

    # Processes --------------------------------------------------------------------------------

    def start_smarthost(self):
        command = [TESTS / "smarthost", "--port", self.relay_port, "--store", self.store,
                   "--cert", self.certificate, "--key", self.key,
                   "--users", "user@gsuite.domain:apppassword", "--transcript", self.transcript]
        if self.wrappermode:
            command.append("--implicit-tls")
        if self.script:
            path = self.directory / "script"
            path.write_text(self.script)
            command += ["--script", path]
        self.smarthost = self.spawn([*command, *self.smarthost_options])
        self.wait_for_port(self.relay_port)
        return self.smarthost

    def change_smarthost(self, script=None, options=None):
        """Ends the smarthost and starts another in its place, which does as it is told now."""
        self.stop(self.smarthost)
        self.script = self.script if script is None else script
        self.smarthost_options = self.smarthost_options if options is None else list(options)
        return self.start_smarthost()

    def start(self, wait=True, prefix=()):
        """`prefix` is a command that starts the daemon in its place, such as prlimit."""
        started = self.log().count("daemon started")
        with open(self.console, "ab") as console:
            self.daemon = self.spawn([*prefix, BIN / "postriderd", "-c", self.config], stderr=console,
                                     env={**os.environ, **self.daemon_environment})
        if wait:
            wait_until(lambda: self.log().count("daemon started") > started or self.daemon.poll() is not None,
                       "the daemon's start", log=self.log)
            assert self.daemon.poll() is None, "the daemon ended at once\n" + self.log()
        return self.daemon

    def stop(self, process=None):
        process = process or self.daemon
        process.terminate()
        return process.wait(timeout=60 * SLOWNESS)

    def kill(self):
        """As a crash would: the whole group at once, without a word."""
        os.killpg(self.daemon.pid, signal.SIGKILL)
        self.daemon.wait()

    def spawn(self, command, **options):
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                   start_new_session=True, **options)
        self.processes.append(process)
        return process

    def wait_for_port(self, port):
        def answers():
            with socket.socket() as probe:
                probe.settimeout(0.2)
                return probe.connect_ex(("127.0.0.1", port)) == 0
        wait_until(answers, f"a listener on port {port}", log=self.log)

    # What a user does -------------------------------------------------------------------------

    def command(self, name, *arguments, check=True, text=True, **options):
        """Runs a program of ours with this configuration and returns what it said."""
        path = BIN / name
        result = subprocess.run([str(path), *map(str, arguments)], capture_output=True, text=text,
                                timeout=60 * SLOWNESS, env={**os.environ, "MAIL_CONFIG": str(self.config)},
                                **options)
        if check:
            assert result.returncode == 0, f"{name} {arguments}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result

    def sendmail(self, arguments, message, check=True):
        if isinstance(message, str):
            message = message.encode()
        return self.command("sendmail", *arguments, check=check, text=False, input=message)

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def wait_log(self, pattern, count=1, patience=PATIENCE):
        """Waits until that many lines match, and returns the matches."""
        return wait_until(lambda: (found := re.findall(pattern, self.log(), re.M)) and
                          len(found) >= count and found,
                          f"{count} × /{pattern}/ in the log", patience, self.log)

    def dialogue(self):
        """What the smarthost heard and said: lines `SESSION C: ...`, `SESSION S: ...`."""
        return self.transcript.read_text(errors="replace") if self.transcript.exists() else ""

    def drained(self, patience=PATIENCE):
        """Waits until the queue is empty."""
        wait_until(lambda: not self.queued(), "an empty queue", patience, self.log)

    def mails(self):
        return [Mail(path) for path in sorted(self.store.glob("*.eml"))]

    def arrived(self, count, patience=PATIENCE):
        wait_until(lambda: len(list(self.store.glob("*.eml"))) >= count,
                   f"the arrival of {count} messages", patience, self.log)
        return self.mails()

    def queued(self):
        import json
        output = self.command("postqueue", "-j").stdout
        return [json.loads(line) for line in output.splitlines()]


def main(*tests):
    """Runs the functions given, one after another, and says how each ended."""
    failed = 0
    skipped = 0
    chosen = sys.argv[1:]
    for test in tests:
        name = test.__name__.replace("_", " ")
        if chosen and test.__name__ not in chosen:
            continue
        begun = time.monotonic()
        try:
            test()
            reports = take_reports()
            assert not reports, "a sanitizer has reported:\n" + "\n".join(reports)
            print(f"ok      {name} ({time.monotonic() - begun:.1f} s)", flush=True)
        except Skip as reason:
            skipped += 1
            print(f"SKIPPED {name}: {reason}", flush=True)
        except Exception as trouble:  # A failed assertion, or the harness itself.
            failed += 1
            import traceback
            traceback.print_exc()
            print(*take_reports(), sep="\n", file=sys.stderr)
            print(f"FAILED  {name}: {type(trouble).__name__}", flush=True)
    sys.exit(1 if failed else 77 if skipped and skipped == len(tests) else 0)
