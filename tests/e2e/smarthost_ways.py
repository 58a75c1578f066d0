#!/usr/bin/env python3
"""Which host mail goes to, over which connection, and what becomes of mail that cannot go."""

import re
import socket
import sys
import time

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import World, free_port, main, wait_until

HOST = r"localhost\[127\.0\.0\.1\]"
LETTER = "To: bob@corp.example\nSubject: hi\n\nhello\n"
QUICK = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n"


def send(world, message=LETTER, recipients=("bob@corp.example",), sender="ann@there.example", options=()):
    world.sendmail(["-f", sender, *options, *recipients], message)


def a_connection_serves_the_next_message_too():
    with World() as world:
        world.start()
        send(world)
        world.arrived(1)
        send(world)
        world.arrived(2)
        world.wait_log(rf"relay={HOST}:\d+, conn_use=2, delay=")
        assert world.dialogue().count("C: AUTH ") == 1


def a_connection_closed_while_idle_is_replaced_unnoticed():
    with World(smarthost_options=["--idle-ms", "700"]) as world:
        world.start()
        send(world)
        world.arrived(1)
        time.sleep(1.5)
        send(world)
        world.arrived(2)
        world.drained()
        assert "deferred" not in world.log(), world.log()
        assert "TLS session resumed" in world.dialogue(), world.dialogue()


def an_idle_connection_is_left_politely():
    with World(main_cf="smtp_connection_cache_time_limit = 1s\n") as world:
        world.start()
        send(world)
        world.arrived(1)
        wait_until(lambda: "C: QUIT" in world.dialogue(), "QUIT", 10, world.dialogue)
        send(world)
        world.arrived(2)


def the_second_relayhost_takes_over():
    dead = free_port()
    with World() as world:
        world.extra = f"relayhost = [localhost]:{dead}, {world.relayhost}\n"
        world.write_config()
        world.start()
        send(world)
        world.arrived(1)
        world.wait_log(rf"smtp\[\d+\]: connect to {HOST}:{dead}: Connection refused$")
        world.wait_log(rf"relay={HOST}:{world.relay_port}, .*status=sent")


def a_refused_port_defers():
    with World(relay=False) as world:
        world.start()
        send(world)
        world.wait_log(rf"smtp\[\d+\]: connect to {HOST}:{world.relay_port}: Connection refused$")
        world.wait_log(rf"to=<bob@corp\.example>, relay=none, delay=[\d.]+, delays=[\d./]+, dsn=4\.4\.1, status=deferred "
                       rf"\(connect to {HOST}:{world.relay_port}: Connection refused\)$")


def an_unknown_relayhost_defers():
    with World(relay=False, main_cf="relayhost = [no-such-host.invalid]:465\n") as world:
        world.start()
        send(world)
        world.wait_log(r"smtp\[\d+\]: warning: relayhost configuration problem$")
        world.wait_log(r"relay=none, .*dsn=4\.3\.5, status=deferred \(.*no-such-host\.invalid.*\)$")


def addresses_are_tried_by_preference():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        print("        no IPv6 loopback here: half of this is left out")
        return
    for preference, address in (("ipv6", "::1"), ("ipv4", "127.0.0.1")):
        with World(main_cf=f"smtp_address_preference = {preference}\ninet_protocols = all\n") as world:
            second = world.spawn([*map(str, world.smarthost.args), "--address", "::1"])
            time.sleep(0.5)
            if second.poll() is not None:
                return
            world.start()
            send(world)
            world.arrived(1)
            found = world.wait_log(r"relay=localhost\[([0-9a-f.:]+)\]:\d+, .*status=sent")
            resolved = {entry[4][0] for entry in socket.getaddrinfo("localhost", 25)}
            assert found[0] == (address if address in resolved else "127.0.0.1"), found


def senders_choose_their_relayhost_and_login():
    with World() as world:
        other = World()
        with other:
            (world.config / "by_sender").write_text(f"eve@desk.example {other.relayhost}\n")
            (world.config / "smtp_auth").write_text("")
            world.extra = (f"sender_dependent_relayhost_maps = hash:{world.config}/by_sender\nsmtp_sender_dependent_authentication = yes\n"
                           f"smtp_tls_CAfile = {world.config}/both.pem\n")
            (world.config / "both.pem").write_text(world.ca.read_text() + other.ca.read_text())
            world.write_config()
            auth = world.config / "smtp_auth"
            auth.write_text(f"eve@desk.example user@gsuite.domain:apppassword\n{world.relayhost} user@gsuite.domain:apppassword\n")
            world.command("postmap", f"hash:{auth}")
            world.command("postmap", f"hash:{world.config}/by_sender")
            world.start()
            send(world, sender="eve@desk.example")
            send(world)
            assert other.arrived(1, patience=15)[0].sender.startswith("eve@")
            assert world.arrived(1)[0].sender.startswith("ann@")


def delay_is_told_once():
    with World(main_cf=QUICK + "delay_warning_time = 2s\n", script="RCPT bob@* 450 4.2.1 busy\n") as world:
        world.start()
        send(world)
        [report] = world.arrived(1)
        assert "Subject: Delayed Mail (still being retried)" in report.header, report.header
        assert b"Action: delayed" in report.body and b"Will-Retry-Until: " in report.body, report.body
        time.sleep(3)
        assert len(world.mails()) == 1
        assert len(re.findall("sender delay notification", world.log())) == 1


def expiry_is_reported():
    with World(main_cf="maximal_queue_lifetime = 0\nbounce_queue_lifetime = 0\n", script="RCPT bob@* 450 4.2.1 busy\n") as world:
        world.start()
        send(world)
        world.wait_log(r"qmgr\[\d+\]: [0-9A-F]+: from=<ann@there\.example>, status=expired, returned to sender$")
        [report] = world.arrived(1)
        assert b"Status: 4.2.1" in report.body and b"Action: failed" in report.body, report.body
        world.drained()


def a_flood_of_failures_is_two_reports_and_a_summary():
    limits = "sender_report_limit = 2\nsender_report_interval = 3s\n"
    with World(main_cf=limits, script="RCPT nobody*@* 550 5.1.1 no such user\n") as world:
        world.start()
        for number in range(7):
            send(world, recipients=(f"nobody{number}@corp.example",))
        reports = world.arrived(3)
        world.drained()
        assert len(world.mails()) == 3
        subjects = sorted(re.search("Subject: (.*)", report.header)[1].strip() for report in reports)
        assert subjects == ["Undelivered Mail Returned to Sender"] * 2 + ["Undelivered Mail: 5 messages"], subjects
        # Each recipient is told of once, whichever way.
        told = [number for report in reports for number in range(7)
                if re.search(rb"^<nobody%d@corp.example>: " % number, report.body, re.M)]
        assert sorted(told) == list(range(7)), told
        log = world.log()
        assert len(re.findall("sender non-delivery notification: later, in a summary for <ann@there.example>", log)) == 5
        assert len(re.findall(": removed$", log, re.M)) == 7 + 3, log


def success_is_reported_when_asked_for():
    with World() as world:
        world.start()
        send(world, options=("-N", "success"))
        mails = world.arrived(2)
        [report] = [mail for mail in mails if not mail.sender.startswith("ann@")]
        assert "Subject: Successful Mail Delivery Report" in report.header, report.header
        assert b"Action: relayed" in report.body, report.body
        world.wait_log("sender delivery status notification: ")


def mail_of_nobody_that_fails_is_kept_for_the_operator():
    with World(script="RCPT bob@* 550 5.1.1 no\n") as world:
        world.start()
        send(world, sender="")
        wait_until(lambda: [entry for entry in world.queued() if entry["queue_name"] == "dead"], "a dead message", log=world.log)
        shown = world.command("postqueue", "-p").stdout
        assert "550 5.1.1 no" in shown and "MAILER-DAEMON" in shown, shown


def a_report_that_fails_is_kept_too():
    with World(script="RCPT * 550 5.1.1 no\n") as world:
        world.start()
        send(world)
        wait_until(lambda: [entry for entry in world.queued() if entry["queue_name"] == "dead"], "a dead report", log=world.log)
        assert len(world.queued()) == 1


def local_mail_without_an_alias_says_what_to_do():
    with World() as world:
        world.start()
        send(world, recipients=("root",))
        world.wait_log(r"to=<root@desk\.example>, (?:orig_to=<root>, )?relay=.*dsn=5\.1\.1, status=bounced \(.*alias_maps.*\)$")
        [report] = world.arrived(1)
        assert b"alias_maps" in report.body


def an_alias_leads_out():
    with World() as world:
        (world.config / "aliases").write_text("root: admin@corp.example\n")
        world.extra = f"alias_maps = hash:{world.config}/aliases\nalias_database = hash:{world.config}/aliases\n"
        world.write_config()
        world.command("postalias", f"hash:{world.config}/aliases")
        world.start()
        send(world, recipients=("root",))
        [mail] = world.arrived(1)
        assert mail.recipients[0].startswith("admin@corp.example"), mail.recipients
        world.wait_log(r"to=<admin@corp\.example>, orig_to=<root>, relay=.*status=sent")


def a_relayhost_that_is_ourselves_gets_mail_three_times_and_no_more():
    """U17, Q4: our own field in the header ends the loop; one report, which loops too and is kept."""
    world = World(relay=False)
    world.extra = (f"relayhost = [127.0.0.1]:{world.smtp_port}\nsmtp_tls_wrappermode = no\n"
                   "smtp_tls_security_level = none\nsmtp_sasl_auth_enable = no\n")
    with world:
        world.start()
        world.sendmail(["-f", "ann@there.example", "bob@corp.example"], "Subject: round\n\nand round\n")
        world.wait_log(r"to=<bob@corp\.example>, .*dsn=5\.4\.6, status=bounced \(host \S+ said: 554 5\.4\.6 Error: mail loops back to myself")
        wait_until(lambda: [each["queue_name"] for each in world.queued()] == ["dead"], "the report's end", log=world.log)
        assert world.log().count("sender non-delivery notification") == 1, world.log()
        # The letter and the report are in the queue three times each, and sent on twice.
        assert len(re.findall(r"status=sent \(250 ", world.log())) == 4, world.log()


if __name__ == "__main__":
    main(a_flood_of_failures_is_two_reports_and_a_summary, a_relayhost_that_is_ourselves_gets_mail_three_times_and_no_more,
         a_connection_serves_the_next_message_too, a_connection_closed_while_idle_is_replaced_unnoticed,
         an_idle_connection_is_left_politely, the_second_relayhost_takes_over, a_refused_port_defers,
         an_unknown_relayhost_defers, addresses_are_tried_by_preference, senders_choose_their_relayhost_and_login,
         delay_is_told_once, expiry_is_reported, success_is_reported_when_asked_for,
         mail_of_nobody_that_fails_is_kept_for_the_operator, a_report_that_fails_is_kept_too,
         local_mail_without_an_alias_says_what_to_do, an_alias_leads_out)
