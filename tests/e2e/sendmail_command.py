#!/usr/bin/env python3
"""The sendmail command, as programs and people call it: with the daemon running, and without it."""

import json
import os
import pathlib
import pwd
import re
import signal
import smtplib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import worker
from mailbench import BIN, Skip, World, main, wait_until
from memory import check_limit, peak

TEMPORARY, USAGE, UNAVAILABLE = 75, 64, 69
TEXT = b"To: somebody@else.example\nSubject: x\n\nhello\n"


class Call:
    """One call of sendmail. `%` in arguments and addresses stands for the call's own domain, by
    which what arrives is told apart."""

    def __init__(self, arguments, recipients, message=TEXT, sender="root@desk.example",
                 body=b"hello\r\n", header=(), absent=(), parameters=()):
        self.arguments = arguments.split() if isinstance(arguments, str) else arguments
        self.recipients = recipients
        self.message = message
        self.sender = sender
        self.body = body
        self.header = header
        self.absent = absent
        self.parameters = parameters


DOT = b"Subject: dot\n\none\n.\ntwo\n..three\n"
DATED = r"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)"

CALLS = [
    # The programs of the machine, as they call.
    Call("-FCronDaemon -i -B8BITMIME -oem a@%", ["a@%"],
         b"From: root (Cron Daemon)\nTo: a@x\nSubject: Cron <root@desk> /bin/true\nMIME-Version: 1.0\n"
         b"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n"
         b"X-Cron-Env: <SHELL=/bin/sh>\n\nGr\xc3\xbc\xc3\x9fe\n.\nend\n", body=b"Gr\xc3\xbc\xc3\x9fe\r\n.\r\nend\r\n",
         header=[r"From: root@desk\.example \(Cron Daemon\)", DATED, r"Message-Id: <\d{14}\.[0-9A-F]+@desk\.example>"],
         parameters=["BODY=8BITMIME"]),
    Call(["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "a@%,b@%, c@%"], ["a@%", "b@%", "c@%"]),
    Call("-FAnacron -odi a@%", ["a@%"]),
    Call("-oem -oi -f ann@away.example -- a@% b@%", ["a@%", "b@%"], sender="ann@away.example"),
    Call("-oi -f ann@away.example -t", ["a@%"], b"To: a@%\n\nhello\n", sender="ann@away.example"),
    Call("-t -i -fann@away.example", ["a@%"], b"To: a@%\r\nSubject: php\r\n\r\nhello\n", sender="ann@away.example"),
    Call("-t", ["a@%"], b"To: a@%\nFrom: root\nSubject: sudo\n\nhello\n", header=[r"From: root@desk\.example"]),
    # Options alone, clustered, ignored.
    Call("-ti", ["a@%"], b"To: a@%\n\nhello\n.\n", body=b"hello\r\n.\r\n"),
    Call("-vt", ["a@%"], b"To: a@%\n\nhello\n"),
    Call("-tif ann@away.example", ["a@%"], b"To: a@%\n\nhello\n", sender="ann@away.example"),
    Call("-vtr ann@away.example", ["a@%"], b"To: a@%\n\nhello\n", sender="ann@away.example"),
    Call("-r ann@away.example a@%", ["a@%"], sender="ann@away.example"),
    Call("-rann@away.example -bm a@%", ["a@%"], sender="ann@away.example"),
    Call(["-f", "Ann <ann@away.example>", "a@%"], ["a@%"], sender="ann@away.example"),
    Call(["-f", "", "a@%"], ["a@%"], sender="", header=["From: MAILER-DAEMON"]),
    Call(["-f", "<>", "a@%"], ["a@%"], sender=""),
    Call(["-F", "Ann Example", "a@%"], ["a@%"], header=[r"From: Ann Example <root@desk\.example>"]),
    Call("-om -oep -odb -odq -oQ/x -O QueueDirectory=/x -ODeliveryMode=b -L tag -m -U -x -c -h 3 -p x -e m -A c a@%",
         ["a@%"]),
    Call("-N failure,delay -R hdrs -V id-1 a@%", ["a@%"]),
    Call("-B7BIT a@%", ["a@%"]),
    Call("-B 8BITMIME a@%", ["a@%"], parameters=["BODY=8BITMIME"]),
    Call("-G a@%", ["a@%"], b"From: ann\nTo: a@%\n\nhello\n", header=["From: ann"],
         absent=["Date:", "Message-Id:"]),
    Call("-G a@%", ["a@%"], b"Subject: bare\n\nhello\n", absent=["From:", "Date:", "Message-Id:"]),
    Call(["-i", "--", "Bob <b@%>, c@% (Carol)", "team: d@%, e@%;"], ["b@%", "c@%", "d@%", "e@%"]),
    Call("a@% A@% a@%", ["a@%"]),
    # What ends a message, and what does not.
    Call("a@%", ["a@%"], DOT, body=b"one\r\n"),
    Call("-i a@%", ["a@%"], DOT, body=b"one\r\n.\r\ntwo\r\n..three\r\n"),
    Call("-oi a@%", ["a@%"], DOT, body=b"one\r\n.\r\ntwo\r\n..three\r\n"),
    Call("a@%", ["a@%"], b"Subject: no newline at the end\n\nlast", body=b"last\r\n"),
    Call("a@%", ["a@%"], b"Subject: mixed\r\nTo: x@y.example\r\n\r\none\ntwo\r\nthree\n",
         body=b"one\r\ntwo\r\nthree\r\n"),
    Call("a@%", ["a@%"], b"", body=b"", header=["From: .*<root@desk\\.example>", DATED, "Message-Id: "]),
    Call("a@%", ["a@%"], b"no header at all\nreally\n", body=b"no header at all\r\nreally\r\n"),
    Call("a@%", ["a@%"], b" starts with white space\n", body=b" starts with white space\r\n"),
    Call("a@%", ["a@%"], b"From ann Thu Jan  1 00:00:00 1970\nSubject: mbox\n\nhello\n", header=["Subject: mbox"],
         absent=["From ann"]),
    Call("-i a@%", ["a@%"], b"Subject: long\n\n" + b"y" * 3000 + b"\n",
         body=b"y" * 998 + b"\r\n " + b"y" * 997 + b"\r\n " + b"y" * 997 + b"\r\n " + b"y" * 8 + b"\r\n"),
    # Recipients in the header; Bcc goes.
    Call("-t", ["a@%", "b@%", "c@%", "d@%", "x@%"],
         b"To: a@%,\n B <b@%>\nCc: c@%\nbcc: d@%\nBCC: x@%\nSubject: all\n\nhello\n", absent=["bcc:", "BCC:", "d@", "x@"]),
    Call("-t z@%", ["a@%", "z@%"], b"To: a@%\nSubject: both\n\nhello\n"),
    Call("-t", ["r@%"], b"To: a@%\nResent-To: r@%\nResent-From: ann@away.example\n\nhello\n",
         header=["Resent-Message-Id: ", "Resent-Date: "]),
    Call("-t", ["a@%"], b"To: undisclosed-recipients:;\nBcc: a@%\n\nhello\n", header=["To: undisclosed-recipients:;"]),
    Call("-i a@%", ["a@%"], b"To: a@%\nBcc: hidden@%\nSubject: nodemailer\n\nhello\n", absent=["Bcc", "hidden"]),
]


def domain_of(number):
    return f"call{number}.example"


def filled(text, number):
    mark, domain = ("%", domain_of(number)) if isinstance(text, str) else (b"%", domain_of(number).encode())
    return text.replace(mark, domain)


def call_all(world):
    for number, call in enumerate(CALLS):
        arguments = [filled(word, number) for word in call.arguments]
        result = world.sendmail(arguments, filled(call.message, number), check=False)
        assert (result.returncode, result.stdout, result.stderr) == (0, b"", b""), (arguments, result)


def check_all(world):
    mails = {}
    for mail in world.arrived(len(CALLS), 60):
        number = next(int(found.group(1)) for found in [re.search(r"@call(\d+)\.", " ".join(mail.recipients))] if found)
        assert number not in mails, f"twice: {CALLS[number].arguments}"
        mails[number] = mail
    for number, call in enumerate(CALLS):
        mail = mails[number]
        told = (call.arguments, mail.sender, mail.recipients, mail.content[:2000])
        assert sorted(mail.recipients) == sorted(filled(one, number) for one in call.recipients), told
        words = mail.sender.split(" ")
        assert words[0] == call.sender, told
        assert all(word in words for word in call.parameters), told
        assert mail.body == call.body, told
        for pattern in call.header:
            assert re.search("^" + pattern, mail.header, re.M), (pattern, told)
        for text in call.absent:
            assert text not in mail.header, (text, told)
        assert b"\n" not in mail.content.replace(b"\r\n", b""), told
        assert "Received: by desk.example (postrider, from userid 0)" in mail.header, told
    assert len(world.mails()) == len(CALLS)


SETTINGS = "mydestination =\nsmtp_destination_concurrency_limit = 10\n"


def every_way_to_call_works_with_the_daemon():
    with World(SETTINGS) as world:
        world.start()
        call_all(world)
        check_all(world)
        wait_until(lambda: not world.queued(), "an empty queue", log=world.log)


def every_way_to_call_works_without_the_daemon():
    with World(SETTINGS) as world:
        world.start()
        world.stop()
        call_all(world)
        waiting = sorted(os.listdir(world.queue / "maildrop"))
        assert len(waiting) == len(CALLS), waiting
        world.start()
        check_all(world)
        wait_until(lambda: not os.listdir(world.queue / "maildrop"), "an empty maildrop", log=world.log)


REFUSED = [
    # (arguments, message, text after "sendmail: fatal: ", exit status)
    ([], TEXT, "root(0): Recipient addresses must be specified on the command line or via the -t option", USAGE),
    (["-f", "ann@away.example"], TEXT,
     "ann@away.example(0): Recipient addresses must be specified on the command line or via the -t option", USAGE),
    (["-n", "a@b.example"], TEXT, "-n option not supported", TEMPORARY),
    (["-Z"], TEXT, "usage: sendmail [options]", TEMPORARY),
    (["-bz"], TEXT, "unsupported: -bz", TEMPORARY),
    (["-B9BIT", "a@b.example"], TEXT, "-B option needs 8BITMIME or 7BIT", TEMPORARY),
    (["-X/tmp/log", "a@b.example"], TEXT, "unsupported: -X/tmp/log", TEMPORARY),
    (["-qSx"], TEXT, "-qS is not implemented", TEMPORARY),
    (["-bp", "a@b.example"], TEXT, "display queue mode requires no recipient", TEMPORARY),
    (["-bi", "a@b.example"], TEXT, "alias initialization mode requires no recipient", TEMPORARY),
    (["-q", "a@b.example"], TEXT, "flush queue mode requires no recipient", TEMPORARY),
    (["-C", "/nonexistent", "a@b.example"], TEXT, None, TEMPORARY),
]


def check_refused(world, arguments, message, text, status):
    result = world.sendmail(arguments, message, check=False)
    assert result.returncode == status, (arguments, result)
    assert result.stdout == b"", result
    [line] = result.stderr.decode().splitlines()
    if text is not None:
        assert line == "sendmail: fatal: " + text, (arguments, line)


def refusals_name_their_reason():
    with World() as world:
        world.start()
        for arguments, message, text, status in REFUSED:
            check_refused(world, arguments, message, text, status)
            # A long message too: the reason is not lost behind a broken pipe.
            check_refused(world, arguments, message + b"z" * 300_000, text, status)
        check_refused(world, ["-t"], b"Subject: nobody\n\nhello\n",
                      "root(0): No recipient addresses found in message header", TEMPORARY)
        check_refused(world, ["-t"], b"Subject: nobody\n\n" + b"hello\n" * 1_000_000,
                      "root(0): No recipient addresses found in message header", TEMPORARY)
        wait_until(lambda: world.queued() == [], "an empty queue", log=world.log)
        world.stop()
        for arguments, message, text, status in REFUSED:
            check_refused(world, arguments, message, text, status)
        check_refused(world, ["-t"], b"Subject: nobody\n\nhello\n",
                      "root(0): No recipient addresses found in message header", TEMPORARY)
        assert os.listdir(world.queue / "maildrop") == []


def odd_options_are_ignored_with_a_warning():
    with World() as world:
        world.start()
        for arguments, warnings in [
            (["-N", "often", "a@b.example"],
             ['unknown DSN NOTIFY command value "often" in "often"', "bad -N option value: 'often' -- ignored"]),
            (["-R", "all", "a@b.example"], ["bad -R option value -- ignored"]),
            (["-V", "x" * 101, "a@b.example"], ["too long -V option value -- ignored"]),
        ]:
            result = world.sendmail(arguments, TEXT)
            assert result.stderr.decode() == "".join(f"sendmail: warning: {one}\n" for one in warnings), result
        world.arrived(3)
        for arguments in (["-bh"], ["-bH"], ["-q30m"], ["-q1h", "a@b.example"]):
            result = world.sendmail(arguments, TEXT)
            assert (result.stdout, result.stderr) == (b"", b""), result
        time.sleep(0.2)
        assert len(world.mails()) == 3


def as_others_do(world, preparation=None, arguments=("a@b.example",), message=TEXT, **options):
    """sendmail started by a program that left its mark on what a process inherits."""
    environment = options.pop("env", {"MAIL_CONFIG": str(world.config)})
    return subprocess.run([BIN / "sendmail", *arguments], input=message, capture_output=True, timeout=60,
                          env=environment, preexec_fn=preparation, **options)


def what_callers_leave_behind_does_no_harm():
    def ignore_signals():
        for each in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
                     signal.SIGPIPE):
            signal.signal(each, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTSTP, signal.SIGTERM})

    def close_outputs():
        os.close(1)
        os.close(2)

    def close_all():
        os.closerange(0, 3)

    def narrow_umask():
        os.umask(0o177)

    def close_all_narrowly():
        os.umask(0o777)
        os.closerange(1, 3)

    preparations = [ignore_signals, close_outputs, close_all, narrow_umask, close_all_narrowly]
    with World() as world:
        world.start()
        for running in (True, False):
            if not running:
                world.stop()
            for preparation in preparations:
                result = as_others_do(world, preparation)
                assert (result.returncode, result.stdout, result.stderr) == (0, b"", b""), (preparation, result)
            unreadable = world.directory / "unreadable"
            unreadable.mkdir(mode=0o000, exist_ok=True)
            assert as_others_do(world, cwd=unreadable).returncode == 0
            with open(world.directory / "message", "wb+") as file:
                file.write(TEXT)
                file.seek(0)
                os.unlink(world.directory / "message")
                result = subprocess.run([BIN / "sendmail", "a@b.example"], stdin=file, capture_output=True, timeout=60,
                                        env={"MAIL_CONFIG": str(world.config)})
                assert (result.returncode, result.stdout, result.stderr) == (0, b"", b""), result
        for name in os.listdir(world.queue / "maildrop"):
            assert (world.queue / "maildrop" / name).stat().st_mode & 0o777 == 0o600, name
        world.start()
        world.arrived(2 * (len(preparations) + 2))
        # Without a configuration in the environment, the usual place.
        result = as_others_do(world, arguments=["-C", str(world.config), "a@b.example"], env={})
        assert (result.returncode, result.stderr) == (0, b""), result
        result = as_others_do(world, arguments=["-C", str(world.config / "main.cf"), "a@b.example"], env={})
        assert (result.returncode, result.stderr) == (0, b""), result


def an_aborted_submission_leaves_nothing():
    with World("message_size_limit = 0\n") as world:
        world.start()
        for running in (True, False):
            if not running:
                world.stop()
            for size in (1000, 5_000_000):
                for how in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
                    process = subprocess.Popen([BIN / "sendmail", "-i", "a@b.example"], stdin=subprocess.PIPE,
                                               env={"MAIL_CONFIG": str(world.config)})
                    process.stdin.write(TEXT + b"z" * size)
                    process.stdin.flush()
                    time.sleep(0.1)
                    process.send_signal(how)
                    process.wait(timeout=30)
                    process.stdin.close()
            if running:
                wait_until(lambda: world.queued() == [], "an empty queue", log=world.log)
            else:
                assert os.listdir(world.queue / "maildrop") == []
        world.start()
        time.sleep(0.2)
        assert world.queued() == [] and world.mails() == []


GROWTH_MAX = 24 * 1024 * 1024  # Of a process's memory, by a message of twice that.


def peaks(world):
    """Of the daemon's processes, by their names."""
    found = {"master": world.daemon.pid, "intake": worker(world, "intake"), "courier": worker(world, "courier")}
    return {name: peak(pid) for name, pid in found.items()}


def big_messages_pass_in_pieces():
    line = b"0123456789abcdef" * 4 + b"\n"
    message = b"Subject: big\n\n" + line * (50_000_000 // len(line))
    with World("message_size_limit = 100000000\n", smarthost_options=["--size-limit", "200000000"]) as world:
        world.start()
        world.sendmail(["a@b.example"], b"Subject: small\n\nhello\n")
        world.arrived(1)
        before = peaks(world)
        world.sendmail(["a@b.example"], message)
        mails = world.arrived(2, 60)
        body = b"".join(mail.body for mail in mails if b"Subject: big" in mail.content[:2000])
        assert body == message.partition(b"\n\n")[2].replace(b"\n", b"\r\n")
        after = peaks(world)
        print("        peak memory in bytes before and after 50 MB:", before, after)
        for name in after:
            check_limit(after[name] - before[name], GROWTH_MAX, f"the {name} with 50 MB from sendmail")
        world.stop()
        world.sendmail(["a@b.example"], message)
        world.start()
        world.arrived(3, 60)
        for name, most in peaks(world).items():
            check_limit(most - max(before.values()), GROWTH_MAX, f"the {name} with 50 MB from maildrop")


def too_big_a_message_is_refused():
    message = b"Subject: big\n\n" + b"0123456789abcdef\n" * 600_000
    with World("message_size_limit = 5000000\n") as world:
        world.start()
        for running in (True, False):
            if not running:
                world.stop()
            check_refused(world, ["a@b.example"], message, "root(0): message file too big", TEMPORARY)
            assert os.listdir(world.queue / "maildrop") == []
        world.start()
        world.sendmail(["a@b.example"], message[:4_000_000])
        world.arrived(1)
        assert len(world.mails()) == 1


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root, to become somebody else")


def run_as(world, uid, arguments, message=TEXT, gid=None):
    environment = {"MAIL_CONFIG": str(world.config), "PATH": "/usr/bin:/bin"}
    return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={gid or uid}", "--clear-groups",
                           "--no-new-privs", BIN / "sendmail", *arguments], input=message, capture_output=True,
                          timeout=60, env=environment, cwd="/")


def other_users_are_known_by_their_uid():
    need_root()
    daemon_user = pwd.getpwnam("daemon")
    with World("authorized_submit_users = !games, static:anyone\n") as world:
        world.start()
        for running in (True, False):
            if not running:
                world.stop()
            result = run_as(world, daemon_user.pw_uid, ["a@b.example"])
            assert (result.returncode, result.stdout, result.stderr) == (0, b"", b""), result
            # As atd leaves it: the user's uid, another's gid.
            result = run_as(world, daemon_user.pw_uid, ["-i", "a@b.example"], gid=12)
            assert (result.returncode, result.stdout, result.stderr) == (0, b"", b""), result
            result = run_as(world, 4242, ["-f", "ann@away.example", "a@b.example"])
            assert (result.returncode, result.stdout, result.stderr) == (0, b"", b""), result
            result = run_as(world, 4242, ["a@b.example"])
            assert (result.returncode, result.stderr) == \
                (TEMPORARY, b"sendmail: fatal: no login name found for user ID 4242\n"), result
            if not running:
                continue  # Nobody is there to look it up; the file would wait for a permission.
            games = pwd.getpwnam("games").pw_uid
            result = run_as(world, games, ["a@b.example"])
            assert (result.returncode, result.stderr) == \
                (TEMPORARY, f"sendmail: fatal: User games({games}) is not allowed to submit mail\n".encode()), result
        world.start()
        mails = world.arrived(6)
        assert sorted(mail.sender.split(" ")[0] for mail in mails) == \
            2 * ["ann@away.example"] + 4 * ["daemon@desk.example"]
        assert len(world.wait_log(rf"pickup\[\d+\]: [0-9A-F]+: uid={daemon_user.pw_uid} from=<daemon>$", 4)) == 4
        assert len(world.wait_log(r"pickup\[\d+\]: [0-9A-F]+: uid=4242 from=<ann@away.example>$", 2)) == 2
        assert os.listdir(world.queue / "maildrop") == []


def users_send_as_themselves_alone():
    """Whatever way they hand it over: what fails is reported to a sender that its user may use."""
    need_root()
    user = pwd.getpwnam("daemon").pw_uid
    with World("local_login_sender_maps = inline:{ {root = *} {daemon = daemon, @shop.example} {uid:4242 = <>} }\n"
               "recipient_delimiter = +\n") as world:
        world.start()
        refused = "sendmail: fatal: not authorized to use sender='{}'\n"
        for uid, sender, allowed in ((0, "anybody@any.example", True), (user, None, True),
                                     (user, "daemon+x", True), (user, "Orders@Shop.example", True),
                                     (user, "root", False), (user, "boss@desk.example", False), (user, "<>", False),
                                     (4242, "<>", True), (4242, "ann@desk.example", False)):
            arguments = ["a@b.example"] if sender is None else ["-f", sender, "a@b.example"]
            result = run_as(world, uid, arguments)
            expected = (0, "") if allowed else (TEMPORARY, refused.format(sender.strip("<>")))
            assert (result.returncode, result.stderr.decode()) == expected, (uid, sender, result)
        said = run_as(world, user, ["-bs"], b"HELO me\r\nMAIL FROM:<boss@desk.example>\r\n"
                      b"MAIL FROM:<orders@shop.example>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n\r\nhello\r\n.\r\n"
                      b"QUIT\r\n").stdout.splitlines()
        assert [one[:3] for one in said] == [b"220", b"250", b"553", b"250", b"250", b"354", b"250", b"221"], said
        # While nobody is there to ask, it is taken, and looked at before it becomes a message.
        world.stop()
        assert run_as(world, user, ["-f", "boss@desk.example", "a@b.example"]).returncode == 0
        assert run_as(world, user, ["-f", "late@shop.example", "a@b.example"]).returncode == 0
        world.start()
        assert sorted(mail.sender.split(" ")[0] for mail in world.arrived(7)) == \
            ["", "Orders@Shop.example", "anybody@any.example", "daemon+x@desk.example", "daemon@desk.example",
             "late@shop.example", "orders@shop.example"]
        world.wait_log(r"warning: maildrop/\S+: not authorized to use sender='boss@desk\.example'")
        assert len(os.listdir(world.queue / "maildrop")) == 1


def the_stand_alone_dialogue_serves_mail_programs():
    dialogue = (b"EHLO localhost\r\nMAIL FROM:<ann@away.example> BODY=8BITMIME\r\nRCPT TO:<bob@corp.example>\r\n"
                b"RCPT TO:<eve@corp.example>\r\nDATA\r\nSubject: by smtp\r\nBcc: eve@corp.example\r\n\r\n"
                b"hello\r\n..dot\r\n.\r\nQUIT\r\n")
    with World() as world:
        world.start()
        for running in (True, False):
            if not running:
                world.stop()
            result = world.command("sendmail", "-bs", "-odb", "-oem", text=False, input=dialogue)
            assert result.stderr == b"", result
            replies = result.stdout.split(b"\r\n")
            assert replies.pop() == b"" and not any(b"\n" in one or b"\r" in one for one in replies), result
            assert re.fullmatch(rb"220 desk\.example ESMTP \S+( \S+)?", replies[0]), replies
            assert [one[:3] for one in replies if one[3:4] == b" "] == \
                [b"220", b"250", b"250", b"250", b"250", b"354", b"250", b"221"], replies
            assert re.fullmatch(rb"250 2\.0\.0 Ok: queued as [0-9A-Za-z]+", replies[-2]), replies
            assert b"250-8BITMIME" in replies or b"250 8BITMIME" in replies, replies
            assert not any(b"STARTTLS" in one or b"AUTH" in one for one in replies), replies
            refused = world.command("sendmail", "-bs", text=False,
                                    input=b"HELO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<>\r\nDATA\r\nQUIT\r\n")
            assert [one[:3] for one in refused.stdout.split(b"\r\n")] == \
                [b"220", b"250", b"250", b"501", b"554", b"221", b""], refused
        world.start()
        for mail in world.arrived(2):
            assert mail.recipients == ["bob@corp.example", "eve@corp.example"], mail.recipients
            assert mail.sender.split(" ")[0] == "ann@away.example"
            assert mail.body == b"hello\r\n.dot\r\n" and "Bcc" not in mail.header, mail.content


def the_queue_is_listed_as_postfix_lists_it():
    down = "RCPT * 450 4.2.1 mailbox busy, try later"
    with World("mydestination =\nalias_database =\n", script=down + "\n") as world:
        world.start()
        for name in ("mailq", "sendmail"):
            arguments = ["-bp"] if name == "sendmail" else []
            assert world.command(name, *arguments).stdout == "Mail queue is empty\n"
        world.sendmail(["-f", "ann@desk.example", "bob@corp.example", "eve@corp.example"], b"Subject: s\n\nhello\n")
        world.sendmail(["-f", "<>", "bob@corp.example"], b"Subject: t\n\nhello\n")
        world.wait_log("status=deferred", 3)
        sizes = re.findall(r"size=(\d+), nrcpt", world.log())
        lines = world.command("mailq").stdout.split("\n")
        assert lines == world.command("sendmail", "-bp").stdout.split("\n")
        assert lines == world.command("postqueue", "-p").stdout.split("\n")
        assert lines[0] == "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------", lines
        head = re.fullmatch(r"([0-9A-F]{6,11}) +(\d+) (\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d)  ann@desk\.example", lines[1])
        assert head and head.group(2) == sizes[0] and len(lines[1]) == 41 + len("ann@desk.example"), lines
        reason = [line for line in lines if "mailbox busy" in line]
        assert len(reason) == 2, lines
        assert re.fullmatch(r" *\(host localhost\[127\.0\.0\.1\] said: 450 4\.2\.1 mailbox busy, try later "
                            r"\(in reply to RCPT TO command\)\)", lines[2]), lines
        assert len(lines[2]) == max(78, len(lines[2].lstrip())), lines[2]
        assert lines[3:6] == [" " * 41 + "bob@corp.example", " " * 41 + "eve@corp.example", ""], lines
        assert lines[6].endswith(" MAILER-DAEMON"), lines
        assert lines[8:10] == [" " * 41 + "bob@corp.example", ""], lines
        assert lines[10:] == [f"-- {sum(map(int, sizes[:2])) // 1024} Kbytes in 2 Requests.", ""], lines
        for line in world.command("postqueue", "-j").stdout.splitlines():
            entry = json.loads(line)
            assert list(entry) == ["queue_name", "queue_id", "arrival_time", "message_size", "forced_expire", "sender",
                                   "recipients"], line
            assert entry["queue_name"] == "deferred" and line.startswith('{"queue_name": "deferred", "queue_id": "')
        # Flushing is for everybody, and tries at once.
        before = world.log().count("status=deferred")
        for arguments in (["-q"], ["-q", "-v"]):
            assert world.sendmail(arguments, b"").stdout == b""
        world.wait_log("status=deferred", before + 1)
        queue_id = world.queued()[0]["queue_id"]
        assert world.sendmail([f"-qI{queue_id}"], b"").stderr == b""
        assert world.command("newaliases").stdout == ""
        assert world.sendmail(["-bi"], b"").stderr == b""
        world.stop()
        result = world.command("sendmail", "-q", check=False)
        assert (result.returncode, result.stderr) == \
            (UNAVAILABLE, "postqueue: fatal: Cannot flush mail queue - mail system is down\n"), result
        world.sendmail(["bob@corp.example"], TEXT)
        result = world.command("mailq", check=False)
        assert result.returncode == 0 and "bob@corp.example" in result.stdout, result


HIDDEN = b"""To: a1@corp.example
bCc: b1@corp.example,
\tb2@corp.example
Bcc: Undisclosed: b3@corp.example, "B, the 4th" <b4@corp.example>;
Cc: c1@corp.example
BCC: (a comment, b9@corp.example) b5@corp.example (another)
Bcc :
 b6@corp.example
Subject: x

Bcc: b8@corp.example
"""


def bcc_in_any_form_has_its_mail_and_nobody_sees_it():
    """L3: folded, repeated, in a group, with comments, by sendmail and by SMTP."""
    with World() as world:
        world.start()
        world.sendmail(["-t"], HIDDEN)
        world.drained()
        wanted = {f"{name}@corp.example" for name in ("a1", "b1", "b2", "b3", "b4", "b5", "b6", "c1")}
        world.sendmail(["-t"], b"To: a1@corp.example\nResent-To: r1@corp.example\nRESENT-BCC: r2@corp.example,\n r3@corp.example\n"
                               b"Resent-From: ann@desk.example\nBcc: b7@corp.example\nSubject: again\n\nBcc: b8@corp.example\n")
        world.drained()
        with smtplib.SMTP("127.0.0.1", world.smtp_port, timeout=20) as client:
            client.sendmail("ann@desk.example", ["s1@corp.example"], HIDDEN.replace(b"\n", b"\r\n"))
        world.drained()
        groups = {}
        for mail in world.mails():
            subject = re.search(r"^Subject: (.*?)\r?$", mail.header, re.M)[1]
            people = {one.strip("<>") for one in mail.recipients}
            groups.setdefault((subject, "s1@corp.example" in people), set()).update(people)
            assert "bcc" not in mail.header.lower(), mail.header
            assert not re.search(r"\b[br][2-9]@", mail.header), mail.header
            assert mail.body == b"Bcc: b8@corp.example\r\n", mail.body
        assert groups == {("x", False): wanted, ("again", False): {f"r{n}@corp.example" for n in (1, 2, 3)},
                          ("x", True): {"s1@corp.example"}}, groups


def new_aliases_are_compiled():
    with World() as world:
        aliases = world.directory / "aliases"
        aliases.write_text("root: ann@away.example\n")
        with open(world.config / "main.cf", "a") as file:
            file.write(f"alias_maps = hash:{aliases}\nalias_database = hash:{aliases}\n")
        for words in (["newaliases"], ["sendmail", "-bi"], ["sendmail", "-I"]):
            result = world.command(*words)
            assert (result.stdout, result.stderr) == ("", ""), result
        world.start()
        world.sendmail(["root"], TEXT)
        [mail] = world.arrived(1)
        assert mail.recipients == ["ann@away.example"], mail.recipients


if __name__ == "__main__":
    main(bcc_in_any_form_has_its_mail_and_nobody_sees_it, every_way_to_call_works_with_the_daemon,
         every_way_to_call_works_without_the_daemon, refusals_name_their_reason,
         odd_options_are_ignored_with_a_warning, what_callers_leave_behind_does_no_harm,
         an_aborted_submission_leaves_nothing, big_messages_pass_in_pieces, too_big_a_message_is_refused,
         other_users_are_known_by_their_uid, users_send_as_themselves_alone,
         the_stand_alone_dialogue_serves_mail_programs, the_queue_is_listed_as_postfix_lists_it,
         new_aliases_are_compiled)
