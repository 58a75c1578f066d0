#!/usr/bin/env python3
"""Servers that must not get mail, let alone the password (T1, T2, T8, T9, T15): each with a certificate
or a protocol of its own, all tried by one daemon that has a password for every one of them.

Each must be put off, with its reason in the log, and hear nothing: not even EHLO. Those that are as they
should be get the password and the mail, which shows that the others could have.
"""

import pathlib
import re
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from mailbench import BIN, World, free_port, main, wait_until
from private_network import enter, write_etc

HOST = "mail.corp.example"
CANARY = "wpf-canary-7731"


class Authority:
    """Certificates by openssl ca, which lets dates be chosen."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        (directory / "new").mkdir()
        (directory / "index.txt").touch()
        (directory / "ca.cnf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={directory}/index.txt\nnew_certs_dir={directory}/new\nrand_serial=yes\n"
            "policy=any\nunique_subject=no\ncopy_extensions=none\n[any]\ncommonName=optional\norganizationName=optional\n")

    def run(self, *words):
        done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, cwd=self.directory)
        assert done.returncode == 0, (words, done.stderr)

    def issue(self, name, issuer=None, subject=f"/CN={HOST}", extensions=(), key="ec", digest="sha256",
              start="20200101000000Z", end="20991231235959Z"):
        """Signed by `issuer`, an earlier name, or by itself."""
        kind = (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else ["-newkey", f"rsa:{key}"])
        self.run("req", *kind, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        (self.directory / f"{name}.ext").write_text("\n".join(extensions) + "\n")
        signer = (["-selfsign", "-keyfile", f"{name}.key"] if issuer is None
                  else ["-cert", f"{issuer}.pem", "-keyfile", f"{issuer}.key"])
        self.run("ca", "-batch", "-notext", "-config", "ca.cnf", *signer, "-md", digest, "-startdate", start,
                 "-enddate", end, "-extfile", f"{name}.ext", "-in", f"{name}.csr", "-out", f"{name}.pem")
        return name

    def chain(self, *names):
        path = self.directory / ("+".join(names) + ".chain")
        path.write_text("".join((self.directory / f"{name}.pem").read_text() for name in names))
        return path

    def text(self, name):
        return (self.directory / f"{name}.pem").read_text()


def ca(*more, path=""):
    return ("basicConstraints=critical,CA:TRUE" + path, "keyUsage=critical,keyCertSign", *more)


def names(*entries, usage="serverAuth"):
    return ("subjectAltName=" + ",".join(entries), f"extendedKeyUsage={usage}")


class Server:
    """Takes every mail over TLS, and remembers what it heard."""

    def __init__(self, chain, key, tune=lambda context: None, offer=b"250-AUTH PLAIN LOGIN\r\n"):
        self.heard, self.handshakes, self.offer = b"", 0, offer
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers("ALL:@SECLEVEL=0")
        self.context.load_cert_chain(chain, key)
        tune(self.context)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            plain, _ = self.listener.accept()
            threading.Thread(target=self.converse, args=(plain,), daemon=True).start()

    def converse(self, plain):
        plain.settimeout(20)
        try:
            with self.context.wrap_socket(plain, server_side=True) as stream:
                self.handshakes += 1
                stream.sendall(b"220 here ESMTP\r\n")
                self.talk(stream)
        except OSError:
            pass

    def talk(self, stream):
        content = False
        buffer = b""
        while data := stream.recv(4096):
            self.heard += data
            buffer += data
            while b"\r\n" in buffer:
                line, buffer = buffer.split(b"\r\n", 1)
                if content:
                    if line == b".":
                        content = False
                        stream.sendall(b"250 2.0.0 OK\r\n")
                    continue
                word = line.upper()
                if word.startswith(b"EHLO"):
                    stream.sendall(b"250-here\r\n" + self.offer + b"250 PIPELINING\r\n")
                elif word.startswith(b"AUTH"):
                    stream.sendall(b"235 2.7.0 welcome\r\n")
                elif word == b"DATA":
                    content = True
                    stream.sendall(b"354 go on\r\n")
                elif word == b"QUIT":
                    stream.sendall(b"221 bye\r\n")
                    return
                else:
                    stream.sendall(b"250 2.1.0 ok\r\n")


class Case:
    def __init__(self, name, server, reason=None, host=HOST):
        self.name, self.server, self.reason, self.host = name, server, reason, host
        self.domain = name.replace("_", "-") + ".example"

    @property
    def hop(self):
        return f"[{self.host}]:{self.server.port}"


def nul_in(name):
    data = name + b"\0.evil.example"
    return "subjectAltName=DER:" + (b"\x30" + bytes([len(data) + 2]) + b"\x82" + bytes([len(data)]) + data).hex(":")


def certificates(a):
    """Name, certificate file, key, expected words in the log (none: mail must go), and the host's name."""
    a.issue("root", subject="/O=Test/CN=Root", extensions=ca())
    a.issue("short_root", subject="/O=Test/CN=Short root", extensions=ca(path=",pathlen:0"))
    a.issue("stranger", subject="/O=Test/CN=Stranger", extensions=ca())
    a.issue("between", "root", "/O=Test/CN=Between", ca())
    a.issue("too_deep", "short_root", "/O=Test/CN=Too deep", ca())
    a.issue("no_ca", "root", "/O=Test/CN=No authority", ("basicConstraints=CA:FALSE",))
    a.issue("bound", "root", "/O=Test/CN=Bound", ca("nameConstraints=critical,permitted;DNS:other.example"))
    a.issue("old_between", "root", "/O=Test/CN=Old between", ca(), end="20210101000000Z")
    right = names("DNS:" + HOST)
    mismatch = "hostname mismatch"

    def leaf(name, reason, issuer="root", extensions=right, chain=(), host=HOST, **options):
        a.issue(name, issuer, extensions=extensions, **options)
        return name, a.chain(name, *chain), a.directory / f"{name}.key", reason, host

    return [
        leaf("right", None),
        leaf("right_through_another", None, "between", chain=["between"]),
        leaf("right_wildcard", None, extensions=names("DNS:*.corp.example")),
        leaf("right_in_capitals", None, extensions=names("DNS:MAIL.Corp.EXAMPLE")),
        leaf("right_and_more", None, extensions=names("DNS:other.example", "DNS:" + HOST)),
        leaf("other_name", mismatch, extensions=names("DNS:other.example")),
        leaf("longer_name", mismatch, extensions=names(f"DNS:{HOST}.evil.example")),
        leaf("shorter_name", mismatch, extensions=names("DNS:corp.example")),
        leaf("only_common_name", mismatch, extensions=("extendedKeyUsage=serverAuth",)),
        leaf("wildcard_over_two_labels", mismatch, extensions=names("DNS:*.example")),
        leaf("wildcard_of_a_whole_top_domain", mismatch, extensions=names("DNS:*.com"), host="corp.com"),
        leaf("wildcard_in_a_label", mismatch, extensions=names("DNS:m*.corp.example")),
        leaf("wildcard_in_a_later_label", mismatch, extensions=names("DNS:mail.*.example")),
        leaf("two_wildcards", mismatch, extensions=names("DNS:*.*.example")),
        leaf("wildcard_of_everything", mismatch, extensions=names("DNS:*")),
        leaf("nul_in_name", mismatch, extensions=(nul_in(HOST.encode()), "extendedKeyUsage=serverAuth")),
        leaf("address_only", mismatch, extensions=names("IP:127.0.0.1")),
        leaf("address_as_name", mismatch, extensions=names("DNS:127.0.0.1"), host="127.0.0.1"),
        leaf("uri_and_mail_only", mismatch, extensions=names(f"URI:smtp://{HOST}", f"email:a@{HOST}")),
        leaf("self_signed", "self-signed certificate", None),
        leaf("unknown_issuer", "untrusted issuer", "stranger"),
        leaf("unknown_issuer_with_its_root", "untrusted issuer|self-signed", "stranger", chain=["stranger"]),
        leaf("missing_intermediate", "untrusted issuer", "between"),
        leaf("expired", "certificate has expired", end="20210101000000Z"),
        leaf("not_yet_valid", "certificate not yet valid", start="20980101000000Z"),
        leaf("expired_intermediate", "certificate has expired", "old_between", chain=["old_between"]),
        leaf("weak_key", "key too weak|too small", key="1024"),
        leaf("weak_hash", "digest algorithm too weak|md too weak", digest="sha1", key="2048"),
        leaf("for_clients", "not designated for use as a server", extensions=names("DNS:" + HOST, usage="clientAuth")),
        leaf("path_too_long", "path length", "too_deep", chain=["too_deep"]),
        leaf("issuer_is_no_authority", "invalid CA|not designated", "no_ca", chain=["no_ca"]),
        leaf("name_constraint", "permitted subtree", "bound", chain=["bound"]),
    ]


def only(version):
    def tune(context):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    return tune


def ciphers(text):
    def tune(context):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(text + ":@SECLEVEL=0")
    return tune


def protocols(a):
    right = a.chain("right"), a.directory / "right.key"
    handshake = "SSL_connect error to "
    return [
        Case("tls_1_2", Server(*right, only(ssl.TLSVersion.TLSv1_2))),
        Case("tls_1_1", Server(*right, only(ssl.TLSVersion.TLSv1_1)), handshake),
        Case("tls_1_0", Server(*right, only(ssl.TLSVersion.TLSv1)), handshake),
        Case("null_cipher", Server(*right, ciphers("eNULL")), handshake),
        Case("anonymous_cipher", Server(*right, ciphers("aNULL")), handshake),
        Case("old_cipher", Server(*right, ciphers("AES128-SHA:!ECDHE:!DHE")), None),
    ]


class Matrix(World):
    """`cases` by transport_maps, a password for each."""

    def __init__(self, make_cases, main_cf=""):
        super().__init__(relay=False, main_cf=main_cf, password=CANARY)
        self.make_cases = make_cases

    def write_config(self):
        self.authority = Authority(self.directory / "matrix")
        self.cases = self.make_cases(self.authority)
        trusted = self.directory / "trusted.pem"
        trusted.write_text(self.authority.text("root") + self.authority.text("short_root"))
        (self.config / "transport").write_text("".join(f"{case.domain} smtp:{case.hop}\n" for case in self.cases))
        self.extra += (f"transport_maps = texthash:{self.config}/transport\nsmtp_tls_CAfile = {trusted}\n"
                       f"smtp_sasl_password_maps = texthash:{self.config}/passwords\n")
        passwords = self.config / "passwords"
        passwords.touch(0o600)
        passwords.write_text("".join(f"{case.hop} user@{case.domain}:{CANARY}\n" for case in self.cases))
        super().write_config()

    def mail_to(self, case):
        self.sendmail(["-f", "ann@there.example", "bob@" + case.domain], "Subject: x\n\nhello\n")

    def outcome(self, case):
        found = re.search(rf"to=<bob@{re.escape(case.domain)}>, .*status=(\w+) \((.*)\)$", self.log(), re.M)
        return found and found.groups()


def judge(world):
    for case in world.cases:
        world.mail_to(case)
    wait_until(lambda: all(world.outcome(case) for case in world.cases), "an outcome for each", 60, world.log)
    wrong = []
    for case in world.cases:
        status, text = world.outcome(case)
        port = case.server.port
        if case.reason is None:
            good = status == "sent" and b"AUTH PLAIN " in case.server.heard
        else:
            reason = re.search(rf"(?m):{port}: .*({case.reason})|{case.reason}\S*:{port}: ", world.log())
            good = status == "deferred" and text.startswith(("Server certificate not verified", "Cannot start TLS")) \
                and case.server.heard == b"" and reason
        if not good:
            lines = [line for line in world.log().splitlines() if f":{port}" in line or case.domain in line]
            wrong.append(f"{case.name}: {status} ({text}), heard {case.server.heard!r}\n    " + "\n    ".join(lines[-8:]))
    assert not wrong, "\n".join(wrong)
    assert CANARY not in world.log()
    refused = [case for case in world.cases if case.reason]
    print(f"        {len(refused)} kinds refused, {len(world.cases) - len(refused)} taken")


def roots(a):
    """Two anchors, as in certificates(), neither of them at fault."""
    for name in ("root", "short_root"):
        a.issue(name, subject="/O=Test/CN=Root", extensions=ca())


def only_the_right_certificate_gets_the_mail():
    def cases(a):
        return [Case(name, Server(chain, key), reason, host) for name, chain, key, reason, host in certificates(a)]
    with Matrix(cases) as world:
        world.start()
        judge(world)


def only_present_protocols_and_ciphers_are_spoken():
    def cases(a):
        roots(a)
        a.issue("right", "root", extensions=names("DNS:" + HOST), key="2048")
        return protocols(a)
    with Matrix(cases) as world:
        world.start()
        judge(world)


def a_password_is_for_one_host_and_one_port():
    """T9: the second server is as trustworthy as the first, but the password is not for it."""
    def cases(a):
        roots(a)
        a.issue("right", "root", extensions=names("DNS:" + HOST))
        return [Case("other", Server(a.chain("right"), a.directory / "right.key")),
                Case("ours", Server(a.chain("right"), a.directory / "right.key"))]
    with Matrix(cases) as world:
        other, ours = world.cases
        dead = free_port()
        (world.config / "passwords").write_text(f"[{HOST}]:{dead} user:{CANARY}\n{ours.hop} user:{CANARY}\n")
        # The one that the password is for does not answer; the other takes over.
        (world.config / "transport").write_text(f"{other.domain} smtp:[{HOST}]:{dead}, {other.hop}\n{ours.domain} smtp:{ours.hop}\n")
        world.start()
        world.mail_to(other)
        world.mail_to(ours)
        wait_until(lambda: world.outcome(other) and world.outcome(ours), "both", log=world.log)
        assert b"AUTH " in ours.server.heard, ours.server.heard
        assert b"MAIL FROM" in other.server.heard and b"AUTH" not in other.server.heard, other.server.heard


def without_authorities_nobody_is_trusted():
    """T15."""
    def cases(a):
        roots(a)
        a.issue("right", "root", extensions=names("DNS:" + HOST))
        return [Case("right", Server(a.chain("right"), a.directory / "right.key"), "untrusted issuer")]
    with Matrix(cases) as world:
        (world.directory / "trusted.pem").write_text("")
        world.start()
        judge(world)
        status = world.command("postrider", "status").stdout
        assert world.cases[0].hop.lower() in status, status
    with Matrix(cases) as world:
        (world.directory / "trusted.pem").unlink()
        ended = subprocess.run([BIN / "postriderd", "-c", world.config], capture_output=True, text=True, timeout=20)
        assert ended.returncode != 0 and "trusted.pem" in ended.stderr + world.log(), ended


def a_server_without_a_name_is_refused_at_the_start():
    """T3."""
    for relayhost in ("[]", "[]:465", "[ ]:465", "[*.corp.example]:465", "[corp example]:465", "[a/b]:465", "[corp.example]:0"):
        with World(relay=False, main_cf=f"relayhost = {relayhost}\n") as world:
            ended = subprocess.run([BIN / "postriderd", "-c", world.config], capture_output=True, text=True, timeout=20)
            assert ended.returncode != 0 and "relayhost" in ended.stderr, (relayhost, ended)


if __name__ == "__main__":
    enter("the certificates")
    write_etc("hosts", f"127.0.0.1 localhost {HOST} corp.com\n::1 localhost\n")
    main(only_the_right_certificate_gets_the_mail, only_present_protocols_and_ciphers_are_spoken,
         a_password_is_for_one_host_and_one_port, without_authorities_nobody_is_trusted,
         a_server_without_a_name_is_refused_at_the_start)
