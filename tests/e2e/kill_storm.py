#!/usr/bin/env python3
"""Kills the daemon again and again under load: what was accepted arrives, and seldom twice.

    kill_storm.py [SECONDS [SEED]]

The ledger holds every message that was accepted (exit status 0 of sendmail, 250 of SMTP). In the
end each of them has reached the smarthost, and none more often than 1 + the number of kills.
"""

import collections
import os
import random
import re
import signal
import smtplib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import World, main, wait_until

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1][0].isdigit() else 25.0
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
QUICK = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nmyhostname = desk.example\n"


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.accepted = set()
        self.refused = 0
        self.number = 0

    def next_name(self):
        with self.lock:
            self.number += 1
            return f"m{self.number}"

    def note(self, name, accepted):
        with self.lock:
            if accepted:
                self.accepted.add(name)
            else:
                self.refused += 1


def text_of(name, dice):
    """Small mail mostly, sometimes some hundred kilobytes."""
    lines = dice.choice((1, 3, 20, 20, 200, 6000))
    return f"To: bob@corp.example\nSubject: {name}\n\n" + f"{name} all work and no play makes dull mail\n" * lines


def submit_by_smtp(world, ledger, over, seed):
    dice = random.Random(seed)
    while not over.is_set():
        try:
            with smtplib.SMTP("127.0.0.1", world.smtp_port, timeout=20) as client:
                for _ in range(dice.randint(1, 10)):
                    name = ledger.next_name()
                    accepted = False
                    try:
                        client.sendmail("ann@desk.example", ["bob@corp.example"], text_of(name, dice))
                        accepted = True
                    finally:
                        ledger.note(name, accepted)
        except (OSError, smtplib.SMTPException):
            time.sleep(0.05)


def submit_by_sendmail(world, ledger, over, seed):
    dice = random.Random(seed)
    while not over.is_set():
        name = ledger.next_name()
        done = world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], text_of(name, dice), check=False)
        ledger.note(name, done.returncode == 0)
        time.sleep(dice.random() * 0.05)


def workers_of(pid):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(word) for word in listed.stdout.split()]


def nothing_accepted_is_lost():
    print(f"seed {SEED}", flush=True)
    dice = random.Random(SEED)
    ledger = Ledger()
    over = threading.Event()
    with World(main_cf=QUICK) as world:
        world.start()
        threads = [threading.Thread(target=submit_by_smtp, args=(world, ledger, over, dice.random())) for _ in range(4)]
        threads += [threading.Thread(target=submit_by_sendmail, args=(world, ledger, over, dice.random())) for _ in range(2)]
        for thread in threads:
            thread.start()
        kills = collections.Counter()
        end = time.monotonic() + SECONDS
        try:
            while time.monotonic() < end:
                time.sleep(dice.random() * 1.2)
                workers = workers_of(world.daemon.pid)
                if dice.random() < 0.5 or not workers:
                    world.kill()
                    kills["daemon"] += 1
                    world.start()
                else:
                    try:
                        os.kill(dice.choice(workers), signal.SIGKILL)
                        kills["worker"] += 1
                    except ProcessLookupError:
                        pass
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert SECONDS < 20 or sum(kills.values()) >= 15, kills
        settled = lambda: len({name for name in arrivals(world)} & ledger.accepted) == len(ledger.accepted)
        try:
            wait_until(settled, "the arrival of all that was accepted", patience=60)
            world.drained(60)
        except AssertionError:
            missing = sorted(ledger.accepted - set(arrivals(world)))
            raise AssertionError(f"seed {SEED}, {dict(kills)}: {len(missing)} of {len(ledger.accepted)} missing: {missing[:20]}")
        copies = arrivals(world)
        damaged = [mail for mail in world.mails() if not whole(mail)]
        assert not damaged, f"seed {SEED}: {len(damaged)} damaged, {damaged[0].content[:300]}"
        most = max(copies.values())
        limit = 1 + sum(kills.values())
        print(f"{dict(kills)}: {len(ledger.accepted)} accepted, {ledger.refused} refused, {sum(copies.values())} arrivals, "
              f"{sum(1 for count in copies.values() if count > 1)} more than once, at most {most} times", flush=True)
        assert most <= limit, (SEED, copies.most_common(3))
        assert "bounced" not in world.log()


def arrivals(world):
    """How often each message arrived, by subject."""
    copies = collections.Counter()
    for path in world.store.glob("*.eml"):
        with open(path, "rb") as file:
            found = re.search(rb"^Subject: (m\d+)\r$", file.read(2000), re.M)
        copies[found[1].decode()] += 1
    return copies


def whole(mail):
    name = re.search(r"^Subject: (m\d+)\r?$", mail.header, re.M)[1].encode()
    lines = mail.body.split(b"\r\n")
    return lines[-1] == b"" and len(lines) - 1 in (1, 3, 20, 200, 6000) and \
        set(lines[:-1]) == {name + b" all work and no play makes dull mail"}


if __name__ == "__main__":
    sys.argv[1:] = []
    main(nothing_accepted_is_lost)
