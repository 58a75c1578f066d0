#!/usr/bin/env python3
"""D1, Q3: each process is killed at its n-th system call, for every n of one cycle: a message is
taken in, delivered to two recipients, refused for the third, reported to its sender. The master
has a part in it when the message waits in maildrop.

The long form takes every n of each thread, the short one some.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, Sniper, need, settled_soon, thread_of
from ledger import SENDER, Ledger, Smtp
from mailbench import World, main, wait_until

SCRIPT = "RCPT *.bad@* 550 5.1.1 nobody there\n"
#: How many calls apart the short form kills, and where in between it begins.
SHORT = {"courier": (29, 7), "storage": (17, 5), "intake": (19, 3), "master": (7, 2)}


def by_smtp(world, ledger, letter, by_data):
    try:
        client = Smtp(world.smtp_port, timeout=5)
        code, text = client.send(letter, by_data)
        ledger.note(letter, code == 250, "smtp", text)
        client.close()
    except (OSError, AssertionError, ValueError) as lost:
        ledger.note(letter, None, "smtp", type(lost).__name__)


def by_maildrop(world, ledger, letter):
    """As if the daemon were away for the instant in which sendmail looks for it."""
    door = world.queue / "public" / "submit"
    door.rename(door.with_name("away"))
    done = world.sendmail(["-i", "-f", SENDER, *letter.recipients], letter.content.replace(b"\r\n", b"\n"), check=False)
    door.with_name("away").rename(door)
    ledger.note(letter, done.returncode == 0, "sendmail", done.stderr.decode())


def cycle(world, ledger, victim, n, size, by_data):
    """True if the kill came before the cycle was over."""
    world.start()
    sniper = Sniper(world, thread_of(world, victim), n)
    letter = ledger.new_letter(size, 3)
    begun = len(list(world.store.glob("*.eml")))
    ledger.disturbance()
    if victim == "master":
        by_maildrop(world, ledger, letter)
    else:
        by_smtp(world, ledger, letter, by_data)
    # Two copies in one message, one report; then the store tidies up.
    settled_soon(lambda: sniper.is_over() or len(list(world.store.glob("*.eml"))) >= begun + 2, 5)
    settled_soon(sniper.is_over, 0.3)
    sniper.end()
    ledger.disturbance()
    return sniper.has_shot()


def sweep(victim, size=2000, by_data=False):
    need("cc")
    step, n = (1, 1) if LONG else SHORT[victim]
    kills = 0
    with World(main_cf=QUICK, script=SCRIPT) as world:
        ledger = Ledger(world)
        while cycle(world, ledger, victim, n, size, by_data):
            kills += 1
            if kills % 20 == 0:
                print(f"{victim}: killed at call {n}", flush=True)
            # A worker is started by its master, the next master by us, while the last one's workers
            # may still be on their way out. What is left of this cycle is not part of the next.
            if victim == "master":
                world.daemon.wait()
                world.start()
            wait_until(lambda: not world.queued() and not ledger.missing(ledger.read()),
                       f"{victim}, call {n}: an empty queue", log=world.log)
            world.kill()
            n += step
            assert n < 2000, "the cycle has no end"
        figures = ledger.settle()
        assert kills >= (10 if LONG else 2), kills
        way = "DATA" if by_data else "BDAT"
        print(f"FIGURES {victim}, {size} bytes by {way}: killed at {kills} of its {n - 1} calls: {figures}", flush=True)


def sweep_all(victim):
    sweep(victim)
    if LONG:
        sweep(victim, by_data=True)
        sweep(victim, 200000, by_data=True)


def the_courier_is_killed_at_each_call():
    sweep_all("courier")


def its_storage_thread_is_killed_at_each_call():
    sweep_all("storage")


def intake_is_killed_at_each_call():
    sweep_all("intake")


def the_master_is_killed_at_each_call():
    sweep("master")


if __name__ == "__main__":
    main(the_courier_is_killed_at_each_call, its_storage_thread_is_killed_at_each_call,
         intake_is_killed_at_each_call, the_master_is_killed_at_each_call)
