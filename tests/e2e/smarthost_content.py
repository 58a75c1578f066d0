#!/usr/bin/env python3
"""What the smarthost can do decides how a message is sent, never what arrives."""

import hashlib
import quopri
import re
import sys

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import World, main

HOST = r"localhost\[127\.0\.0\.1\]"
LETTER = "To: bob@corp.example\nSubject: hi\n\nhello\n"


def send(world, message=LETTER, recipients=("bob@corp.example",), sender="ann@there.example"):
    world.sendmail(["-f", sender, *recipients], message)


def too_large_for_the_smarthost_bounces():
    with World(smarthost_options=["--size-limit", "3000"]) as world:
        world.start()
        send(world, LETTER + ("x" * 70 + "\n") * 100)
        world.wait_log(rf"dsn=5\.3\.4, status=bounced \(message size \d+ exceeds size limit 3000 of server {HOST}\)$")
        world.wait_log("sender non-delivery notification")


def without_8bitmime_content_becomes_quoted_printable():
    text = "Grüße von der Straße, das ist nötig = ja \n" * 3
    letter = ("To: bob@corp.example\nSubject: hi\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
              "Content-Transfer-Encoding: 8bit\n\n" + text)
    with World(smarthost_options=["--no", "8BITMIME", "--no", "SMTPUTF8"]) as world:
        world.start()
        send(world, letter)
        [mail] = world.arrived(1)
        assert all(byte < 128 for byte in mail.content), mail.content
        assert "Content-Transfer-Encoding: quoted-printable" in mail.header, mail.header
        assert "Content-Transfer-Encoding: 8bit" not in mail.header
        assert quopri.decodestring(mail.body).replace(b"\r\n", b"\n") == text.encode(), mail.body
        assert "BODY=" not in mail.sender
    with World() as world:
        world.start()
        send(world, letter)
        [mail] = world.arrived(1)
        assert mail.body == text.replace("\n", "\r\n").encode(), mail.body


def without_smtputf8_such_mail_bounces():
    with World(smarthost_options=["--no", "SMTPUTF8"]) as world:
        world.start()
        send(world, recipients=("jürgen@corp.example",))
        world.wait_log(rf"dsn=5\.6\.7, status=bounced \(SMTPUTF8 is required, but was not offered by host {HOST}\)$")
    with World() as world:
        world.start()
        send(world, recipients=("jürgen@corp.example",))
        [mail] = world.arrived(1)
        assert mail.recipients[0].startswith("jürgen@corp.example"), mail.recipients
        assert "SMTPUTF8" in mail.sender


def simple_servers_are_served():
    for missing in (["PIPELINING"], ["CHUNKING"], ["PIPELINING", "CHUNKING"], ["ENHANCEDSTATUSCODES", "SIZE"]):
        options = [word for name in missing for word in ("--no", name)]
        with World(smarthost_options=options) as world:
            world.start()
            send(world, recipients=("bob@corp.example", "eve@corp.example"))
            [mail] = world.arrived(1)
            assert mail.body == b"hello\r\n" and len(mail.recipients) == 2
            assert ("BDAT" in world.dialogue()) == ("CHUNKING" not in missing and "PIPELINING" not in missing), world.dialogue()


def a_server_that_knows_only_helo_is_served():
    with World(main_cf="smtp_sasl_auth_enable = no\n", script="EHLO * 502 5.5.1 what?\n") as world:
        world.stop(world.smarthost)
        command = list(map(str, world.smarthost.args))
        at = command.index("--users")
        del command[at:at + 2]
        world.smarthost = world.spawn(command)
        world.wait_for_port(world.relay_port)
        world.start()
        send(world)
        [mail] = world.arrived(1)
        assert mail.sender.strip() == "ann@there.example", repr(mail.sender)


def many_recipients_go_fifty_at_a_time():
    names = [f"r{number:03}@corp.example" for number in range(120)]
    with World(script="RCPT r007@* 550 5.1.1 no\nRCPT r100@* 550 5.1.1 no\n") as world:
        world.start()
        send(world, recipients=names)
        mails = world.arrived(4)
        copies = [mail for mail in mails if mail.sender.startswith("ann@")]
        assert sorted(len(mail.recipients) for mail in copies) == [19, 49, 50], [len(mail.recipients) for mail in copies]
        got = [name.split(" ")[0] for mail in copies for name in mail.recipients]
        assert sorted(got) == sorted(set(names) - {"r007@corp.example", "r100@corp.example"})
        assert world.log().count("sender non-delivery notification") == 1
        [report] = [mail for mail in mails if mail.sender.startswith(" ") or mail.sender == ""]
        assert b"r007@corp.example" in report.body and b"r100@corp.example" in report.body
        world.drained()


def long_lines_are_folded_alike_by_data_and_bdat():
    line = "".join(chr(97 + at % 26) for at in range(3000))
    seen = []
    for options in ([], ["--no", "CHUNKING"]):
        with World(smarthost_options=options) as world:
            world.start()
            send(world, f"To: bob@corp.example\n\n{line}\nshort\n")
            [mail] = world.arrived(1)
            lines = mail.body.split(b"\r\n")
            assert all(len(one) <= 998 for one in lines), [len(one) for one in lines]
            assert b"".join([lines[0]] + [one[1:] for one in lines[1:-2]]) == line.encode()
            world.wait_log(r"smtp\[\d+\]: [0-9A-F]+: breaking line > 998 bytes with <CR><LF>SPACE$")
            seen.append(mail.body)
    assert seen[0] == seen[1]


def a_large_message_arrives_byte_for_byte():
    rows = "".join(f"{number:08} .dots and words to make up a line of some length\n.\n" for number in range(400000))
    expected = hashlib.sha256(rows.replace("\n", "\r\n").encode()).hexdigest()
    assert len(rows) > 23_000_000
    for options in ([], ["--no", "CHUNKING"]):
        with World(smarthost_options=options) as world:
            world.start()
            world.sendmail(["-i", "-f", "ann@desk.example", "bob@corp.example"], "To: bob@corp.example\n\n" + rows)
            [mail] = world.arrived(1)
            assert hashlib.sha256(mail.body).hexdigest() == expected, len(mail.body)
            world.drained()


if __name__ == "__main__":
    main(too_large_for_the_smarthost_bounces, without_8bitmime_content_becomes_quoted_printable,
         without_smtputf8_such_mail_bounces, simple_servers_are_served, a_server_that_knows_only_helo_is_served,
         many_recipients_go_fifty_at_a_time, long_lines_are_folded_alike_by_data_and_bdat,
         a_large_message_arrives_byte_for_byte)
