#!/usr/bin/env python3
"""Measures postrider side by side with Postfix. See docs/performance.md.

    bench/compare.py [--rounds 3] [--quick] [--only ingest,relay,...] [--ours] [--minutes 60]

The contestants take turns, each measure of each round with a fresh queue; medians of the rounds are
printed with their ratio and written to bench/results/.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "support"))
from contestants import Ours, Sink, Theirs
from mailbench import ROOT, TESTS, Skip, World, wait_until
from measures import MEASURES, RECIPIENT, SENDER
from peers import PEERS
from private_postfix import PrivateRoot

LOAD = TESTS.parent / "bench"
SLOW_SYNC_MS = 10
# What only one of them can be asked, and what has a third to be held against.
OURS_ALONE = {"group_commit", "endurance"}
# Once is enough where a million messages must be made first and the figures hardly differ.
ONCE = {"scale", "endurance"}
# Only when it is asked for.
LONG = {"endurance", "peers"}
OTHERS = {"ingest": ["smtp-sink"], "sendmail": ["dma"], "peers": list(PEERS)}


class Bench:
    """The tools of the measures: sources, the smarthost, the long line."""

    def __init__(self, quick, minutes=60):
        self.quick = quick
        self.minutes = minutes
        self.world = World(relay=False)  # For the certificates and a place of its own.
        self.world.__enter__()
        self.root = PrivateRoot(self.world.directory, {})
        self.root.__enter__()

    def close(self):
        self.root.__exit__(None, None, None)
        self.world.__exit__(None, None, None)

    def scaled(self, count):
        return max(1, count // 4) if self.quick else count

    def start(self, name, measure):
        if name == "Postfix":
            return Theirs(self.world.ca)
        if name == "smtp-sink":
            return Sink(self.root)
        if name in PEERS:
            return PEERS[name](self.world.directory, self.world.ca)
        return Ours(SLOW_SYNC_MS if measure == "group_commit" else None)

    # Load -----------------------------------------------------------------------------------------

    def source(self, queue, sessions, count, keep_open, size=4096):
        """Seconds until smtp-source has handed all over."""
        words = ["/usr/sbin/smtp-source", "-s", sessions, "-m", count, "-l", size, "-f", SENDER,
                 "-t", RECIPIENT] + (["-d"] if keep_open else []) + [f"127.0.0.1:{queue.port}"]
        begun = time.monotonic()
        self.root.run(*words)
        return time.monotonic() - begun

    def sender(self, queue, **options):
        """What our own source, which pipelines, says of the load it made."""
        words = [str(LOAD / "sender"), "--port", str(queue.port)]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    # The other end --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def smarthost(self, queue, port=None):
        """Takes everything and keeps nothing, at the port where the queue looks for it."""
        tls = queue.world if queue.name == "postrider" else self.world
        port = port or queue.relay_port
        process = self.world.spawn(
            [TESTS / "smarthost", "--port", port, "--implicit-tls", "--cert", tls.certificate,
             "--key", tls.key, "--users", "user@gsuite.domain:apppassword"])
        process.port = port
        self.world.wait_for_port(port)
        try:
            yield process
        finally:
            self.world.stop(process)

    @contextlib.contextmanager
    def long_line(self, port, to_port, delay):
        """What it tells of connections and answers, a file."""
        told = self.world.directory / "long_line"
        with open(told, "w") as output:
            process = self.world.spawn([sys.executable, ROOT / "bench" / "load" / "delay_proxy.py", port,
                                        to_port, delay * 1000], stdout=output)
        self.world.wait_for_port(port)
        try:
            yield told
        finally:
            self.world.stop(process)

    def wait_for_deliveries(self, queue, count):
        """That many since the last call that told of any."""
        seen = getattr(queue, "seen", 0)
        wait_until(lambda: queue.sent() - seen >= count, f"{count} deliveries by {queue.name}", 180,
                   lambda: open(queue.log_file).read()[-2000:])
        queue.seen = seen + count

    def flush_and_drain(self, queue, count):
        begun = time.monotonic()
        queue.flush()
        self.wait_for_deliveries(queue, count)
        return time.monotonic() - begun

    def submission_to_delivery(self, queue):
        begun = time.monotonic()
        self.source(queue, 1, 1, False)
        self.wait_for_deliveries(queue, 1)
        return time.monotonic() - begun

    def peak_memory_during(self, queue, action):
        peak, over = queue.memory(), threading.Event()

        def watch():
            nonlocal peak
            while not over.wait(0.02):
                peak = max(peak, queue.memory())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            action()
        finally:
            over.set()
            watcher.join()
        return peak


def durable_writes_per_second(directory):
    """What the disk allows: the rate of small writes that are each made durable."""
    with open(pathlib.Path(directory) / "probe", "wb", buffering=0) as file:
        begun = time.monotonic()
        for _ in range(200):
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
        return 200 / (time.monotonic() - begun)


def contestants_of(measure, ours_only):
    if ours_only or measure in OURS_ALONE:
        return ["postrider"]
    return ["Postfix", *OTHERS.get(measure, ()), "postrider"]


def run(bench, options):
    """{contestant: {what: [value of each round]}}, and {contestant: version}."""
    values, versions = {}, {}
    measures = options.only.split(",")
    rounds = [[one for one in measures if number == 0 or one not in ONCE]
              for number in range(options.rounds)]
    total = sum(len(contestants_of(one, options.ours)) for each in rounds for one in each)
    done = 0
    for round_number, its_measures in enumerate(rounds):
        for measure in its_measures:
            for name in contestants_of(measure, options.ours):
                done += 1
                print(f"[{done}/{total}] round {round_number + 1}: {measure}, {name}",
                      file=sys.stderr, flush=True)
                try:
                    queue = bench.start(name, measure)
                except Skip as reason:
                    if name not in PEERS:
                        raise
                    print(f"SKIPPED {measure}, {name}: {reason}", file=sys.stderr, flush=True)
                    continue
                try:
                    if queue.version:
                        versions[name] = queue.version
                    for what, value in MEASURES[measure](bench, queue).items():
                        values.setdefault(name, {}).setdefault(what, []).append(value)
                finally:
                    queue.close()
    return values, versions


def report(values, versions, durable_writes, options):
    """The table, and the same for machines."""
    names = [name for name in ("Postfix", "smtp-sink", *PEERS, "postrider") if name in values]
    medians = {name: {what: statistics.median(rounds) for what, rounds in values[name].items()}
               for name in names}
    print(f"{os.cpu_count()} processors, {durable_writes:.0f} durable 4 KB writes/s, "
          f"medians of {options.rounds}")
    print(", ".join(f"{name} {version}" for name, version in versions.items()) + "\n")
    print(f"{'':58}" + "".join(f"{name:>12}" for name in names) + f"{'ratio':>9}")
    for what, ours in medians["postrider"].items():
        cells = [f"{medians[name][what]:12.2f}" if what in medians[name] else f"{'':12}"
                 for name in names]
        theirs = medians.get("Postfix", {}).get(what)
        print(f"{what:58}" + "".join(cells) + (f"{ours / theirs:9.2f}" if theirs else ""))
    now = datetime.datetime.now(datetime.timezone.utc)
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                            capture_output=True, text=True).stdout.strip()
    path = ROOT / "bench" / "results" / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"commit": commit, "durable_writes_per_second": durable_writes,
                                "processors": os.cpu_count(), "versions": versions,
                                "values": values}, indent=1))
    print(f"\n{path}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--quick", action="store_true", help="a quarter of the messages")
    arguments.add_argument("--only", default=",".join(one for one in MEASURES if one not in LONG))
    arguments.add_argument("--minutes", type=float, default=60, help="of endurance")
    arguments.add_argument("--ours", action="store_true", help="without Postfix")
    options = arguments.parse_args()
    bench = Bench(options.quick, options.minutes)
    try:
        durable_writes = durable_writes_per_second(bench.world.directory)
        values, versions = run(bench, options)
    finally:
        bench.close()
    report(values, versions, durable_writes, options)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that what was started is ended.
    try:
        main()
    except Skip as reason:
        print(f"SKIPPED: {reason}", file=sys.stderr)
        sys.exit(77)
