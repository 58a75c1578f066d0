"""How much memory a process has, and what is in it, read from outside; the latter is for root."""

import pathlib
import re

from mailbench import Skip, check_measure, sanitizer


def resident(pid):
    """Bytes: its own, and its share of what it has in common with others."""
    return 1024 * int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


def anonymous(pid):
    """Bytes of what no file holds: heap and stacks. Its part of the code changes with those who run it, too."""
    return 1024 * int(re.search(r"^Anonymous:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


def peak(pid):
    """Bytes that were resident, at most."""
    return 1024 * int(re.search(r"^VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def check_limit(used, limit, what):
    """Holds one of these, or what it has grown by, against a limit."""
    check_measure(used < limit, f"{what}: {used / 1e6:.1f} MB, with a limit of {limit / 1e6:.1f}")


def writable_memory(pid):
    """What the process could have written: its heap, stacks, data; not files that it maps."""
    if sanitizer():
        raise Skip("a sanitizer's heap keeps what was freed, and does not wipe it")
    pieces = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(number, 16) for number in span.split("-"))
            if "w" not in rights or end - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                pieces.append(memory.read(end - start))
            except (OSError, OverflowError):
                pass
    return b"\n".join(pieces)
