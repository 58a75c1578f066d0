#!/usr/bin/env python3
"""D1: killed again and again under load, the daemon as a whole or one of its processes: what was
accepted arrives or is reported, and twice only if a kill came between.

The smarthost refuses some recipients for good and some at first, so that reports and second attempts
are killed, too. POSTRIDER_LONG=1 makes it 200 kills; SEED=N repeats the choices of a run.
"""

import os
import random
import sys
import time

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, kill, worker, workers
from ledger import Ledger, Load
from mailbench import World, main

KILLS = 200 if LONG else 25
SCRIPT = "RCPT *.bad@* 550 5.1.1 nobody there\nRCPT *9.0@* x40 450 4.2.1 later\nEND * x10 451 4.3.0 later\n"


def nothing_accepted_is_lost():
    seed = int(os.environ.get("SEED", time.time()))
    print(f"seed {seed}", flush=True)
    dice = random.Random(seed)
    # What is left at the end may be more than the reports that one sender gets in an hour.
    with World(main_cf=QUICK + "sender_report_limit = 0\n", script=SCRIPT) as world:
        world.start()
        ledger = Ledger(world, seed % 1000000)
        killed = {"daemon": 0, "courier": 0, "intake": 0}
        victims = dice.sample(("daemon", "courier", "courier", "intake") * (KILLS // 4 + 1), KILLS)
        with Load(ledger, smtp=3, sendmail=2, pause=0.01):
            for number, victim in enumerate(victims):
                time.sleep(dice.random() * 0.9)
                pid = workers(world).get(victim)
                # The master starts a worker at once, then after growing delays.
                if pid is None:
                    victim = "daemon"
                ledger.disturbance()
                if victim == "daemon":
                    world.kill()
                    world.start()
                else:
                    kill(pid)
                ledger.disturbance()
                killed[victim] += 1
                if number % 20 == 19:
                    print(f"{number + 1} kills, {len(ledger.accepted)} accepted", flush=True)
        # What was being sent at three kills is on hold, as it must be.
        world.command("postsuper", "-c", world.config, "-H", "ALL")
        figures = ledger.settle()
        assert figures["accepted"] > 2 * KILLS and killed["daemon"] and killed["courier"] and killed["intake"], (killed, figures)
        print(f"FIGURES {killed}: {figures}", flush=True)


def a_killed_master_has_a_successor_at_once():
    """Also while it was starting a worker, which has inherited its ports."""
    rounds = 100 if LONG else 20
    dice = random.Random(time.time())
    with World() as world:
        for _ in range(rounds):
            world.start()
            kill(worker(world, "courier"))
            time.sleep(dice.random() * 0.004)
            world.daemon.kill()
            world.daemon.wait()
        world.start()
        print(f"FIGURES {rounds} successors of a killed master", flush=True)


if __name__ == "__main__":
    main(nothing_accepted_is_lost, a_killed_master_has_a_successor_at_once)
