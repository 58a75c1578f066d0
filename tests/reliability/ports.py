#!/usr/bin/env python3
"""RS3: no port is left for a connection to the smarthost, in a network of the test's own, where there
are four.
"""

import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, processor_time, worker, workers
from ledger import SENDER, Ledger
from mailbench import World, check_measure, main, wait_until
from private_network import enter

RANGE = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
PORTS = range(40000, 40004)


def submit(world, ledger, count):
    """By sendmail: its socket needs no port."""
    for _ in range(count):
        letter = ledger.new_letter(2000)
        done = world.sendmail(["-i", "-f", SENDER, *letter.recipients], letter.content.replace(b"\r\n", b"\n"), check=False)
        ledger.note(letter, done.returncode == 0, "sendmail", done.stderr.decode())


def mail_waits_for_a_port_and_goes_out_when_there_is_one():
    with World(main_cf=QUICK) as world:
        world.start()
        ledger = Ledger(world)
        submit(world, ledger, 1)
        world.arrived(1)
        # No connection is left over from then.
        world.command("postrider", "reload")
        world.wait_log("reload -- version")
        before = RANGE.read_text()
        RANGE.write_text(f"{PORTS[0]} {PORTS[-1]}")
        taken = [socket.socket() for _ in PORTS]
        for each, port in zip(taken, PORTS):
            each.bind(("127.0.0.1", port))
        wait_until(lambda: len(workers(world)) == 2, "the next generation", log=world.log)
        submit(world, ledger, 5)
        world.wait_log(r"status=deferred \(.*Cannot assign requested address", 1)
        courier = worker(world, "courier")
        used, begun = processor_time(courier), time.monotonic()
        time.sleep(10 if LONG else 2)
        used = (processor_time(courier) - used) / (time.monotonic() - begun)
        check_measure(used < 0.2, f"the courier used {used:.0%} of a processor")
        assert len(world.mails()) == 1, "the control: there was a port"
        for each in taken:
            each.close()
        figures = ledger.settle()
        RANGE.write_text(before)
        assert worker(world, "courier") == courier and figures["extra"] == 0 and figures["reported"] == 0, figures
        assert len(ledger.accepted) == 6, ledger.replies
        print(f"FIGURES no port: {used:.1%} of a processor, {figures}", flush=True)


if __name__ == "__main__":
    enter("mail waits for a port")
    main(mail_waits_for_a_port_and_goes_out_when_there_is_one)
