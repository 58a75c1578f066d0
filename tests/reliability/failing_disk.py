#!/usr/bin/env python3
"""D4, D5, D6, D10: syncs and writes that fail or take their time, on real processes.

The daemon runs with tests/support/faults.c preloaded, which counts its syncs, writes and truncations
and makes those fail that the test names.
"""

import errno
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, SHORT, FaultyWorld, processor_time, settled_soon, worker
from ledger import Ledger, Load, Smtp
from mailbench import check_measure, main, wait_until



def submit(ledger, letter, timeout=20):
    """The reply, None when there was none. Noted."""
    try:
        client = Smtp(ledger.world.smtp_port, timeout)
        code, text = client.send(letter)
        client.close()
    except (OSError, AssertionError, ValueError) as lost:
        ledger.note(letter, None, "smtp", type(lost).__name__)
        return None
    ledger.note(letter, code == 250, "smtp", text)
    return text


def next_is_fine(ledger, place):
    """At once, but that after a lack of room clients are asked to wait five seconds."""
    def taken():
        reply = submit(ledger, ledger.new_letter(2000)) or ""
        assert reply[:3] in ("250", "452"), f"{place}: the next message: {reply} {ledger.replies}"
        return reply.startswith("250")
    wait_until(taken, f"{place}: the next message", 8, log=ledger.world.log)


def fails_once(kind, error, counts):
    """One call fails in each cycle; then the next message is fine. Killed after every other one."""
    with FaultyWorld(main_cf=QUICK) as world:
        world.start()
        call = getattr(world.faults, kind)
        ledger = Ledger(world)
        struck = 0
        replies = {}
        for number, after in enumerate(counts):
            before = call.count
            ledger.disturbance()
            call.fail(error, after, 1)
            letter = ledger.new_letter(2000 if number % 3 else 200000)
            reply = submit(ledger, letter)
            replies[reply[:3] if reply else None] = replies.get(reply[:3] if reply else None, 0) + 1
            # The fault may strike when the outcome is recorded.
            settled_soon(lambda: call.count > before + after, 0.5)
            if call.count > before + after:
                struck += 1
            if number % 2 and reply:
                world.kill()
                call.heal()
                ledger.disturbance()
                world.start()
            call.heal()
            ledger.disturbance()
            next_is_fine(ledger, f"{kind} {after}")
        # What was being sent at three kills is on hold, as it must be.
        world.command("postsuper", "-c", world.config, "-H", "ALL")
        figures = ledger.settle()
        assert struck >= len(counts) / 3, (struck, "the fault seldom struck")
        if kind == "write" and len(counts) > 20:
            assert ("452" in replies) == (error in (errno.ENOSPC, errno.EDQUOT)), f"lack of room is 452: {replies}"
        print(f"FIGURES {kind} fails with {errno.errorcode.get(error, 'a short count')}, {len(counts)} places, "
              f"struck {struck}: replies {replies}, {figures}", flush=True)


def one_sync_fails():
    # A cycle has a handful of them; which comes n-th depends on how the threads meet.
    fails_once("sync", errno.EIO, [n % 6 for n in range(60 if LONG else 8)])


def one_write_fails_or_comes_back_short():
    # A dozen a cycle: what a transaction adds to the log is one write, or a few.
    for error in (errno.ENOSPC, errno.EDQUOT, errno.EIO, SHORT) if LONG else (errno.ENOSPC, SHORT):
        fails_once("write", error, [n % 13 for n in range(60 if LONG else 15)])


def no_sync_works_any_more():
    with FaultyWorld(main_cf=QUICK) as world:
        alerts = world.tell_alerts()
        world.start()
        ledger = Ledger(world)
        assert submit(ledger, ledger.new_letter(2000)).startswith("250")
        ledger.settle()
        ledger.disturbance()
        world.faults.sync.fail(errno.EIO)
        courier = worker(world, "courier")
        before, begun = processor_time(courier), time.monotonic()
        with Load(ledger, smtp=2, sendmail=1, pause=0.05):
            time.sleep(20 if LONG else 4)
            used = (processor_time(courier) - before) / (time.monotonic() - begun)
            assert worker(world, "courier") == courier, "the courier did not stay"
            since = [name for name in ledger.accepted if ledger.letters[name].by == "smtp"]
            status = world.command("postrider", "status")
            # A client whose commit is in doubt hears nothing before the store knows.
            world.faults.sync.heal()
        ledger.disturbance()
        assert len(since) == 1, f"{len(since) - 1} accepted by SMTP without a sync: {ledger.replies}"
        check_measure(used < 0.25, f"the courier used {used:.0%} of a processor")
        assert "queue store is broken" in status.stdout, status.stdout
        wait_until(lambda: (submit(ledger, ledger.new_letter(200)) or "").startswith("250"), "acceptance after repair", log=world.log)
        figures = ledger.settle()
        # A person is told at the beginning and at the end.
        wait_until(lambda: len(alerts()) >= 2, "two alerts", log=world.log)
        assert [(state, account) for state, account, _ in alerts()] == [("store-broken", "the queue's store"), ("ok", "the queue's store")], alerts()
        print(f"FIGURES no sync works: {used:.1%} of a processor, replies {dict(ledger.replies)}, {figures}", flush=True)


def a_slow_disk_makes_larger_groups():
    """D10: with each sync slowed to 10 ms many sessions share one. (make bench has the rates, with a
    faster client than this one.)"""
    with FaultyWorld(main_cf=QUICK + "smtpd_client_connection_count_limit = 100\n", script="RCPT * 450 4.2.1 later\n") as world:
        world.start()
        world.faults.sync.delay_us = 10000
        rates = {}
        for sessions in (1, 64):
            ledger = Ledger(world)
            syncs = world.faults.sync.count
            seconds = 10 if LONG else 3
            with Load(ledger, smtp=sessions, sendmail=0, sizes=(1000,), recipients=(1,)):
                time.sleep(seconds)
            assert not ledger.refused, ledger.replies
            rates[sessions] = (len(ledger.accepted) / seconds, (world.faults.sync.count - syncs) / max(1, len(ledger.accepted)))
        print(f"FIGURES syncs of 10 ms: (messages a second, syncs a message) by sessions: {rates}", flush=True)
        check_measure(rates[64][1] <= 0.2, rates)
        check_measure(rates[64][0] >= 5 * rates[1][0], rates)


def a_very_slow_disk_loses_nothing_and_blocks_nobody():
    """D10: with syncs of seconds a session that needs none is answered at once."""
    with FaultyWorld(main_cf=QUICK) as world:
        world.start()
        ledger = Ledger(world)
        for delay in (100, 1000, 5000) if LONG else (1000,):
            world.faults.sync.delay_us = delay * 1000
            with Load(ledger, smtp=4, sendmail=1, pause=0.1):
                client = Smtp(world.smtp_port)
                slowest = 0.0
                for _ in range(30):
                    begun = time.monotonic()
                    client.say("NOOP")
                    assert client.reply()[0] == 250
                    slowest = max(slowest, time.monotonic() - begun)
                    time.sleep(0.1)
                client.close()
            check_measure(slowest < 0.5, f"syncs of {delay} ms: somebody else waited {slowest:.2f} s")
        world.faults.sync.delay_us = 0
        figures = ledger.settle()
        assert not ledger.refused and not ledger.unknown, ledger.replies
        print(f"FIGURES slow syncs: somebody else waited {slowest * 1000:.0f} ms at most; {figures}", flush=True)


if __name__ == "__main__":
    main(one_sync_fails, one_write_fails_or_comes_back_short, no_sync_works_any_more,
         a_slow_disk_makes_larger_groups, a_very_slow_disk_loses_nothing_and_blocks_nobody)
