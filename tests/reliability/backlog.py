#!/usr/bin/env python3
"""Q7, Q8: the smarthost was away for long, and comes back. The backlog goes out as fast as the smarthost
lets it; mail that comes in meanwhile does not wait for it; memory and sessions stay bounded.
"""

import pathlib
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, worker
from ledger import Ledger, Smtp
from mailbench import World, check_measure, main, wait_until
from memory import check_limit, peak

WAITING = 100000 if LONG else 5000
#: smtp_destination_concurrency_limit, as it is by default.
SESSIONS = 20
#: What the smarthost takes for each message, so that the backlog lasts.
ANSWER_MS = 5
GROWTH_MAX = 20e6


def fill(world, ledger):
    def some(count):
        client = Smtp(world.smtp_port)
        for _ in range(count):
            letter = ledger.new_letter(300)
            ledger.note(letter, client.send(letter)[0] == 250, "smtp")
        client.close()
    threads = [threading.Thread(target=some, args=(WAITING // 4,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.accepted) == WAITING, ledger.replies


def sessions(world):
    """Connections to the smarthost that are open now."""
    port = f":{world.relay_port:04X}"
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(port) and row[3] == "01" for row in rows)


def delays_of(world, letters):
    names = "|".join(letter.name for letter in letters)
    found = re.findall(rf"to=<({names})\.0@.*, delay=([0-9.]+),.*status=sent", world.log())
    return [float(delay) for _, delay in found]


def a_long_backlog_goes_out_and_holds_nobody_up():
    with World(main_cf=QUICK, relay=False, script=f"END * wait {ANSWER_MS}\n") as world:
        world.start()
        ledger = Ledger(world)
        fill(world, ledger)
        courier = worker(world, "courier")
        memory = peak(courier)
        world.start_smarthost()
        begun, most, first = time.monotonic(), 0, 0
        fresh, client = [], Smtp(world.smtp_port)
        last = time.monotonic()
        # The log is too long by now to be read in between.
        while not any(world.store.iterdir()):
            assert time.monotonic() - begun < 30, world.log()[-3000:]
            first = first or sessions(world)
            time.sleep(0.01)
        begun = time.monotonic()
        while len(list(world.store.iterdir())) < WAITING + len(fresh):
            assert time.monotonic() - begun < 60 + WAITING / 100, "the backlog does not end"
            most = max(most, sessions(world))
            if time.monotonic() - last > 0.1:
                last = time.monotonic()
                letter = ledger.new_letter(300)
                ledger.note(letter, client.send(letter)[0] == 250, "smtp")
                fresh.append(letter)
            time.sleep(0.02 if not LONG else 0.2)
        took = time.monotonic() - begun
        growth = peak(courier) - memory
        world.drained()
        figures = ledger.settle()
        delays = delays_of(world, fresh)
        print(f"FIGURES backlog of {WAITING}: gone in {took:.1f} s, {most} sessions at most, {first} at first; {len(fresh)} fresh messages "
              f"waited {max(delays):.2f} s at most; the courier grew by {growth // 1024} KB; {figures}", flush=True)
        assert worker(world, "courier") == courier
        assert figures["extra"] == 0 and len(delays) == len(fresh) > 10, figures
        # The control is the backlog itself: who waits behind it waits as long as it takes.
        assert took > 4, f"gone after {took:.1f} s: nobody had to wait"
        check_measure(max(delays) < took / 4, f"fresh mail waited {max(delays):.1f} s of {took:.1f}")
        assert most <= SESSIONS and first < most, (first, most)
        check_limit(growth, GROWTH_MAX, "the courier")


if __name__ == "__main__":
    main(a_long_backlog_goes_out_and_holds_nobody_up)
