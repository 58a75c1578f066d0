#!/usr/bin/env python3
"""The Debian package in fresh systems: installed, upgraded, removed, purged, put in Postfix's place.

    tests/package/package.py [TEST...]    builds the package, and a newer one, first

Takes some minutes, root and the network (`make package-check`).
"""

import functools
import hashlib
import os
import pathlib
import re
import stat
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from debian import ROOT, Booted, Debian, wait_until
from mailbench import main

NEWER = "99.0.0-1"
QUEUE = "/var/spool/postrider"
LETTER = "Subject: {0}\n\n{0}\n"
LOG = f"maillog_file = {QUEUE}/mail.log\nmaillog_file_prefixes = /\n"

# As guides have it. What differs is where the smarthost is, and which authority vouches for it.
GUIDE = """\
compatibility_level = 3.6
myhostname = desk.example
myorigin = /etc/mailname
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
inet_interfaces = loopback-only
relayhost = {relayhost}
smtp_host_lookup = native
smtp_tls_wrappermode = yes
smtp_tls_security_level = verify
smtp_tls_CAfile = {etc}/ca.pem
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:{etc}/sasl_passwd
smtp_sasl_security_options = noanonymous
smtp_sasl_mechanism_filter = plain
header_checks = regexp:{etc}/header_checks
"""


@functools.cache
def packages():
    """Builds both versions."""
    built = []
    for version in ((), (NEWER,)):
        said = subprocess.run([ROOT / "packaging" / "build-package", *version], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        built.append(pathlib.Path(said.splitlines()[-1]))
    # Not where somebody looks for a package to install.
    newer = built[1].parent / "newer"
    newer.mkdir(exist_ok=True)
    built[1] = built[1].rename(newer / built[1].name)
    subprocess.run(["cmake", "--build", ROOT / "build", "--target", "smarthost"], check=True,
                   stdout=subprocess.DEVNULL)
    return built


def configure(system, etc, more=""):
    """The guide's files in `etc`, with the modes that guides give them."""
    system.write(f"{etc}/main.cf", GUIDE.format(relayhost=system.relayhost, etc=f"/{etc}") + more)
    system.write(f"{etc}/ca.pem", system.world.ca.read_text())
    system.write(f"{etc}/sasl_passwd", f"{system.relayhost} user@gsuite.domain:apppassword\n", 0o600)
    system.write(f"{etc}/header_checks", "/^Received:/ IGNORE\n")


def installed(system):
    first, _ = packages()
    said = system.install(first)
    configure(system, "etc/postrider", LOG)
    system.run("postmap", "hash:/etc/postrider/sasl_passwd")
    system.run("invoke-rc.d", "postrider", "restart")
    return said


def send(system, *subjects, more=""):
    for subject in subjects:
        system.run("sendmail", "-f", "ann@desk.example", "bob@corp.example",
                   input=LETTER.format(subject) + more)


def subjects(mails):
    return sorted(mail.header.partition("Subject: ")[2].splitlines()[0] for mail in mails)


def files(system, below=""):
    """What is there, apart from what every package installation leaves: path, mode, owner, content."""
    found = {}
    root = str(system.files)
    passing = ("/proc", "/run", "/dev", "/sys", "/tmp", "/var/tmp", "/var/lib/dpkg", "/var/lib/apt", "/var/cache",
               "/var/log", "/var/lib/systemd")
    for directory, names, leaves in os.walk(root + below):
        here = directory.removeprefix(root)
        names[:] = [name for name in names if f"{here}/{name}" not in passing]
        for name in names + leaves:
            path = f"{directory}/{name}"
            state = os.lstat(path)
            content = ""
            if stat.S_ISREG(state.st_mode):
                content = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
            found[f"{here}/{name}"] = (oct(state.st_mode), state.st_uid, state.st_gid, content)
    return found


def lintian_finds_nothing():
    first, _ = packages()
    found = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", first],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert found.returncode == 0, found.stdout


def a_fresh_system_sends_mail_after_two_files_are_written():
    with Debian(packages()) as system:
        said = installed(system)
        assert "needs a relayhost" in said, said
        system.start_smarthost()
        send(system, "fresh")
        [mail] = system.arrived(1)
        assert subjects([mail]) == ["fresh"] and "Received:" not in mail.header, mail.content
        assert "running" in system.run("postrider", "status")
        # What the package promises to be, to other packages and to people.
        assert "mail-transport-agent" in system.run("dpkg-query", "-W", "-f", "${Provides}", "postrider")
        for path, mode in ((QUEUE, "755"), (f"{QUEUE}/maildrop", "1733"), (f"{QUEUE}/queue.db", "600")):
            assert system.run("stat", "-c", "%U %a", path).split() == ["postrider", mode], path
        listed = system.run("dpkg", "-L", "postrider").split()
        for path in ("/usr/sbin/sendmail", "/usr/bin/mailq", "/usr/bin/newaliases",
                     "/usr/share/man/man5/main.cf.5.gz", "/usr/share/man/man8/postriderd.8.gz",
                     "/lib/systemd/system/postrider.service", "/etc/init.d/postrider",
                     "/usr/share/doc/postrider/copyright"):
            assert path in listed, path
        # B1, and no privileged helper: nothing is setuid or setgid.
        for path in listed:
            state = os.lstat(f"{system.files}{path}")
            assert stat.S_ISLNK(state.st_mode) or not state.st_mode & 0o6000 or \
                not stat.S_ISREG(state.st_mode), path


def where_services_may_not_start_mail_is_kept_for_later():
    with Debian(packages()) as system:
        first, _ = packages()
        system.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        system.install(first)
        assert "not running" in system.run("postrider", "status", check=False)
        configure(system, "etc/postrider", LOG)
        system.run("postmap", "hash:/etc/postrider/sasl_passwd")
        send(system, "early")
        assert len(list((system.files / "var/spool/postrider/maildrop").iterdir())) == 1
        (system.files / "usr/sbin/policy-rc.d").unlink()
        system.start_smarthost()
        system.run("postrider", "start")
        assert subjects(system.arrived(1)) == ["early"]


def an_upgrade_keeps_the_queue():
    """P13, as far as there is one format of the store: the mail of one version is the next one's."""
    with Debian(packages()) as system:
        installed(system)
        send(system, "one", "two")
        large = "It lies in a file beside the database.\n" * 20000
        send(system, "three", more=large)
        wait_until(lambda: system.run("mailq").count("bob@corp.example") == 3, "three in the queue")
        before = system.run("cat", f"{QUEUE}/pid/master.pid")
        configuration = system.read("etc/postrider/main.cf")
        _, newer = packages()
        said = system.install(newer)
        assert "configuration file" not in said.lower(), said
        assert NEWER in system.run("dpkg-query", "-W", "-f", "${Version}", "postrider")
        assert system.run("cat", f"{QUEUE}/pid/master.pid") != before, "the old one still runs"
        assert system.read("etc/postrider/main.cf") == configuration
        assert system.run("mailq").count("bob@corp.example") == 3
        system.start_smarthost()
        system.run("postqueue", "-f")
        assert subjects(system.arrived(3)) == ["one", "three", "two"]
        wait_until(lambda: "is empty" in system.run("mailq"), "an empty queue", log=system.log)
        assert len(system.mails()) == 3
        assert [mail for mail in system.mails() if mail.content.endswith(large.encode().replace(b"\n", b"\r\n"))], \
            "the large one is not what it was"


def removal_keeps_mail_and_purging_says_that_it_goes():
    with Debian(packages()) as system:
        before = files(system)
        installed(system)
        send(system, "one")
        send(system, "two", more="It lies in a file beside the database.\n" * 20000)
        wait_until(lambda: system.run("mailq").count("bob@corp.example") == 2, "two in the queue")
        said = system.run("apt-get", "remove", "-y", "postrider")
        assert "2 messages wait" in said, said
        assert not (system.files / "usr/sbin/sendmail").exists()
        assert (system.files / "var/spool/postrider/queue.db").exists()
        assert (system.files / "etc/postrider/sasl_passwd").exists()
        assert "postriderd" not in system.run("sh", "-c", "cat /proc/[0-9]*/comm")
        # What was left is there again with the package.
        first, _ = packages()
        system.install(first)
        assert system.run("mailq").count("bob@corp.example") == 2
        said = system.run("apt-get", "purge", "-y", "--auto-remove", "postrider")
        assert "2 messages wait" in said and "deleting the queue" in said, said
        after = files(system)
        changed = sorted(path for path in before.keys() | after.keys()
                         if before.get(path) != after.get(path))
        print("        left behind by install and purge: " + " ".join(
            path for path in changed if not path.startswith(("/etc/ssl/certs/", "/usr/share/"))))
        # The account stays, as Debian's do: its number must not be given to somebody else.
        ours = [path for path in changed if "postrider" in path or "aliases" in path]
        assert not ours, ours
        assert "postrider" in system.read("etc/passwd")


def postfix_hands_over_to_us():
    """Its configuration is adopted, its tables indexed, nothing of it is changed, and mail that waits
    in its queue is neither lost nor passed over in silence."""
    first, _ = packages()
    with Debian([first], "postfix", "postfix", "ca-certificates") as system:
        (system.files / "etc/postfix/main.cf").unlink(missing_ok=True)
        configure(system, "etc/postfix",
                  "queue_directory = /var/spool/postfix\nsetgid_group = postdrop\n"
                  "smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache\n")
        system.write("etc/aliases", "root: ann@away.example\n")
        system.run("postmap", "hash:/etc/postfix/sasl_passwd")
        system.run("newaliases")
        # Debian's Postfix takes it in although its daemon does not run.
        system.run("sendmail", "-f", "ann@desk.example", "bob@corp.example",
                   input=LETTER.format("postfix"), check=False)
        theirs = lambda: files(system, "/etc/postfix") | files(system, "/var/spool/postfix")
        before = theirs()
        assert any(path.startswith("/var/spool/postfix/maildrop/") for path in before)
        said = system.install(first)
        assert "has been taken over" in said, said
        assert "1 messages wait in Postfix's queue" in said, said
        assert not (system.files / "usr/sbin/postfix").exists()
        after = theirs()
        gone = [path for path, state in before.items() if after.get(path) != state]
        # apt removes what is Postfix's program and not its configuration.
        assert not [path for path in gone if stat.S_ISREG(int(before[path][0], 8)) and
                    not path.endswith(("makedefs.out", "postfix-files"))], gone
        for name, mode in (("main.cf", 0o644), ("sasl_passwd", 0o600), ("sasl_passwd.lmdb", 0o600),
                           ("header_checks", 0o644)):
            assert (system.files / "etc/postrider" / name).stat().st_mode & 0o7777 == mode, name
        assert not (system.files / "etc/postrider/sasl_passwd.db").exists()
        adopted = system.read("etc/postrider/main.cf")
        assert "/etc/postfix" not in adopted, adopted
        system.start_smarthost()
        send(system, "adopted")
        system.run("sendmail", "root", input=LETTER.format("cron"))
        mails = system.arrived(2)
        assert subjects(mails) == ["adopted", "cron"], subjects(mails)
        heard = [recipient.split()[0] for mail in mails for recipient in mail.recipients]
        assert sorted(heard) == ["ann@away.example", "bob@corp.example"], heard
        assert all("Received:" not in mail.header for mail in mails), "header_checks are not in force"
        # And back, with what is in its queue.
        system.run("apt-get", "install", "-y", "--no-install-recommends", "postfix")
        kept = [path for path in theirs() if re.match(
            r"/var/spool/postfix/(maildrop|incoming|active|deferred)/(\w/)?\w{6,}$", path)]
        assert kept or "postfix" in subjects(system.mails()), sorted(theirs())


def systemd_runs_it_in_its_sandbox():
    """B4, for real: the unit as it is installed, with a password file that only root can read and a
    drop that only its writer can."""
    first, newer = packages()
    with Booted([first, newer]) as system:
        system.install(first)
        assert system.run("systemctl", "is-enabled", "postrider").strip() == "enabled"
        configure(system, "etc/postrider", "inet_protocols = ipv4\n")
        system.run("postmap", "hash:/etc/postrider/sasl_passwd")
        system.run("systemctl", "restart", "postrider")
        system.start_smarthost()
        send(system, "sandboxed")
        [mail] = system.arrived(1)
        status = lambda pid: dict(line.split(":\t") for line in
                                  system.read(f"proc/{pid}/status").splitlines() if ":\t" in line)
        main_pid = lambda: system.run("systemctl", "show", "-P", "MainPID", "postrider").strip()
        master = main_pid()
        owner = system.run("id", "-u", "postrider").strip()
        children = system.read(f"proc/{master}/task/{master}/children").split()
        assert len(children) == 2
        for pid in (master, *children):
            state = status(pid)
            assert state["Uid"].split() == [owner] * 4, state["Uid"]
            assert int(state["CapPrm"], 16) == int(state["CapAmb"], 16) == 0, (pid, state["CapPrm"])
            assert state["Seccomp"].strip() == "2" and state["NoNewPrivs"].strip() == "1"
        assert "Landlock" not in system.log(), system.log()
        # A user's mail, left while the daemon was away; who it was is known in spite of the sandbox.
        system.run("useradd", "ann")
        system.run("systemctl", "stop", "postrider")
        system.run("setpriv", "--reuid", "ann", "--regid", "ann", "--clear-groups", "sendmail", "-f",
                   "ann@desk.example", "bob@corp.example", input=LETTER.format("dropped"))
        assert list((system.files / "var/spool/postrider/maildrop").iterdir())
        system.run("systemctl", "start", "postrider")
        system.arrived(2)
        uid = system.run("id", "-u", "ann").strip()
        wait_until(lambda: f"uid={uid} from=<ann@desk.example>" in system.log(), "its line", log=system.log)
        # A new password is noticed without being told.
        master = main_pid()
        system.write("etc/postrider/sasl_passwd", f"{system.relayhost} user@gsuite.domain:other\n", 0o600)
        system.run("postmap", "hash:/etc/postrider/sasl_passwd")
        wait_until(lambda: "has changed" in system.log(), "the change being noticed", log=system.log)
        assert main_pid() == master
        send(system, "waiting")
        wait_until(lambda: "account trouble" in system.log(), "the refusal", log=system.log)
        # An upgrade restarts it, with what waits; the right password lets it go.
        system.write("etc/postrider/sasl_passwd", f"{system.relayhost} user@gsuite.domain:apppassword\n",
                     0o600)
        system.run("postmap", "hash:/etc/postrider/sasl_passwd")
        system.install(newer)
        assert main_pid() not in ("0", master)
        system.run("postrider", "flush")
        assert subjects(system.arrived(3)) == ["dropped", "sandboxed", "waiting"]
        system.run("apt-get", "purge", "-y", "postrider")
        assert system.run("systemctl", "is-active", "postrider", check=False).strip() == "inactive"


if __name__ == "__main__":
    subprocess.run([ROOT / "packaging" / "install-dependencies", "package-test"], check=True)
    main(lintian_finds_nothing, a_fresh_system_sends_mail_after_two_files_are_written,
         where_services_may_not_start_mail_is_kept_for_later, an_upgrade_keeps_the_queue,
         removal_keeps_mail_and_purging_says_that_it_goes, postfix_hands_over_to_us,
         systemd_runs_it_in_its_sandbox)
