#!/usr/bin/env python3
"""RS5, RS6, RS7, Q11: the time of day jumps, years ahead, years back, to 1970 and past 2038. (The
monotonic clock, by which waiting is measured, does not.)
"""

import calendar
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import QUICK, FaultyWorld
from ledger import Ledger, Smtp
from mailbench import main

DAY = 86400
YEAR = 366 * DAY


def submit(ledger, count=1):
    client = Smtp(ledger.world.smtp_port)
    for _ in range(count):
        letter = ledger.new_letter(2000)
        code, text = client.send(letter)
        ledger.note(letter, code == 250, "smtp", text)
        assert code == 250, text
    client.close()


def jump(begin, end, script, count=3, stopped=False, reloaded=False):
    """Messages wait when the clock jumps and go out afterwards; none expires, none is sent twice."""
    with FaultyWorld(main_cf=QUICK + "maximal_queue_lifetime = 1d\nbounce_queue_lifetime = 1d\n", script=script) as world:
        # The certificates of the test are valid from now on.
        world.faults.move_clock(begin)
        world.start()
        ledger = Ledger(world)
        submit(ledger, count)
        world.wait_log("status=deferred", count)
        if stopped:
            world.stop()
        world.faults.move_clock(end)
        if stopped:
            world.start()
        if reloaded:
            world.command("postrider", "reload")
        begun = time.monotonic()
        submit(ledger, count)
        figures = ledger.settle(patience=60)
        took = time.monotonic() - begun
        assert figures["copies"] == 2 * count and figures["reported"] == 0, figures
        assert "status=expired" not in world.log(), world.log()
        ids = re.findall(r"([0-9A-F]+): client=", world.log())
        assert len(ids) == 2 * count == len(set(ids)), ids
        # Each recipient has its own few attempts; nobody tried without pause.
        attempts = len(re.findall(r"status=", world.log()))
        assert attempts < 20 * count, attempts
        print(f"FIGURES clock moved by {(end - begin) / YEAR:.1f} years: gone out {took:.1f} s later, {attempts} attempts", flush=True)


def years_ahead_nothing_expires():
    jump(0, 10 * YEAR, "RCPT * x9 450 4.2.1 later\n")


def years_ahead_before_a_reload_nothing_expires():
    jump(0, 10 * YEAR, "RCPT * x9 450 4.2.1 later\n", reloaded=True)


def years_ahead_while_nothing_runs_nothing_expires_at_once():
    """As a machine whose battery is empty begins: nobody knows how long it was off."""
    jump(0, 10 * YEAR, "RCPT * x9 450 4.2.1 later\n", stopped=True)


def years_back_nothing_waits_for_years():
    jump(10 * YEAR, DAY, "RCPT * x9 450 4.2.1 later\n")


def at_the_beginning_of_time_mail_waits():
    """Certificates are not valid then: mail waits, and goes out when the clock is right again."""
    with FaultyWorld(main_cf=QUICK) as world:
        world.faults.move_clock(100 - time.time())
        world.start()
        ledger = Ledger(world)
        submit(ledger, 2)
        world.wait_log(r"status=deferred \(Server certificate not verified\)", 2)
        world.faults.move_clock(0)
        world.command("postrider", "flush")
        submit(ledger, 1)
        figures = ledger.settle(patience=60)
        assert figures["copies"] == 3 and "status=bounced" not in world.log(), world.log()
        ids = re.findall(r"([0-9A-F]+): client=", world.log())
        assert len(ids) == len(set(ids)) == 3, ids


def past_2038_all_is_as_ever():
    """The certificate is valid until 2108: nothing is unusual but the number of seconds."""
    with FaultyWorld(main_cf=QUICK) as world:
        world.faults.move_clock(2**31 + 100 - time.time())
        world.start()
        ledger = Ledger(world)
        submit(ledger, 3)
        assert ledger.settle()["copies"] == 3
        assert "Jan 2038" in world.mails()[0].header, world.mails()[0].header


def west_of_greenwich_dates_are_right():
    with FaultyWorld(main_cf=QUICK) as world:
        world.daemon_environment["TZ"] = "NST3:30NDT,M3.2.0,M11.1.0"
        world.faults.move_clock(calendar.timegm((2027, 7, 1, 12, 0, 0)) - time.time())
        world.start()
        submit(Ledger(world))
        [mail] = world.arrived(1)
        assert re.search(r"; Thu,  ?1 Jul 2027 09:30:0\d -0230", mail.header), mail.header


if __name__ == "__main__":
    main(years_ahead_nothing_expires, years_ahead_before_a_reload_nothing_expires,
         years_ahead_while_nothing_runs_nothing_expires_at_once, years_back_nothing_waits_for_years, at_the_beginning_of_time_mail_waits,
         past_2038_all_is_as_ever, west_of_greenwich_dates_are_right)
