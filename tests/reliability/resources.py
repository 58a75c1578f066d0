#!/usr/bin/env python3
"""RS1, RS2, RS3, RS8: no memory, no processor, no descriptors, a storm of signals."""

import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, FaultyWorld, limit, need, processor_time, settled_soon, start_as_its_owner, worker, workers
from ledger import Ledger, Load, Smtp
from mailbench import Skip, World, check_measure, main, sanitizer, take_reports, wait_until


@contextlib.contextmanager
def watching(world, ledger):
    """Notes the end of each worker as a disturbance. Yields the list of those ends."""
    ends, over = [], threading.Event()

    def watch():
        known = set(workers(world).values())
        while not over.wait(0.02):
            now = set(workers(world).values())
            if known - now:
                ends.append(len(known - now))
                ledger.disturbance()
            known = now

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield ends
    finally:
        over.set()
        thread.join()


def allocations_fail():
    """RS1: one allocation after another fails, in whichever process makes it."""
    dice = random.Random(1)
    with FaultyWorld(main_cf=QUICK, script="RCPT *.bad@* 550 5.1.1 nobody there\n") as world:
        world.start()
        ledger = Ledger(world)
        rounds = 300 if LONG else 25
        with watching(world, ledger) as ends:
            for number in range(rounds):
                world.faults.memory.fail(12, after=dice.randint(0, 3000), times=1)
                letter = ledger.new_letter(dice.choice((2000, 70000)), 3)
                ledger.disturbance()
                try:
                    client = Smtp(world.smtp_port, timeout=20)
                    code, text = client.send(letter)
                    ledger.note(letter, code == 250, "smtp", text)
                    client.close()
                except (OSError, AssertionError, ValueError) as lost:
                    ledger.note(letter, None, "smtp", type(lost).__name__)
                time.sleep(0.05)
                ledger.disturbance()
                # A worker that ended is started after growing delays; a new master has none.
                if len(workers(world)) < 2:
                    world.kill()
                    world.faults.memory.heal()
                    world.start()
            world.faults.memory.heal()
            # What was active in three crashes waits for an operator (Q1).
            world.command("postsuper", "-c", world.config, "-H", "ALL")
            figures = ledger.settle()
        # What a process says as it ends for want of memory is what this test is about.
        world.console.write_text("")
        others = [report for report in take_reports() if "ABRT" not in report or "__ubsan" in report]
        assert not others, "\n".join(others)
        assert figures["accepted"] > rounds / 2, figures
        print(f"FIGURES {rounds} allocations fail: {len(ends)} workers ended, {figures}", flush=True)


def a_memory_limit_kills_and_nothing_is_lost():
    need("sh")
    if sanitizer():
        raise Skip("a sanitizer takes more memory than the limit before anything begins")
    group = pathlib.Path(f"/sys/fs/cgroup/memory/postrider-test-{os.getpid()}")
    if not group.parent.joinpath("memory.limit_in_bytes").exists():
        raise Skip("no memory cgroup (version 1) here")
    group.mkdir()
    try:
        with World(main_cf=QUICK) as world:
            (group / "memory.limit_in_bytes").write_text(str(14 << 20))
            world.start(prefix=["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"])
            ledger = Ledger(world)
            with watching(world, ledger) as ends:
                with Load(ledger, smtp=20, sendmail=0, sizes=(2000, 400000, 3000000)):
                    time.sleep(30 if LONG else 5)
                    (group / "memory.limit_in_bytes").write_text("-1")
                if world.daemon.poll() is not None:
                    world.start()
                # What was active in three crashes waits for an operator (Q1).
                world.command("postsuper", "-c", world.config, "-H", "ALL")
                figures = ledger.settle()
            failures = (group / "memory.failcnt").read_text().strip()
            assert int(failures) > 0, "the limit was never met"
            print(f"FIGURES memory limit of 14 MB: met {failures} times, {len(ends)} workers ended, {figures}", flush=True)
    finally:
        settled_soon(lambda: not (group / "cgroup.procs").read_text(), 10)
        group.rmdir()


def stopped_for_long_and_nothing_happens_twice():
    """RS2: everything of ours stands still under load, then goes on."""
    with World(main_cf=QUICK, script="END * wait 20\n") as world:
        world.start()
        ledger = Ledger(world)
        with Load(ledger, smtp=3, sendmail=1, pause=0.02):
            for seconds in (3, 70) if LONG else (2,):
                time.sleep(1)
                pids = [world.daemon.pid, *workers(world).values()]
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                time.sleep(seconds)
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
            time.sleep(1)
        figures = ledger.settle()
        assert set(workers(world).values()) < set(pids), "a worker ended"
        # The load's own patience is a minute.
        assert LONG or not ledger.unknown and not ledger.refused, ledger.replies
        assert figures["extra"] == 0, figures
        print(f"FIGURES stopped: {figures}", flush=True)


def starved_and_nothing_happens_twice():
    """RS2: for each second ten milliseconds of processor, to all that is ours, in the middle of
    whatever it does. The smarthost is in no hurry, and the clients are not either."""
    seconds = 60 if LONG else 4
    with World(main_cf=QUICK, script="END * wait 20\n") as world:
        world.start()
        ledger = Ledger(world)
        pids = [world.daemon.pid, *workers(world).values()]
        with Load(ledger, smtp=3, sendmail=1, pause=0.02):
            time.sleep(1)
            accepted, delivered = len(ledger.accepted), len(list(world.store.glob("*.eml")))
            used = sum(map(processor_time, pids))
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for number, pause in ((signal.SIGSTOP, 0.49), (signal.SIGCONT, 0.01)):
                    for pid in pids:
                        os.kill(pid, number)
                    time.sleep(pause)
            used = (sum(map(processor_time, pids)) - used) / seconds
            served = len(ledger.accepted) - accepted, len(list(world.store.glob("*.eml"))) - delivered
        assert used < 0.1, f"not starved: {used:.0%} of a processor"
        check_measure(min(served) > 0, f"accepted and delivered while it starved: {served}")
        figures = ledger.settle()
        assert workers(world) and set(workers(world).values()) < set(pids), "a worker ended"
        assert figures["extra"] == 0 and not ledger.refused and not ledger.unknown, (figures, ledger.replies)
        print(f"FIGURES starved: {used:.1%} of a processor, meanwhile {served[0]} accepted and {served[1]} delivered, {figures}", flush=True)


def no_process_can_be_made():
    """RS3: a worker dies and another cannot be started for want of processes. The one that is left goes
    on, and when there is room again, the other comes by itself. (The limit is for accounts other than
    root's: a daemon that somebody else has started.)"""
    need("prlimit")
    with World(main_cf=QUICK, owner="uucp") as world:
        start_as_its_owner(world)
        ledger = Ledger(world)
        with Load(ledger, smtp=2, sendmail=1, pause=0.05):
            time.sleep(1)
            for name in ("intake", "courier"):
                limit(world, world.daemon.pid, "nproc", 1)
                ledger.disturbance()
                os.kill(worker(world, name), signal.SIGKILL)
                world.wait_log(f"start the {name} process: Resource temporarily unavailable", 2 if name == "intake" else 1)
                # What sendmail leaves there now must not keep the master awake.
                unfinished = world.queue / "maildrop" / ".unfinished"
                unfinished.touch()
                used = processor_time(world.daemon.pid)
                time.sleep(5 if LONG else 1)
                used = processor_time(world.daemon.pid) - used
                assert world.daemon.poll() is None, world.log()
                check_measure(used < 0.5, f"the master used {used:.2f} s")
                unfinished.unlink()
                limit(world, world.daemon.pid, "nproc", 10000)
                wait_until(lambda: len(workers(world)) == 2, f"another {name}", log=world.log)
                ledger.disturbance()
        figures = ledger.settle()
        print(f"FIGURES no processes: {figures}, {dict(ledger.replies)}", flush=True)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def intake_runs_out_of_descriptors():
    """RS3, S11: clients wait in the kernel; no processor time is burnt; served when others leave."""
    with World(main_cf=QUICK + "smtpd_client_connection_count_limit = 0\n") as world:
        world.start()
        ledger = Ledger(world)
        intake = worker(world, "intake")
        limit(world, intake, "nofile", descriptors(intake) + 10)
        flood = [socket.create_connection(("127.0.0.1", world.smtp_port)) for _ in range(60)]
        time.sleep(0.5)
        before, begun = processor_time(intake), time.monotonic()
        time.sleep(10 if LONG else 3)
        used = (processor_time(intake) - before) / (time.monotonic() - begun)
        check_measure(used < 0.2, f"intake used {used:.0%} of a processor")
        for each in flood:
            each.close()
        with Load(ledger, smtp=2, sendmail=1, pause=0.01):
            time.sleep(2)
        assert worker(world, "intake") == intake, "intake ended"
        assert len(ledger.accepted) > 10, ledger.replies
        limit(world, intake, "nofile", 1024)
        print(f"FIGURES no descriptors for clients: {used:.1%} of a processor, {ledger.settle()}", flush=True)


def the_courier_runs_out_of_descriptors():
    with World(main_cf=QUICK) as world:
        world.start()
        ledger = Ledger(world)
        courier = worker(world, "courier")
        limit(world, courier, "nofile", descriptors(courier))
        before, begun = processor_time(courier), time.monotonic()
        with Load(ledger, smtp=2, sendmail=1, pause=0.05):
            time.sleep(10 if LONG else 3)
        used = (processor_time(courier) - before) / (time.monotonic() - begun)
        check_measure(used < 0.5, f"the courier used {used:.0%} of a processor")
        limit(world, courier, "nofile", 1024)
        figures = ledger.settle()
        assert worker(world, "courier") == courier, "the courier ended\n" + world.log()
        assert not ledger.unknown and figures["extra"] == 0, (ledger.replies, figures)
        print(f"FIGURES no descriptors for connections: {used:.1%} of a processor, {figures}", flush=True)


def signals_come_at_any_time():
    """RS8: each has one meaning, however often it comes."""
    dice = random.Random(2)
    with World(main_cf=QUICK) as world:
        world.start()
        ledger = Ledger(world)
        with Load(ledger, smtp=2, sendmail=1, pause=0.02):
            for _ in range(300 if LONG else 40):
                os.kill(world.daemon.pid, dice.choice((signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)))
                time.sleep(dice.random() * 0.1)
            assert world.daemon.poll() is None, "the daemon ended"
        figures = ledger.settle()
        assert not ledger.unknown and not ledger.refused and figures["extra"] == 0, (ledger.replies, figures)
        for number in range(12):
            os.kill(world.daemon.pid, signal.SIGTERM)
            os.kill(world.daemon.pid, dice.choice((signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)))
            assert world.daemon.wait(timeout=60) == 0, world.daemon.returncode
            # Told to stop while it starts.
            world.start(wait=False)
            time.sleep(number * 0.03)
            if number % 2:
                world.daemon.terminate()
                world.daemon.wait(timeout=60)
                world.start()
            else:
                wait_until(lambda: len(workers(world)) == 2 or world.daemon.poll() is not None, "a start", log=world.log)
                assert world.daemon.poll() is None, world.log()
        letter = ledger.new_letter(2000)
        client = Smtp(world.smtp_port)
        ledger.note(letter, client.send(letter)[0] == 250, "smtp")
        print(f"FIGURES signals: {ledger.settle()}", flush=True)


def a_log_that_takes_nothing_delays_nothing():
    """RS4: the log's disk is full, its reader has stopped, its file is gone."""
    for kind in ("full", "blocked", "gone"):
        with World(main_cf=QUICK) as world:
            log = world.directory / "elsewhere.log"
            if kind == "full":
                log = pathlib.Path("/dev/full")
            elif kind == "blocked":
                os.mkfifo(log)
                log.chmod(0o666)
                # Opened, and never read.
                reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
            with open(world.config / "main.cf", "a") as main_cf:
                main_cf.write(f"maillog_file = {log}\n")
            world.start(wait=False)
            world.wait_for_port(world.smtp_port)
            if kind == "gone":
                wait_until(log.exists, "the log")
                log.unlink()
            ledger = Ledger(world)
            client = Smtp(world.smtp_port)
            slowest = 0.0
            # Several times what a pipe holds.
            for _ in range(400):
                letter = ledger.new_letter(500)
                begun = time.monotonic()
                code, text = client.send(letter)
                slowest = max(slowest, time.monotonic() - begun)
                ledger.note(letter, code == 250, "smtp", text)
            client.close()
            figures = ledger.settle()
            assert not ledger.refused and figures["extra"] == 0, (kind, figures, ledger.replies)
            check_measure(slowest < 2, (kind, slowest))
            if kind == "blocked":
                held = len(os.read(reader, 1 << 20))
                assert held >= 50000, f"the control: the pipe held {held} bytes only"
                os.close(reader)
            print(f"FIGURES the log is {kind}: a message took {slowest * 1000:.0f} ms at most, {figures}", flush=True)


if __name__ == "__main__":
    main(a_log_that_takes_nothing_delays_nothing, allocations_fail, a_memory_limit_kills_and_nothing_is_lost, stopped_for_long_and_nothing_happens_twice,
         starved_and_nothing_happens_twice, no_process_can_be_made,
         intake_runs_out_of_descriptors, the_courier_runs_out_of_descriptors, signals_come_at_any_time)
