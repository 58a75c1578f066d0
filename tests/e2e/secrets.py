#!/usr/bin/env python3
"""Where the password is, and where it is not (T12, T13, P9): searched for after a run with every log level
turned up, a server that repeats what it hears, and a password that is changed."""

import base64
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from isolation import need_root, processes
from mailbench import Skip, World, main, wait_until
from memory import writable_memory

USER = "user@gsuite.domain"
LETTER = "Subject: x\n\nhello\n"
LOUD = "smtp_tls_loglevel = 4\ndebug_peer_list = 0.0.0.0/0\ndebug_peer_level = 9\ndebugger_command =\nminimal_backoff_time = 1s\n"


def forms(password):
    """As it stands, and in every dress it may wear: whatever stands before it shifts base64."""
    raw = password.encode()
    found = {raw, raw.hex().encode(), urllib.parse.quote(password, safe="").encode(), "".join(f"%{b:02X}" for b in raw).encode(),
             base64.b64encode(f"\0{USER}\0{password}".encode()), base64.b64encode(raw)}
    for shift in range(3):
        coded = base64.b64encode(b"x" * shift + raw + b"x" * 3)
        found.add(coded[4 if shift else 0:4 * ((shift + len(raw)) // 3)])
    return found


def holds(data, password):
    return [form for form in forms(password) if form in data]


def files_below(directory, but):
    for path in pathlib.Path(directory).rglob("*"):
        if path.is_file() and not any(str(path).startswith(str(one)) for one in but):
            yield path


def the_password_is_nowhere_it_does_not_belong():
    need_root()
    password = "wpf+canary/%41Qz"
    echo = f"AUTH * x2 535 5.7.8 refused: AUTH PLAIN {base64.b64encode(f'{chr(0)}{USER}{chr(0)}{password}'.encode()).decode()} " \
           f"that is {password} alias {base64.b64encode(password.encode()).decode()}\n"
    with World(main_cf=LOUD, password=password, script=echo,
               smarthost_options=["--users", f"{USER}:{password}"]) as world:
        world.start()
        world.sendmail(["-f", "ann@there.example", "bob@corp.example"], LETTER)
        world.wait_log("535 5.7.8 refused: AUTH PLAIN")
        said = [world.command("postconf", "-n").stdout, world.command("postqueue", "-p").stdout,
                world.command("postqueue", "-j").stdout, world.command("postrider", "status").stdout]
        world.command("postrider", "flush")
        world.wait_log("535 5.7.8 refused", 2)
        world.command("postrider", "flush")
        world.arrived(1)
        assert not holds("".join(said).encode(), password), said
        for name, pid in processes(world).items():
            for entry in ("environ", "cmdline", "comm", "status"):
                assert not holds(pathlib.Path(f"/proc/{pid}/{entry}").read_bytes(), password), (name, entry)
        allowed = [world.config / "smtp_auth", world.transcript, world.directory / "script"]
        searched = 0
        for path in files_below(world.directory, allowed):
            searched += 1
            assert not holds(path.read_bytes(), password), path
        assert any(path.name.startswith("queue.db-wal") for path in files_below(world.directory, allowed))
        print(f"        searched {searched} files and the log's {len(world.log().splitlines())} lines")
        # The control: where it may be, this search finds it.
        assert holds(allowed[0].read_bytes(), password) and holds(world.transcript.read_bytes(), password)


def only_the_table_remembers_the_password_after_a_login():
    """Not even the courier's own memory has it once the login is over: the table is a mapped file."""
    need_root()
    password = "wpf-canary-of-the-courier"
    with World(main_cf="smtp_tls_loglevel = 4\n", password=password, smarthost_options=["--users", f"{USER}:{password}"]) as world:
        world.start()
        for _ in range(3):
            world.sendmail(["-f", "ann@there.example", "bob@corp.example"], LETTER)
        world.arrived(3)
        for name, pid in processes(world).items():
            assert not holds(writable_memory(pid), password), name
        # The control: the search finds what such a process remembers.
        assert b"corp.example" in writable_memory(processes(world)["courier"])


def a_password_within_main_cf_is_in_the_courier_alone():
    """Couriers come and go; who starts them hands on what it has not in its memory."""
    need_root()
    password = "wpf-canary-within-main-cf"
    for settings in ("smtp_sasl_password_maps = static:{user}:{password}",
                     "smtp_sasl_password_maps = inline:{{ {{ {hop} = {user}:{password} }} }}",
                     "my_word = {password}\nmy_login = {user}:$my_word\nsmtp_sasl_password_maps = static:$my_login"):
        with World(password="unused", smarthost_options=["--users", f"{USER}:{password}"]) as world:
            world.extra = settings.format(user=USER, password=password, hop=world.relayhost) + "\n"
            world.write_config()
            world.start()

            def only_the_courier_knows_it(sent):
                world.sendmail(["-f", "ann@there.example", "bob@corp.example"], LETTER)
                world.arrived(sent)
                found = processes(world)
                for name in ("master", "intake"):
                    assert not holds(writable_memory(found[name]), password), (name, sent, settings)
                # The control: the courier needs it.
                assert holds(writable_memory(found["courier"]), password), settings
                return found["courier"]

            courier = only_the_courier_knows_it(1)
            os.kill(courier, signal.SIGKILL)
            world.wait_log("process courier pid .* killed by signal 9")
            courier = only_the_courier_knows_it(2)
            world.command("postrider", "reload")
            wait_until(lambda: processes(world)["courier"] != courier, "a new courier", log=world.log)
            only_the_courier_knows_it(3)
            assert not holds(world.log().encode(), password)


def a_changed_password_serves_and_the_old_one_is_forgotten():
    """T13, under load: nothing is lost, and no process that goes on remembers the old one."""
    need_root()
    old, new = "wpf-canary-of-yesterday", "wpf-canary-of-today"
    with World(main_cf="minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n", password=old,
               smarthost_options=["--users", f"{USER}:{old}"]) as world:
        world.start()
        sent = 0
        for _ in range(10):
            world.sendmail(["-f", "ann@there.example", "bob@corp.example"], LETTER)
            sent += 1
        world.arrived(sent)
        world.change_smarthost(options=["--users", f"{USER}:{new}"])
        for _ in range(10):
            world.sendmail(["-f", "ann@there.example", "bob@corp.example"], LETTER)
            sent += 1
        world.wait_log("account trouble")
        world.password = new
        world.write_config()
        for _ in range(10):
            world.sendmail(["-f", "ann@there.example", "bob@corp.example"], LETTER)
            sent += 1
        world.wait_log("status=sent", sent)
        world.drained()
        assert world.log().count("status=sent") == sent, "a message was sent twice"
        for name, pid in wait_until(lambda: processes(world), "the workers").items():
            assert not holds(writable_memory(pid), old), name


def the_owner_of_the_queue_cannot_look_into_the_courier():
    need_root()
    if not os.path.exists("/usr/bin/setpriv"):
        raise Skip("setpriv is not installed")
    with World() as world:
        world.start()
        owner = pwd.getpwnam(world.owner)
        for name, pid in processes(world).items():
            for entry in ("mem", "environ", "maps"):
                tried = subprocess.run(["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups",
                                        "head", "-c", "1", f"/proc/{pid}/{entry}"], capture_output=True)
                assert tried.returncode != 0 and not tried.stdout, (name, entry)


def a_credential_of_the_service_manager_is_a_password_file():
    """As LoadCredential= puts it: a file of mode 0400 in a directory where nothing can be written."""
    with World() as world:
        credentials = world.directory / "credentials"
        credentials.mkdir()
        secret = credentials / "smtp_auth"
        secret.write_text(f"{world.relayhost} {USER}:apppassword\n")
        secret.chmod(0o400)
        credentials.chmod(0o500)
        world.extra = f"smtp_sasl_password_maps = texthash:{secret}\n"
        world.write_config()
        world.start()
        world.sendmail(["-f", "ann@there.example", "bob@corp.example"], LETTER)
        world.arrived(1)


if __name__ == "__main__":
    main(the_password_is_nowhere_it_does_not_belong, only_the_table_remembers_the_password_after_a_login,
         a_password_within_main_cf_is_in_the_courier_alone, a_changed_password_serves_and_the_old_one_is_forgotten,
         the_owner_of_the_queue_cannot_look_into_the_courier, a_credential_of_the_service_manager_is_a_password_file)
