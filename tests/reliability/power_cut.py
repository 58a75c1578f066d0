#!/usr/bin/env python3
"""D2: the power goes under load. What was accepted before is there when it is back.

The queue is on an ext4 of its own that commits its journal every ten minutes, so that only what is
synced reaches the device. At the cut all processes are stopped and the device's blocks are copied;
the copy is mounted, its journal is recovered, and the daemon goes on there. The control does the
same with syncs that do nothing, and must lose mail.
"""

import os
import pathlib
import random
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LIE, LONG, QUICK, FaultyWorld, FileSystem, need, workers
from ledger import Ledger, Load
from mailbench import main, wait_until

CUTS = 20 if LONG else 3
#: MB. Where files are copied on write, what they gave up is not free before the file system commits.
SIZES = {"ext4": 400, "btrfs": 4000}
#: Half the load waits in the queue at the cut.
SCRIPT = "RCPT *[02468]x*.0@* x100000 450 4.2.1 later\n"


def processes(world):
    return [world.daemon.pid, *workers(world).values()]


def removed(world):
    """The recipients of messages that the log says are done with."""
    log = world.log()
    done = set(re.findall(r": ([0-9A-Fa-f]+): removed$", log, re.M))
    sent = re.findall(r": ([0-9A-Fa-f]+): to=<([^>]*)>.* status=sent", log)
    return {recipient for queue_id, recipient in sent if queue_id in done}


def cut(world, disk, ledger):
    """Cuts, and comes back up to where the daemon can be started. Who was done with before, and when
    that was."""
    ledger.disturbance()
    # Every line of the log that is there now was written before the cut.
    done = dict.fromkeys(removed(world), time.time())
    ledger.close()
    for pid in processes(world):
        os.kill(pid, signal.SIGSTOP)
    copy = disk.copy_as_cut()
    world.kill()
    disk.replace(copy)
    ledger.disturbance()
    return done


def what_was_accepted_is_there_after_a_power_cut():
    cut_again_and_again("ext4")


def what_was_accepted_is_there_after_a_power_cut_where_files_are_copied_on_write():
    cut_again_and_again("btrfs")


def cut_again_and_again(kind):
    need()
    seed = int(os.environ.get("SEED", time.time()))
    print(f"seed {seed}", flush=True)
    dice = random.Random(seed)
    with FaultyWorld(main_cf=QUICK, script=SCRIPT) as world, FileSystem(world, SIZES[kind], "commit=600", kind) as disk:
        ledger = Ledger(world, seed % 1000000)
        done = {}
        for number in range(CUTS):
            world.start()
            before = len(ledger.accepted)
            with Load(ledger, smtp=3, sendmail=2, pause=0.01):
                # Some cuts come just after the start, when the last one is still being recovered.
                time.sleep(0.3 + dice.random() * 2)
                wait_until(lambda: len(ledger.accepted) > before, "anything accepted", log=world.log)
                done = {**cut(world, disk, ledger), **done}
            ledger.reopen()
            print(f"cut {number + 1}: {len(ledger.accepted)} accepted so far, {len(done)} recipients done with", flush=True)
        world.change_smarthost(script="")
        world.start()
        figures = ledger.settle(patience=180)
        copies = ledger.read().copies
        twice = [recipient for recipient, at in done.items() if copies[recipient][-1] > at]
        # Being done with is as durable as being accepted.
        assert not twice, f"sent again after the log said that they were done with: {twice[:5]}"
        print(f"FIGURES {CUTS} cuts, {kind}: {figures}", flush=True)


def without_syncs_a_power_cut_loses_mail():
    lose_mail_on("ext4")


def without_syncs_a_power_cut_loses_mail_where_files_are_copied_on_write():
    lose_mail_on("btrfs")


def lose_mail_on(kind):
    need()
    with FaultyWorld(main_cf=QUICK, relay=False) as world, FileSystem(world, 300, "commit=600", kind) as disk:
        world.start()
        world.stop()
        os.sync()
        world.start()
        world.faults.sync.fail(LIE)
        ledger = Ledger(world)
        with Load(ledger, smtp=3, sendmail=0, pause=0.01):
            wait_until(lambda: len(ledger.accepted) > 50, "fifty messages", log=world.log)
            cut(world, disk, ledger)
        world.faults.sync.heal()
        world.start_smarthost()
        world.start()
        try:
            ledger.settle(patience=5)
        except AssertionError as found:
            assert "lost" in str(found), found
            print(f"FIGURES control, without syncs, {kind}: {str(found)[:70]}", flush=True)
            return
        raise AssertionError(f"nothing was lost without syncs: {ledger.figures}")


if __name__ == "__main__":
    main(what_was_accepted_is_there_after_a_power_cut,
         what_was_accepted_is_there_after_a_power_cut_where_files_are_copied_on_write,
         without_syncs_a_power_cut_loses_mail, without_syncs_a_power_cut_loses_mail_where_files_are_copied_on_write)
