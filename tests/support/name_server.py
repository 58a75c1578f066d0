"""A name server that does as it is told: over UDP and TCP, from a thread.

    server = NameServer("192.0.2.1")
    server.names["relay.example"] = ["192.0.2.1", "2001:db8::1"]
    server.names["loop.example"] = Alias("loop.example")
    server.ways["slow.example"] = late(2.0)
"""

import socket
import struct
import threading
import time

KINDS = {1: socket.AF_INET, 28: socket.AF_INET6}


class Alias:
    def __init__(self, target):
        self.target = target


class Exchanger:
    def __init__(self, target, preference=10):
        self.target, self.preference = target, preference


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


# Ways of answering: each takes (reply, query, is_tcp) and gives what is sent, or nothing.

def silent(_reply, _query, _tcp):
    return b""


def late(seconds):
    def wait(reply, _query, _tcp):
        time.sleep(seconds)
        return reply
    return wait


def truncated(reply, query, tcp):
    """Too long for a datagram: the bit says so, and the rest comes over TCP."""
    return reply if tcp else reply[:2] + b"\x83\x80" + query[4:6] + b"\0" * 6 + query[12:]


def failing(code):
    return lambda reply, query, _tcp: query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, 0, 0, 0) + query[12:]


def cut_off(reply, _query, _tcp):
    return reply[:len(reply) - 3]


def with_id_of_another(reply, _query, _tcp):
    return bytes([reply[0] ^ 0xFF]) + reply[1:]


def noise(_reply, query, _tcp):
    return query[:2] + b"\x81\x80\0\1\0\x20\0\0\0\0" + b"\xc0\x0c" * 120


class NameServer:
    def __init__(self, address, port=53):
        self.names, self.ways, self.asked = {}, {}, []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((address, port))
        self.tcp = socket.socket(family, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((address, port))
        self.tcp.listen(16)
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def serve_udp(self):
        while True:
            query, peer = self.udp.recvfrom(4096)
            threading.Thread(target=lambda q=query, p=peer: self.send(q, p), daemon=True).start()

    def send(self, query, peer):
        reply = self.reply(query, False)
        if len(reply) > 512 and reply[2:4] == b"\x81\x80":
            reply = truncated(reply, query, False)
        if reply:
            self.udp.sendto(reply, peer)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            threading.Thread(target=self.converse, args=(connection,), daemon=True).start()

    def converse(self, connection):
        with connection, connection.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                reply = self.reply(stream.read(struct.unpack("!H", head)[0]), True)
                if not reply:
                    return
                connection.sendall(struct.pack("!H", len(reply)) + reply)

    def reply(self, query, tcp):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode(errors="replace"))
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), struct.unpack("!H", query[at + 1:at + 3])[0]
        self.asked.append((name, kind, "tcp" if tcp else "udp"))
        records = [self.record(name, entry) for entry in self.entries(name, kind)]
        flags = 0x8180 if name in self.names else 0x8183
        reply = query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + query[12:at + 5] + b"".join(records)
        return self.ways.get(name, lambda whole, _query, _tcp: whole)(reply, query, tcp)

    def entries(self, name, kind):
        found = self.names.get(name, [])
        if isinstance(found, Alias):
            return [found]
        if kind == 15:
            return [entry for entry in found if isinstance(entry, Exchanger)]
        family = KINDS.get(kind)
        return [entry for entry in found if isinstance(entry, str) and family
                and (":" in entry) == (family == socket.AF_INET6)]

    @staticmethod
    def record(name, entry):
        if isinstance(entry, Alias):
            kind, data = 5, encoded(entry.target)
        elif isinstance(entry, Exchanger):
            kind, data = 15, struct.pack("!H", entry.preference) + encoded(entry.target)
        else:
            kind = 28 if ":" in entry else 1
            data = socket.inet_pton(KINDS[kind], entry)
        return encoded(name) + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
