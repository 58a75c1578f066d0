#!/usr/bin/env python3
"""S19: content made to be expensive for whoever looks into it costs what plain text of its size costs:
time and memory of intake and courier, whether the smarthost takes 8-bit content or it has to be
converted on the way.
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, worker
from ledger import SENDER, Smtp
from mailbench import World, check_measure, main, wait_until
from memory import check_limit, peak

SIZE = 24000000 if LONG else 2000000
#: Plain text costs 1; lines of a few bytes, whatever they say, some four times as much.
RATIO_MAX = 8.0
GROWTH_MAX = 4096 * 1024

HEAD = "MIME-Version: 1.0\r\n"


def filled(head, unit, end=""):
    """Of SIZE bytes; one of them is beyond ASCII, so that a conversion has work to do."""
    body = unit * ((SIZE - len(head)) // len(unit))
    return (head + body + end).encode() + "\r\n\u00e4\r\n".encode()


def nested(depth):
    return "".join(f"Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n" for i in range(depth))


def text():
    return filled(HEAD + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", "plain words in a line of text\r\n")


BOMBS = {
    "10,000 nested": lambda: filled(HEAD + nested(10000), "plain words in a line of text\r\n"),
    "nested to the end": lambda: (HEAD + nested(SIZE // 55)).encode()[:SIZE] + "\r\n\u00e4\r\n".encode(),
    "a million parts": lambda: filled(HEAD + "Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n\r\n", "--b--\r\n"),
    "boundaries that almost are": lambda: filled(
        HEAD + f"Content-Type: multipart/mixed; boundary={'b' * 70}\r\n\r\n", "--" + "b" * 69 + "c\r\n"),
    "encoded words": lambda: filled("Subject:" + " =?utf-8?Q?=41=42?=" * 800 + "\r\n" + "".join(
        f"To: =?utf-8?B?{'QUJD' * 100}?= <a{i}@x.example>\r\n" for i in range(150)) + "\r\n", "=?utf-8?B?QUJD?= " * 4 + "\r\n"),
    "parameters without end": lambda: filled(
        HEAD + "Content-Type: multipart/mixed" + "".join(f";\r\n p*{i}*=x" for i in range(4000)) + "; boundary=b\r\n\r\n", "--b\r\n\r\n"),
    "messages in messages": lambda: filled(HEAD, "Content-Type: message/rfc822\r\n\r\n"),
    "a zip of zeros": lambda: filled(
        HEAD + "Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n", "AAAA" * 19 + "\r\n"),
}


def processor_time(pid):
    """Seconds, of all threads, to the nanosecond."""
    return sum(int(task.joinpath("schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


class Letter:
    recipients = ["bob@corp.example"]

    def __init__(self, content):
        self.content = content


def cost(world, content):
    """Seconds of processor for one message, from its first byte to the smarthost's answer."""
    pids = [worker(world, "intake"), worker(world, "courier")]
    before, sent = sum(map(processor_time, pids)), len(world.mails())
    client = Smtp(world.smtp_port)
    code, said = client.send(Letter(content))
    assert code == 250, said
    client.close()
    wait_until(lambda: len(list(world.store.glob("*.eml"))) > sent and not world.queued(), "its delivery", 60, world.log)
    time.sleep(0.1)  # The store tidies up.
    return sum(map(processor_time, pids)) - before


def bombs_cost_what_plain_text_costs():
    for lacks in ([], ["--no", "8BITMIME", "--no", "SMTPUTF8"]):
        with World(main_cf="message_size_limit = 0\n", smarthost_options=lacks) as world:
            world.start()
            cost(world, text())  # Whatever is done once.
            plain = min(cost(world, text()) for _ in range(2))
            pids = [worker(world, "intake"), worker(world, "courier")]
            memory = sum(map(peak, pids))
            assert plain >= 0.01, f"plain text took {plain:.2f} s: too little to compare"
            # The control: the measure knows more from less, though asking whether it is over costs something, too.
            larger = cost(world, text() * 4)
            assert larger > 1.3 * plain, f"four times the text took {larger:.2f} s instead of {plain:.2f}"
            worst = {}
            for name, make in BOMBS.items():
                content = make()
                worst[name] = min(cost(world, content) for _ in range(2 if LONG else 1)) / plain * SIZE / len(content)
            growth = sum(map(peak, pids)) - memory
            assert bool(lacks) == (b"quoted-printable" in world.mails()[0].content.lower())
            print(f"FIGURES {SIZE >> 20} MB, {'converted' if lacks else 'as it is'}: text {plain:.2f} s; "
                  f"{', '.join(f'{name} {ratio:.2f}' for name, ratio in worst.items())}; memory grew by {growth // 1024} KB", flush=True)
            check_measure(max(worst.values()) < RATIO_MAX, worst)
            check_limit(growth, GROWTH_MAX, "intake and courier")


if __name__ == "__main__":
    main(bombs_cost_what_plain_text_costs)
