"""Two books: what postrider accepted, and what the smarthost got. They must agree in the end.

    ledger = Ledger(world)
    with Load(ledger, smtp=4, sendmail=2):
        ...faults, each noted with ledger.disturbance()...
    print(ledger.settle())

A letter's recipients are addresses of its own, so that every copy, report and queue entry tells
whose it is. The smarthost writes each message into a file of its own before it answers 250, so its
book survives whatever happens to postrider.
"""

import collections
import email
import hashlib
import random
import re
import socket
import subprocess
import threading
import time

from mailbench import BIN, wait_until

SENDER = "ann@there.example"
SIZES = (200, 200, 2000, 2000, 2000, 20000, 70000, 400000)
#: A report and the outcome of its cause take at most so long to reach the file system.
CLOCK_GRAIN = 0.05


class Letter:
    def __init__(self, name, size, recipients):
        self.name = name
        self.recipients = [f"{name}.{i}@corp.example" for i in range(recipients)]
        if recipients > 2:  # One that the smarthost may be told to refuse.
            self.recipients[-1] = f"{name}.bad@corp.example"
        line = f"{name} {hashlib.sha256(name.encode()).hexdigest()}\n"
        text = f".{line}" + line * (size // len(line))
        self.content = (f"From: {SENDER}\nTo: {', '.join(self.recipients)}\nSubject: {name}\n"
                        f"Message-ID: <{name}@ledger.example>\nDate: Mon, 01 Jan 2024 00:00:00 +0000\n"
                        f"\n{text}").replace("\n", "\r\n").encode()
        self.turned_away = []  # Recipients that were refused where the others were not.
        self.begun = self.ended = None
        self.by = ""


class Book:
    """What is known about each recipient when all is over."""

    def __init__(self):
        self.copies = collections.defaultdict(list)  # recipient: times of arrival
        self.reported = set()
        self.damaged = []


class Ledger:
    """Belongs to any number of threads until settle()."""

    def __init__(self, world, seed=None):
        self.world = world
        self.seed = int(time.time() * 1000) % 1000000 if seed is None else seed
        self.lock = threading.Lock()
        self.letters = {}
        self.accepted, self.refused, self.unknown = set(), set(), set()
        self.replies = collections.Counter()
        self.disturbances = []
        self.closed_at = None  # Answers after a power cut count for nothing.

    def new_letter(self, size, recipients=1):
        with self.lock:
            letter = Letter(f"m{len(self.letters) + 1}x{self.seed}", size, recipients)
            self.letters[letter.name] = letter
            letter.begun = time.time()
            return letter

    def note(self, letter, outcome, by, reply=""):
        """`outcome` is what the client knows: True, False, or None for a connection that broke."""
        with self.lock:
            letter.ended = time.time()
            letter.by = by
            if self.closed_at:
                outcome = None
            book = self.unknown if outcome is None else self.accepted if outcome else self.refused
            book.add(letter.name)
            if not outcome:
                self.replies[f"{by}: {reply}"[:70]] += 1

    def disturbance(self):
        """From this instant on outcomes may have been lost: a kill, a cut, a failed answer."""
        with self.lock:
            self.disturbances.append(time.time())

    def close(self):
        """The power is gone: what is accepted later never was."""
        with self.lock:
            self.closed_at = time.time()
            return set(self.accepted)

    def reopen(self):
        with self.lock:
            self.closed_at = None

    # Settling ---------------------------------------------------------------------------------

    def read(self):
        book = Book()
        for path in self.world.store.glob("*.eml"):
            raw = path.read_bytes()
            head, _, content = raw.partition(b"\n\n")
            lines = head.decode().split("\n")
            recipients = [line.split(" ")[1] for line in lines if line.startswith("RCPT ")]
            if lines[0].split(" ")[1] == "":
                book.reported.update(failed_recipients(content))
                continue
            for recipient in recipients:
                book.copies[recipient].append(path.stat().st_mtime)
                letter = self.letters.get(recipient.partition(".")[0])
                if letter is None or not is_whole(content, letter.content):
                    book.damaged.append((recipient, path.name))
        for times in book.copies.values():
            times.sort()
        return book

    def listed(self):
        """Recipients of what is still in the queue, dead or alive."""
        return {each["address"] for entry in self.world.queued() for each in entry["recipients"]}

    def missing(self, book, listed=frozenset()):
        return [recipient for name in self.accepted for recipient in self.letters[name].recipients
                if recipient not in book.copies and recipient not in book.reported and recipient not in listed]

    def settle(self, patience=90, deleted=frozenset()):
        """Waits for an empty queue, then compares the books. Returns the figures."""
        world = self.world
        drop = world.queue / "maildrop"
        def at_rest():
            return not self.missing(self.read(), deleted) and not world.queued() and not any(drop.glob("*"))
        trouble = ""
        try:
            wait_until(at_rest, "an empty queue", patience)
        except AssertionError as late:
            trouble = str(late)
        book, listed = self.read(), self.listed() | set(deleted)
        missing = self.missing(book, listed)
        left = [path.name for path in drop.glob("*")]
        assert not missing, f"{self}: {len(missing)} recipients lost: {missing[:10]}; in maildrop: {left[:10]}"
        assert not trouble, f"{self}: {trouble}; still queued: {sorted(listed)[:10]}"
        assert not book.damaged, f"{self}: {len(book.damaged)} damaged: {book.damaged[:5]}"
        for name, letter in self.letters.items():
            refused = letter.turned_away + (letter.recipients if name in self.refused else [])
            back = [r for r in refused if r in book.copies or r in book.reported]
            assert not back, f"{self}: refused and delivered: {back}"
        self.check_copies(book)
        self.figures = {
            "accepted": len(self.accepted), "refused": len(self.refused), "unknown": len(self.unknown),
            "copies": sum(map(len, book.copies.values())),
            "extra": sum(len(times) - 1 for times in book.copies.values()), "reported": len(book.reported)}
        return self.figures

    def check_copies(self, book):
        """A second copy needs a disturbance between the two, or a client that could not know."""
        for recipient, times in book.copies.items():
            letter = self.letters[recipient.partition(".")[0]]
            # sendmail without an answer leaves the message in maildrop: a submission of its own, and a
            # kill's doing.
            spare = 0
            if letter.by == "sendmail" and self.disturbed(letter.begun, letter.ended):
                spare = sum(letter.begun <= at <= times[-1] for at in self.disturbances)
            for before, after in zip(times, times[1:]):
                if self.disturbed(before, after):
                    continue
                assert spare > 0, f"{self}: {recipient} came again {after - before:.2f} s later without a reason"
                spare -= 1

    def disturbed(self, begin, end):
        return any(begin - CLOCK_GRAIN <= at <= end + CLOCK_GRAIN for at in self.disturbances)

    def __str__(self):
        return f"ledger of seed {self.seed}, {len(self.disturbances)} disturbances, {len(self.accepted)} accepted"


def is_whole(came, sent):
    """All that may be new is the trace field on top."""
    trace = came[:len(came) - len(sent)]
    return came.endswith(sent) and re.fullmatch(rb"Received: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", trace) is not None


def failed_recipients(content):
    for part in email.message_from_bytes(content).walk():
        if part.get_content_type() == "message/delivery-status":
            for block in part.get_payload():
                if block["Action"] == "failed":
                    yield block["Final-Recipient"].partition(";")[2].strip()


class Smtp:
    """A client that keeps its connection and sends every message in one flight, or in two by DATA."""

    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rb")
        assert self.reply()[0] == 220
        self.say("EHLO load.example")
        assert self.reply()[0] == 250

    def say(self, *lines):
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def reply(self):
        text = ""
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("closed")
            text = line.decode("utf-8", "replace").rstrip()
            if text[3:4] != "-":
                return int(text[:3]), text

    def send(self, letter, by_data=False):
        """The reply that counts: to the end of data, or of what was refused before it. When only some
        recipients were refused, for want of room at that moment, the letter is the others'."""
        head = [f"MAIL FROM:<{SENDER}>", *(f"RCPT TO:<{r}>" for r in letter.recipients)]
        if by_data:
            return self.send_by_data(head, letter)
        self.socket.sendall("".join(line + "\r\n" for line in head).encode() +
                            f"BDAT {len(letter.content)} LAST\r\n".encode() + letter.content)
        replies = [self.reply() for _ in range(len(head) + 1)]
        refused = [reply for reply in replies if reply[0] >= 400]
        if replies[-1][0] >= 400:
            self.reset()
            return refused[0]
        letter.turned_away = [r for r, reply in zip(letter.recipients, replies[1:]) if reply[0] >= 400]
        letter.recipients = [r for r in letter.recipients if r not in letter.turned_away]
        return replies[-1]

    def send_by_data(self, head, letter):
        for command in [*head, "DATA"]:
            self.say(command)
            reply = self.reply()
            if reply[0] >= 400:
                self.reset()
                return reply
        self.socket.sendall(letter.content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return self.reply()

    def reset(self):
        self.say("RSET")
        self.reply()

    def close(self):
        self.file.close()
        self.socket.close()


class Load:
    """Threads that submit until they are told to stop, through both doors."""

    def __init__(self, ledger, smtp=4, sendmail=2, pause=0.0, sizes=SIZES, recipients=(1, 1, 1, 2, 3)):
        self.ledger = ledger
        self.pause, self.sizes, self.recipients = pause, sizes, recipients
        self.over = threading.Event()
        self.troubles = []
        ways = [self.by_smtp] * smtp + [self.by_sendmail] * sendmail
        self.threads = [threading.Thread(target=self.run, args=(way, ledger.seed * 100 + i)) for i, way in enumerate(ways)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        if kind is None and self.troubles:
            raise self.troubles[0]

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def run(self, way, seed):
        try:
            way(random.Random(seed))
        except Exception as trouble:
            self.troubles.append(trouble)

    def letter(self, dice):
        self.over.wait(self.pause)
        return self.ledger.new_letter(dice.choice(self.sizes), dice.choice(self.recipients))

    def by_smtp(self, dice):
        while not self.over.is_set():
            try:
                client = Smtp(self.ledger.world.smtp_port)
            except (OSError, AssertionError, ValueError):
                self.over.wait(0.05)
                continue
            for _ in range(dice.randint(1, 50)):
                if self.over.is_set():
                    break
                letter = self.letter(dice)
                try:
                    code, text = client.send(letter, by_data=dice.random() < 0.3)
                except (OSError, ValueError) as lost:
                    self.ledger.note(letter, None, "smtp", type(lost).__name__)
                    self.over.wait(0.05)
                    break
                self.ledger.note(letter, code == 250, "smtp", text)
                if code == 421:
                    break
            client.close()

    def by_sendmail(self, dice):
        world = self.ledger.world
        while not self.over.is_set():
            letter = self.letter(dice)
            done = subprocess.run(
                [BIN / "sendmail", "-i", "-C", world.config, "-f", SENDER, *letter.recipients],
                input=letter.content.replace(b"\r\n", b"\n"), capture_output=True, timeout=120)
            self.ledger.note(letter, done.returncode == 0, "sendmail", done.stderr.decode(errors="replace"))
