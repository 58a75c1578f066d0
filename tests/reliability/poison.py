#!/usr/bin/env python3
"""Q1: a message that kills the courier whenever it is handled is put on hold, and the others flow.

The smarthost keeps quiet after its MAIL command, and at that moment the courier is killed.
"""

import os
import pathlib
import signal
import smtplib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import QUICK, worker, workers
from mailbench import World, main, wait_until

POISON = "poison@there.example"
SCRIPT = f"MAIL *{POISON}* wait 1500 250 2.1.0 ok\n"


def submit(world, sender, name):
    with smtplib.SMTP("127.0.0.1", world.smtp_port, timeout=40) as client:
        client.sendmail(sender, [f"{name}@corp.example"], f"Subject: {name}\n\n{name}\n")


def poison_seen(world):
    return world.dialogue().count(f"MAIL FROM:<{POISON}>")


def die_of_it(world, deaths):
    """Kills the courier as often as the poison reaches the smarthost; other mail comes in between."""
    for death in range(deaths):
        wait_until(lambda: poison_seen(world) > death, f"attempt {death + 1} at the poison", log=world.log)
        courier = worker(world, "courier")
        os.kill(courier, signal.SIGKILL)
        wait_until(lambda: workers(world).get("courier", courier) != courier, "the next courier", log=world.log)
        submit(world, "ann@there.example", f"good{death}")


def subjects(world):
    return {mail.recipients[0].strip("<>").split("@")[0] for mail in world.mails()}


def a_poison_message_is_put_on_hold_and_the_others_flow():
    with World(main_cf=QUICK, script=SCRIPT) as world:
        world.start()
        submit(world, POISON, "bad")
        die_of_it(world, 3)
        wait_until(lambda: subjects(world) >= {"good0", "good1", "good2"}, "the others' arrival", log=world.log)
        [(queue_id,)] = [(found,) for found in world.wait_log(
            r"qmgr\[\d+\]: warning: (\w+): put on hold: the program has died 3 times")]
        [left] = world.queued()
        assert (left["queue_id"], left["queue_name"]) == (queue_id, "hold"), left
        time.sleep(3)
        assert poison_seen(world) == 3, "it was tried again"

        # An operator has looked, and the fault is mended.
        world.command("postsuper", "-H", queue_id)
        wait_until(lambda: "bad" in subjects(world), "its arrival", log=world.log)
        world.drained()


def control_without_the_limit_it_never_ends():
    with World(main_cf=QUICK + "message_crash_limit = 0\n", script=SCRIPT) as world:
        world.start()
        submit(world, POISON, "bad")
        die_of_it(world, 4)
        wait_until(lambda: poison_seen(world) > 4, "a fifth attempt", log=world.log)
        assert "put on hold" not in world.log()


if __name__ == "__main__":
    main(a_poison_message_is_put_on_hold_and_the_others_flow, control_without_the_limit_it_never_ends)
