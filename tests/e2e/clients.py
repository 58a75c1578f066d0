#!/usr/bin/env python3
"""Real mail programs hand mail over, as they are installed: by /usr/sbin/sendmail and by SMTP.

Programs that have /usr/sbin/sendmail compiled in see it in a mount namespace of their own, where
the test's configuration is /etc/postrider. That needs root.
"""

import email
import email.policy
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import BIN, TESTS, Skip, World, main, wait_until

SENDER, TO, BCC = "ann@desk.example", "bob@corp.example", "hidden@corp.example"
BODY = "Grüße aus Köln\n.\n..two dots\nFrom the start of a line\n" + "long " * 600 + "\nlast line\n"

NAMESPACE = r"""
set -e
mount --make-rprivate /
world=$1; shift
for name in sbin etc; do
    case $name in sbin) over=/usr/sbin ;; etc) over=/etc ;; esac
    mkdir -p "$world/over/$name/work"
    mount -t overlay overlay -o "lowerdir=$over,upperdir=$world/over/$name/upper,workdir=$world/over/$name/work" "$over"
done
mount -t tmpfs tmpfs /run
exec "$@"
"""


class Machine(World):
    """A world whose commands run where we are the installed mail system."""

    def __init__(self, main_cf="", **options):
        if os.geteuid() != 0:
            raise Skip("needs root, for a namespace in which /usr/sbin/sendmail is ours")
        super().__init__(main_cf, **options)
        self.home = self.directory / "home"
        over = self.directory / "over"
        (over / "sbin" / "upper").mkdir(parents=True)
        (over / "etc" / "upper").mkdir(parents=True)
        for name in ("sendmail", "mailq", "newaliases"):
            (over / "sbin" / "upper" / name).symlink_to(BIN / "sendmail")
        (over / "etc" / "upper" / "postrider").symlink_to(self.config)
        self.home.mkdir()

    def inside(self, command):
        return ["unshare", "-m", "sh", "-c", NAMESPACE, "namespace", str(self.directory), *map(str, command)]

    def environment(self):
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "xterm",
                "USER": "root", "LOGNAME": "root"}

    def run(self, command, message="", **environment):
        data = message.encode() if isinstance(message, str) else message
        return subprocess.run(self.inside(command), input=data, capture_output=True, timeout=90, cwd=self.home,
                              env={**self.environment(), **environment})

    def start(self, wait=True):
        trial = self.run(["test", "-x", "/usr/sbin/sendmail"])
        if trial.returncode != 0:
            raise Skip("no mount namespace with an overlay here: " + trial.stderr.decode().strip())
        return super().start(wait)


def need(program):
    if shutil.which(program) is None and not os.path.exists(program):
        raise Skip(f"{program} is not installed")


def text_of(mail):
    parsed = email.message_from_bytes(mail.content, policy=email.policy.default)
    part = parsed.get_body(("plain",))
    # mailutils sends UTF-8 without saying so.
    return part.get_content() if part.get_content_charset() else part.get_payload(decode=True).decode()


# Each way of sending: (program needed, command, message on stdin, what else it needs prepared).
# `smtp` is the port of the daemon for those that speak SMTP, None for those that call sendmail.

def by_mutt(machine, recipients, smtp):
    need("mutt")
    rc = machine.home / "muttrc"
    rc.write_text(f"set copy=no from={SENDER} use_envelope_from=yes hostname=desk.example use_8bitmime=yes ssl_force_tls=no\n"
                  + (f"set smtp_url=smtp://127.0.0.1:{smtp}\n" if smtp else ""))
    return machine.run(["mutt", "-F", rc, "-s", "Grüße", "-b", BCC, "--", *recipients], BODY)


def by_s_nail(machine, recipients, smtp):
    need("s-nail")
    mta = f"smtp://127.0.0.1:{smtp}" if smtp else "file:///usr/sbin/sendmail"
    return machine.run(["s-nail", "-:/", "-Sv15-compat", f"-Smta={mta}", "-Ssmtp-auth=none", "-Ssendwait",
                        f"-SDEAD={machine.home}/dead.letter",
                        "-r", SENDER, "-s", "Grüße", "-b", BCC, *recipients], BODY)


def by_mailutils(machine, recipients, smtp):
    need("mail.mailutils")
    words = ["-E", f"set sendmail=smtp://127.0.0.1:{smtp}"] if smtp else []
    return machine.run(["mail.mailutils", *words, "-r", SENDER, "-s", "Grüße", "-a", f"Bcc: {BCC}", *recipients], BODY)


def by_php(machine, recipients, smtp):
    need("php")
    script = """[$f, $to, $from, $bcc] = $argv;
        exit(mail($to, "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", stream_get_contents(STDIN),
                  "From: $from\\r\\nBcc: $bcc\\r\\nContent-Type: text/plain; charset=utf-8", "-f$from") ? 0 : 1);"""
    return machine.run(["php", "-r", script, "--", ", ".join(recipients), SENDER, BCC], BODY)


def by_git(machine, recipients, smtp):
    need("/usr/lib/git-core/git-send-email")
    repository = machine.home / "repository"
    if not repository.exists():
        run = lambda *words: subprocess.run(["git", *words], cwd=repository, check=True, capture_output=True,
                                            env=machine.environment())
        repository.mkdir()
        run("init", "-q")
        run("config", "user.name", "Ann Müller")
        run("config", "user.email", SENDER)
        (repository / "file").write_text("Grüße\n.\n")
        run("add", "file")
        run("commit", "-qm", "A patch")
    words = [f"--smtp-server=127.0.0.1", f"--smtp-server-port={smtp}"] if smtp else []
    result = machine.run(["git", "-C", repository, "send-email", "--quiet", "--confirm=never", "--suppress-cc=all", "--8bit-encoding=UTF-8",
                          f"--from={SENDER}", f"--bcc={BCC}", *words, *[f"--to={one}" for one in recipients], "-1"])
    return result


def by_python(machine, recipients, smtp):
    script = """if True:
        import smtplib, subprocess, sys
        from email.message import EmailMessage
        port, sender, bcc, *to = sys.argv[1:]
        message = EmailMessage()
        message['Subject'], message['From'], message['To'] = 'Grüße', sender, ', '.join(to)
        message['Bcc'] = bcc
        message.set_content(sys.stdin.read())
        if port == 'None':
            subprocess.run(['/usr/sbin/sendmail', '-t', '-oi'], input=message.as_bytes(), check=True)
        else:
            with smtplib.SMTP('127.0.0.1', int(port)) as client:
                client.send_message(message)
    """
    return machine.run([sys.executable, "-c", script, smtp, SENDER, BCC, *recipients], BODY)


def by_nodemailer(machine, recipients, smtp):
    need("node")
    modules = pathlib.Path("/usr/share/nodejs")
    if not (modules / "nodemailer").exists():
        raise Skip("nodemailer (package node-nodemailer) is not installed")
    script = """
        const [port, from, bcc, ...to] = process.argv.slice(1);
        const transport = require('nodemailer').createTransport(port === 'None'
            ? {sendmail: true, path: '/usr/sbin/sendmail'} : {host: '127.0.0.1', port: +port, ignoreTLS: true});
        const text = require('fs').readFileSync(0, 'utf8');
        transport.sendMail({from, to, bcc, subject: 'Grüße', text}).then(
            () => process.exit(0), error => { console.error(error.message); process.exit(1); });"""
    return machine.run(["node", "-e", script, smtp, SENDER, BCC, *recipients], BODY, NODE_PATH=str(modules))


def whole_message(recipients):
    return (f"From: {SENDER}\nTo: {', '.join(recipients)}\nBcc: {BCC}\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + BODY)


def by_swaks(machine, recipients, smtp):
    need("swaks")
    door = ["--server", "127.0.0.1", "--port", smtp] if smtp else ["--pipe", "/usr/sbin/sendmail -bs"]
    return machine.run(["swaks", "--silent", "2", *door, "--from", SENDER, "--to", ",".join([*recipients, BCC]),
                        "--data", "-"], whole_message(recipients))


def by_curl(machine, recipients, smtp):
    need("curl")
    words = [word for one in [*recipients, BCC] for word in ("--mail-rcpt", one)]
    return machine.run(["curl", "-sS", f"smtp://127.0.0.1:{smtp}/desk.example", "--mail-from", SENDER, *words, "--upload-file", "-"],
                       whole_message(recipients).replace("\n", "\r\n"))


def by_msmtp(machine, recipients, smtp):
    need("msmtp")
    return machine.run(["msmtp", "--host=127.0.0.1", f"--port={smtp}", f"--from={SENDER}", "--auth=off", "--tls=off",
                        "--remove-bcc-headers=off", *recipients, BCC], whole_message(recipients))


BY_COMMAND = [by_mutt, by_s_nail, by_mailutils, by_php, by_git, by_python, by_nodemailer, by_swaks]
BY_SMTP = [by_mutt, by_s_nail, by_mailutils, by_git, by_python, by_nodemailer, by_swaks, by_curl, by_msmtp]


def each_delivers(programs, over_smtp):
    missing = []
    with Machine() as machine:
        machine.start()
        count = 0
        for program in programs:
            name = program.__name__
            try:
                result = program(machine, [TO, "eve@corp.example"], machine.smtp_port if over_smtp else None)
            except Skip as reason:
                missing.append(f"{name}: {reason}")
                continue
            own_words = b"Sent [PATCH] A patch\n" if program is by_git else b""
            assert (result.returncode, result.stdout, result.stderr) == (0, own_words, b""), (name, result)
            count += 1
            mail = machine.arrived(count)[-1]
            told = (name, mail.sender, mail.recipients, mail.content[:1500].decode("utf-8", "replace"))
            assert mail.sender.split(" ")[0] in (SENDER, "root@desk.example"), told
            # Without -f the sender is the account's.
            assert program in (by_python, by_git) or mail.sender.split(" ")[0] == SENDER, told
            assert sorted(mail.recipients) == sorted([TO, "eve@corp.example", BCC]), told
            assert "hidden" not in mail.content.decode("utf-8", "replace"), told
            header = email.message_from_bytes(mail.content, policy=email.policy.default)
            for field in ("From", "Date", "Message-Id", "To"):
                assert len(header.get_all(field, [])) == 1, (field, told)
            assert all(len(line) <= 998 for line in mail.content.split(b"\r\n")), told
            if name == "by_git":
                assert "+Grüße\n+.\n" in text_of(mail).replace("\r\n", "\n"), told
                continue
            assert header["Subject"] == "Grüße", told
            # What was folded for the wire says the same.
            received = text_of(mail).replace("\r\n ", "").replace("\r\n", "\n").replace("\n ", "").rstrip("\n")
            assert received.replace(">From", "From") == BODY.rstrip("\n"), (name, received[:3000])
        time.sleep(0.2)
        assert len(machine.mails()) == count
    if missing:
        for line in missing:
            print(f"SKIPPED {line}", flush=True)
    if not count:
        raise Skip("no program is installed")


def programs_that_call_sendmail_deliver():
    each_delivers(BY_COMMAND, over_smtp=False)


def programs_that_speak_smtp_deliver():
    each_delivers(BY_SMTP, over_smtp=True)


def each_shows(programs, over_smtp, main_cf, recipient, reason, silent=()):
    with Machine(main_cf) as machine:
        machine.start()
        for program in programs:
            try:
                result = program(machine, [recipient], machine.smtp_port if over_smtp else None)
            except Skip:
                continue
            said = (result.stdout + result.stderr).decode("utf-8", "replace")
            print(f"        {program.__name__[3:]}: status {result.returncode}: {' | '.join(said.split(chr(10)))[:300]}", flush=True)
            assert result.returncode != 0 or program in (by_swaks, by_python, by_nodemailer), (program.__name__, result)
            assert reason in said or program in silent, (program.__name__, said)
        time.sleep(0.2)


def a_user_who_may_not_send_is_told():
    # mailutils and nodemailer only look at the exit status; swaks is refused in the dialogue.
    each_shows(BY_COMMAND, False, "authorized_submit_users = !root, static:anyone\n", TO,
               "User root(0) is not allowed to submit mail", silent=(by_mailutils, by_nodemailer, by_swaks))


def an_unknown_local_user_is_named():
    each_shows(BY_SMTP, True, "", "nosuchuser@desk.example", "User unknown in local recipient table",
               silent=(by_mailutils, by_python, by_nodemailer, by_swaks, by_curl))


def relaying_for_strangers_is_refused():
    each_shows([by_mutt, by_s_nail, by_mailutils, by_git, by_python, by_nodemailer, by_msmtp], True,
               "mynetworks = 192.0.2.0/24\n", TO, "Relay access denied", silent=(by_mailutils,))


def cron_mails_what_a_job_says():
    need("/usr/sbin/cron")
    with Machine() as machine:
        machine.start()
        etc = machine.directory / "over" / "etc" / "upper"
        (etc / "crontab").write_text("MAILTO=\"bob@corp.example,eve@corp.example\"\n"
                                     "@reboot root printf 'Gr\\303\\274\\303\\237e\\n.\\nend\\n'\n")
        cron = subprocess.Popen(machine.inside(["/usr/sbin/cron", "-f"]), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=machine.environment())
        machine.processes.append(cron)
        [mail] = machine.arrived(1)
        assert mail.recipients == ["bob@corp.example", "eve@corp.example"], mail.recipients
        assert mail.sender.split(" ")[0] == "root@desk.example", mail.sender
        assert "From: root@desk.example (Cron Daemon)" in mail.header, mail.header
        assert "Message-Id: <" in mail.header and "Date: " in mail.header, mail.header
        assert mail.body == "Grüße\r\n.\r\nend\r\n".encode(), mail.body


class Screen:
    """A program on a terminal of its own, and somebody at the keyboard."""

    def __init__(self, machine, command):
        need("tmux")
        self.machine = machine
        self.socket = str(machine.directory / "tmux")
        self.tmux("new-session", "-d", "-x", "100", "-y", "30", *machine.inside(command))

    def tmux(self, *words):
        return subprocess.run(["tmux", "-f", "/dev/null", "-S", self.socket, *map(str, words)], capture_output=True,
                              env=self.machine.environment(), cwd=self.machine.home).stdout.decode("utf-8", "replace")

    def text(self):
        return self.tmux("capture-pane", "-p")

    def wait(self, pattern):
        return wait_until(lambda: re.search(pattern, self.text()), f"/{pattern}/ on the screen", 15, self.text)

    def type(self, *keys):
        self.tmux("send-keys", *keys)
        time.sleep(0.2)

    def end(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)


def at_the_alpine_composer(machine, to):
    need("alpine")
    rc = machine.home / ".pinerc"
    rc.write_text("personal-name=Ann\nuser-domain=desk.example\nsmtp-server=\nsendmail-path=\n"
                  "last-time-prune-questioned=526.11\nlast-version-used=6.26\nuser-id=ann\n"
                  "customized-hdrs=From: ann@desk.example\n"
                  "default-fcc=\"\"\nfeature-list=quit-without-confirm,\n\tallow-changing-from\n")
    screen = Screen(machine, ["alpine", "-p", rc, to])
    screen.wait("COMPOSE MESSAGE|Message Text")
    return screen


def alpine_sends_from_its_composer():
    with Machine() as machine:
        machine.start()
        screen = at_the_alpine_composer(machine, TO)
        try:
            screen.type("Down", "Down", "Down")
            screen.type("-l", "Hello from alpine")
            screen.type("Down")
            screen.type("-l", "one line")
            screen.type("Enter")
            screen.type("-l", ".")
            screen.type("Enter")
            screen.type("-l", "last")
            screen.type("C-x")
            screen.wait("Send message")
            screen.type("y")
            try:
                [mail] = machine.arrived(1, 15)
            except AssertionError:
                raise AssertionError(screen.text())
            assert mail.recipients == [TO], mail.recipients
            assert mail.sender.split(" ")[0].endswith("@desk.example"), mail.sender
            assert "Subject: Hello from alpine" in mail.header, mail.header
            assert "one line\r\n.\r\nlast" in mail.body.decode(), mail.body
            machine.wait_log(r"smtpd\[\d+\]: disconnect from localhost\[127\.0\.0\.1\] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5$")
        finally:
            screen.end()


def alpine_shows_why_it_is_refused():
    with Machine("authorized_submit_users = !root, static:anyone\n") as machine:
        machine.start()
        screen = at_the_alpine_composer(machine, TO)
        try:
            screen.type("Down", "Down", "Down")
            screen.type("-l", "refused")
            screen.type("C-x")
            screen.wait("Send message")
            screen.type("y")
            screen.wait(r"SMTP greeting failure: 421 4.7.1 User root\(0\) is not allowed to submit mail")
            screen.wait("Subject : refused")
            assert machine.mails() == []
        finally:
            screen.end()


if __name__ == "__main__":
    main(programs_that_call_sendmail_deliver, programs_that_speak_smtp_deliver, a_user_who_may_not_send_is_told,
         an_unknown_local_user_is_named, relaying_for_strangers_is_refused, cron_mails_what_a_job_says,
         alpine_sends_from_its_composer, alpine_shows_why_it_is_refused)
