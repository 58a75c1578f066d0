#!/usr/bin/env python3
"""Holds docs/reliability.md against the tests: each one that it names exists, and no row is missing.

Usage: check_reliability.py SOURCE_ROOT; with --control it must find a name that is none.
"""

import pathlib
import re
import sys

ROWS = {"P": 14, "D": 19, "U": 20, "S": 19, "L": 12, "T": 15, "RS": 10, "Q": 13, "N": 5, "O": 9, "B": 4}
REFERENCE = re.compile(r"`(\w+): (\w+)`")


def defined(source):
    """Every (file, test) there is."""
    for path in [*source.glob("src/*/*_test.cc"), *source.glob("apps/*/*_test.cc"), *source.glob("tests/**/*_test.cc")]:
        for name in re.findall(r"^TEST(?:_[FP])?\(\s*\w+,\s*(\w+)\)", path.read_text(), re.M):
            yield path.stem, name
    for path in source.glob("tests/*/*.py"):
        for name in re.findall(r"^def (\w+)\(", path.read_text(), re.M):
            yield path.stem, name
    for path in source.glob("tests/dialogs/*/*.dialog"):
        yield "dialog", path.stem
    for name in re.findall(r"^fuzz_target\((\w+)", (source / "tests/fuzz/CMakeLists.txt").read_text(), re.M):
        yield "fuzz", name


def complaints(text, tests):
    for file, name in REFERENCE.findall(text):
        if (file, name) not in tests:
            yield f"docs/reliability.md: there is no test `{file}: {name}`"
    rows = re.findall(r"^\| ([A-Z]+\d+) \|", text, re.M)
    for group, count in ROWS.items():
        for number in range(1, count + 1):
            if rows.count(f"{group}{number}") != 1:
                yield f"docs/reliability.md: {group}{number} has {rows.count(f'{group}{number}')} rows"
    for line in text.splitlines():
        if re.match(r"\| [A-Z]+\d+ \|", line) and line.count("|") != 4:
            yield f"docs/reliability.md: a row of {line.count('|') - 1} columns: {line[:60]}"


def main(source, control):
    tests = set(defined(source))
    text = (source / "docs" / "reliability.md").read_text()
    if control:
        planted = text.replace("`queue_test: ", "`queue_test: No", 1).replace("| D7 |", "| D77 |", 1)
        found = list(complaints(planted, tests))
        assert len(found) == 2, found
        return 0
    found = list(complaints(text, tests))
    print("\n".join(found) or f"{len(REFERENCE.findall(text))} references, all of them are tests")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), "--control" in sys.argv))
