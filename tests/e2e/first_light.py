#!/usr/bin/env python3
"""A message handed over by sendmail, and one by SMTP, reach the smarthost; the log tells it."""

import smtplib
import sys

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import World, main


def sendmail_reaches_the_smarthost():
    with World() as world:
        world.start()
        result = world.sendmail(["-f", "ann@desk.example", "bob@corp.example"],
                                "To: bob@corp.example\nSubject: hi\n\nhello\n.line\n")
        assert result.stdout == b"" and result.stderr == b"", result
        [mail] = world.arrived(1)
        assert mail.sender.startswith("ann@desk.example"), mail.sender
        assert mail.recipients == ["bob@corp.example"], mail.recipients
        assert mail.body == b"hello\r\n.line\r\n", mail.body
        world.wait_log(r"postrider/pickup\[\d+\]: [0-9A-F]{6,12}: uid=0 from=<ann@desk.example>$")
        world.wait_log(r"postrider/cleanup\[\d+\]: [0-9A-F]+: message-id=<\d{14}\.[0-9A-F]+@desk\.example>$")
        world.wait_log(r"postrider/qmgr\[\d+\]: [0-9A-F]+: from=<ann@desk\.example>, size=\d+, nrcpt=1 \(queue active\)$")
        world.wait_log(r"postrider/smtp\[\d+\]: Verified TLS connection established to localhost\[127\.0\.0\.1\]:\d+: TLSv1\.3 with cipher ")
        world.wait_log(r"postrider/smtp\[\d+\]: [0-9A-F]+: to=<bob@corp\.example>, relay=localhost\[127\.0\.0\.1\]:\d+, delay=[\d.]+, "
                       r"delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, status=sent \(250 2\.0\.0 OK 1 - gsmtp\)$")
        world.wait_log(r"postrider/qmgr\[\d+\]: [0-9A-F]+: removed$")
        assert world.stop() == 0


def smtp_reaches_the_smarthost():
    with World() as world:
        world.start()
        with smtplib.SMTP("127.0.0.1", world.smtp_port) as client:
            client.sendmail("ann@desk.example", ["bob@corp.example", "eve@corp.example"],
                            "Subject: two\r\n\r\n.dot\r\nlast")
        [mail] = world.arrived(1)
        assert sorted(mail.recipients) == ["bob@corp.example", "eve@corp.example"], mail.recipients
        assert mail.body == b".dot\r\nlast\r\n", mail.body
        world.wait_log(r"smtpd\[\d+\]: connect from localhost\[127\.0\.0\.1\]$")
        world.wait_log(r"smtpd\[\d+\]: [0-9A-F]+: client=localhost\[127\.0\.0\.1\]$")
        world.wait_log(r"smtpd\[\d+\]: disconnect from localhost\[127\.0\.0\.1\] ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6$")


if __name__ == "__main__":
    main(sendmail_reaches_the_smarthost, smtp_reaches_the_smarthost)
