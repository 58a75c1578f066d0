#!/usr/bin/env python3
"""D12, D14, D15, D16: the queue's files change under the daemon, its directory becomes read-only, a
second daemon wants it, it is copied to another place.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, FileSystem, processor_time, settled_soon, worker
from ledger import Ledger, Load, Smtp
from mailbench import BIN, World, check_measure, main, wait_until


def submit(ledger, size=2000, timeout=20):
    letter = ledger.new_letter(size)
    try:
        client = Smtp(ledger.world.smtp_port, timeout)
        code, text = client.send(letter)
        client.close()
    except (OSError, AssertionError, ValueError) as lost:
        ledger.note(letter, None, "smtp", type(lost).__name__)
        return ""
    ledger.note(letter, code == 250, "smtp", text)
    return text


def a_second_daemon_is_refused():
    with World(main_cf=QUICK) as world:
        world.start()
        ledger = Ledger(world)
        with Load(ledger, smtp=2, sendmail=1, pause=0.05):
            for _ in range(3):
                second = world.command("postriderd", "-c", world.config, check=False)
                assert second.returncode != 0 and "already running" in second.stderr, second
        assert not ledger.refused and not ledger.unknown, ledger.replies
        assert "killed" not in world.log() and ledger.settle()["accepted"] >= 3


def a_read_only_queue_refuses_until_it_can_be_written():
    with World(main_cf=QUICK) as world, FileSystem(world, 160) as disk:
        world.start()
        ledger = Ledger(world)
        with Load(ledger, smtp=2, sendmail=1, pause=0.05):
            time.sleep(1)
            ledger.disturbance()
            # The kernel refuses a remount while files are open for writing, unless it is an error's.
            disk.force_read_only()
            accepted = len([name for name in ledger.accepted if ledger.letters[name].by == "smtp"])
            time.sleep(0.3)
            begun, courier = time.monotonic(), worker(world, "courier")
            before = processor_time(courier)
            time.sleep(10 if LONG else 3)
            used = (processor_time(courier) - before) / (time.monotonic() - begun)
            late = len([name for name in ledger.accepted if ledger.letters[name].by == "smtp"])
            # What an operator does: stop, mend, start. A store that never came back stops hard, and
            # clients whose commits are in doubt never hear.
            world.kill()
        check_measure(used < 0.3, f"the courier used {used:.0%} of a processor")
        assert late - accepted <= 2, (accepted, late)
        disk.unmount()
        subprocess.run(["fsck.ext4", "-fy", disk.image], capture_output=True)
        disk.mount()
        ledger.disturbance()
        world.start()
        print(f"FIGURES read-only: {used:.1%} of a processor, {ledger.settle()}, {dict(ledger.replies)}", flush=True)


def a_queue_directory_that_is_moved_away_is_missed():
    """Moved away under load, then put back; once with an empty directory in its place meanwhile. While it
    is away nothing is accepted, by whatever door."""
    with World(main_cf=QUICK) as world:
        alerts = world.tell_alerts()
        world.start()
        ledger = Ledger(world)
        away = world.directory / "away"
        rounds = (True, False) if LONG else (True,)
        with Load(ledger, smtp=2, sendmail=1, pause=0.05):
            for number, replaced in enumerate(rounds):
                time.sleep(1)
                world.queue.rename(away)
                if replaced:
                    world.queue.mkdir()
                time.sleep(0.5)  # What was under way when it went.
                accepted = set(ledger.accepted)
                wait_until(lambda: len(alerts()) == 2 * number + 1, "an alert", log=world.log)
                time.sleep(4 if LONG else 1)
                late = {ledger.letters[name].by for name in ledger.accepted - accepted}
                assert not late, f"accepted while the queue was away, by {late}"
                if replaced:
                    world.queue.rmdir()
                away.rename(world.queue)
                ledger.disturbance()
                taken = len(ledger.accepted)
                wait_until(lambda: len(ledger.accepted) > taken + 3, "mail that is taken again", log=world.log)
                # It is said to be over when none has been refused for a minute.
                if LONG:
                    wait_until(lambda: len(alerts()) == 2 * number + 2, "the end of it", 90, log=world.log)
        assert [state for state, _, _ in alerts()] == (["store-broken", "ok"] * 2 if LONG else ["store-broken"]), alerts()
        assert "is not the file that is open" in alerts()[0][2], alerts()
        assert "killed" not in world.log()
        figures = ledger.settle()
        assert figures["refused"] > 10 and figures["extra"] == 0, figures
        print(f"FIGURES moved away: {figures}, {dict(ledger.replies)}", flush=True)


DAMAGES = {
    "the log is truncated": lambda queue: os.truncate(queue / "queue.db-wal", 100),
    "the log is zeroed": lambda queue: overwrite(queue / "queue.db-wal", lambda size: bytes(size)),
    "the database is truncated": lambda queue: os.truncate(queue / "queue.db", 5000),
    "the database is zeroed": lambda queue: overwrite(queue / "queue.db", lambda size: bytes(size)),
    "the database is noise": lambda queue: overwrite(queue / "queue.db", os.urandom),
    "the database is another": lambda queue: replace(queue / "queue.db", b"SQLite format 3\0" + bytes(8176)),
    "the database is gone": lambda queue: (queue / "queue.db").unlink(),
    "the log is gone": lambda queue: (queue / "queue.db-wal").unlink(),
    "the index of the log is noise": lambda queue: overwrite(queue / "queue.db-shm", os.urandom),
}


CONTENT_DAMAGES = {
    "truncated": lambda path, other: os.truncate(path, 300000),
    "zeroed": lambda path, other: overwrite(path, bytes),
    "noise": lambda path, other: overwrite(path, os.urandom),
    "longer": lambda path, other: os.truncate(path, path.stat().st_size + 1),
    "replaced": lambda path, other: replace(path, b"nobody wrote this\r\n" * 30000),
    "another's": lambda path, other: replace(path, other.read_bytes()),
    "a link": lambda path, other: (path.unlink(), path.symlink_to(other)),
    "gone": lambda path, other: path.unlink(),
}


def overwrite(path, content):
    with open(path, "r+b") as file:
        file.write(content(path.stat().st_size))


def replace(path, content):
    other = path.with_name("other")
    other.write_bytes(content)
    shutil.copymode(path, other)
    shutil.chown(other, path.stat().st_uid, path.stat().st_gid)
    other.rename(path)


def damaged_files_are_noticed_and_nothing_is_invented():
    """Mail in a file that was torn out is lost, and nobody can help that. What must not be: a message
    that nobody sent or that was changed, a damaged file thrown away, mail that is gone in silence."""
    names = list(DAMAGES)
    for name in names if LONG else names[1::2]:
        with World(main_cf=QUICK, script="RCPT * 450 4.2.1 later\n") as world:
            world.start()
            ledger = Ledger(world)
            for _ in range(6):
                assert submit(ledger, 20000).startswith("250")
            # As long as the log holds it all, the database can be restored from it.
            world.stop()
            subprocess.run(["sqlite3", world.queue / "queue.db", "PRAGMA wal_checkpoint(TRUNCATE)"],
                           check=True, user=world.owner, capture_output=True)
            world.start()
            said_before = world.log()
            DAMAGES[name](world.queue)
            replies = [submit(ledger, timeout=5)[:3] for _ in range(3)]
            time.sleep(1)
            world.kill()
            files = {path.name for path in world.queue.glob("queue.db*")}
            world.change_smarthost(script="")
            starts = world.log().count("daemon started")
            world.start(wait=False)
            wait_until(lambda: world.daemon.poll() is not None or world.log().count("daemon started") > starts,
                       "a start or a refusal", log=world.log)
            refused = world.daemon.poll() is not None
            if not refused:
                settled_soon(lambda: not world.queued(), 10)
            book = ledger.read()
            assert not book.damaged, (name, book.damaged)
            lost = ledger.missing(book, frozenset() if refused else ledger.listed())
            said = [line for line in world.log()[len(said_before):].splitlines()
                    if re.search(r"(fatal|error|warning): .*queue.db", line)]
            if refused:
                assert world.daemon.returncode == 74, world.daemon.returncode
                assert files <= {path.name for path in world.queue.glob("queue.db*")}, f"{name}: a file was removed"
            assert said or not lost, f"{name}: {len(lost)} lost, and the log says nothing\n{world.log()}"
            outcome = f"refused, status {world.daemon.returncode}" if refused else "works"
            print(f"FIGURES {name}: then {replies}, the next start {outcome}, {len(lost)} of {len(ledger.accepted)} not delivered; "
                  f"said: {said[-1].partition(': ')[2].replace(str(world.queue), '')[:90] if said else ''}", flush=True)


def submit_large(ledger):
    """A message with a file of its own, and that file."""
    assert submit(ledger, 600000).startswith("250")
    letter = list(ledger.letters.values())[-1]
    [path] = [path for path in ledger.world.queue.glob("queue.db-c*") if f"{letter.name} ".encode() in path.read_bytes()]
    return letter, path


def damage_content(at_rest):
    """What lies in files beside the database changes, for each message in another way; two have each
    other's. The checksum of the whole is all that tells."""
    with World(main_cf=QUICK, script="RCPT * 450 4.2.1 later\n") as world:
        alerts = world.tell_alerts()
        world.start()
        ledger = Ledger(world)
        sound = [submit_large(ledger)[0] for _ in range(2)]
        assert submit(ledger).startswith("250")
        sound.append(list(ledger.letters.values())[-1])
        _, other = submit_large(ledger)
        damaged = {name: submit_large(ledger) for name in [*CONTENT_DAMAGES, "swapped", "swapped with it"]}
        copies = {name: path.read_bytes() for name, (_, path) in damaged.items()}
        if at_rest:
            world.stop()
        for name, change in CONTENT_DAMAGES.items():
            change(damaged[name][1], other)
        one, two = damaged["swapped"][1], damaged["swapped with it"][1]
        assert one.stat().st_size == two.stat().st_size
        between = one.with_name("between")
        one.rename(between), two.rename(one), between.rename(two)
        world.change_smarthost(script="")
        if at_rest:
            world.start()
        def on_hold():
            return {r["address"] for entry in world.queued() if entry["queue_name"] == "hold" for r in entry["recipients"]}
        wait_until(lambda: len(on_hold()) == len(damaged) and not ledger.missing(ledger.read(), on_hold()),
                   "the others' delivery", log=world.log)
        assert on_hold() == {letter.recipients[0] for letter, _ in damaged.values()}, (on_hold(), damaged)
        said = re.findall(r"error: (\w+): put on hold: its stored content is damaged", world.log())
        assert len(said) == len(set(said)) == len(damaged), said
        assert alerts() and {state for state, _, _ in alerts()} == {"damaged-mail"}, alerts()
        # What the operator does: the right bytes are put back, from wherever; the rest is removed.
        mended = ["noise", "gone", "swapped", "swapped with it"]
        for name in mended:
            path = damaged[name][1]
            path.unlink(missing_ok=True)
            path.write_bytes(copies[name])
            shutil.chown(path, world.owner)
            path.chmod(0o600)
        ids = {entry["recipients"][0]["address"]: entry["queue_id"] for entry in world.queued()}
        lost = {letter.recipients[0] for name, (letter, _) in damaged.items() if name not in mended}
        for name, (letter, _) in damaged.items():
            world.command("postsuper", "-H" if name in mended else "-d", ids[letter.recipients[0]])
        world.command("postqueue", "-f")
        figures = ledger.settle(deleted=lost)
        assert figures["copies"] == len(ledger.letters) - len(lost) and figures["extra"] == 0, figures
        wait_until(lambda: not list(world.queue.glob("queue.db-c*")), "no file that is left over", log=world.log)


def content_that_changes_under_the_daemon_stops_its_message_alone():
    damage_content(at_rest=False)


def content_that_changed_at_rest_stops_its_message_alone():
    damage_content(at_rest=True)


def a_courier_that_is_ending_leaves_with_its_master():
    """Else a new daemon would find the queue taken, as long as the old courier waits for its last answer."""
    with World(script="END * wait 20000 250 2.0.0 late\n") as world:
        world.start()
        world.sendmail(["-f", "ann@there.example", "bob@corp.example"], "Subject: late\n\nx\n")
        courier = worker(world, "courier")
        time.sleep(1)  # Until the content is out.
        world.command("postrider", "reload")
        time.sleep(0.5)
        assert os.path.exists(f"/proc/{courier}"), "it did not wait for the answer"
        os.kill(world.daemon.pid, signal.SIGKILL)
        world.daemon.wait()
        wait_until(lambda: not os.path.exists(f"/proc/{courier}"), "the courier's end", patience=5, log=world.log)


def a_person_is_told_of_a_store_that_cannot_be_opened():
    with World(main_cf=QUICK) as world:
        alerts = world.tell_alerts()
        world.start()
        ledger = Ledger(world)
        assert submit(ledger).startswith("250")
        ledger.settle()
        time.sleep(1)  # Then nothing moves from the log into the database any more.
        files = [world.queue / name for name in ("queue.db", "queue.db-wal")]
        whole = [file.read_bytes() for file in files]
        for file in files:
            overwrite(file, bytes)
        os.kill(worker(world, "courier"), signal.SIGKILL)
        wait_until(alerts, "an alert", log=world.log)
        for file, content in reversed(list(zip(files, whole))):
            overwrite(file, lambda size: content)
        wait_until(lambda: len(alerts()) == 2, "the end of it", log=world.log)
        assert [(state, account) for state, account, _ in alerts()] == [
            ("store-broken", "the queue's store"), ("ok", "the queue's store")], alerts()
        ledger.disturbance()
        wait_until(lambda: submit(ledger).startswith("250"), "acceptance", log=world.log)
        ledger.settle()


def a_copied_queue_works_elsewhere():
    """D16: nothing in it depends on where it lies, or on inodes."""
    with World(main_cf=QUICK, relay=False) as world:
        world.start()
        ledger = Ledger(world)
        for _ in range(10):
            assert submit(ledger, 600000).startswith("250")  # Partly in files of their own.
        world.stop()
        elsewhere = world.directory / "elsewhere"
        subprocess.run(["cp", "-r", "--preserve=mode,ownership", world.queue, elsewhere], check=True)
        shutil.rmtree(world.queue)
        main_cf = world.config / "main.cf"
        main_cf.write_text(main_cf.read_text().replace(str(world.queue), str(elsewhere)))
        world.queue = elsewhere
        world.start_smarthost()
        world.start()
        assert ledger.settle()["copies"] == 10


if __name__ == "__main__":
    main(a_second_daemon_is_refused, a_read_only_queue_refuses_until_it_can_be_written,
         a_queue_directory_that_is_moved_away_is_missed,
         damaged_files_are_noticed_and_nothing_is_invented,
         content_that_changes_under_the_daemon_stops_its_message_alone,
         content_that_changed_at_rest_stops_its_message_alone,
         a_courier_that_is_ending_leaves_with_its_master,
         a_person_is_told_of_a_store_that_cannot_be_opened, a_copied_queue_works_elsewhere)
