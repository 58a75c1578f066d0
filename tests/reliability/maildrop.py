#!/usr/bin/env python3
"""L7 and P3 for maildrop/, where sendmail leaves mail when no daemon answers: each file becomes one
message, whoever is killed while it is taken, and what others plant there becomes none.
"""

import os
import pathlib
import pwd
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from faults import LONG, QUICK, Sniper, need, settled_soon, start_as_its_owner, thread_of, workers
from ledger import SENDER, Ledger
from mailbench import World, main, wait_until

#: How many calls apart the short form kills, and where it begins.
SHORT = {"courier": (13, 9), "storage": (17, 20), "intake": (11, 8), "master": (5, 3)}


def close_the_door(world):
    """sendmail finds no daemon, though one is there."""
    door = world.queue / "public" / "submit"
    door.rename(door.with_name("away"))


def drop(world, ledger, size=2000):
    letter = ledger.new_letter(size)
    done = world.sendmail(["-i", "-f", SENDER, *letter.recipients], letter.content.replace(b"\r\n", b"\n"), check=False)
    ledger.note(letter, done.returncode == 0, "sendmail", done.stderr.decode())
    assert done.returncode == 0, done
    return letter


def is_empty(world):
    return not any((world.queue / "maildrop").iterdir())


def places_in_queue(world, letter):
    return sum(letter.recipients[0] == r["address"] for entry in world.queued() for r in entry["recipients"])


def take_once(world, ledger, victim, n):
    """True if the kill came before all was over. Nothing is sent meanwhile: two copies are two entries."""
    world.start()
    close_the_door(world)
    sniper = Sniper(world, thread_of(world, victim), n)
    letter = drop(world, ledger)
    settled_soon(lambda: sniper.is_over() or is_empty(world), 5)
    settled_soon(sniper.is_over, 0.3)  # The store tidies up.
    sniper.end()
    world.kill()
    world.start()
    wait_until(lambda: is_empty(world), f"{victim}, call {n}: an empty maildrop", log=world.log)
    places = places_in_queue(world, letter)
    assert places == 1, f"{victim} killed at call {n}: {places} messages of one file\n{world.log()}"
    world.kill()
    return sniper.has_shot()


def a_file_is_taken_once_whoever_is_killed_when():
    """The smarthost comes at the end, and gets each message once."""
    need("cc")
    with World(main_cf=QUICK, relay=False) as world:
        ledger = Ledger(world)
        for victim, (step, n) in SHORT.items():
            step, n = (1, 1) if LONG else (step, n)
            kills = 0
            again = len(re.findall("had been taken before", world.log()))
            while take_once(world, ledger, victim, n):
                kills, n = kills + 1, n + step
                assert n < 1000, "the cycle has no end"
            again = len(re.findall("had been taken before", world.log())) - again
            print(f"FIGURES {victim}: killed at {kills} calls, {again} files came a second time", flush=True)
            assert kills > (10 if LONG else 1), kills
        # Without a file that comes twice nothing has been shown.
        assert "had been taken before" in world.log()
        world.start_smarthost()
        world.start()
        world.command("postqueue", "-f")
        figures = ledger.settle()
        assert figures["extra"] == 0, figures


PLANTER = r"""
import os, sys, time
maildrop, secret, end = sys.argv[1], sys.argv[2], time.monotonic() + float(sys.argv[3])
mine = sys.stdin.buffer.read()
os.setgroups([])
os.setgid(int(sys.argv[5]))
os.setuid(int(sys.argv[4]))
os.chdir(maildrop)

def written(name):
    with open(name, "wb") as file:
        file.write(mine)

def quietly(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        pass

turn = 0
while time.monotonic() < end:
    turn += 1
    name, beside = "Planted%d" % (turn % 200), ".beside"
    quietly(written, beside)
    quietly(os.rename, beside, name)
    kind = turn % 6
    if kind == 0:
        quietly(os.symlink, secret, beside)
    elif kind == 1:
        quietly(os.mkfifo, beside)
    elif kind == 2:
        quietly(os.link, name, beside)
    elif kind == 3:
        quietly(os.mkdir, beside)
        quietly(os.unlink, name)
    elif kind == 4:
        quietly(written, beside)
        quietly(os.truncate, name, len(mine) // 2)
    else:
        quietly(os.link, secret, beside)
    quietly(os.rename, beside, name)
    if turn % 7 == 0:
        quietly(os.unlink, name)
print(turn)
"""


def left_in_maildrop(world, text, user):
    """The bytes of a file that sendmail leaves there."""
    world.command("sendmail", "-i", "-f", f"{user}@there.example", f"{user}@corp.example", text=False,
                  input=f"Subject: {text}\n\n{text}\n".encode(), user=user)
    [file] = (world.queue / "maildrop").iterdir()
    content = file.read_bytes()
    file.unlink()
    return content


def what_is_planted_while_files_are_taken_becomes_no_message():
    """A user puts links, pipes, directories and other files in the place of its own, as fast as it can.
    The message it wants sent in its name is root's, which it cannot read."""
    need("cc")
    planter = "games"
    seconds = 20 if LONG else 4
    with World(main_cf=QUICK) as world:
        world.start()
        world.stop()
        mine = left_in_maildrop(world, "planted", planter)
        secret = world.queue / "secret"
        secret.write_bytes(left_in_maildrop(world, "SECRET", "root"))
        secret.chmod(0o600)
        world.start()
        close_the_door(world)
        before = workers(world)
        ledger = Ledger(world)
        account = pwd.getpwnam(planter)
        program = subprocess.Popen([sys.executable, "-c", PLANTER, world.queue / "maildrop", secret, str(seconds),
                                    str(account.pw_uid), str(account.pw_gid)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        program.stdin.write(mine)
        program.stdin.close()
        while program.poll() is None:
            drop(world, ledger)
        turns = int(program.stdout.read())
        assert program.returncode == 0 and turns > 200, (program.returncode, turns)
        wait_until(lambda: not ledger.missing(ledger.read()), "everybody's mail", log=world.log)
        assert workers(world) == before and "killed" not in world.log()
        mails = world.mails()
        assert not [mail for mail in mails if b"SECRET" in mail.content]
        planted = [mail for mail in mails if mail.sender.startswith(planter)]
        # Half a file is no message; and the race was a race.
        assert planted and all(mail.body == b"planted\r\n" for mail in planted)
        assert re.search(r"maildrop/Planted\d+: (a link|not a regular file|has another link)", world.log())
        for path in (world.queue / "maildrop").iterdir():
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        copies = ledger.read().copies
        assert all(len(copies[letter.recipients[0]]) == 1 for letter in ledger.letters.values()), copies
        assert secret.exists()
        print(f"FIGURES planted: {turns} turns, {len(planted)} of its own messages, {len(ledger.letters)} of others", flush=True)


def a_users_own_queue_accepts_what_its_daemon_can_read():
    """What sendmail leaves with status 0 is sent: the user's mail and root's. Another user is told at once."""
    with World(main_cf=QUICK, owner="uucp") as world:
        start_as_its_owner(world)
        world.stop()
        done = {}
        for user in ("uucp", "root", "games"):
            done[user] = world.command("sendmail", "-i", "-f", f"{user}@there.example", f"{user}@corp.example", user=user,
                                       input=f"Subject: {user}\n\n", check=False)
        assert [user for user in done if done[user].returncode == 0] == ["uucp", "root"], done
        assert done["games"].returncode == 75 and "its owner's alone" in done["games"].stderr, done["games"]
        start_as_its_owner(world)
        recipients = sorted(mail.recipients[0].split()[0] for mail in world.arrived(2))
        assert recipients == ["root@corp.example", "uucp@corp.example"], recipients
        assert is_empty(world) and "Permission denied" not in world.log()


if __name__ == "__main__":
    main(a_file_is_taken_once_whoever_is_killed_when,
         a_users_own_queue_accepts_what_its_daemon_can_read,
         what_is_planted_while_files_are_taken_becomes_no_message)
