#!/usr/bin/env python3
"""Other people's servers as the smarthost: Debian's Postfix and Exim take mail from us over TLS with
every mechanism they offer, unchanged and once, and hand it on to a scripted server that keeps it."""

import random
import smtplib
import sys

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parents[1] / "support"))
from mailbench import TESTS, World, free_port, main, wait_until
from private_postfix import Postfix, PrivateRoot, find_private_root

ACCOUNT, PASSWORD = "user@gsuite.domain", "apppassword"
ADDED = ("received:", "message-id:", "date:", "from:")


class Peer:
    """A world whose smarthost is another's server, which hands on to a keeper of ours."""

    def __init__(self, wrappermode, mechanism, settings=()):
        self.world = World(relay=False, wrappermode=wrappermode,
                           main_cf="".join(settings))
        self.mechanism = mechanism
        self.keeper_port = free_port()

    def __enter__(self):
        find_private_root()
        world = self.world.__enter__()
        try:
            world.spawn([TESTS / "smarthost", "--port", self.keeper_port, "--store", world.store])
            world.wait_for_port(self.keeper_port)
            main_cf = world.config / "main.cf"
            main_cf.write_text(main_cf.read_text().replace(
                "mechanism_filter = plain", f"mechanism_filter = {self.mechanism}"))
            self.root = self.start_server()
            world.wait_for_port(world.relay_port)
            world.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *trouble):
        self.world.__exit__(*trouble)
        if getattr(self, "root", None):
            self.root.__exit__(*trouble)


class PostfixPeer(Peer):
    def start_server(self):
        world = self.world
        options = " -o smtpd_tls_wrappermode=yes" if world.wrappermode else ""
        directory = world.directory / "postfix"
        postfix = Postfix(directory, [f"127.0.0.1:{world.relay_port} inet n - n - - smtpd{options}"],
                          f"""\
compatibility_level = 3.6
myhostname = smarthost.example
mydestination =
mynetworks =
inet_interfaces = loopback-only
maillog_file = /var/log/mail.log
message_size_limit = 36700160
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = /etc/postfix/server.pem
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = gsuite.domain
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{{{nobody@corp.example = REJECT no such user here}}}}
smtp_tls_security_level = none
relayhost = [127.0.0.1]:{self.keeper_port}
""", {"server.pem": world.key.read_text() + world.certificate.read_text(),
            "sasl/smtpd.conf": "pwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
            "sasldb_path: /etc/postfix/sasldb2\nmech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256\n"})
        postfix.__enter__()
        self.root = postfix.root
        user, realm = ACCOUNT.split("@")
        postfix.root.run("saslpasswd2", "-c", "-p", "-f", "/etc/postfix/sasldb2", "-u", realm, user,
                         input=PASSWORD)
        postfix.root.run("chown", "postfix", "/etc/postfix/sasldb2")
        self.server_log = lambda: postfix.log()
        postfix.start()
        return postfix.root


class EximPeer(Peer):
    def start_server(self):
        world = self.world
        directory = world.directory / "exim"
        etc, spool, logs = (directory / name for name in ("etc", "spool", "log"))
        for path in (etc, spool, logs):
            path.mkdir(parents=True)
        on_connect = f"tls_on_connect_ports = {world.relay_port}\n" if world.wrappermode else ""
        is_user = f"{{eq{{$auth%d}}{{{ACCOUNT}}}}}{{eq{{$auth%d}}{{{PASSWORD}}}}}"
        (etc / "server.pem").write_text(world.certificate.read_text())
        (etc / "server.key").write_text(world.key.read_text())
        (etc / "exim4.conf").write_text(f"""\
primary_hostname = smarthost.example
exim_path = /opt/exim/usr/sbin/exim4
local_interfaces = <; [127.0.0.1]:{world.relay_port}
{on_connect}tls_advertise_hosts = *
tls_certificate = /etc/exim4/server.pem
tls_privatekey = /etc/exim4/server.key
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim-%slog
message_size_limit = 36700160
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept
begin acl
check_rcpt:
  deny message = no such user here
       local_parts = nobody
  accept authenticated = *
  deny message = relay not permitted
begin routers
onward:
  driver = manualroute
  route_list = * 127.0.0.1::{self.keeper_port} byname
  transport = onward
  self = send
begin transports
onward:
  driver = smtp
  hosts_avoid_tls = *
  allow_localhost
begin retry
* * F,2h,1m
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_advertise_condition = ${{if def:tls_in_cipher}}
  server_prompts = :
  server_condition = ${{if and{{{is_user % (2, 3)}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_advertise_condition = ${{if def:tls_in_cipher}}
  server_prompts = <| Username: | Password:
  server_condition = ${{if and{{{is_user % (1, 2)}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{ACCOUNT}}}{{{PASSWORD}}}fail}}
  server_set_id = $auth1
""")
        root = PrivateRoot(directory, {"/etc/exim4": etc, "/var/spool/exim4": spool, "/var/log": logs})
        root.__enter__()
        self.root = root
        root.run("chown", "-R", "Debian-exim", "/var/spool/exim4", "/var/log", "/etc/exim4/server.key")
        self.server_log = lambda: (logs / "exim-mainlog").read_text(errors="replace")
        with open(directory / "out", "w") as out:
            root.spawn("/opt/exim/usr/sbin/exim4", "-bdf", "-q1m", stdout=out, stderr=out)
        return root


# What is sent, and what must arrive.

def mixed_messages(count, seed):
    """1 KB to 5 MB, text of all kinds: bytes above 127, dots, empty lines, no last line end."""
    chance = random.Random(seed)
    lines = [b"plain text " * 6, b".", b"..", b".leading dot", b"", "Grüße, 漢字".encode(),
             b"\xff\xfe latin \xe4", b"From here on", b"tab\tand trailing ", b"x" * 990]
    messages = []
    for number in range(count):
        size = 5_000_000 if number == 0 else int(1000 * 10 ** (chance.random() ** 2 * 2.7))
        body, length = [], 0
        while length < size:
            body.append(chance.choice(lines))
            length += len(body[-1]) + 2
        header = [b"From: Ann <ann@desk.example>", b"To: bob%d@corp.example" % number,
                  b"Subject: number %d" % number, b"MIME-Version: 1.0",
                  b"Content-Type: text/plain; charset=utf-8", b"Content-Transfer-Encoding: 8bit",
                  b"X-Folded: one,", b"\ttwo,", b"  three"]
        messages.append((f"bob{number}@corp.example", header, body))
    return messages


def hand_over(world, messages):
    """Every other one by sendmail, with the line ends of Unix; the rest over SMTP."""
    with smtplib.SMTP("127.0.0.1", world.smtp_port) as client:
        client.ehlo("desk.example")
        for number, (recipient, header, body) in enumerate(messages):
            lines = [*header, b"", *body]
            if number % 2:
                world.sendmail(["-i", "-f", "ann@desk.example", recipient], b"\n".join(lines))
            else:
                client.sendmail("ann@desk.example", [recipient], b"\r\n".join(lines),
                                ["BODY=8BITMIME"])


def check_arrived(peer, messages, others=0):
    world = peer.world
    wait_until(lambda: len(list(world.store.glob("*.eml"))) >= len(messages) + others,
               f"{len(messages)} arrivals", 40, lambda: world.log()[-3000:] + peer.server_log()[-3000:])
    arrived = {}
    for mail in world.mails():
        for recipient in mail.recipients:
            address = recipient.split()[0].strip("<>")
            assert address not in arrived, f"{address} twice"
            arrived[address] = mail
    for recipient, header, body in messages:
        mail = arrived[recipient]
        expected = b"\r\n".join(body)
        if not expected.endswith(b"\r\n"):
            expected += b"\r\n"
        assert mail.body == expected, f"{recipient}: the body is not what was sent"
        kept = []
        for line in mail.content.partition(b"\r\n\r\n")[0].split(b"\r\n"):
            if line[:1] in b" \t" and kept:
                kept[-1] += b"\r\n" + line
            else:
                kept.append(line)
        sent = b"\r\n".join(header).replace(b"\r\n\t", b"\0\t").replace(b"\r\n ", b"\0 ")
        for field in sent.split(b"\r\n"):
            field = field.replace(b"\0", b"\r\n")
            assert field in kept, f"{recipient}: {field} is missing in {kept}"
            kept.remove(field)
        for field in kept:
            assert field.decode("latin-1").lower().startswith(ADDED), f"{recipient}: {field} was added"
    return arrived


def fifty_messages(peer, seed):
    messages = mixed_messages(50, seed)
    hand_over(peer.world, messages)
    check_arrived(peer, messages)
    sent = peer.world.wait_log(r"status=sent \(250[ -]", 50)
    assert len(sent) == 50, len(sent)
    wait_until(lambda: not peer.world.queued(), "an empty queue")


def one_of_each(peer_type, wrappermode, mechanism):
    with peer_type(wrappermode, mechanism) as peer:
        messages = mixed_messages(2, 7)[1:]
        hand_over(peer.world, messages)
        check_arrived(peer, messages)
        if peer_type is PostfixPeer:
            used = f"sasl_method={mechanism.upper()}, sasl_username={ACCOUNT}"
            assert used in peer.server_log(), peer.server_log()


def refused_recipient(peer_type):
    with peer_type(True, "plain") as peer:
        world = peer.world
        world.sendmail(["-f", "ann@home.example", "bob@corp.example", "nobody@corp.example"],
                       "Subject: two\n\nhello\n")
        wait_until(lambda: len(world.mails()) >= 2, "the message and its report", 30,
                   lambda: world.log() + peer.server_log())
        mails = sorted(world.mails(), key=lambda mail: mail.sender.startswith("ann@home.example"))
        report, message = mails
        assert [word.split()[0] for word in message.recipients] == ["bob@corp.example"]
        assert report.recipients[0].split()[0] == "ann@home.example", report.recipients
        assert b"Final-Recipient: rfc822; nobody@corp.example" in report.content, report.content
        assert b"Action: failed" in report.content
        assert len(world.log().split("status=bounced (host localhost[127.0.0.1] said: 55")) == 2


def postfix_takes_fifty_messages_on_the_submissions_port():
    with PostfixPeer(True, "plain") as peer:
        fifty_messages(peer, 1)


def postfix_takes_fifty_messages_after_starttls():
    with PostfixPeer(False, "plain") as peer:
        fifty_messages(peer, 2)


def postfix_without_chunking():
    with PostfixPeer(True, "plain", ["smtp_discard_ehlo_keywords = chunking\n"]) as peer:
        fifty_messages(peer, 3)


def exim_takes_fifty_messages_on_the_submissions_port():
    with EximPeer(True, "plain") as peer:
        fifty_messages(peer, 4)


def exim_takes_fifty_messages_after_starttls():
    with EximPeer(False, "login") as peer:
        fifty_messages(peer, 5)


def postfix_login():
    one_of_each(PostfixPeer, True, "login")


def postfix_cram_md5():
    one_of_each(PostfixPeer, True, "cram-md5")


def postfix_scram_sha_256():
    one_of_each(PostfixPeer, True, "scram-sha-256")


def exim_cram_md5():
    one_of_each(EximPeer, True, "cram-md5")


def postfix_refuses_one_recipient_and_the_sender_is_told():
    refused_recipient(PostfixPeer)


def exim_refuses_one_recipient_and_the_sender_is_told():
    refused_recipient(EximPeer)


if __name__ == "__main__":
    main(postfix_takes_fifty_messages_on_the_submissions_port,
         postfix_takes_fifty_messages_after_starttls, postfix_without_chunking,
         exim_takes_fifty_messages_on_the_submissions_port,
         exim_takes_fifty_messages_after_starttls, postfix_login, postfix_cram_md5,
         postfix_scram_sha_256, exim_cram_md5,
         postfix_refuses_one_recipient_and_the_sender_is_told,
         exim_refuses_one_recipient_and_the_sender_is_told)
