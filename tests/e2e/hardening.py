#!/usr/bin/env python3
"""B1, B4: how the programs were compiled and linked, what gets installed, and how tightly the units
hold their services, read from the files themselves."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from mailbench import BIN, ROOT, Skip, main

PROGRAMS = ("postriderd", "postrider", "sendmail")
BUILT = BIN.parent
ENDBR64 = bytes.fromhex("f30f1efa")
EXPOSURE_MAX = 1.5


def output(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, text=True,
                          stdout=subprocess.PIPE, **options).stdout


def symbols(path):
    """Name and address of what the program defines or asks of libraries."""
    rows = (line.split() for line in output("readelf", "-W", "--syms", path).splitlines())
    return {row[7].partition("@")[0]: int(row[1], 16) for row in rows
            if len(row) > 7 and row[0].endswith(":") and row[0] != "Num:"}


def bytes_at(path, address, count):
    """What lies at a virtual address."""
    for line in output("readelf", "-lW", path).splitlines():
        fields = line.split()
        if fields[:1] == ["LOAD"]:
            offset, start, size = (int(fields[i], 16) for i in (1, 2, 4))
            if start <= address < start + size:
                with open(path, "rb") as file:
                    file.seek(offset + address - start)
                    return file.read(count)
    return b""


def missing(path):
    """The names of the defences that a program lacks."""
    head = output("readelf", "-hldW", path)
    names = symbols(path)
    has = {
        "position-independent": "Type:                              DYN" in head and "PIE" in head,
        "relocations read-only": "GNU_RELRO" in head,
        "all bound at start": "NOW" in head,
        "stack not executable": re.search(r"GNU_STACK.* RW ", head),
        "no segment writable and executable": not re.search(r"LOAD.* RWE ", head),
        "no text relocations": "TEXTREL" not in head,
        "no search path": not re.search(r"\((RPATH|RUNPATH)\)", head),
        "stack protector": "__stack_chk_fail" in names,
        "fortified calls": any(re.fullmatch(r"__\w+_chk", name) for name in names),
        "checked standard library": any("__glibcxx_assert_fail" in name for name in names),
    }
    if os.uname().machine == "x86_64":
        # Debian's start files carry no note of it, so the linker leaves ours out; the landing
        # pads are what counts.
        has["branch targets marked"] = bytes_at(path, names.get("main", 0), 4) == ENDBR64
    return [name for name, there in has.items() if not there]


def need_release():
    cache = BUILT / "CMakeCache.txt"
    if not cache.exists() or not re.search(r"POSTRIDER_HARDENED:\w+=ON", cache.read_text()):
        raise Skip("not an optimised, hardened build")


def programs_are_hardened():
    need_release()
    for name in PROGRAMS:
        assert not missing(BIN / name), (name, missing(BIN / name))


def a_program_that_is_not_is_found_out():
    """The control: each check above can fail."""
    with tempfile.TemporaryDirectory() as scratch:
        program = pathlib.Path(scratch) / "soft"
        output("g++", "-x", "c++", "-no-pie", "-fno-stack-protector", "-fcf-protection=none",
               "-U_FORTIFY_SOURCE", "-Wl,-z,norelro,-z,lazy,-z,execstack,-rpath,/tmp", "-o", program,
               "-", input="int main() {}\n")
        found = set(missing(program))
    expected = {"position-independent", "relocations read-only", "all bound at start",
                "stack not executable", "no search path", "stack protector", "fortified calls",
                "checked standard library"}
    assert expected <= found, expected - found


def nothing_that_is_installed_is_setuid():
    need_release()
    with tempfile.TemporaryDirectory() as scratch:
        output("cmake", "--install", BUILT, env={**os.environ, "DESTDIR": scratch})
        found = [path for path in pathlib.Path(scratch).rglob("*")
                 if not path.is_symlink() and path.stat().st_mode & 0o6000]
        assert any(path.name == "sendmail" for path in pathlib.Path(scratch).rglob("sendmail"))
        assert not found, found


def unit(name, scratch):
    """A unit as it is installed, calling a program that is there."""
    text = (ROOT / "etc" / "systemd" / f"{name}.in").read_text()
    path = pathlib.Path(scratch) / name
    path.write_text(text.replace("@CMAKE_INSTALL_FULL_SBINDIR@", str(BIN)))
    return path


def need_analyze():
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")


def exposure(path):
    said = output("systemd-analyze", "security", "--no-pager", "--offline=true", path,
                  stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"})
    assert "ignoring" not in said, said
    return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said).group(1))


def the_unit_is_tight():
    need_analyze()
    with tempfile.TemporaryDirectory() as scratch:
        path = unit("postrider.service", scratch)
        for each in (path, unit("postrider-keeper@.service", scratch)):
            assert exposure(each) <= EXPOSURE_MAX, (each, exposure(each))
        # The control: without its filter of system calls and as root it is not.
        path.write_text(re.sub(r"(?m)^(SystemCallFilter|User|CapabilityBoundingSet)=.*\n", "",
                               path.read_text()))
        assert exposure(path) > EXPOSURE_MAX + 1


def systemd_understands_the_units():
    need_analyze()
    with tempfile.TemporaryDirectory() as scratch:
        service = unit("postrider.service", scratch)
        keeper = unit("postrider-keeper@.service", scratch)
        sockets = [shutil.copy(ROOT / "etc" / "systemd" / name, scratch)
                   for name in ("postrider.socket", "postrider-keeper.socket")]
        said = subprocess.run(["systemd-analyze", "verify", "--man=no", service, keeper, *sockets],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        # Units of this machine that it comes across are not ours to mend.
        ours = [line for line in said.stdout.splitlines() if "postrider" in line]
        assert said.returncode == 0 and not ours, said.stdout
        user = unit("postrider-user.service", scratch)
        said = subprocess.run(["systemd-analyze", "verify", "--user", "--man=no", user],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert not [line for line in said.stdout.splitlines() if "postrider" in line], said.stdout


if __name__ == "__main__":
    main(programs_are_hardened, a_program_that_is_not_is_found_out,
         nothing_that_is_installed_is_setuid, the_unit_is_tight, systemd_understands_the_units)
