#!/usr/bin/env python3
"""One message stays one message: what looks like an end of data and is none (S1), through every door
and in every split over packets, reaches the smarthost as part of the message it came in (S3).

The smarthost ends content at CRLF.CRLF alone and keeps what it read. Behind each look-alike stand
the commands of a second message: whoever takes the look-alike for an end, here or there, has two.
"""

import itertools
import pathlib
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from mailbench import BIN, World, main

#: Not ends: every line end but CRLF on either side of the dot, and what else has been tried.
ENDS = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r"]
LOOK_ALIKES = [a + b"." + b for a, b in itertools.product(ENDS, ENDS)
               if (a + b"." + b).find(b"\r\n.\r\n") < 0] + [
    b"\r\n.\x0b\r\n", b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n..\r\n", b"\n..\n", b"\r\n\x0c.\r\n",
    b"\r\n.\xc2\x85\r\n", b"\n.\r\n.\n", b"\r.\r.\r"]
SECOND = (b"MAIL FROM:<evil@attacker.example>\r\nRCPT TO:<victim@corp.example>\r\nDATA\r\n"
          b"Subject: smuggled\r\n\r\nevil\r\n")


def message(name, look_alike):
    return b"Subject: %s\r\n\r\nbefore" % name + look_alike + SECOND


class Client:
    """SMTP by hand: each piece is a packet, sent when the one before has been taken."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.expect(b"220")

    def expect(self, code):
        while not (lines := re.search(rb"^\d{3} [^\n]*\n", self.buffer, re.M)):
            data = self.socket.recv(65536)
            assert data, f"closed; {code!r} expected, heard {self.buffer!r}"
            self.buffer += data
        reply, self.buffer = self.buffer[:lines.end()], self.buffer[lines.end():]
        last = reply[reply.rfind(b"\n", 0, -1) + 1:]
        assert last.startswith(code), (code, reply)
        return last

    def say(self, line, code):
        self.socket.sendall(line + b"\r\n")
        return self.expect(code)

    def envelope(self):
        self.say(b"EHLO x", b"250")
        self.next_envelope()

    def next_envelope(self):
        self.say(b"MAIL FROM:<ann@desk.example>", b"250")
        self.say(b"RCPT TO:<bob@corp.example>", b"250")

    def packets(self, pieces):
        for piece in pieces:
            self.socket.sendall(piece)
            time.sleep(0.001)  # Loopback: it is in the other socket's queue at once.

    def quit(self):
        self.say(b"QUIT", b"221")
        assert self.buffer == b"" and self.socket.recv(100) == b"", "more answers than questions"
        self.socket.close()


def splits(text, middle):
    """All ways to cut in two around `middle`, and byte by byte."""
    begin = text.index(middle)
    near = range(max(begin - 2, 1), begin + len(middle) + 3)
    for at in near:
        yield [text[:at], text[at:]]
    yield [text[:near[0]]] + [text[i:i + 1] for i in near[:-1]] + [text[near[-1]:]]


def check(world, count):
    """So many messages, each whole and in canonical lines, and nobody's evil twin."""
    mails = world.arrived(count)
    world.drained()
    mails = world.mails()
    assert len(mails) == count, f"{len(mails)} messages instead of {count}"
    for mail in mails:
        text = re.sub(rb"\r\n", b"", mail.content)
        assert b"\r" not in text and b"\n" not in text, mail.content
        assert b"evil" in mail.content, "its second half is missing: " + repr(mail.content)
        assert mail.sender.startswith("ann@") and mail.recipients[0].startswith("bob@"), mail.sender
    assert "attacker" not in re.sub(r"(?m)^.* C: (?!MAIL|RCPT).*\n", "", world.dialogue())


def nothing_but_the_end_ends_data_however_it_is_cut():
    with World() as world:
        world.start()
        count = 0
        for number, look_alike in enumerate(LOOK_ALIKES):
            text = message(b"%d" % number, look_alike)
            client = Client(world.smtp_port)
            client.say(b"EHLO x", b"250")
            for pieces in splits(text, look_alike):
                client.next_envelope()
                client.say(b"DATA", b"354")
                client.packets(pieces)
                client.socket.sendall(b".\r\n")
                client.expect(b"250")
                count += 1
            client.quit()
        print(f"    {len(LOOK_ALIKES)} look-alikes, {count} ways", flush=True)
        check(world, count)


def control_a_real_end_does_smuggle():
    """The commands behind a true CRLF.CRLF are obeyed: the tests above would see a second message."""
    with World("smtpd_forbid_unauth_pipelining = no\n") as world:
        world.start()
        client = Client(world.smtp_port)
        client.envelope()
        client.say(b"DATA", b"354")
        client.packets([message(b"control", b"\r\n.\r\n"), b".\r\n"])
        for code in (b"250", b"250", b"250", b"354", b"250"):
            client.expect(code)
        client.quit()
        assert any(mail.sender.startswith("evil@") for mail in world.arrived(2))


def every_other_door_keeps_it_one_message():
    """S3: BDAT, sendmail -bs, sendmail."""
    doors = [look_alike for look_alike in LOOK_ALIKES] + [b"\r\n.\r\n"]
    with World() as world:
        world.start()
        count = 0
        client = Client(world.smtp_port)
        client.say(b"EHLO x", b"250")
        for look_alike in doors:
            text = message(b"chunked", look_alike)
            for pieces in ([text], [text[:30], text[30:]]):
                client.next_envelope()
                for i, piece in enumerate(pieces):
                    client.packets([b"BDAT %d%s\r\n" % (len(piece), b" LAST" if i + 1 == len(pieces) else b"")
                                    + piece])
                    client.expect(b"250")
                count += 1
        client.quit()

        stand_alone = subprocess.Popen([BIN / "sendmail", "-C", world.config, "-bs"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        lines = b"EHLO x\r\n"
        for look_alike in LOOK_ALIKES:
            lines += (b"MAIL FROM:<ann@desk.example>\r\nRCPT TO:<bob@corp.example>\r\nDATA\r\n" +
                      message(b"stand-alone", look_alike) + b".\r\n")
            count += 1
        output, _ = stand_alone.communicate(lines + b"QUIT\r\n", timeout=60)
        assert output.count(b"queued as") == len(LOOK_ALIKES), output[-500:]

        for look_alike in doors:
            world.sendmail(["-i", "-f", "ann@desk.example", "bob@corp.example"],
                           message(b"sendmail", look_alike))
            count += 1
        check(world, count)


def what_was_stored_is_sent_as_one_message_by_the_next_process():
    with World(relay=False) as world:
        world.start()
        count = 0
        for look_alike in LOOK_ALIKES[::3]:
            world.sendmail(["-i", "-f", "ann@desk.example", "bob@corp.example"],
                           message(b"stored", look_alike))
            count += 1
        client = Client(world.smtp_port)
        client.say(b"EHLO x", b"250")
        for look_alike in LOOK_ALIKES[::3]:
            client.next_envelope()
            client.say(b"DATA", b"354")
            client.packets([message(b"stored", look_alike), b".\r\n"])
            client.expect(b"250")
            count += 1
        client.quit()
        world.stop()
        for look_alike in LOOK_ALIKES[::3]:
            world.sendmail(["-i", "-f", "ann@desk.example", "bob@corp.example"],
                           message(b"dropped", look_alike))
            count += 1
        world.start_smarthost()
        world.start()
        world.command("postqueue", "-f")
        check(world, count)


def reports_keep_it_inside():
    script = "RCPT refused@* 550 5.1.1 no such user\n"
    with World(script=script) as world:
        world.start()
        for number, look_alike in enumerate(LOOK_ALIKES):
            # Each its own sender: reports to one are few.
            world.sendmail(["-i", "-f", f"ann{number}@home.example", "refused@corp.example"],
                           message(b"returned", look_alike))
        mails = world.arrived(len(LOOK_ALIKES))
        world.drained()
        assert len(world.mails()) == len(LOOK_ALIKES)
        for mail in mails:
            assert mail.recipients[0].startswith("ann"), mail.recipients
            assert b"evil" in mail.content and b"no such user" in mail.content
            text = mail.content.replace(b"\r\n", b"")
            assert b"\r" not in text and b"\n" not in text


main(nothing_but_the_end_ends_data_however_it_is_cut, control_a_real_end_does_smuggle,
     every_other_door_keeps_it_one_message,
     what_was_stored_is_sent_as_one_message_by_the_next_process, reports_keep_it_inside)
