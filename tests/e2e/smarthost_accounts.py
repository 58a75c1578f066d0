#!/usr/bin/env python3
"""Trouble with the account or its encryption: the mail waits, the password stays at home."""

import json
import re
import subprocess
import sys
import time

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import World, free_port, main, wait_until

HOST = r"localhost\[127\.0\.0\.1\]"
LETTER = "To: bob@corp.example\nSubject: hi\n\nhello\n"
QUICK = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n"


def send(world, count=1):
    for number in range(count):
        world.sendmail(["-f", "ann@desk.example", f"bob{number}@corp.example"], LETTER)


def auth_attempts(world):
    return len(re.findall(r" C: AUTH ", world.dialogue()))


def refused_login_keeps_all_mail_and_tries_once():
    with World(password="wrong") as world:
        world.start()
        send(world, 20)
        world.wait_log(rf"to=<bob\d+@corp\.example>, .*dsn=4\.7\.8, status=deferred \(.*SASL authentication failed; server {HOST} said: "
                       r"535 5\.7\.8 Username and Password not accepted\.\)$", count=20)
        assert auth_attempts(world) == 1, world.dialogue()
        assert "bounced" not in world.log()
        assert len(re.findall("account trouble", world.log())) == 1, world.log()
        status = world.command("postrider", "status")
        said = status.stdout + status.stderr
        assert "login refused" in said and "535 5.7.8" in said and "20 messages wait" in said, said
        # A new process remembers: the same password is not tried again before its time.
        world.stop()
        world.start()
        send(world)
        world.wait_log(r"status=deferred", count=21)
        assert auth_attempts(world) == 1, world.dialogue()
        # The advice names the page where Google gives out apppasswords.
        assert not re.search(r"wrong|apppassword\b", world.log()), world.log()
        # The operator mends the password and says so.
        world.password = "apppassword"
        world.write_config()
        world.command("postrider", "reload")
        world.arrived(21)
        world.drained()


def an_expired_token_waits_for_the_next_one():
    """T14: something outside renews tokens and puts another table in the place of the old one. Until then
    nothing bounces and nobody logs in again and again; then all goes out at once."""
    for mechanism in ("XOAUTH2", "OAUTHBEARER"):
        extra = f"smtp_sasl_mechanism_filter = {mechanism.lower()}\n"
        valid = lambda token: ["--auth", mechanism, "--users", f"user@gsuite.domain:{token}"]
        with World(main_cf=extra, smarthost_options=valid("ya29.first")) as world:
            table = world.config / "tokens"
            def renew(token):
                beside = table.with_name("tokens.new")
                beside.write_text(f"{world.relayhost} user@gsuite.domain:{token}\n")
                beside.chmod(0o600)
                beside.rename(table)
            renew("ya29.first")
            with open(world.config / "main.cf", "a") as main_cf:
                main_cf.write(f"smtp_sasl_password_maps = texthash:{table}\n")
            world.start()
            send(world)
            world.arrived(1)
            world.change_smarthost(options=valid("ya29.second"))
            before = auth_attempts(world)
            send(world, 10)
            world.wait_log(r"status=deferred \(.*SASL authentication failed", count=10)
            assert auth_attempts(world) == before + 1, world.dialogue()
            # The control: another table with the same token is no reason to try.
            renew("ya29.first")
            world.wait_log("has changed -- restarting")
            send(world)
            world.wait_log(r"status=deferred \(.*SASL authentication failed", count=11)
            assert auth_attempts(world) == before + 1, world.dialogue()
            renew("ya29.second")
            begun = time.monotonic()
            world.arrived(12)
            # A second of quiet after the change, and the next courier's start.
            assert time.monotonic() - begun < 10, time.monotonic() - begun
            world.drained()
            assert "bounced" not in world.log() and "expired" not in world.log()
            assert not re.search(r"ya29\.", world.log())


def flush_tries_a_paused_account_again():
    with World(script="AUTH * x1 535 5.7.8 not now\n") as world:
        world.start()
        send(world)
        world.wait_log(r"dsn=4\.7\.8, status=deferred")
        world.command("postrider", "flush")
        world.arrived(1)
        world.wait_log(r"the account works again")
        world.drained()


def a_paused_account_takes_mail_in_and_sends_none():
    with World() as world:
        world.start()
        world.command("postrider", "pause")
        send(world, 3)
        world.wait_log(r"status=deferred \(delivery temporarily suspended: paused by the operator\)", count=3)
        assert auth_attempts(world) <= 1, world.dialogue()  # The connection may have been warm already.
        world.command("postrider", "flush")
        def account():
            (one,) = json.loads(world.command("postrider", "status", "-j").stdout)["accounts"]
            return one
        # The log tells of a deferral a moment before it is recorded.
        wait_until(lambda: account()["waiting"] == 3, "three that wait", log=world.log)
        assert account()["state"] == "paused"
        world.stop()
        world.start()
        assert "paused by the operator" in world.command("postrider", "status").stdout
        world.command("postrider", "resume")
        world.arrived(3)
        world.drained()
        assert json.loads(world.command("postrider", "status", "-j").stdout)["accounts"] == []


def what_a_server_says_cannot_speak_to_the_terminal():
    with World(script="AUTH * 535 5.7.8 \x1b[2Jno\n") as world:
        world.start()
        send(world)
        world.wait_log(r"status=deferred")
        assert "\x1b" not in world.command("postrider", "status").stdout


def a_person_is_told_once_when_it_begins_and_once_when_it_is_over():
    with World(script="AUTH * x1 535 5.7.8 not now\n") as world:
        told = world.directory / "told"
        told.mkdir()
        told.chmod(0o777)
        program = world.directory / "alert"
        program.write_text(f'#!/bin/sh\necho "$#|$1|$2|$3|$4|$SECRET" >> {told}/lines\n')
        program.chmod(0o755)
        with open(world.config / "main.cf", "a") as main_cf:
            main_cf.write(f"alert_command = {program}\n")
        world.daemon_environment["SECRET"] = "canary"
        world.start()
        send(world, 5)
        world.wait_log(r"status=deferred", count=5)
        lines = lambda: (told / "lines").read_text().splitlines() if (told / "lines").exists() else []
        wait_until(lambda: len(lines()) == 1, "an alert", log=world.log)
        assert re.match(rf"4\|login-refused\|user@gsuite\.domain via \S+\|.*535 5\.7\.8 not now\|\d{{4}}-\d\d-\d\dT\S+Z\|$", lines()[0]), lines()
        assert not re.search(r"apppassword\b", lines()[0])
        world.command("postrider", "flush")
        world.arrived(5)
        wait_until(lambda: len(lines()) == 2, "its end", log=world.log)
        assert lines()[1].split("|")[1] == "ok", lines()


def an_operators_answers_count_and_wrong_ones_are_refused():
    with World(main_cf=QUICK, script="RCPT * x1 554 5.7.1 greylisted, come back\n", smarthost_options=["--no", "CHUNKING"]) as world:
        answers = world.directory / "answers"
        answers.write_text("# ours\nrcpt 554 * defer /greylisted/ patience\n")
        with open(world.config / "main.cf", "a") as main_cf:
            main_cf.write(f"smtp_known_answers_file = {answers}\n")
        world.start()
        send(world)
        world.wait_log(r"dsn=4\.7\.1, status=deferred")
        world.arrived(1)
        answers.write_text("rcpt 554 * bounce /greylisted/\n")
        assert "line 1" in world.command("postrider", "check", check=False).stderr
        world.command("postrider", "reload")
        world.wait_log(r'reload -- the old configuration stays in use: .*answers, line 1: "bounce" is no meaning')


def exhausted_quota_waits():
    with World(script="MAIL * x1 550-5.4.5 Daily user sending limit exceeded.\\n550 5.4.5 https://support.example - gsmtp\n") as world:
        world.start()
        send(world)
        world.wait_log(r"dsn=4\.4\.5, status=deferred \(host localhost\[127\.0\.0\.1\] said: 550-5\.4\.5 Daily user sending limit exceeded\. "
                       r"550 5\.4\.5 https://support\.example - gsmtp \(in reply to MAIL FROM command\)\)$")
        assert "bounced" not in world.log()
        assert "quota reached" in world.command("postrider", "status").stdout
        world.command("postqueue", "-f")
        world.arrived(1)


def make_certificate(world, name, days="30", begin=None, issuer=True):
    """Another certificate for the smarthost, from the world's authority or from nobody's."""
    tls = world.directory / "tls"
    run = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=tls)
    (tls / "ext").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n")
    run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "server.key",
        "-out", "server.csr", "-subj", f"/CN={name}")
    signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"] if issuer else ["-signkey", "server.key"]
    run("x509", "-req", "-in", "server.csr", *signer, "-days", days, "-extfile", "ext", "-out", "server.pem")


class OddWorld(World):
    """A smarthost whose certificate nobody should accept."""
    odd = {}

    def make_certificates(self):
        super().make_certificates()
        make_certificate(self, **self.odd)


def bad_certificates_get_no_password():
    for odd, reason in (
            (dict(name="localhost", issuer=False), r"certificate verification failed for localhost\[127\.0\.0\.1\]:\d+: self-signed certificate"),
            (dict(name="localhost", days="-1"), r"server certificate verification failed for localhost\[127\.0\.0\.1\]:\d+: certificate has expired"),
            (dict(name="other.example"), r"server certificate verification failed for localhost\[127\.0\.0\.1\]:\d+: num=62:[Hh]ostname mismatch")):
        OddWorld.odd = odd
        for wrapper in (True, False):
            with OddWorld(wrappermode=wrapper) as world:
                world.start()
                send(world)
                world.wait_log(reason)
                world.wait_log(rf"relay={HOST}:\d+, delay=[\d.]+, delays=[\d./]+, dsn=4\.7\.5, status=deferred \(Server certificate not verified\)$")
                assert " C: AUTH" not in world.dialogue(), world.dialogue()
                assert "MAIL FROM" not in world.dialogue(), world.dialogue()


def encrypt_takes_any_certificate():
    OddWorld.odd = dict(name="other.example", issuer=False)
    with OddWorld(main_cf="smtp_tls_security_level = encrypt\nsmtp_sasl_tls_security_options = noanonymous\n", wrappermode=False) as world:
        world.start()
        send(world)
        world.arrived(1)
        world.wait_log(r"(?:Untrusted|Trusted) TLS connection established to localhost")


def starttls_with_verification():
    with World(wrappermode=False) as world:
        world.start()
        send(world)
        world.arrived(1)
        world.wait_log(r"Verified TLS connection established to localhost")
        lines = [line.split(" ", 2)[2] for line in world.dialogue().splitlines() if line.startswith("2 C:")]  # 1 was our own probe
        assert [line.split(" ")[0] for line in lines[:3]] == ["EHLO", "STARTTLS", "EHLO"], lines


def opportunistic_goes_without():
    with World(main_cf="smtp_tls_security_level = may\nsmtp_sasl_auth_enable = no\n", wrappermode=False,
               smarthost_options=["--no", "STARTTLS", "--no", "AUTH"]) as world:
        world.stop(world.smarthost)
        command = [w for w in map(str, world.smarthost.args)]
        at = command.index("--users")
        del command[at:at + 2]
        world.smarthost = world.spawn(command)
        world.wait_for_port(world.relay_port)
        world.start()
        send(world)
        world.arrived(1)
        assert "TLS connection" not in world.log()


def stripped_starttls_stops_the_mail():
    for level in ("verify", "encrypt"):
        with World(main_cf=f"smtp_tls_security_level = {level}\n", wrappermode=False, smarthost_options=["--no", "STARTTLS"]) as world:
            world.start()
            send(world)
            world.wait_log(rf"dsn=4\.7\.4, status=deferred \(TLS is required, but was not offered by host {HOST}\)$")
            assert " C: AUTH" not in world.dialogue() and "MAIL" not in world.dialogue(), world.dialogue()


def refused_starttls_stops_the_mail():
    with World(wrappermode=False, script="STARTTLS * 454 4.7.0 TLS not available\n") as world:
        world.start()
        send(world)
        world.wait_log(rf"dsn=4\.7\.0, status=deferred \(TLS is required, but host {HOST} refused to start TLS: 454 4\.7\.0 TLS not available\)$")
        assert "MAIL" not in world.dialogue()


def words_behind_the_starttls_reply_count_for_nothing():
    with World(wrappermode=False, script="STARTTLS * 220 go ahead\\n250-evil.test\\n250 AUTH PLAIN\n") as world:
        world.start()
        send(world)
        world.wait_log(r"status=deferred \(.*\)$")
        assert "sent" not in world.log() and " C: AUTH" not in world.dialogue(), world.log() + world.dialogue()


def old_protocols_are_not_spoken():
    with World(main_cf="smtp_tls_mandatory_protocols = >=TLSv1.3\n", smarthost_options=["--tls-protocols", "TLSv1.2"]) as world:
        world.start()
        send(world)
        world.wait_log(r"SSL_connect error to localhost\[127\.0\.0\.1\]:\d+: ")
        world.wait_log(r"warning: TLS library problem: error:[0-9A-F]{8}:SSL routines::tlsv1 alert protocol version:.*$")
        world.wait_log(r"dsn=4\.7\.5, status=deferred \(Cannot start TLS: handshake failure\)$")
    with World(main_cf="smtp_tls_mandatory_protocols = !SSLv2, !SSLv3, !TLSv1, !TLSv1.1\n", smarthost_options=["--tls-protocols", "TLSv1.2"]) as world:
        world.start()
        send(world)
        world.arrived(1)
        world.wait_log(r"Verified TLS connection established to localhost\[127\.0\.0\.1\]:\d+: TLSv1\.2 with cipher \S+ \(\d+/\d+ bits\)$")


def cipher_lists_hold():
    options = ["--tls-protocols", "TLSv1.2", "--tls-ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"]
    lists = "smtp_tls_mandatory_ciphers = high\ntls_high_cipherlist = {}\nsmtp_tls_loglevel = 2\n"
    with World(main_cf=lists.format("ECDHE-ECDSA-AES256-GCM-SHA384"), smarthost_options=options) as world:
        world.start()
        send(world)
        world.wait_log(r'localhost\[127\.0\.0\.1\]:\d+: TLS cipher list "ECDHE-ECDSA-AES256-GCM-SHA384')
        world.wait_log(r"dsn=4\.7\.5, status=deferred \(Cannot start TLS: handshake failure\)$")
    with World(main_cf=lists.format("ECDHE-ECDSA-AES128-GCM-SHA256"), smarthost_options=options) as world:
        world.start()
        send(world)
        world.arrived(1)
        world.wait_log(r"with cipher ECDHE-ECDSA-AES128-GCM-SHA256 \(128/128 bits\)$")


def login_is_spoken_where_plain_is_not_offered():
    with World(main_cf="smtp_sasl_mechanism_filter = login\n", smarthost_options=["--auth", "LOGIN"]) as world:
        world.start()
        send(world)
        world.arrived(1)
    with World(main_cf="smtp_sasl_mechanism_filter = plain\n", smarthost_options=["--auth", "LOGIN XOAUTH2"]) as world:
        world.start()
        send(world)
        world.wait_log(r"warning: localhost\[127\.0\.0\.1\]:\d+ offered no supported AUTH mechanisms: 'LOGIN XOAUTH2'$")
        world.wait_log(rf"dsn=4\.7\.0, status=deferred \((?:delivery temporarily suspended: )?SASL authentication failed: server {HOST} offered no compatible "
                       r"authentication mechanisms for this type of connection security\)$")


if __name__ == "__main__":
    main(refused_login_keeps_all_mail_and_tries_once, an_expired_token_waits_for_the_next_one, flush_tries_a_paused_account_again,
         a_paused_account_takes_mail_in_and_sends_none, what_a_server_says_cannot_speak_to_the_terminal,
         a_person_is_told_once_when_it_begins_and_once_when_it_is_over,
         an_operators_answers_count_and_wrong_ones_are_refused, exhausted_quota_waits,
         bad_certificates_get_no_password, encrypt_takes_any_certificate, starttls_with_verification,
         opportunistic_goes_without, stripped_starttls_stops_the_mail, refused_starttls_stops_the_mail,
         words_behind_the_starttls_reply_count_for_nothing, old_protocols_are_not_spoken, cipher_lists_hold,
         login_is_spoken_where_plain_is_not_offered)
