#!/usr/bin/env python3
"""A laptop's day (RS9): no network, networks that come and go and change, suspends, captive portals.

The laptop is at one end of a cable, in a network of its own, the smarthost at the other end.
"""

import re
import subprocess
import sys
import time

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import World, main, wait_until
from name_server import NameServer
from private_network import Cable, enter, ip, write_etc

LETTER = "To: bob@corp.example\nSubject: hi\n\nhello\n"
OFFLINE = r"qmgr\[\d+\]: network unreachable: mail waits for the network$"
HOSTS = "127.0.0.1 localhost\n::1 localhost\n"


class Laptop(World):
    """The smarthost is called relay.example and lives at the other end of the cable."""
    host = "relay.example"

    def __init__(self, cable, main_cf="", relay=True, **options):
        self.cable = cable
        super().__init__(main_cf=main_cf, relay=relay, **options)
        write_etc("hosts", HOSTS + f"{cable.there} {self.host}\n")

    def start_smarthost(self, **options):
        spawn = self.spawn
        self.spawn = lambda command, **more: spawn(
            self.cable.beyond([*command, "--address", self.cable.there]), **more)
        try:
            return super().start_smarthost()
        finally:
            self.spawn = spawn

    def wait_for_port(self, port):
        probe = f"import socket; socket.create_connection(('{self.cable.there}', {port}), 1)"
        wait_until(lambda: subprocess.run(self.cable.beyond([sys.executable, "-c", probe]),
                                          capture_output=True).returncode == 0, f"port {port}")

    def send(self, count=1):
        for _ in range(count):
            self.sendmail(["-f", "ann@there.example", "bob@corp.example"], LETTER)

    def destination(self):
        return self.command("postrider", "status").stdout

    def logins(self):
        return self.dialogue().count("C: AUTH ")


def mail_waits_without_an_attempt_and_goes_within_a_second():
    with Cable() as cable, Laptop(cable) as laptop:
        laptop.start()
        laptop.wait_log(OFFLINE)
        laptop.send(3)
        laptop.wait_log(r"\(queue active\)$", 3)
        time.sleep(2)
        assert not re.search("status=", laptop.log()), "an attempt without a network\n" + laptop.log()
        assert f"{laptop.relayhost}: offline, waiting for the network;" in laptop.destination(), \
            laptop.destination()
        begun = time.monotonic()
        cable.up()
        laptop.arrived(3)
        took = time.monotonic() - begun
        print(f"        from the cable to the third message: {took:.2f} s")
        assert took < 1, took
        laptop.drained()
        # It waited for the network, and for nothing else.
        assert "deferred" not in laptop.log(), laptop.log()
        assert laptop.logins() <= 3, laptop.dialogue()


def a_network_that_goes_and_comes_is_used_at_once():
    with Cable() as cable, Laptop(cable) as laptop:
        cable.up()
        laptop.start()
        laptop.send()
        laptop.arrived(1)
        resumed = []
        for round_ in range(2, 5):
            cable.down()
            laptop.wait_log(OFFLINE, round_ - 1)
            laptop.send()
            laptop.wait_log(r"\(queue active\)$", round_)
            begun = time.monotonic()
            cable.up()
            laptop.arrived(round_)
            resumed.append(time.monotonic() - begun)
        print("        resumed after " + ", ".join(f"{took:.2f} s" for took in resumed))
        # One that comes and goes is believed later each time.
        assert resumed[0] < 1 and max(resumed) < 5, resumed
        assert "deferred" not in laptop.log(), laptop.log()


def what_is_on_this_machine_needs_no_network():
    with Cable() as cable, World() as world:
        assert cable
        world.start()
        world.wait_log(OFFLINE)
        world.sendmail(["-f", "ann@there.example", "bob@corp.example"], LETTER)
        world.arrived(1)


def a_message_does_not_expire_while_there_is_no_network():
    short = "maximal_queue_lifetime = 3s\nbounce_queue_lifetime = 3s\n"
    with Cable() as cable, Laptop(cable, main_cf=short) as laptop:
        laptop.start()
        laptop.send()
        time.sleep(4)
        cable.up()
        [mail] = laptop.arrived(1)
        assert mail.sender.startswith("ann@"), mail.sender
        assert "expired" not in laptop.log()


def another_network_ends_a_suspension():
    """A relay that cannot be reached from here is tried again from elsewhere, not after minutes."""
    with Cable() as cable, Laptop(cable) as laptop:
        write_etc("hosts", HOSTS + f"203.0.113.1 {laptop.host}\n")
        cable.up(gateway=False)
        laptop.start()
        laptop.send()
        laptop.wait_log(r"connect to relay\.example\[203\.0\.113\.1\]:\d+: Network is unreachable$")
        laptop.wait_log("status=deferred")
        subprocess.run(cable.beyond(["ip", "addr", "add", "203.0.113.1/32", "dev", "lo"]), check=True)
        laptop.stop(laptop.smarthost)
        cable.there, old = "203.0.113.1", cable.there
        laptop.start_smarthost()
        cable.there = old
        begun = time.monotonic()
        ip("route", "add", "default", "via", cable.there)
        laptop.arrived(1)
        took = time.monotonic() - begun
        assert took < 1.5, took


def the_name_servers_of_the_new_network_are_asked():
    """resolv.conf is put in place by another file, as NetworkManager does; the process that asks is
    confined by then."""
    with Cable() as cable, Laptop(cable, main_cf="smtp_host_lookup = dns\n") as laptop:
        write_etc("resolv.conf", "nameserver 127.0.0.2\n")
        cable.up()
        laptop.start()
        server = NameServer("127.0.0.1")
        server.names[laptop.host] = [cable.there]
        laptop.send()
        laptop.wait_log(r"Name service error for name=relay\.example type=A+: Host not found, try again")
        laptop.wait_log("status=deferred")
        assert not server.asked
        write_etc("resolv.conf", "nameserver 127.0.0.1\n")
        begun = time.monotonic()
        ip("addr", "add", "192.0.2.11/24", "dev", "cable0")
        laptop.arrived(1)
        took = time.monotonic() - begun
        assert took < 1.5, took


def a_captive_portal_gets_no_password_and_is_tried_again_elsewhere():
    with Cable() as cable, Laptop(cable) as laptop:
        # The portal answers in the smarthost's place, with a certificate of its own.
        portal = laptop.directory / "portal"
        portal.mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", portal / "key", "-out", portal / "cert", "-days", "9", "-subj", "/CN=portal.hotel.example",
                        "-addext", "subjectAltName=DNS:portal.hotel.example"], check=True, capture_output=True)
        laptop.stop(laptop.smarthost)
        honest = laptop.certificate, laptop.key
        laptop.certificate, laptop.key = portal / "cert", portal / "key"
        laptop.start_smarthost()
        cable.up()
        laptop.start()
        laptop.send()
        laptop.wait_log(r"status=deferred \(Server certificate not verified\)$")
        assert " C: " not in laptop.dialogue(), "said to the portal:\n" + laptop.dialogue()
        laptop.stop(laptop.smarthost)
        laptop.certificate, laptop.key = honest
        laptop.start_smarthost()
        # The traveller leaves the hotel.
        cable.down()
        begun = time.monotonic()
        cable.up()
        laptop.arrived(1)
        took = time.monotonic() - begun
        assert took < 2, took


if __name__ == "__main__":
    enter("the laptop")
    main(mail_waits_without_an_attempt_and_goes_within_a_second,
         a_network_that_goes_and_comes_is_used_at_once, what_is_on_this_machine_needs_no_network,
         a_message_does_not_expire_while_there_is_no_network, another_network_ends_a_suspension,
         the_name_servers_of_the_new_network_are_asked, a_captive_portal_gets_no_password_and_is_tried_again_elsewhere)
