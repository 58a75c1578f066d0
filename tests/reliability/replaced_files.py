#!/usr/bin/env python3
"""O2: main.cf and a table are rewritten all the time, in place, slowly, and by another file, while the
daemon is reloaded and commands are run. What is read is one version or none.
"""

import pathlib
import random
import re
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, need
from ledger import Smtp
from mailbench import World, main, wait_until


def written_in_place(path, text, dice):
    """As some editors do it, and every shell."""
    cut = dice.randrange(len(text))
    with open(path, "w") as file:
        file.write(text[:cut])
        file.flush()
        time.sleep(dice.random() * 0.1)
        file.write(text[cut:])


def put_in_place(path, text, dice):
    beside = path.with_name(path.name + ".new")
    written_in_place(beside, text, dice)
    beside.rename(path)


class Writer(threading.Thread):
    """Version after version of both files. What belongs together stands at both ends of each."""

    def __init__(self, world):
        super().__init__()
        self.config, self.table = world.config / "main.cf", world.config / "virtual"
        lines = [line for line in self.config.read_text().splitlines() if not line.startswith("myhostname")]
        self.rest = "\n".join([*lines, f"virtual_alias_maps = texthash:{self.table}", *(f"# {i}" for i in range(500))])
        self.over, self.version, self.dice = threading.Event(), 0, random.Random(4)

    def texts(self):
        k = self.version
        yield self.config, f"smtpd_banner = $myhostname ESMTP version-{k}.\n{self.rest}\nmyhostname = version-{k}.\n".replace(".\n", ".example\n")
        between = "".join(f"nobody{i}@there.example nobody\n" for i in range(2000))
        yield self.table, f"first@corp.example first-{k}@corp.example\n{between}second@corp.example second-{k}@corp.example\n"

    def write(self, way):
        self.version += 1
        for path, text in self.texts():
            way(path, text, self.dice)

    def run(self):
        while not self.over.wait(self.dice.random() * 0.05):
            self.write(self.dice.choice((written_in_place, put_in_place)))


class Client(threading.Thread):
    """Sends to the two that belong together, and looks at the greeting."""

    def __init__(self, world):
        super().__init__()
        self.world, self.over, self.greetings, self.accepted, self.put_off = world, threading.Event(), [], 0, 0

    def run(self):
        class Letter:
            recipients = ["first@corp.example", "second@corp.example"]
            content = b"Subject: both\r\n\r\nboth\r\n"
        while not self.over.wait(0.01):
            try:
                with socket.create_connection(("127.0.0.1", self.world.smtp_port), 10) as probe:
                    self.greetings.append(probe.recv(1000).decode())
                client = Smtp(self.world.smtp_port, 20)
                code, _ = client.send(Letter)
                client.close()
            except (OSError, AssertionError, ValueError):
                continue
            if code == 250:
                self.accepted += 1
            else:
                self.put_off += 1


def what_is_read_while_it_is_rewritten_is_one_version_or_none():
    need()
    with World(main_cf=QUICK + "soft_bounce = yes\n") as world:
        writer, client = Writer(world), Client(world)
        writer.write(put_in_place)
        world.start()
        shown, refused = [], 0
        try:
            writer.start(), client.start()
            end = time.monotonic() + (60 if LONG else 8)
            while time.monotonic() < end:
                world.daemon.send_signal(signal.SIGHUP)
                for _ in range(3):
                    done = world.command("postconf", "-h", "smtpd_banner", "myhostname", check=False)
                    if done.returncode == 0:
                        shown.append(done.stdout)
                    else:
                        refused += 1
                        assert "is being written" in done.stderr, done
        finally:
            for thread in (writer, client):
                thread.over.set()
                thread.join()
        # Then all is quiet, and what counts is what was written last.
        last = writer.version
        world.command("postrider", "reload")
        def greeting():
            with socket.create_connection(("127.0.0.1", world.smtp_port), 10) as probe:
                return probe.recv(1000).decode()
        wait_until(lambda: f"220 version-{last}.example ESMTP version-{last}.example" in greeting(), "the last version", log=world.log)
        wait_until(lambda: not world.queued(), "an empty queue", log=world.log)
        for text in [*client.greetings, *shown]:
            versions = set(re.findall(r"version-(\d+)", text)) if "220" in text or "version" in text else {0}
            assert len(versions) == 1 and len(re.findall("version-", text)) in (2, 3), f"a mixture: {text!r}"
        pairs = set()
        for mail in world.mails():
            # Both in one message, as they were asked for.
            pairs.add(tuple(sorted(mail.recipients)))
        mixed = [pair for pair in pairs if len(set(re.findall(r"-(\d+)@", " ".join(pair)))) != 1 or len(pair) != 2]
        assert not mixed, f"mixtures: {mixed}"
        assert client.accepted > 20 and writer.version > 20, (client.accepted, writer.version)
        half = world.log().count("is being written")
        assert refused + half > 0, "nobody was ever interrupted: the race was none"
        print(f"FIGURES replaced: {writer.version} versions, {len(shown)} read and {refused} refused by postconf, {half} by the daemon, "
              f"{client.accepted} messages accepted, {client.put_off} put off, {len(pairs)} versions of the table", flush=True)


if __name__ == "__main__":
    main(what_is_read_while_it_is_rewritten_is_one_version_or_none)
