#!/usr/bin/env python3
"""Measures postrider side by side with Postfix: in, out, sendmail, memory. See docs/performance.md.

    bench/compare.py [--rounds 3] [--quick] [--only ingest,relay,sendmail,memory] [--ours]

The two take turns, each round with a fresh queue; medians of the rounds are printed with their ratio
and written to bench/results/.
"""

import argparse
import datetime
import json
import multiprocessing
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

from contestants import Ours, Theirs
from mailbench import ROOT, TESTS, Skip, World, wait_until
from private_postfix import PrivateRoot

SENDER, RECIPIENT = "ann@desk.example", "bob@corp.example"
SESSIONS = (1, 10, 50)
RELAYED = 2000
SENDMAIL_RUNS = 200


class Bench:
    def __init__(self, quick):
        self.quick = quick
        self.world = World(relay=False)  # For the certificates and a place of its own.
        self.world.__enter__()
        self.tools = PrivateRoot(self.world.directory, {})
        self.tools.__enter__()

    def close(self):
        self.tools.__exit__(None, None, None)
        self.world.__exit__(None, None, None)

    def start(self, name):
        if name == "Postfix":
            return Theirs(self.world.ca)
        return Ours()

    def smarthost(self, queue):
        """Takes everything and keeps nothing, at the port where the queue looks for it."""
        tls = queue.world if queue.name == "postrider" else self.world
        process = self.world.spawn(
            [TESTS / "smarthost", "--port", queue.relay_port, "--implicit-tls", "--cert",
             tls.certificate, "--key", tls.key, "--users", "user@gsuite.domain:apppassword"])
        self.world.wait_for_port(queue.relay_port)
        return process

    def source(self, queue, sessions, count, keep_open, size=4096):
        """Seconds until smtp-source has handed all over."""
        words = ["/usr/sbin/smtp-source", "-s", sessions, "-m", count, "-l", size, "-f", SENDER,
                 "-t", RECIPIENT] + (["-d"] if keep_open else []) + [f"127.0.0.1:{queue.port}"]
        begun = time.monotonic()
        self.tools.run(*words)
        return time.monotonic() - begun

    # The four measurements; each returns {what: value}.

    def ingest(self, queue):
        values = {}
        for sessions in SESSIONS:
            count = min(2000, 300 * sessions) // (4 if self.quick else 1)
            for keep_open in (False, True):
                seconds = self.source(queue, sessions, count, keep_open)
                kind = "kept open" if keep_open else "one per connection"
                values[f"in, {sessions} sessions, {kind} (msg/s)"] = count / seconds
                queue.queue_command("postsuper", "-d", "ALL")
        return values

    def relay(self, queue):
        """Queued while the smarthost was away; drained when it is back and the queue is flushed."""
        count = RELAYED // (4 if self.quick else 1)
        self.source(queue, 20, count, True)
        wait_until(lambda: time.time() - queue.log_file.stat().st_mtime > 1, "the end of deferring", 60)
        smarthost = self.smarthost(queue)
        before = queue.sent()
        begun = time.monotonic()
        queue.queue_command("postqueue", "-f")
        wait_until(lambda: queue.sent() - before >= count, f"{count} deliveries by {queue.name}", 60,
                   lambda: open(queue.log_file).read()[-2000:])
        seconds = time.monotonic() - begun
        self.world.stop(smarthost)
        return {"out, TLS and AUTH (msg/s)": count / seconds}

    def sendmail(self, queue):
        receiver, sender = multiprocessing.Pipe(False)
        child = multiprocessing.Process(target=time_sendmail, args=(queue, sender, SENDMAIL_RUNS))
        child.start()
        times = sorted(receiver.recv())
        child.join()
        return {"sendmail returns, median (ms)": statistics.median(times) * 1000,
                "sendmail returns, p95 (ms)": times[int(len(times) * 0.95)] * 1000}

    def memory(self, queue):
        smarthost = self.smarthost(queue)
        time.sleep(1)
        values = {"memory idle (MB PSS)": queue.memory() / 1e6}
        self.source(queue, 1, 1, False)
        wait_until(lambda: queue.sent() >= 1, "a delivery", 60)
        time.sleep(0.5)
        values["memory after a delivery (MB PSS)"] = queue.memory() / 1e6
        count = RELAYED // (4 if self.quick else 1)
        self.source(queue, 20, count, True)
        wait_until(lambda: queue.sent() >= count + 1, f"{count} deliveries", 60)
        time.sleep(0.5)
        values[f"memory after {count} messages (MB PSS)"] = queue.memory() / 1e6
        self.world.stop(smarthost)
        return values


def time_sendmail(queue, result, runs):
    """In a child, which may move into the private root: from before the fork until after the wait."""
    queue.enter()
    message = b"To: " + RECIPIENT.encode() + b"\nSubject: measured\n\n" + b"x" * 72 + b"\n" * 10
    words = queue.sendmail() + ["-f", SENDER, RECIPIENT]
    times = []
    for _ in range(runs):
        reading, writing = os.pipe()
        os.write(writing, message)
        os.close(writing)
        begun = time.monotonic()
        pid = os.posix_spawn(words[0], words, os.environ,
                             file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
        _, status = os.waitpid(pid, 0)
        times.append(time.monotonic() - begun)
        os.close(reading)
        assert status == 0, f"sendmail: {status}"
    result.send(times)


def fsyncs_per_second(directory):
    """What the disk allows: the rate of small writes that are each made durable."""
    with open(pathlib.Path(directory) / "probe", "wb", buffering=0) as file:
        begun = time.monotonic()
        for _ in range(200):
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
        return 200 / (time.monotonic() - begun)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--quick", action="store_true", help="a quarter of the messages")
    arguments.add_argument("--only", default="ingest,relay,sendmail,memory")
    arguments.add_argument("--ours", action="store_true", help="without Postfix")
    options = arguments.parse_args()

    names = ["postrider"] if options.ours else ["Postfix", "postrider"]
    values = {name: {} for name in names}
    bench = Bench(options.quick)
    try:
        disk = fsyncs_per_second(bench.world.directory)
        for round_number in range(options.rounds):
            for part in options.only.split(","):
                for name in names:
                    print(f"round {round_number + 1}: {part}, {name}", file=sys.stderr)
                    queue = bench.start(name)
                    try:
                        for what, value in getattr(bench, part)(queue).items():
                            values[name].setdefault(what, []).append(value)
                    finally:
                        queue.close()
    finally:
        bench.close()
    report(values, names, disk, options)


def report(values, names, disk, options):
    print(f"{os.cpu_count()} processors, {disk:.0f} durable 4 KB writes/s, "
          f"medians of {options.rounds}\n")
    print(f"{'':46}" + "".join(f"{name:>12}" for name in names) + f"{'ratio':>9}")
    for what in values[names[0]]:
        medians = [statistics.median(values[name][what]) for name in names]
        ratio = medians[-1] / medians[0] if len(names) > 1 else 1
        print(f"{what:46}" + "".join(f"{value:12.1f}" for value in medians) + f"{ratio:9.2f}")
    now = datetime.datetime.now(datetime.timezone.utc)
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                            capture_output=True, text=True).stdout.strip()
    path = ROOT / "bench" / "results" / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"commit": commit, "durable_writes_per_second": disk,
                                "processors": os.cpu_count(), "values": values}, indent=1))
    print(f"\n{path}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that what was started is ended.
    try:
        main()
    except Skip as reason:
        print(f"SKIPPED: {reason}", file=sys.stderr)
        sys.exit(77)
