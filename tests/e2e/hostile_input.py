#!/usr/bin/env python3
"""What strangers and local users send to break the intake: endless input in constant memory (S9, S8,
S19), other protocols (S12), noise on every socket (L9), options that name files (L1), and set-ups
that would relay for the world (S18).
"""

import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, need, worker
from mailbench import BIN, Skip, World, free_port, main, sanitizer, wait_until
from memory import check_limit, anonymous

GROWTH_MAX = 3e6  # Of a process's memory, whatever comes in.
ENDLESS = 4_000_000_000 if LONG else 10_000_000 if sanitizer() else 100_000_000
FRAMES = 100_000 if LONG else 20_000


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.code()

    def code(self):
        while (line := self.file.readline())[3:4] == b"-":
            pass
        return line[:3]

    def say(self, *lines):
        codes = []
        for line in lines:
            self.socket.sendall(line + b"\r\n")
            codes.append(self.code())
        return codes

    def hear_out(self):
        """Until either side has closed."""
        while True:
            try:
                if not self.socket.recv(65536):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def hang_up(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The other side was first.

    def pour(self, piece, size):
        """Until so much is sent or the other side has enough. Returns what it took."""
        sent = 0
        try:
            while sent < size:
                sent += self.socket.send(piece)
        except OSError:
            pass
        return sent


EHLO, MAIL, RCPT = b"EHLO x", b"MAIL FROM:<ann@desk.example>", b"RCPT TO:<bob@corp.example>"
LINE = b"x" * 998 + b"\r\n"


def endless_input_takes_no_memory():
    """S9, S8: each kind in turn, gigabytes in the long form."""
    kinds = {
        "a command without end": ([], b"x" * 65536),
        "content": ([EHLO, MAIL, RCPT, b"DATA"], b"\r\n" + LINE * 64),
        "one line of content": ([EHLO, MAIL, RCPT, b"DATA"], b"\r\n" + b"x" * 65536),
        "a header": ([EHLO, MAIL, RCPT, b"DATA"], b"X: y\r\n" * 10000),
        "a folded header": ([EHLO, MAIL, RCPT, b"DATA"], b" y\r\n" * 10000),
        "chunks of one byte": ([EHLO, MAIL, RCPT], b"BDAT 1\r\nx" * 5000),
        "one chunk": ([EHLO, MAIL, RCPT, b"BDAT 18446744073709551615 LAST"], b"x" * 65536),
        "recipients": ([EHLO, MAIL], (RCPT + b"\r\n") * 2000),
        "no-operations": ([EHLO], b"NOOP\r\n" * 10000),
    }
    with World("" if LONG else "message_size_limit = 5000000\n") as world:
        world.start()
        workers = [worker(world, name) for name in ("intake", "courier")]
        warm = Client(world.smtp_port)  # What the largest buffers take is not growth.
        warm.say(EHLO, MAIL, RCPT, b"DATA")
        warm.pour(LINE * 64, 4_000_000)
        warm.socket.sendall(b".\r\n")
        time.sleep(1)
        for kind, (opening, piece) in kinds.items():
            before = [anonymous(pid) for pid in workers]
            client = Client(world.smtp_port)
            for line in opening[:-1]:
                client.say(line)
            if opening:
                client.socket.sendall(opening[-1] + b"\r\n")
            client.socket.settimeout(10)
            # Answers are read, or the server would just stop reading.
            reader = threading.Thread(target=client.hear_out)
            reader.start()
            sent = client.pour(piece, ENDLESS)
            grown = [anonymous(pid) - was for pid, was in zip(workers, before)]
            client.hang_up()
            reader.join()
            print(f"    {kind}: {sent / 1e6:.1f} MB taken, grown by {max(grown) / 1e6:.1f} MB", flush=True)
            check_limit(max(grown), GROWTH_MAX, kind)
        world.sendmail(["bob@corp.example"], "Subject: still there\n\nhello\n")
        assert [worker(world, name) for name in ("intake", "courier")] == workers
        wait_until(lambda: any("still there" in str(mail.header) for mail in world.mails()),
                   "an ordinary message")


def other_protocols_are_shown_the_door():
    """S12: closed at the first words, without waiting for a line's end, and nothing said twice."""
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(200)
    smuggled = b"EHLO x\r\n" + MAIL + b"\r\n" + RCPT + b"\r\nDATA\r\n"
    with World() as world:
        world.start()
        for opening in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.0\r\n\r\n",
                        b"POST / HTTP/1.1\r\nContent-Length: 90\r\n\r\n" + smuggled,
                        b"PUT / HTTP/1.1\r\n\r\n" + smuggled, b"CONNECT x:25 HTTP/1.0\r\n\r\n",
                        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", hello, b"SSH-2.0-OpenSSH_9\r\n",
                        b"\x00\x01\x02\x03", b"\x05\x01\x00", b"*1\r\n$4\r\nPING\r\n", b"\xff\xfb\x01"):
            with socket.create_connection(("127.0.0.1", world.smtp_port), timeout=5) as client:
                assert client.recv(200).startswith(b"220")
                client.sendall(opening)
                heard = b""
                try:
                    while data := client.recv(4096):
                        heard += data
                except ConnectionResetError:
                    pass  # It was closed before all was read.
                assert heard.count(b"\r\n") <= 1 and b"250" not in heard, (opening, heard)


def noise_on_a_socket(path, count, start):
    """Random frames with true and false beginnings; each on its own connection or many on one."""
    dice = random.Random(count)
    sent = 0
    client = None
    while sent < count:
        if client is None:
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(path))  # With a time limit it would not wait while the queue is full.
            client.settimeout(5)
        size = dice.choice((0, 1, 4, 13, 100, 1000, 0x7fffffff, 0xffffffff))
        body = dice.randbytes(min(size, dice.randrange(1, 200)))
        frame = dice.choice((start + size.to_bytes(4, "big"), size.to_bytes(4, "little"),
                             dice.randbytes(5), b'{"', start)) + body
        sent += 1
        try:
            client.sendall(frame)
        except OSError:
            client = None
            continue
        if dice.random() < 0.3:
            client.close()
            client = None


def noise_on_the_sockets_harms_nobody():
    """L9: while it rains, an honest sendmail and an honest postqueue are served."""
    with World() as world:
        world.start()
        workers = [worker(world, name) for name in ("intake", "courier")]
        public = world.queue / "public"
        for number, (name, start) in enumerate((("submit", b"postrider\x01"), ("control", b"\x01"))):
            # The first round makes room for as many sessions as there may be; a leak goes on.
            noise_on_a_socket(public / name, FRAMES // 2, start)
            before = [anonymous(pid) for pid in workers]
            begun = time.monotonic()
            noise_on_a_socket(public / name, FRAMES, start)
            took = time.monotonic() - begun
            world.sendmail(["bob@corp.example"], "Subject: honest\n\nhello\n")
            world.command("postqueue", "-p")
            world.arrived(number + 1)
            grown = [anonymous(pid) - was for pid, was in zip(workers, before)]
            print(f"    {FRAMES} frames on {name} in {took:.1f} s, grown by {max(grown) / 1e6:.1f} MB", flush=True)
            check_limit(max(grown), GROWTH_MAX, f"noise on {name}")
        assert [worker(world, name) for name in ("intake", "courier")] == workers


def options_of_old_name_no_file():
    """L1: traced. Nothing is made, and nothing read but what is always read."""
    need("strace", root=False)
    with World() as world:
        world.start()
        planted = world.directory / "planted"
        planted.write_text("queue_directory = /nowhere\n")

        def files(arguments):
            trace = world.directory / "trace"
            subprocess.run(["strace", "-f", "-e", "trace=%file", "-o", trace, BIN / "sendmail",
                            *map(str, arguments)], input=b"Subject: x\n\nx\n",
                           env={**os.environ, "MAIL_CONFIG": str(world.config),
                                "ASAN_OPTIONS": os.environ["ASAN_OPTIONS"] + ":detect_leaks=0"},  # Not while traced.
                           cwd=world.directory, capture_output=True, timeout=30)
            return set(re.findall(r'^\d+ +\w+\((?:AT_FDCWD, )?"([^"]*)"',
                                  trace.read_text(errors="replace"), re.M))

        usual = files(["bob@corp.example"])
        before = sorted(os.listdir(world.directory))
        for hostile in (f"-X{planted}.log", f"-oQ{world.directory}", f"-OQueueDirectory={world.directory}",
                        "-be", f"-D{planted}", f"-oA{planted}", f"--config={planted}", "|touch planted",
                        f">{planted}", f":include:{planted}", f"/{planted}", "`touch planted`"):
            for arguments in ([hostile, "bob@corp.example"], ["-f", "ann@desk.example", "--", hostile],
                              ["-f", "ann@desk.example", hostile]):
                strange = {path for path in files(arguments) - usual
                           if not path.startswith(("/lib/", "/usr/lib/", "/etc/ld.so"))}
                assert not strange, (arguments, strange)
        # The control: a file that an option does name is seen.
        assert str(planted) + "/main.cf" in files([f"-C{planted}", "bob@corp.example"])
        assert sorted(os.listdir(world.directory)) == before
        assert planted.read_text() == "queue_directory = /nowhere\n"


def no_set_up_relays_for_the_world_by_omission():
    """S18: each way to listen beyond loopback; whoever is not in mynetworks gets nothing through."""
    addresses = subprocess.run(["ip", "-o", "-4", "addr", "show", "scope", "global"],
                               capture_output=True, text=True).stdout
    found = re.search(r"inet (\d+\.\d+\.\d+\.\d+)", addresses)
    if not found:
        raise Skip("this machine has no address but loopback")
    outside = found[1]
    tried = 0
    for extra in ("smtpd_listen = 0.0.0.0:{port}\n", "smtpd_listen = :{port}\n",
                  "smtpd_listen = [::ffff:0.0.0.0]:{port}\n", "smtpd_listen = {outside}:{port}\n",
                  "smtpd_listen = 0.0.0.0:{port}\nmynetworks =\n",
                  "smtpd_listen = 0.0.0.0:{port}\nmynetworks_style = host\n",
                  "smtpd_listen = 0.0.0.0:{port}\nmynetworks = 0.0.0.0/0\n",
                  "smtpd_listen = 0.0.0.0:{port}\nsmtpd_relay_restrictions = permit\n"):
        port = free_port()
        with World(relay=False) as world:
            text = (world.config / "main.cf").read_text()
            text = re.sub(r"^smtpd_listen.*\n", "", text, flags=re.M)
            (world.config / "main.cf").write_text(text + extra.format(port=port, outside=outside))
            daemon = world.start(wait=False)
            wait_until(lambda: daemon.poll() is not None or "daemon started" in world.log(), "a verdict")
            if daemon.poll() is not None:
                print(f"    {extra.strip()!r}: refused to start", flush=True)
                continue
            tried += 1
            with socket.create_connection((outside, port), timeout=5,
                                          source_address=(outside, 0)) as client, \
                    client.makefile("rb") as file:
                file.readline()
                for line in (b"HELO x", MAIL, RCPT):
                    client.sendall(line + b"\r\n")
                    said = file.readline()
            print(f"    {extra.strip()!r}: {said!r}", flush=True)
            # The control: in so many words it is allowed, and the mail would go.
            allowed = "mynetworks = 0.0.0.0/0" in extra
            assert said.startswith(b"250" if allowed else b"454"), (extra, said)
    assert tried >= 4, "hardly any of them started: nothing was tried"


main(endless_input_takes_no_memory, other_protocols_are_shown_the_door, noise_on_the_sockets_harms_nobody,
     options_of_old_name_no_file, no_set_up_relays_for_the_world_by_omission)
