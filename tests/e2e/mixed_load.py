#!/usr/bin/env python3
"""Many messages of all sizes, by parallel senders through both doors: each recipient once, every
byte as it was.

mixed_load.py [--messages N] [--senders N] [--largest BYTES]
"""

import argparse
import concurrent.futures
import hashlib
import pathlib
import random
import smtplib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from mailbench import World, main

parser = argparse.ArgumentParser()
parser.add_argument("--messages", type=int, default=1000)
parser.add_argument("--senders", type=int, default=20)
parser.add_argument("--largest", type=int, default=25_000_000)
parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
settings, sys.argv[1:] = parser.parse_known_args()


def sizes(random_source, count):
    """Mostly small, as mail is; a few of every size up to the largest."""
    steps = [1_000, 4_000, 16_000, 100_000, 1_000_000, settings.largest]
    weights = [500, 350, 100, 40, 9, 1]
    chosen = random_source.choices(steps, weights, k=count)
    if count >= 100:
        chosen[:2] = [settings.largest, settings.largest]
    return [random_source.randint(size // 2, size) for size in chosen]


def body_of(number, size):
    """Lines of text that tell the message and the place, with dots at their beginnings."""
    line = b".%d %s\r\n" % (number, hashlib.sha256(b"%d" % number).hexdigest().encode())
    return (line * (size // len(line) + 1))[:size - size % len(line)] + b"..end\r\n"


def every_message_arrives_once():
    random_source = random.Random(settings.seed)
    print(f"seed {settings.seed}", flush=True)
    plan = list(enumerate(sizes(random_source, settings.messages)))
    with World() as world:
        world.start()

        def submit(job):
            number, size = job
            recipients = [f"r{number}.{i}@corp.example" for i in range(1 + number % 3)]
            content = b"Subject: %d\r\nX-Number: %d\r\n\r\n" % (number, number) + body_of(number, size)
            if number % 2:
                world.sendmail(["-i", "-f", "ann@desk.example", *recipients],
                               content.replace(b"\r\n", b"\n"))
            else:
                with smtplib.SMTP("127.0.0.1", world.smtp_port, timeout=300) as client:
                    refused = client.sendmail("ann@desk.example", recipients, content)
                    assert not refused, refused
            return number, recipients

        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(settings.senders) as senders:
            expected = dict(senders.map(submit, plan))
        accepted = time.monotonic() - begun
        mails = world.arrived(settings.messages, patience=600)
        delivered = time.monotonic() - begun
        total = sum(size for _, size in plan)
        print(f"{settings.messages} messages, {total / 1e6:.0f} MB: accepted in {accepted:.1f} s, "
              f"delivered in {delivered:.1f} s", flush=True)

        copies = {}
        for mail in mails:
            number = int(mail.header.split("X-Number: ")[1].split("\r\n")[0])
            wanted = body_of(number, plan[number][1])
            assert mail.body == wanted, f"message {number} was changed: {len(mail.body)} {len(wanted)}"
            for recipient in mail.recipients:
                copies[recipient] = copies.get(recipient, 0) + 1
        for recipients in expected.values():
            for recipient in recipients:
                assert copies.pop(recipient, 0) == 1, recipient
        assert not copies, copies
        assert world.queued() == []
        assert "warning" not in world.log(), [l for l in world.log().splitlines() if "warning" in l][:10]


if __name__ == "__main__":
    main(every_message_arrives_once)
