#!/usr/bin/env python3
"""D7, D8, D9, D11: no room, no inodes, a limit on the size of files. What was accepted goes out once,
its outcome is recorded, new mail hears `later`, and all is well once there is room.
"""

import errno
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, FileSystem, MemoryFileSystem, fill, free_bytes, limit, need, worker
from ledger import Ledger, Load, Smtp
from mailbench import World, main, wait_until

SMALL = QUICK + "message_size_limit = 1000000\n"


def submit(ledger, size=2000, count=1):
    """One message after the other; the replies."""
    replies = []
    client = Smtp(ledger.world.smtp_port)
    for _ in range(count):
        letter = ledger.new_letter(size)
        code, text = client.send(letter)
        ledger.note(letter, code == 250, "smtp", text)
        replies.append(text)
    client.close()
    return replies


def expect(replies, words):
    assert all(reply.startswith(words) for reply in replies), (words, replies)


def is_empty(world):
    """A store that is being reopened cannot be listed for that moment."""
    listed = world.command("postqueue", "-j", check=False)
    return listed.returncode == 0 and not listed.stdout


def kept_back(world):
    """Megabytes."""
    reserve = world.queue / "queue.reserve"
    return reserve.stat().st_size >> 20 if reserve.exists() else 0


def outcomes_are_recorded_on_a_full_disk():
    """Not a byte is free when the smarthost begins to answer."""
    outcomes_are_recorded_on(160, "ext4")


def outcomes_are_recorded_where_files_are_copied_on_write():
    """Where even the log's own blocks cannot be written again."""
    outcomes_are_recorded_on(300, "btrfs")


def a_quota_that_is_used_up_is_a_full_disk():
    """The file system says that there is room."""
    outcomes_are_recorded_on(300, "btrfs", quota=150)


def outcomes_are_recorded_on(megabytes, kind, quota=None):
    count = 300 if LONG else 60
    with World(main_cf=SMALL, script="END * x1000000 wait 30\n") as world, FileSystem(world, megabytes, kind=kind):
        if quota:
            subprocess.run(["btrfs", "quota", "enable", world.queue], check=True)
            subprocess.run(["btrfs", "qgroup", "limit", f"{quota}M", world.queue], check=True)
        alerts = world.tell_alerts()
        world.stop(world.smarthost)
        world.start()
        ledger = Ledger(world)
        expect(submit(ledger, count=count), "250")
        assert alerts() == []
        time.sleep(1)  # No outcome is to be recorded while others take what is given back for it.
        ballast = fill(world)
        assert quota or free_bytes(world.queue) < 8192, free_bytes(world.queue)
        expect(submit(ledger, count=3), "452 4.3.1")
        wait_until(alerts, "an alert", log=world.log)
        [(state, account, reason)] = alerts()
        assert (state, account) == ("disk-full", "the queue's store"), alerts()
        assert ("Disk quota exceeded" if quota else "KB left") in reason, alerts()
        world.start_smarthost()
        world.command("postrider", "flush")
        # No disturbance is noted: a second copy of anything is a failure.
        wait_until(lambda: is_empty(world), "an empty queue on a full disk", 120, world.log)
        # Under a quota a file cannot be cut, only removed.
        assert kind != "btrfs" or quota or kept_back(world) >= 8, f"{kept_back(world)} MB are left"
        world.kill()
        world.start()
        time.sleep(2)
        assert len(world.mails()) == count, f"{len(world.mails())} of {count}, with a kill after the last"
        if not quota:  # Of one the system does not tell beforehand.
            expect(submit(ledger, count=1), "452 4.3.1")
        ballast.unlink()
        os.sync()  # btrfs counts what is free then.
        wait_until(lambda: submit(ledger)[0].startswith("250"), "acceptance once there is room", log=world.log)
        if kind == "btrfs" and not quota:  # There it is tried again later and later.
            wait_until(lambda: kept_back(world) == 32, "a whole reserve, without a call", log=world.log)
        print(f"FIGURES full disk, {kind}{' with a quota' if quota else ''}: {ledger.settle()}", flush=True)


def without_what_is_kept_back_nothing_is_recorded():
    """The control, and what becomes of it: outcomes wait in memory, nothing more is sent, none twice."""
    with World(main_cf=SMALL, script="END * x1000000 wait 30\n") as world, FileSystem(world, 300, kind="btrfs"):
        world.stop(world.smarthost)
        world.start()
        ledger = Ledger(world)
        expect(submit(ledger, count=20), "250")
        os.truncate(world.queue / "queue.reserve", 0)
        ballast = fill(world)
        world.start_smarthost()
        world.command("postrider", "flush", check=False)
        wait_until(lambda: "is broken" in world.log() or "disk is full" in world.log(), "a store without room",
                   log=world.log)
        time.sleep(2)
        assert len(world.mails()) < 20, "all was sent: there was room"
        ballast.unlink()
        os.sync()
        wait_until(lambda: world.command("postrider", "flush", check=False).returncode == 0, "a store that works",
                   log=world.log)
        wait_until(lambda: is_empty(world), "an empty queue once there is room", log=world.log)
        print(f"FIGURES full disk, btrfs, nothing kept back: {ledger.settle()}", flush=True)


def one_that_copies_on_write_is_opened_by_nobody_else():
    """What is shared with readers lies in a mapped file, and a page of it without room is a SIGBUS."""
    for kind, status in (("ext4", 0), ("btrfs", 5)):
        with World(main_cf=SMALL) as world, FileSystem(world, 300, kind=kind):
            world.start()
            assert (world.queue / "queue.db-shm").exists() == (kind == "ext4")
            assert (world.queue / "queue.reserve").exists() == (kind == "btrfs")
            look = subprocess.run(["sqlite3", "-readonly", world.queue / "queue.db", "SELECT serial FROM state"],
                                  capture_output=True, text=True)
            assert look.returncode == status, look
            assert ("locked" in look.stderr) == (kind == "btrfs"), look


def filling_up_under_load_costs_no_copy():
    filling_up_under_load_on(160, "ext4")


def filling_up_under_load_where_files_are_copied_on_write_costs_no_copy():
    filling_up_under_load_on(300, "btrfs")


def filling_up_under_load_on(megabytes, kind):
    with World(main_cf=SMALL) as world, FileSystem(world, megabytes, kind=kind):
        world.start()
        ledger = Ledger(world)
        for _ in range(10 if LONG else 1):
            with Load(ledger, smtp=3, sendmail=1, pause=0.01, sizes=(2000, 20000, 400000)):
                time.sleep(0.5)
                ballast = fill(world, leave=66 << 20)
                # From the floor of free space down to nothing in the middle of it.
                time.sleep(0.5)
                fill(world)
                time.sleep(1)
                ballast.unlink()
                time.sleep(0.5)
            # Else maildrop alone fills the disk, round by round, and nothing is taken any more.
            empty_maildrop(world)
        figures = ledger.settle()
        assert figures["refused"] > 0 and figures["extra"] == 0, figures
        print(f"FIGURES filled under load, {kind}: {figures}, {dict(ledger.replies)}", flush=True)


def empty_maildrop(world):
    """What it holds would be tried again in a minute; for five seconds after "no room" in vain."""
    def is_taken():
        world.command("postrider", "flush")
        time.sleep(0.5)
        return not any((world.queue / "maildrop").iterdir())
    wait_until(is_taken, "an empty maildrop", 60, world.log)


def it_starts_on_a_full_disk():
    it_starts_on(160, "ext4")


def it_starts_on_a_full_disk_that_copies_on_write():
    it_starts_on(300, "btrfs")


def it_starts_on(megabytes, kind):
    with World(main_cf=SMALL) as world, FileSystem(world, megabytes, kind=kind):
        world.stop(world.smarthost)
        world.start()
        ledger = Ledger(world)
        expect(submit(ledger, count=10), "250")
        for stopped_cleanly in (True, False):
            if stopped_cleanly:
                world.stop()
            else:
                world.kill()
            ballast = fill(world)
            world.start()
            assert len(world.queued()) == 10, world.queued()
            expect(submit(ledger), "452 4.3.1")
            if stopped_cleanly:
                ballast.unlink()
        world.start_smarthost()
        world.command("postrider", "flush")
        wait_until(lambda: is_empty(world), "an empty queue on a full disk", log=world.log)
        ballast.unlink()
        print(f"FIGURES started full, {kind}: {ledger.settle()}", flush=True)


def no_inodes_are_no_room():
    """What is in the queue needs no new file; sendmail without a daemon does, and says so."""
    with World(main_cf=SMALL) as world, MemoryFileSystem(world, "nr_inodes=40,size=300m"):
        world.start()
        ledger = Ledger(world)
        expect(submit(ledger), "250")
        for number in range(100):
            try:
                (world.queue / f"filler{number}").touch()
            except OSError as full:
                assert full.errno == errno.ENOSPC, full
                break
        assert os.statvfs(world.queue).f_favail == 0
        replies = submit(ledger, count=5)
        door = world.queue / "public" / "submit"
        door.rename(door.with_name("away"))
        done = world.sendmail(["-i", "bob@corp.example"], "Subject: x\n\nx\n", check=False)
        assert done.returncode == 75 and b"No space left" in done.stderr, done
        door.with_name("away").rename(door)
        for filler in world.queue.glob("filler*"):
            filler.unlink()
        wait_until(lambda: submit(ledger)[0].startswith("250"), "acceptance", log=world.log)
        print(f"FIGURES no inodes: {set(reply[:9] for reply in replies)}, {ledger.settle()}", flush=True)
        world.stop()


def a_file_system_that_counts_no_inodes_is_not_full():
    with World(main_cf=SMALL) as world, MemoryFileSystem(world, "nr_inodes=0,size=300m"):
        assert os.statvfs(world.queue).f_files == 0
        world.start()
        ledger = Ledger(world)
        expect(submit(ledger, count=3), "250")
        ledger.settle()
        world.stop()


def files_may_not_grow():
    """D11: SIGXFSZ ends nobody; a file at its limit is a full disk."""
    with World(main_cf=SMALL) as world:
        world.stop(world.smarthost)  # Else what goes out makes room for what comes in.
        world.start()
        ledger = Ledger(world)
        expect(submit(ledger, count=5), "250")
        courier = worker(world, "courier")
        limit(world, courier, "fsize", 16000000)
        refused = 0
        for _ in range(80):
            replies = submit(ledger, size=400000)
            refused += not replies[0].startswith("250")
        assert refused, "the limit was never met"
        assert worker(world, "courier") == courier, "the courier ended\n" + world.log()
        limit(world, courier, "fsize", "unlimited")
        wait_until(lambda: submit(ledger)[0].startswith("250"), "acceptance once files may grow", log=world.log)
        world.start_smarthost()
        print(f"FIGURES file size: {ledger.settle()}, {dict(ledger.replies)}", flush=True)


if __name__ == "__main__":
    main(outcomes_are_recorded_on_a_full_disk, outcomes_are_recorded_where_files_are_copied_on_write,
         without_what_is_kept_back_nothing_is_recorded, a_quota_that_is_used_up_is_a_full_disk, one_that_copies_on_write_is_opened_by_nobody_else,
         filling_up_under_load_costs_no_copy, filling_up_under_load_where_files_are_copied_on_write_costs_no_copy,
         it_starts_on_a_full_disk, it_starts_on_a_full_disk_that_copies_on_write, no_inodes_are_no_room, a_file_system_that_counts_no_inodes_is_not_full, files_may_not_grow)
