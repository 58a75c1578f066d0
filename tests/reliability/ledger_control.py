#!/usr/bin/env python3
"""The control of every test with a ledger: it must find what is planted here."""

import shutil
import sys

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from faults import QUICK
from ledger import Ledger, Smtp
from mailbench import World, main


def submit(world, ledger, *letters):
    client = Smtp(world.smtp_port)
    for letter in letters:
        code, text = client.send(letter)
        ledger.note(letter, code == 250, "smtp", text)
    client.close()


def finds(ledger, words, **options):
    try:
        ledger.settle(patience=3, **options)
    except AssertionError as found:
        assert words in str(found), found
        return
    raise AssertionError(f"did not find: {words}")


def a_queue_that_forgets_is_found():
    with World(main_cf=QUICK, relay=False) as world:
        world.start()
        ledger = Ledger(world)
        submit(world, ledger, ledger.new_letter(200))
        world.kill()
        for file in world.queue.glob("queue.db*"):
            file.unlink()
        world.start_smarthost()
        world.start()
        finds(ledger, "1 recipients lost")


def what_is_sent_twice_refused_or_damaged_is_found():
    with World(main_cf=QUICK) as world:
        world.start()
        ledger = Ledger(world)
        letter = ledger.new_letter(200)
        submit(world, ledger, letter)
        ledger.settle()
        original = world.store / "00000001.eml"
        shutil.copy(original, world.store / "00000002.eml")
        finds(ledger, "came again")
        ledger.disturbance()
        ledger.disturbances[0] = letter.begun - 1
        finds(ledger, "came again")
        (world.store / "00000002.eml").unlink()
        ledger.settle()
        letter.turned_away = letter.recipients
        finds(ledger, "refused and delivered")
        letter.turned_away = []
        ledger.accepted.remove(letter.name)
        ledger.refused.add(letter.name)
        finds(ledger, "refused and delivered")
        original.write_bytes(original.read_bytes().replace(b"Mon, 01", b"Mon, 02"))
        finds(ledger, "1 damaged")


if __name__ == "__main__":
    main(a_queue_that_forgets_is_found, what_is_sent_twice_refused_or_damaged_is_found)
