#!/usr/bin/env python3
"""L5: who calls sendmail is killed, signalled, stopped or stops reading and writing at each system
call: its message is accepted as a whole or not at all, and status 0 says that it is.
"""

import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, need, tool
from ledger import SENDER, Ledger
from mailbench import BIN, World, main, wait_until

PAUSE = 0
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGALRM, PAUSE)


def call(world, ledger, number, n, size=3000):
    """Sends a signal to one sendmail at its n-th call. The number of its calls, and how it ended."""
    letter = ledger.new_letter(size)
    report = world.directory / "calls"
    done = subprocess.run([tool(world, "kill_at.c"), f"-{int(number)}", str(n), report, BIN / "sendmail", "-i", "-C", world.config,
                           "-f", SENDER, *letter.recipients],
                          input=letter.content.replace(b"\r\n", b"\n"), capture_output=True, timeout=60)
    # Killed, it could tell nobody.
    outcome = None if done.returncode < 0 else done.returncode == 0
    ledger.note(letter, outcome, "sendmail", f"{number}: {done.stderr.decode()}")
    assert done.returncode <= 0 or done.stderr, f"signal {number} at call {n}: status {done.returncode} without a word"
    return int(report.read_text()), done.returncode


def sweep(world, ledger, way):
    """Each signal at each call; the short form takes some, other ones for each signal."""
    calls, _ = call(world, ledger, PAUSE, 1 << 30)
    ends = {}
    for at, number in enumerate(SIGNALS):
        step = 1 if LONG else 17
        step *= 5 if number == PAUSE and LONG else 1
        for n in range(1 + (at * 5) % step, calls + 1, step):
            _, status = call(world, ledger, number, n)
            ends[status] = ends.get(status, 0) + 1
    # The sweep reached both sides of the end.
    assert ends.get(0) and any(status < 0 for status in ends), ends
    print(f"FIGURES sendmail, {way}: {calls} calls, ended with {ends}", flush=True)


def whatever_happens_to_sendmail_its_message_is_whole_or_absent():
    need("cc", root=False)
    with World(main_cf=QUICK) as world:
        world.start()
        ledger = Ledger(world)
        sweep(world, ledger, "with the daemon")
        figures = ledger.settle()
        world.stop()
        sweep(world, ledger, "without it")
        hidden = [path.name for path in (world.queue / "maildrop").iterdir() if path.name.startswith(".")]
        assert not hidden, hidden
        world.start()
        figures = ledger.settle()
        assert figures["extra"] == 0 and figures["refused"] == 0, (figures, ledger.replies)
        print(f"FIGURES sendmail: {figures}", flush=True)


def a_caller_that_goes_away_in_the_middle_is_not_obeyed_by_half():
    """The programs that tell where a message ends: of a dialogue that breaks off nothing is taken."""
    words = b"HELO me\r\nMAIL FROM:<ann@there.example>\r\nRCPT TO:<bob@corp.example>\r\nDATA\r\nSubject: x\r\n\r\nall of it\r\n.\r\nQUIT\r\n"
    end = words.index(b".\r\nQUIT") + 3
    with World(main_cf=QUICK) as world:
        world.start()
        whole = accepted = 0
        for running in (True, False):
            if not running:
                world.stop()
            cuts = {*range(0, len(words), 1 if LONG else 20), end - 1, end}
            for cut in sorted(cuts):
                for reads in (True, False):
                    reader, writer = os.pipe()
                    if not reads:
                        os.close(reader)
                    subprocess.run([BIN / "sendmail", "-bs", "-C", world.config], input=words[:cut], stdout=writer,
                                   stderr=subprocess.DEVNULL, timeout=60)
                    os.close(writer)
                    said = os.read(reader, 10000) if reads else b""
                    if reads:
                        os.close(reader)
                    whole += cut >= end
                    accepted += said.count(b"250 2.0.0 Ok: queued")
            if not running:
                world.start()
        wait_until(lambda: not world.queued() and not os.listdir(world.queue / "maildrop"), "an empty queue", log=world.log)
        mails = world.mails()
        assert all(mail.body == b"all of it\r\n" for mail in mails), [mail.body for mail in mails]
        assert 0 < accepted <= len(mails) <= whole, (accepted, len(mails), whole)


if __name__ == "__main__":
    main(whatever_happens_to_sendmail_its_message_is_whole_or_absent,
         a_caller_that_goes_away_in_the_middle_is_not_obeyed_by_half)
