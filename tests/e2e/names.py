#!/usr/bin/env python3
"""Names: a name server that lies, stalls or talks nonsense (N1, N4), and a machine with an odd name of
its own (N5)."""

import ctypes
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
import name_server
from mailbench import World, main, wait_until
from name_server import Alias, NameServer
from private_network import SETUP, enter

# An address of this machine that a name server may give.
HERE = "192.0.2.25"
NETWORK = SETUP + f"""
    ip link add name out0 type veth peer name out1
    ip link set out1 up
    ip addr add {HERE}/24 dev out0
    ip link set out0 up
"""
LETTER = "Subject: x\n\nhello\n"

# What a name leads to, how it is answered, and what becomes of mail: sent, or the words of the log.
NAMES = {
    "good": ([HERE], None, "sent"),
    "alias": (Alias("good"), None, "sent"),
    "truncated": ([HERE], name_server.truncated, "sent"),
    "huge": ([HERE] + [f"203.0.113.{n}" for n in range(1, 250)] * 4, None, "answers"),
    "slow": ([HERE], name_server.late(2), "sent"),
    "silent": ([HERE], name_server.silent, "Host not found, try again"),
    "broken": ([HERE], name_server.failing(2), "Host not found, try again"),
    "refused": ([HERE], name_server.failing(5), "Host not found, try again"),
    "cut": ([HERE], name_server.cut_off, "name server|try again"),
    "other-id": ([HERE], name_server.with_id_of_another, "Host not found, try again"),
    "noise": ([HERE], name_server.noise, "name server|try again"),
    "circle": (Alias("circle"), None, "Host|name server"),
    "loopback": (["127.0.0.1"], None, "name server says that loopback.example is this machine"),
    "loopback6": (["::1"], None, "is this machine"),
    "mapped": (["::ffff:127.0.0.1"], None, "is this machine"),
    "unspecified": (["0.0.0.0"], None, "is this machine"),
    "unspecified6": (["::"], None, "is this machine"),
}


class Names(World):
    def write_config(self):
        domains = "".join(f"to-{name}.example smtp:[{name}.example]:{self.relay_port}\n" for name in NAMES)
        (self.config / "transport").write_text(domains)
        self.extra = (f"transport_maps = texthash:{self.config}/transport\nsmtp_host_lookup = dns\ninet_protocols = all\n"
                      # The names matter here, the certificates elsewhere.
                      "smtp_tls_security_level = encrypt\n"
                      "smtp_sasl_password_maps = static:user@gsuite.domain:apppassword\n"
                      "smtp_connect_timeout = 2s\n" + self.extra)
        super().write_config()

    def outcome(self, name):
        found = re.search(rf"to=<bob@to-{name}\.example>, .*status=(\w+) \((.*)\)$", self.log(), re.M)
        return found and found.groups()


def whatever_a_name_server_says_mail_is_taken_and_kept():
    server = NameServer("127.0.0.1")
    for name, (leads_to, way, _) in NAMES.items():
        server.names[name + ".example"] = Alias(leads_to.target + ".example") if isinstance(leads_to, Alias) else leads_to
        if way:
            server.ways[name + ".example"] = way
    # The record behind an alias comes with it only where a server says so: this one is asked again.
    server.ways["alias.example"] = lambda reply, query, _tcp: with_address(reply)
    with Names(smarthost_options=["--address", "0.0.0.0"]) as world:
        world.start()
        slowest = 0
        for name in NAMES:
            begun = time.monotonic()
            world.sendmail(["-f", "ann@there.example", f"bob@to-{name}.example"], LETTER)
            slowest = max(slowest, time.monotonic() - begun)
        print(f"        handing mail over took at most {slowest:.2f} s")
        assert slowest < 3, slowest
        wait_until(lambda: all(world.outcome(name) for name in NAMES), "an outcome for each", 60, world.log)
        wrong = []
        for name, (_, _, expected) in NAMES.items():
            status, text = world.outcome(name)
            if expected == "sent":
                good = status == "sent"
            elif expected == "answers":
                good = status == "sent" or "connect to" in text
            else:
                good = status == "deferred" and re.search(expected, text)
            if not good:
                wrong.append(f"{name}: {status} ({text})")
        assert not wrong, "\n".join(wrong) + "\n" + world.log()
        assert any(kind == "tcp" for name, _, kind in server.asked if name == "truncated.example"), server.asked
        begun = time.monotonic()
        world.sendmail(["-f", "ann@there.example", "bob@to-good.example"], LETTER)
        assert time.monotonic() - begun < 3


def with_address(reply):
    import socket
    import struct
    record = name_server.encoded("good.example") + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(HERE)
    return reply[:6] + struct.pack("!H", 2) + reply[8:] + record


def greeting_of_a_machine_called(name):
    """Starts without myhostname on a machine of that name, and returns what it says in EHLO."""
    raw = name.encode("latin-1")
    assert ctypes.CDLL(None, use_errno=True).sethostname(raw, len(raw)) == 0, ctypes.get_errno()

    class Nameless(World):
        def write_config(self):
            super().write_config()
            path = self.config / "main.cf"
            path.write_text(path.read_text().replace("myhostname = desk.example\n", "mydestination =\n"))

    with Nameless() as world:
        world.start()
        world.sendmail(["-f", "ann@there.example", "bob@corp.example"], LETTER)
        world.arrived(1)
        return re.search(r"C: EHLO (.*)", world.dialogue()).group(1)


def a_machine_with_an_odd_name_greets_well():
    for name in ("", "box.example.org", "bad\x01name", "1.2.3.4"):
        said = greeting_of_a_machine_called(name)
        label = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
        assert re.fullmatch(rf"{label}(\.{label})*|\[[0-9.]+\]|\[IPv6:[0-9a-f:]+\]", said) and len(said) <= 255, (name, said)
        print(f"        {name!r} says EHLO {said}")


if __name__ == "__main__":
    enter("names", namespaces=("-n", "-m", "-u"), setup=NETWORK)
    main(whatever_a_name_server_says_mail_is_taken_and_kept, a_machine_with_an_odd_name_greets_well)
