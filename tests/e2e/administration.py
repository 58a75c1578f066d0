#!/usr/bin/env python3
"""The operator's commands, with the daemon running and without."""

import json
import os
import pwd
import re
import signal
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import BIN, Skip, World, main, wait_until

LETTER = "To: bob@corp.example\nSubject: hi\n\nhello\n"
PUT_OFF = "MAIL * 451 4.3.2 later\n"
REASON = r"host localhost[127.0.0.1] said: 451 4.3.2 later (in reply to MAIL FROM command)"
BLANKS = " " * 41


def submit(world, sender="ann@desk.example", recipients=("bob@corp.example",)):
    """Leaves a message in the queue, put off; returns its queue id."""
    known = {entry["queue_id"] for entry in world.queued()}
    world.sendmail(["-f", sender, *recipients], LETTER)
    def waiting():
        return [e["queue_id"] for e in world.queued() if e["queue_id"] not in known and e["queue_name"] == "deferred"]
    return wait_until(waiting, "a deferred message", log=world.log)[0]


def listing_as_postfix_prints_it():
    with World(script=PUT_OFF) as world:
        world.start()
        assert world.command("postqueue", "-p").stdout == "Mail queue is empty\n"
        assert world.command("postqueue", "-j").stdout == ""
        first = submit(world)
        second = submit(world, "", ("b1@corp.example", "b2@corp.example"))
        shown = world.command("postqueue", "-p").stdout
        assert world.command("mailq").stdout == shown
        expected = re.compile(
            r"-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
            rf"{first:<11} +\d+ \w{{3}} \w{{3}} [ \d]\d \d\d:\d\d:\d\d  ann@desk\.example\n"
            + " " * max(0, 76 - len(REASON)) + re.escape(f"({REASON})") + "\n"
            + BLANKS + r"bob@corp\.example" + "\n\n"
            rf"{second:<11} +\d+ \w{{3}} \w{{3}} [ \d]\d \d\d:\d\d:\d\d  MAILER-DAEMON" + "\n"
            + " " * max(0, 76 - len(REASON)) + re.escape(f"({REASON})") + "\n"
            + BLANKS + r"b1@corp\.example" + "\n" + BLANKS + r"b2@corp\.example" + "\n\n"
            r"-- 0 Kbytes in 2 Requests\." + "\n")
        assert expected.fullmatch(shown), shown
        line = world.command("postqueue", "-j").stdout.splitlines()[0]
        assert re.fullmatch(
            rf'\{{"queue_name": "deferred", "queue_id": "{first}", "arrival_time": \d+, "message_size": \d+, '
            r'"forced_expire": false, "sender": "ann@desk\.example", "recipients": \[\{"address": "bob@corp\.example", '
            rf'"delay_reason": "{re.escape(REASON)}"\}}\]\}}', line), line
        world.stop()
        # The stopped queue is read directly.
        stopped = world.command("postqueue", "-p")
        assert stopped.stdout == shown, stopped.stdout
        assert stopped.stderr.startswith("postqueue: warning: Mail system is down -- accessing queue directly ("), stopped.stderr


def what_peers_say_cannot_speak_to_the_terminal():
    """Q13: escapes, C1 controls and marks of direction, from the server and from the one who sends."""
    evil = "\x1b]0;title\x07\x1b[2J\u009b31m\u202egpj.exe\u2066"
    with World(script=f"MAIL * 451 4.3.2 {evil} later\n") as world:
        world.start()
        world.sendmail(["-F", evil, "-f", "ann@desk.example", "bob@corp.example"], LETTER, check=False)
        queue_id = submit(world)
        for words in (["postqueue", "-p"], ["mailq"], ["postqueue", "-j"], ["postrider", "status"], ["postrider", "status", "-j"],
                      ["postcat", "-eq", queue_id]):
            shown = world.command(*words).stdout
            assert "later" in shown or words[0] in ("postrider", "postcat"), (words, shown)
            bad = [char for char in shown if (ord(char) < 32 and char not in "\n\t") or 127 <= ord(char) < 160
                   or 0x202a <= ord(char) <= 0x202e or 0x2066 <= ord(char) <= 0x2069]
            assert not bad, (words, bad, shown)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u202a-\u202e\u2066-\u2069]", world.log()), world.log()


def dangerous_settings_stand_in_the_status():
    """O9: as long as they are in use."""
    danger = "everyone may relay through this host"
    with World(main_cf="mynetworks = 127.0.0.0/8 0.0.0.0/0\n", relay=False) as world:
        world.start()
        assert re.search(rf"^danger: .*mynetworks = .*{danger}$", world.command("postrider", "status").stdout, re.M)
        assert danger in json.loads(world.command("postrider", "status", "-j").stdout)["dangers"][0]
        assert danger in world.log()
        main_cf = world.config / "main.cf"
        main_cf.write_text(main_cf.read_text().replace(" 0.0.0.0/0", ""))
        world.command("postrider", "reload")
        wait_until(lambda: "danger" not in world.command("postrider", "status").stdout, "a status without danger", log=world.log)


def the_log_names_the_libraries():
    """B3: which SQLite and which OpenSSL are at work."""
    with World(relay=False) as world:
        world.start()
        linked = subprocess.run(["ldd", BIN / "postriderd"], capture_output=True, text=True).stdout
        assert "libsqlite3" in linked and "libssl" in linked, linked
        ours = world.wait_log(r"libraries: SQLite (\d+\.\d+\.\d+), OpenSSL (\d+\.\d+\.\d+)")[0]
        assert ours == (sqlite3.sqlite_version, ssl.OPENSSL_VERSION.split()[1]), ours


def deliveries_can_be_asked_for():
    with World(script="MAIL * x3 451 4.3.2 later\n") as world:
        world.start()
        first, second = submit(world), submit(world)
        third = submit(world, recipients=("eve@other.example",))
        world.command("postqueue", "-i", first)
        world.arrived(1)
        world.command("postqueue", "-s", "caf\udce9.example")  # Nobody's, in Latin 1.
        world.command("postqueue", "-s", "Other.Example")
        world.arrived(2)
        assert [entry["queue_id"] for entry in world.queued()] == [second]
        world.command("postqueue", "-f")
        world.arrived(3)
        world.drained()
        wrong = world.command("postqueue", "-i", "no/id", check=False)
        assert wrong.returncode == 69 and wrong.stderr == 'postqueue: fatal: Cannot flush queue ID - invalid name: "no/id"\n', wrong
        usage = world.command("postqueue", check=False)
        assert usage.returncode == 69 and usage.stderr == (
            "postqueue: fatal: usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site\n"), usage
        assert world.command("postqueue", "-i", "0123456789", check=False).returncode == 0
        world.stop()
        down = world.command("postqueue", "-f", check=False)
        assert down.returncode == 69 and "Cannot flush mail queue - mail system is down" in down.stderr, down


def postsuper_changes_the_queue():
    with World(script=PUT_OFF) as world:
        world.start()
        ids = [submit(world) for _ in range(5)]
        def said(*arguments, **options):
            done = world.command("postsuper", *arguments, **options)
            return done.stderr.splitlines()
        def place(queue_id):
            return next((entry["queue_name"] for entry in world.queued() if entry["queue_id"] == queue_id), None)
        assert said("-h", ids[0]) == [f"postsuper: {ids[0]}: placed on hold", "postsuper: Placed on hold: 1 message"]
        assert place(ids[0]) == "hold"
        assert f"{ids[0]}! " in world.command("postqueue", "-p").stdout
        assert said("-H", ids[0]) == [f"postsuper: {ids[0]}: released from hold", "postsuper: Released from hold: 1 message"]
        assert place(ids[0]) in ("deferred", "active", "incoming")
        assert said("-d", ids[0]) == [f"postsuper: {ids[0]}: removed", "postsuper: Deleted: 1 message"]
        assert said("-d", "-", input=f"{ids[1]}\n{ids[2]}\n") == [
            f"postsuper: {ids[1]}: removed", f"postsuper: {ids[2]}: removed", "postsuper: Deleted: 2 messages"]
        assert said("-d", ids[1]) == ["postsuper: Deleted: 0 messages"]
        assert said("-r", ids[3]) == [f"postsuper: {ids[3]}: requeued", "postsuper: Requeued: 1 message"]
        assert said("-h", "ALL") == ["postsuper: Placed on hold: 2 messages"]
        assert said("-d", "not/an/id") == ["postsuper: warning: invalid mail queue id: not/an/id", "postsuper: Deleted: 0 messages"]
        world.stop()
        assert said("-d", ids[3])[-2:] == [f"postsuper: {ids[3]}: removed", "postsuper: Deleted: 1 message"]
        assert said("-H", "ALL")[-1:] == ["postsuper: Released from hold: 1 message"]
        assert said("-e", ids[4])[-2:] == [f"postsuper: {ids[4]}: expired", "postsuper: Force-expired: 1 message"]
        world.start()
        world.wait_log(rf"qmgr\[\d+\]: {ids[4]}: from=<ann@desk\.example>, status=force-expired, returned to sender$")
        world.wait_log(rf"bounce\[\d+\]: {ids[4]}: sender non-delivery notification: ")
        assert said("-d", "ALL")[0].startswith("postsuper: Deleted: ")


def postcat_shows_a_message():
    with World(script=PUT_OFF) as world:
        world.start()
        queue_id = submit(world)
        for running in (True, False):
            whole = world.command("postcat", "-q", queue_id).stdout
            assert whole.startswith(f"*** ENVELOPE RECORDS deferred/{queue_id} ***\nmessage_size: "), whole
            assert "\nsender: ann@desk.example\n" in whole and "\nrecipient: bob@corp.example\n" in whole, whole
            assert f"*** MESSAGE CONTENTS deferred/{queue_id} ***\nReceived: by desk.example" in whole, whole
            assert whole.endswith(f"\n\nhello\n*** HEADER EXTRACTED deferred/{queue_id} ***\n*** MESSAGE FILE END deferred/{queue_id} ***\n"), whole
            assert world.command("postcat", "-bq", queue_id).stdout.endswith("hello\n")
            if running:
                world.stop()
        missing = world.command("postcat", "-q", "0123456789", check=False)
        assert missing.returncode == 1 and missing.stderr.endswith(
            "postcat: fatal: open queue file 0123456789: No such file or directory\n"), missing


def others_see_only_their_own():
    if os.geteuid() != 0:
        raise Skip("needs root to be somebody else")
    with World(script=PUT_OFF) as world:
        world.start()
        queue_id = submit(world)
        user = pwd.getpwnam("daemon")
        def as_daemon(name, *arguments):
            return world.command(name, *arguments, check=False, user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        assert as_daemon("postqueue", "-p").stdout == "Mail queue is empty\n", as_daemon("postqueue", "-p")
        for name, arguments in (("postsuper", ("-d", queue_id)), ("postcat", ("-q", queue_id))):
            done = as_daemon(name, *arguments)
            assert done.returncode == 1 and "hello" not in done.stdout, done
        done = world.command("sendmail", "-f", "d@desk.example", "bob@corp.example", input="own\n", user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        wait_until(lambda: as_daemon("postqueue", "-j").stdout.count("\n") == 1, "the user's own message", log=world.log)
        assert len(world.queued()) == 2
        world.stop()
        done = as_daemon("postqueue", "-p")
        assert done.returncode == 69 and "Queue report unavailable - mail system is down" in done.stderr, done


def the_operators_command_and_its_words():
    with World() as world:
        def said(*arguments):
            done = world.command("postrider", *arguments, check=False)
            return done.returncode, (done.stdout + done.stderr)
        code, text = said("status")
        assert code == 1 and text.endswith("postrider: the mail system is not running\n"), (code, text)
        for command in ("stop", "reload"):
            code, text = said(command)
            assert code == 1 and text.endswith("postrider: fatal: the mail system is not running\n"), (code, text)
        code, text = said("check")
        assert code == 0, text
        code, text = said("start")
        assert code == 0 and "starting the mail system" in text, (code, text)
        try:
            code, text = said("start")
            assert code == 1 and "fatal: the mail system is already running" in text, (code, text)
            second = world.command("postriderd", check=False)
            assert second.returncode != 0 and second.stderr, second
            code, text = said("status")
            assert code == 0 and re.search(r"the mail system is running: PID: \d+\n", text), (code, text)
            world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], LETTER)
            world.arrived(1)
            assert said("flush") == (0, "")
            code, text = said("reload")
            assert code == 0 and text.endswith("refreshing the mail system\n"), text
            world.wait_log(r"master\[\d+\]: reload -- version \S+, configuration ")
        finally:
            code, text = said("stop")
        assert code == 0 and text.endswith("stopping the mail system\n"), (code, text)
        world.wait_log(r"master\[\d+\]: terminating on signal 15$")
        assert said("status")[0] == 1


def a_broken_configuration_is_not_taken():
    with World() as world:
        world.start()
        good = (world.config / "main.cf").read_text()
        for broken in ("minimal_backoff_time = soon\n", "relay host = x\n", "smtp_tls_security_level = rather\n"):
            (world.config / "main.cf").write_text(good + broken)
            before = world.log().count("the old configuration stays in use")
            world.command("postrider", "reload", check=False)
            os.kill(world.daemon.pid, signal.SIGHUP)
            wait_until(lambda: world.log().count("the old configuration stays in use") > before, f"a complaint about {broken}", 10, world.log)
            # What is in use goes on; the programs that read main.cf themselves do not like it either.
            with smtplib.SMTP("127.0.0.1", world.smtp_port, timeout=20) as client:
                client.sendmail("ann@desk.example", ["bob@corp.example"], LETTER.replace("\n", "\r\n"))
        world.arrived(3)
        assert world.daemon.poll() is None


def reloading_under_load_disturbs_nobody():
    with World() as world:
        world.start()
        failures, sent = [], []
        def client(name):
            try:
                for number in range(15):
                    if name % 2:
                        with smtplib.SMTP("127.0.0.1", world.smtp_port, timeout=30) as smtp:
                            smtp.sendmail("ann@desk.example", ["bob@corp.example"], f"Subject: {name}.{number}\n\nx\n")
                    else:
                        world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], f"Subject: {name}.{number}\n\nx\n")
                    sent.append(f"{name}.{number}")
            except Exception as trouble:
                failures.append(f"{name}: {trouble!r}")
        threads = [threading.Thread(target=client, args=(name,)) for name in range(20)]
        for thread in threads:
            thread.start()
        reloads = 0
        while any(thread.is_alive() for thread in threads) and reloads < 30:
            os.kill(world.daemon.pid, signal.SIGHUP)
            reloads += 1
            time.sleep(0.3)
        for thread in threads:
            thread.join()
        assert not failures, failures[:5]
        world.arrived(len(sent), patience=40)
        world.drained()
        subjects = [re.search(r"^Subject: (\S+)\r?$", mail.header, re.M)[1] for mail in world.mails()]
        assert sorted(subjects) == sorted(sent), (len(subjects), len(sent), reloads)


def whoever_asks_during_a_reload_is_answered():
    with World(script=PUT_OFF) as world:
        world.start()
        submit(world)
        for _ in range(8):
            world.daemon.send_signal(signal.SIGHUP)
            for _ in range(6):
                assert len(world.queued()) == 1, world.log()


def a_restart_finds_everything():
    with World(script="MAIL * x5 451 4.3.2 later\n") as world:
        world.start()
        for _ in range(5):
            world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], LETTER)
        world.wait_log("status=deferred", count=1)
        assert world.stop() == 0
        for _ in range(3):
            world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], LETTER)
        world.start()
        world.command("postqueue", "-f")
        wait_until(lambda: world.command("postqueue", "-f") and len(world.mails()) >= 8, "all eight", log=world.log)
        world.drained()
        assert len(world.mails()) == 8


def sockets_handed_over_and_readiness_told():
    with World() as world:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        port = listener.getsockname()[1]
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(world.directory / "notify"))
        os.chmod(world.directory / "notify", 0o777)
        notify.settimeout(20)
        code = ("import os,sys\nos.dup2(int(sys.argv[1]),3,inheritable=True)\nos.environ['LISTEN_PID']=str(os.getpid())\n"
                "os.execv(sys.argv[2],sys.argv[2:])\n")
        environment = {**os.environ, "LISTEN_FDS": "1", "NOTIFY_SOCKET": str(world.directory / "notify")}
        world.daemon = world.spawn([sys.executable, "-c", code, listener.fileno(), BIN / "postriderd", "-c", world.config],
                                   pass_fds=[listener.fileno()], env=environment)
        assert b"READY=1" in notify.recv(4096)
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.sendmail("ann@desk.example", ["bob@corp.example"], "Subject: hi\n\nx\n")
        world.arrived(1)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", world.smtp_port)) != 0, "smtpd_listen was opened as well"
        world.stop()


class ServiceManager:
    """Keeps the daemon's sockets open and starts it with them, as systemd's socket units do."""

    def __init__(self, world):
        self.world = world
        self.smtp = socket.create_server(("127.0.0.1", 0))
        self.port = self.smtp.getsockname()[1]
        self.sockets = [self.smtp, *(self.unix(name) for name in ("submit", "control"))]

    def unix(self, name):
        path = self.world.queue / "public" / name
        path.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(path))
        os.chmod(path, 0o666)
        door.listen(16)
        return door

    def start(self):
        numbers = [door.fileno() for door in self.sockets]
        code = ("import fcntl,os,sys\nfds=[fcntl.fcntl(int(n),fcntl.F_DUPFD,50) for n in sys.argv[1].split()]\n"
                "for at,fd in enumerate(fds): os.dup2(fd,3+at,inheritable=True); os.close(fd)\n"
                "os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS=str(len(fds)))\n"
                "os.execv(sys.argv[2],sys.argv[2:])\n")
        world = self.world
        started = world.log().count("daemon started")
        world.daemon = world.spawn([sys.executable, "-c", code, " ".join(map(str, numbers)), BIN / "postriderd",
                                    "-c", world.config], pass_fds=numbers)
        wait_until(lambda: world.log().count("daemon started") > started, "the daemon's start", log=world.log)


def stays(world, seconds):
    try:
        world.daemon.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError("the daemon has ended\n" + world.log())


def it_ends_when_idle_and_is_started_by_the_next():
    with World("daemon_idle_exit = 1s\n", script="MAIL * 451 4.3.2 later\n", relay=False) as world:
        world.start()
        assert "daemon_idle_exit is of no effect" in world.log()
        world.stop()
        manager = ServiceManager(world)
        manager.start()
        # Mail that waits keeps it alive.
        world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], LETTER)
        stays(world, 4)
        world.command("postsuper", "-d", "ALL")
        assert world.daemon.wait(timeout=30) == 0, world.log()
        assert "nothing to do for 1 s -- ending" in world.log()
        # Who comes now waits at the door, and the manager starts the daemon again.
        with socket.create_connection(("127.0.0.1", manager.port), timeout=20) as client:
            manager.start()
            assert client.recv(100).startswith(b"220 ")
            # A client that is there keeps it alive, too.
            stays(world, 4)
        assert world.daemon.wait(timeout=30) == 0, world.log()


def an_ordinary_user_runs_it_alone():
    if os.geteuid() != 0:
        raise Skip("runs without root anyway")
    user = pwd.getpwnam("nobody")
    with World() as world:
        for path in [world.directory, *world.directory.rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid)
        who = dict(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        plain_spawn = world.spawn
        world.spawn = lambda command, **options: plain_spawn(command, **options, **who)
        world.start()
        world.command("sendmail", "-f", "ann@desk.example", "bob@corp.example", input=LETTER, **who)
        world.arrived(1)
        assert world.command("postqueue", "-p", **who).stdout == "Mail queue is empty\n"
        assert "is running" in world.command("postrider", "status", **who).stderr
        world.command("postrider", "stop", **who)
        world.command("sendmail", "-f", "ann@desk.example", "bob@corp.example", input=LETTER, **who)
        world.start()
        world.arrived(2)


def check_reads_what_a_start_reads():
    """Whatever would keep mail from going out is said before anything is started."""
    def said(setting):
        with World(main_cf=setting + "\n") as world:
            done = world.command("postrider", "check", check=False)
            return done.returncode, done.stderr
    for setting, what in [
            ("smtp_sasl_password_maps = hash:/nonexistent/p", r"warning: hash:/nonexistent/p is unavailable\. open database /nonexistent/p"),
            ("header_checks = regexp:/nonexistent/h", r"warning: regexp:/nonexistent/h is unavailable\. open /nonexistent/h: No such file"),
            ("mydestination = /nonexistent/d", r"warning: .*open file /nonexistent/d: No such file"),
            ("smtp_tls_CAfile = /nonexistent/ca", r"fatal: .*/nonexistent/ca.*No such file"),
            ("smtp_known_answers_file = /nonexistent/k", r"fatal: .*/nonexistent/k: No such file"),
            ("smtp_tls_security_level = very\nmaximal_queue_lifetime = 5x", r"fatal: .*line \d+: .*; .*line \d+: "),
            ("mail_owner = nobodyatall", r"fatal: mail_owner: there is no account" if os.geteuid() == 0 else "")]:
        code, text = said(setting)
        assert re.search(what, text) and (code == 1 or not what), (setting, code, text)
    code, text = said("relayhsot = [smtp.example.net]")
    assert code == 0 and "unused parameter: relayhsot" in text, (code, text)
    with World() as world:
        done = world.command("postrider", "check", "-v", check=False)
        assert done.returncode == 1 and 'check does not take "-v"' in done.stderr, done


def local_mail_needs_no_aliases_file():
    if os.path.exists("/etc/aliases") or os.path.exists("/etc/aliases.lmdb"):
        raise Skip("this machine has aliases")
    with World(main_cf="luser_relay = ann@corp.example\n") as world:
        main_cf = world.config / "main.cf"
        main_cf.write_text(re.sub(r"(?m)^alias_maps.*\n", "", main_cf.read_text()))
        assert world.command("postrider", "check", check=False).returncode == 0
        world.start()
        world.sendmail(["root"], LETTER)
        [mail] = world.arrived(1)
        assert [word.split()[0] for word in mail.recipients] == ["ann@corp.example"], mail.recipients
        assert "unavailable" not in world.log(), world.log()


if __name__ == "__main__":
    main(what_peers_say_cannot_speak_to_the_terminal, dangerous_settings_stand_in_the_status, the_log_names_the_libraries,
         listing_as_postfix_prints_it, deliveries_can_be_asked_for, postsuper_changes_the_queue, postcat_shows_a_message,
         others_see_only_their_own, the_operators_command_and_its_words, a_broken_configuration_is_not_taken,
         reloading_under_load_disturbs_nobody, whoever_asks_during_a_reload_is_answered, a_restart_finds_everything,
         sockets_handed_over_and_readiness_told, it_ends_when_idle_and_is_started_by_the_next,
         an_ordinary_user_runs_it_alone, check_reads_what_a_start_reads, local_mail_needs_no_aliases_file)
