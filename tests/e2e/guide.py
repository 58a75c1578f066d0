#!/usr/bin/env python3
"""The guide's set-up, word for word: Debian's main.cf with the guide's lines, its tables, the commands
it types, and smtp.gmail.com on port 465, whose part is played in a network of its own.

Needs root, for a network and a mount namespace: the test runs itself again inside one.
"""

import os
import pathlib
import pwd
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import BIN, TESTS, World, main, sanitizer, wait_until
from name_server import NameServer
from private_network import SETUP, enter

# Addresses of this machine that are not loopback: those a name server may not give.
GMAIL, GMAIL6 = "192.0.2.25", "2001:db8::25"
NETWORK = SETUP + f"""
    ip link add name out0 type veth peer name out1
    ip link set out1 up
    ip addr add {GMAIL}/24 dev out0
    ip -6 addr add {GMAIL6}/64 dev out0 nodad
    ip link set out0 up
"""

DEBIAN = """\
# See /usr/share/postfix/main.cf.dist for a commented, more complete version


# Debian specific:  Specifying a file name will cause the first
# line of that file to be used as the name.  The Debian default
# is /etc/mailname.
#myorigin = /etc/mailname

smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no

# appending .domain is the MUA's job.
append_dot_mydomain = no

# Uncomment the next line to generate "delayed mail" warnings
#delay_warning_time = 4h

readme_directory = no

# See http://www.postfix.org/COMPATIBILITY_README.html -- default to 3.6 on
# fresh installs.
compatibility_level = 3.6



# TLS parameters
smtpd_tls_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem
smtpd_tls_key_file=/etc/ssl/private/ssl-cert-snakeoil.key
smtpd_tls_security_level=may

smtp_tls_CApath={directory}/certs
smtp_tls_security_level=may
smtp_tls_session_cache_database = btree:${{data_directory}}/smtp_scache


smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = desk.example
alias_maps = hash:{directory}/aliases
alias_database = hash:{directory}/aliases
mydestination = $myhostname, desk.example, localhost.example, , localhost
relayhost = 
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = loopback-only
inet_protocols = all
"""

GUIDE = """\
relayhost = [smtp.gmail.com]:465
smtp_use_tls = yes
smtp_tls_wrappermode = yes
smtp_tls_security_level = verify
smtp_tls_mandatory_protocols = !SSLv2, !TLSv1, !TLSv1.1
tls_high_cipherlist = ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305
smtp_tls_mandatory_ciphers = high
smtp_tls_loglevel = 2
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:{etc}/smtp_auth
smtp_sasl_security_options = noanonymous
smtp_sasl_mechanism_filter = plain
header_checks = regexp:{etc}/header_checks
smtp_address_preference = ipv6
"""

# What a test cannot leave as it is on a machine: where the queue and the log are, and whose.
OURS = """\
mail_owner = nobody
queue_directory = {directory}/queue
maillog_file = {directory}/mail.log
maillog_file_prefixes = /
"""


class Guide(World):
    host = "smtp.gmail.com"

    def __init__(self, more="", addresses=(GMAIL, GMAIL6)):
        super().__init__(owner="nobody")
        self.more = more
        self.smtp_port, self.relay_port = 25, 465
        self.config = self.directory / "etc" / "postfix"
        self.addresses = addresses

    def __enter__(self):
        self.config.mkdir(parents=True)
        self.store.mkdir()
        self.make_certificates()
        certs = self.directory / "certs"
        certs.mkdir()
        (certs / "ca.pem").write_bytes(self.ca.read_bytes())
        subprocess.run(["openssl", "rehash", certs], check=True, capture_output=True)
        (self.directory / "aliases").write_text("# See man 5 aliases for format\npostmaster:    root\nroot: ann@away.example\n")
        (self.config / "main.cf").write_text(
            DEBIAN.format(directory=self.directory) + GUIDE.format(etc=self.config)
            + OURS.format(directory=self.directory) + self.more)
        (self.config / "header_checks").write_text("/^Received:/ IGNORE\n")
        (self.config / "smtp_auth").write_text("[smtp.gmail.com]:465 user@gsuite.domain:apppassword\n")
        os.chmod(self.config / "smtp_auth", 0o644)
        # As the guide types it, in its directory.
        shell = "umask 022 && postmap hash:smtp_auth && chmod go= smtp_auth* && newaliases"
        typed = subprocess.run(["sh", "-c", shell], cwd=self.config, capture_output=True, text=True,
                               env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "MAIL_CONFIG": str(self.config)})
        assert typed.returncode == 0, typed
        self.typed = typed.stderr
        NAME_SERVER.names[self.host] = list(self.addresses)
        return self

    def start_smarthosts(self):
        for address in self.addresses:
            self.spawn([TESTS / "smarthost", "--address", address, "--port", "465", "--implicit-tls", "--store", self.store,
                        "--cert", self.certificate, "--key", self.key, "--users", "user@gsuite.domain:apppassword"])
            family = socket.AF_INET6 if ":" in address else socket.AF_INET

            def answers():
                with socket.socket(family) as probe:
                    return probe.connect_ex((address, 465)) == 0
            wait_until(answers, f"a smarthost at {address}")


def follow(world):
    world.start_smarthosts()
    world.start()
    world.sendmail(["-f", "ann@desk.example", "bob@corp.example"],
                   b"Received: from elsewhere by here\nFrom: ann@desk.example\nTo: bob@corp.example\nSubject: guide\n\nhello\n")
    return world.arrived(1)[-1]


TIME = r"^\w{3} \d\d \d\d:\d\d:\d\d \w+ "
PEER = rf"smtp\.gmail\.com\[{GMAIL6}\]:465"


def check_lines(world, name):
    """Each line of the log has a shape that is known, and these come in their order. The connection is
    opened while the message is still coming, so its lines run beside the message's."""
    wait_until(lambda: ": removed" in world.log(), "the end of the message", log=world.log)
    time.sleep(0.2)
    tag = lambda program: TIME + name + "/" + program + r"\[\d+\]: "
    qid = "([0-9A-F]{6,12}): "
    message = [
        tag("pickup") + qid + r"uid=0 from=<ann@desk\.example>$",
        tag("cleanup") + qid + r"message-id=<\d{14}\.[0-9A-F]+@desk\.example>$",
        tag("qmgr") + qid + r"from=<ann@desk\.example>, size=\d+, nrcpt=1 \(queue active\)$",
        tag("smtp") + qid + rf"to=<bob@corp\.example>, relay={PEER}, delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, "
                            r"dsn=2\.0\.0, status=sent \(250 2\.0\.0 OK \d+ - gsmtp\)$",
        tag("qmgr") + qid + r"removed$",
    ]
    connection = [
        tag("smtp") + rf"setting up TLS connection to {PEER}$",
        tag("smtp") + PEER + r': TLS cipher list "ECDHE-ECDSA-AES256-GCM-SHA384:\S+:!aNULL"$',
        tag("smtp") + r"SSL_connect:before SSL initialization$",
        tag("smtp") + r"SSL_connect:SSLv3/TLS write client hello$",
        tag("smtp") + r"SSL_connect:SSLv3/TLS read server hello$",
        tag("smtp") + r"SSL_connect:TLSv1\.3 read encrypted extensions$",
        tag("smtp") + PEER + r": depth=1 verify=1 subject=/O=Test/CN=Test CA$",
        tag("smtp") + PEER + r": depth=0 verify=1 subject=/CN=smtp\.gmail\.com$",
        tag("smtp") + PEER + r": matched peername: smtp\.gmail\.com$",
        tag("smtp") + PEER + r": subject_CN=smtp\.gmail\.com, issuer(_CN)?=Test CA, (cert )?fingerprint=([0-9A-F]{2}:){31}"
                             r"[0-9A-F]{2}, pkey[_ ]fingerprint=([0-9A-F]{2}:){31}[0-9A-F]{2}$",
        tag("smtp") + rf"Verified TLS connection established to {PEER}: TLSv1\.3 with cipher TLS_AES_256_GCM_SHA384 "
                      r"\(256/256 bits\) key-exchange \w+ server-signature ECDSA \(\S+\) server-digest SHA256$",
        tag("smtp") + qid + r"to=<bob@corp\.example>, ",
    ]
    lines = world.log().splitlines()
    for order in (message, connection):
        at = 0
        for pattern in order:
            found = next((i for i in range(at, len(lines)) if re.search(pattern, lines[i])), None)
            assert found is not None, f"no line, after line {at}, like\n{pattern}\n" + world.log()
            at = found + 1
    others = [r"initializing the client-side TLS engine$", r"daemon started -- version \S+, configuration ",
              r"libraries: SQLite [\d.]+, OpenSSL .+$",
              r"SSL_connect:[\w ./:]+$", r"(looking for|save|reloaded) session smtp&\S+ (in|to|from) smtp cache$",
              r"warning: "]
    if sanitizer():
        others.append(r"built with sanitizers: system calls are not confined$")
    others = [TIME + name + r"/\w+\[\d+\]: " + other for other in others]
    unknown = [line for line in lines if not any(re.search(shape, line) for shape in message + connection + others)]
    assert not unknown, "lines of no known shape:\n" + "\n".join(unknown)
    return [line for line in lines if "warning: " in line]


def the_guide_works_as_written():
    with Guide() as world:
        mail = follow(world)
        assert mail.sender.startswith("ann@desk.example") and mail.recipients == ["bob@corp.example"]
        assert mail.body == b"hello\r\n" and "Received:" not in mail.header, mail.content
        assert mail.header.startswith("From: ann@desk.example\r\n"), mail.header
        for warning in check_lines(world, "postrider"):
            print("        " + warning)
        # The password is root's alone, and the courier is somebody else.
        assert (world.config / "smtp_auth").stat().st_mode & 0o777 == 0o600
        for name in os.listdir(world.config):
            if name.startswith("smtp_auth"):
                assert (world.config / name).stat().st_mode & 0o077 == 0, name
        owner = pwd.getpwnam("nobody").pw_uid
        uids = []
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            text = status.read_text()
            if re.search(rf"^PPid:\s+{world.daemon.pid}$", text, re.M):
                uids.append(int(re.search(r"^Uid:\s+(\d+)", text, re.M).group(1)))
        assert uids == [owner, owner], uids
        assert not re.search(r"apppassword\b", world.log())
        # Mail for root, as cron sends it, follows the alias.
        world.sendmail(["root"], b"Subject: cron\n\nhello\n")
        assert world.arrived(2)[-1].recipients == ["ann@away.example"]


def the_log_has_the_names_that_analysers_know():
    with Guide("syslog_name = postfix\n") as world:
        follow(world)
        check_lines(world, "postfix")


def without_ipv6_the_other_address_serves():
    with Guide(addresses=(GMAIL,)) as world:
        follow(world)
        world.wait_log(r"relay=smtp\.gmail\.com\[192\.0\.2\.25\]:465, .*status=sent")


if __name__ == "__main__":
    enter("the guide", setup=NETWORK)
    NAME_SERVER = NameServer("127.0.0.1")
    main(the_guide_works_as_written, the_log_has_the_names_that_analysers_know, without_ipv6_the_other_address_serves)
