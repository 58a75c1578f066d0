#!/usr/bin/env python3
"""A smarthost that refuses, puts off, hangs up: every recipient ends as sent or as a report."""

import re
import sys

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import World, main, wait_until

HOST = r"localhost\[127\.0\.0\.1\]"
QUICK = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n"
LETTER = "To: bob@corp.example\nSubject: hi\nMessage-Id: <letter@desk.example>\n\nhello\n"


def status_line(world, recipient, status, dsn, text, relay=HOST + r":\d+"):
    """Waits for the line that says how a recipient fared, and returns the queue id in it."""
    return world.wait_log(rf"(?:smtp|error)\[\d+\]: ([0-9A-F]+): to=<{recipient}>, relay={relay}, (?:conn_use=\d+, )?"
                          rf"delay=[\d.]+, delays=[\d./]+, dsn={re.escape(dsn)}, status={status} \({text}\)$")[0]


def one_of_several_refused_is_reported_to_the_sender():
    with World(script="RCPT eve@* 550 5.1.1 no such user\n") as world:
        world.start()
        world.sendmail(["-f", "ann@there.example", "bob@corp.example", "eve@corp.example"], LETTER)
        queue_id = status_line(world, "eve@corp.example", "bounced", "5.1.1",
                               rf"host {HOST} said: 550 5\.1\.1 no such user \(in reply to RCPT TO command\)")
        status_line(world, "bob@corp.example", "sent", "2.0.0", r"250 2\.0\.0 OK 1 - gsmtp")
        mails = world.arrived(2)
        report_id = world.wait_log(rf"bounce\[\d+\]: {queue_id}: sender non-delivery notification: ([0-9A-F]+)$")[0]
        world.wait_log(rf"qmgr\[\d+\]: {report_id}: from=<>, size=\d+, nrcpt=1 \(queue active\)$")
        world.wait_log(rf"qmgr\[\d+\]: {queue_id}: removed$")
        [report] = [mail for mail in mails if mail.sender.split(" ")[0] == ""]
        assert report.recipients == ["ann@there.example"], report.recipients
        expect_report(report.content.decode().replace("\r\n", "\n"), queue_id, report_id, world)
        world.drained()


def expect_report(text, queue_id, report_id, world):
    """The whole notice, byte for byte but for times and sizes."""
    date = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)"
    boundary = rf"{queue_id}\.\d+/desk\.example"
    original = re.escape("Received: by desk.example (postrider, from userid 0)\n\tid ").replace("userid\\ 0", r"userid\ \d+")
    pattern = (
        rf"Received: by desk\.example \(postrider\)\n\tid {report_id}; {date}\n"
        rf"Date: {date}\n"
        r"From: Mail Delivery System <MAILER-DAEMON@desk\.example>\n"
        r"Subject: Undelivered Mail Returned to Sender\n"
        r"To: ann@there\.example\n"
        r"Auto-Submitted: auto-replied\n"
        r"MIME-Version: 1\.0\n"
        r"Content-Type: multipart/report; report-type=delivery-status;\n"
        rf'\tboundary="({boundary})"\n'
        r"Content-Transfer-Encoding: 8bit\n"
        rf"Message-Id: <\d{{14}}\.{report_id}@desk\.example>\n"
        r"\nThis is a MIME-encapsulated message\.\n\n"
        r"--\1\nContent-Description: Notification\n"
        r"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
        r"[^<]+"
        rf"<eve@corp\.example>: host {HOST} said: 550 5\.1\.1 no such user \(in\n"
        r"    reply to RCPT TO command\)\n\n"
        r"--\1\nContent-Description: Delivery report\nContent-Type: message/delivery-status\n\n"
        r"Reporting-MTA: dns; desk\.example\n"
        rf"X-Postfix-Queue-ID: {queue_id}\n"
        r"X-Postfix-Sender: rfc822; ann@there\.example\n"
        rf"Arrival-Date: {date}\n\n"
        r"Final-Recipient: rfc822; eve@corp\.example\n"
        r"Original-Recipient: rfc822;eve@corp\.example\n"
        r"Action: failed\nStatus: 5\.1\.1\nRemote-MTA: dns; localhost\n"
        r"Diagnostic-Code: smtp; 550 5\.1\.1 no such user\n\n"
        r"--\1\nContent-Description: Undelivered Message\nContent-Type: message/rfc822\n"
        r"Content-Transfer-Encoding: 8bit\n\n"
        r"Return-Path: <ann@there\.example>\n"
        rf"{original}{queue_id}; {date}\n"
        r"To: bob@corp\.example\nSubject: hi\nMessage-Id: <letter@desk\.example>\n"
        rf"Date: {date}\nFrom: [^\n]*ann@there\.example>?\n\nhello\n\n--\1--\n")
    if re.fullmatch(pattern, text):
        return
    # The longest prefix that fits shows where they part.
    pieces = pattern.split(r"\n")
    for count in range(len(pieces), 0, -1):
        try:
            fits = re.match(r"\n".join(pieces[:count]), text)
        except re.error:
            continue
        if fits:
            raise AssertionError(f"the report departs after:\n{fits[0][-300:]}\n--- expected:\n"
                                 f"{pieces[count:count + 2]}\n--- whole:\n{text}")
    raise AssertionError(text)


def all_refused_makes_one_report():
    with World(script="RCPT * 550-5.1.1 first line\\n550 5.1.1 second line\n") as world:
        world.script = ""
        world.start()
        world.sendmail(["-f", "ann@desk.example", "b1@corp.example", "b2@corp.example", "b3@corp.example"], LETTER)
        for name in ("b1", "b2", "b3"):
            status_line(world, f"{name}@corp.example", "bounced", "5.1.1",
                        rf"host {HOST} said: 550-5\.1\.1 first line 550 5\.1\.1 second line \(in reply to RCPT TO command\)")
        world.wait_log(r"sender non-delivery notification: ")
        assert world.log().count("sender non-delivery notification") == 1
        assert "DATA" not in [line.split(" ")[2] for line in world.dialogue().splitlines() if " C: " in line] or \
            world.mails() == []


def put_off_at_each_stage_is_tried_again():
    for when, dsn, text in (
            ("GREETING", "4.3.2", rf"host {HOST} refused to talk to me: 450 4\.3\.2 later"),
            ("AUTH", "4.3.2", rf"SASL authentication failed; server {HOST} said: 450 4\.3\.2 later"),
            ("MAIL", "4.3.2", rf"host {HOST} said: 450 4\.3\.2 later \(in reply to MAIL FROM command\)"),
            ("RCPT", "4.3.2", rf"host {HOST} said: 450 4\.3\.2 later \(in reply to RCPT TO command\)"),
            ("DATA", "4.3.2", rf"host {HOST} said: 450 4\.3\.2 later \(in reply to DATA command\)"),
            ("END", "4.3.2", rf"host {HOST} said: 450 4\.3\.2 later \(in reply to end of DATA command\)")):
        meets_once(when, "450 4.3.2 later", dsn, text)


def closing_with_421_at_each_stage_is_tried_again():
    for when, text in (
            ("GREETING", rf"host {HOST} refused to talk to me: 421 4\.3\.2 too busy"),
            ("EHLO", rf"host {HOST} refused to talk to me: 421 4\.3\.2 too busy"),
            ("MAIL", rf"host {HOST} said: 421 4\.3\.2 too busy \(in reply to MAIL FROM command\)"),
            ("RCPT", rf"host {HOST} said: 421 4\.3\.2 too busy \(in reply to RCPT TO command\)"),
            ("DATA", rf"host {HOST} said: 421 4\.3\.2 too busy \(in reply to DATA command\)"),
            ("END", rf"host {HOST} said: 421 4\.3\.2 too busy \(in reply to end of DATA command\)")):
        meets_once(when, "421 4.3.2 too busy", "4.3.2", text)


def hanging_up_at_each_stage_is_tried_again():
    for when, activity in (
            ("GREETING", "receiving the initial server greeting"),
            ("EHLO", "performing the EHLO handshake"),
            ("MAIL", "sending MAIL FROM"),
            ("RCPT", "sending RCPT TO"),
            ("DATA", "sending DATA command")):
        meets_once(when, "drop", "4.4.2", rf"lost connection with {HOST} while {activity}")


def meets_once(when, answer, dsn, text):
    """The first attempt meets that answer and is deferred; the next one gets through."""
    # A connection made ahead of the message may meet it first, at the stages before MAIL.
    count = 2 if when in ("GREETING", "EHLO", "AUTH") else 1
    options = ["--no", "CHUNKING"] if when in ("MAIL", "RCPT", "DATA", "END") else []
    with World(main_cf=QUICK, script=f"{when} * x{count} {answer}\n", smarthost_options=options) as world:
        world.start()
        world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], LETTER)
        deadline = wait_until(
            lambda: re.findall(r"status=(\w+) \((.*)\)$", world.log(), re.M), f"an outcome at {when}", log=world.log)
        if when in ("GREETING", "EHLO", "AUTH") and deadline[0][0] == "sent":
            raise AssertionError(f"{when}: not met\n{world.log()}")
        status_line(world, "bob@corp.example", "deferred", dsn, text)
        if when == "AUTH":
            assert "account trouble" in world.log(), world.log()
            world.command("postrider", "flush")
        [mail] = world.arrived(1)
        status_line(world, "bob@corp.example", "sent", "2.0.0", r"250 2\.0\.0 OK 1 - gsmtp")
        world.drained()
        assert len(world.mails()) == 1, when


def hanging_up_after_the_final_dot_costs_at_most_one_copy():
    for options in ([], ["--no", "CHUNKING"], ["--no", "CHUNKING", "--no", "PIPELINING"]):
        with World(main_cf=QUICK, script="END * x1 drop\n", smarthost_options=options) as world:
            world.start()
            world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], LETTER)
            status_line(world, "bob@corp.example", "deferred", "4.4.2",
                        rf"lost connection with {HOST} while sending end of data -- message may be sent more than once")
            world.arrived(2)
            world.drained()
            assert len(world.mails()) == 2


def hanging_up_within_content_loses_nothing():
    body = "To: bob@corp.example\n\n" + "x" * 70 + "\n" * 1 + ("y" * 70 + "\n") * 20000
    for options in ([], ["--no", "CHUNKING"]):
        for at in (1, 5000, 1000000):
            with World(main_cf=QUICK, script=f"CONTENT * x1 drop {at}\n", smarthost_options=options) as world:
                world.start()
                world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], body)
                world.wait_log(rf"status=deferred \(lost connection with {HOST} while sending ")
                [mail] = world.arrived(1)
                world.drained()
                assert mail.body == body.partition("\n\n")[2].replace("\n", "\r\n").encode()


def garbage_for_a_reply_defers():
    with World(main_cf=QUICK, script="MAIL * x1 this is not SMTP\nMAIL * x1 999 9.9.9 nonsense\nEND * x1 354 go on\n") as world:
        world.start()
        world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], LETTER)
        world.arrived(1, patience=40)
        world.drained()
        assert "status=bounced" not in world.log(), world.log()


def refusals_of_the_message_bounce_it():
    for when, command in (("MAIL", "MAIL FROM"), ("DATA", "DATA"), ("END", "end of DATA")):
        options = ["--no", "CHUNKING"] if when == "DATA" else []
        with World(script=f"{when} ann@* 554 5.7.0 we do not like it\n", smarthost_options=options) as world:
            world.start()
            world.sendmail(["-f", "ann@desk.example", "bob@corp.example"], LETTER)
            status_line(world, "bob@corp.example", "bounced", "5.7.0",
                        rf"host {HOST} said: 554 5\.7\.0 we do not like it \(in reply to {command} command\)")
            world.wait_log("sender non-delivery notification")


if __name__ == "__main__":
    main(one_of_several_refused_is_reported_to_the_sender, all_refused_makes_one_report,
         put_off_at_each_stage_is_tried_again, closing_with_421_at_each_stage_is_tried_again,
         hanging_up_at_each_stage_is_tried_again, hanging_up_after_the_final_dot_costs_at_most_one_copy,
         hanging_up_within_content_loses_nothing, garbage_for_a_reply_defers, refusals_of_the_message_bounce_it)
