#!/usr/bin/env python3
"""Line coverage of what the tests have run in a build with preset `coverage`, module by module.

    tests/coverage.py [--lines] BUILD-DIRECTORY

Fails where a module that reads what strangers wrote, or keeps the queue, is below THRESHOLD.
--lines also lists the lines nobody ran. Branches are shown for information: those that only an
exception takes are not counted."""
import collections
import gzip
import json
import os
import pathlib
import subprocess
import sys

THRESHOLD = 90.0
# Whole modules, and of the others the files in which bytes from outside are understood.
REQUIRED = ["core", "mail", "smtp", "sasl", "table", "config", "message", "queue"]
REQUIRED_FILES = [
    "intake/dialogue.cc", "intake/dialogue_transaction.cc", "intake/input_buffer.cc",
    "intake/smtp_server.cc", "intake/smtp_session.cc", "intake/submission_format.cc",
    "delivery/channel.cc", "delivery/classify.cc", "delivery/handshake.cc",
    "delivery/known_answers.cc", "delivery/transaction.cc", "delivery/addressees.cc",
    "control/codec.cc", "control/request.cc", "control/service.cc",
]


class File:
    def __init__(self):
        self.lines = collections.defaultdict(int)     # number -> times run
        self.branches = collections.defaultdict(int)  # (line, index) -> times taken


def gcov_documents(notes):
    """What gcov says about each of these .gcda files."""
    for start in range(0, len(notes), 50):
        batch = notes[start:start + 50]
        run = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", *batch],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if run.returncode != 0:
            sys.exit(f"gcov failed: {run.stderr.decode()}")
        text = run.stdout
        if text.startswith(b"\x1f\x8b"):
            text = gzip.decompress(text)
        for line in text.splitlines():
            if line.strip():
                yield json.loads(line)


def collect(build, source):
    notes = [str(path) for path in build.rglob("*.gcda")]
    if not notes:
        sys.exit(f"no test has run in {build}")
    files = collections.defaultdict(File)
    for document in gcov_documents(notes):
        for entry in document["files"]:
            path = os.path.normpath(os.path.join(document["current_working_directory"],
                                                 entry["file"]))
            if not path.startswith(str(source) + "/"):
                continue
            name = path[len(str(source)) + 1:]
            is_test = name.endswith("_test.cc") or "/testing/" in name or "fixture" in name \
                or "test_directory" in name
            if is_test or name in ("intake/fakes.h", "tls/test_world.cc", "tls/test_world.h"):
                continue
            file = files[name]
            # A line may stand in several functions, and a header in several objects.
            for line in entry["lines"]:
                number = line["line_number"]
                file.lines[number] = max(file.lines[number], line["count"])
                kept = [b for b in line["branches"] if not b["throw"]]
                for index, branch in enumerate(kept):
                    key = (number, index)
                    file.branches[key] = max(file.branches[key], branch["count"])
    return files


def percent(counts):
    return 100.0 * sum(1 for c in counts if c > 0) / len(counts) if counts else 100.0


def show(title, members, required):
    lines = [c for file in members for c in file.lines.values()]
    branches = [c for file in members for c in file.branches.values()]
    reached = percent(lines)
    low = required and reached < THRESHOLD
    print(f"{title:32} {len(lines):6} lines {reached:6.1f} %   branches {percent(branches):5.1f} %"
          f"{'   below ' + format(THRESHOLD, '.0f') + ' %' if low else ''}")
    return low


def main():
    arguments = sys.argv[1:]
    with_lines = "--lines" in arguments
    arguments = [a for a in arguments if a != "--lines"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    source = pathlib.Path(__file__).resolve().parent.parent / "src"
    files = collect(pathlib.Path(arguments[0]).resolve(), source)

    failed = []
    modules = sorted({name.split("/")[0] for name in files})
    for module in modules:
        members = [file for name, file in files.items() if name.startswith(module + "/")]
        if show(module, members, module in REQUIRED):
            failed.append(module)
    print()
    for name in REQUIRED_FILES:
        if name not in files or show(name, [files[name]], True):
            failed.append(name)
    failed += [module for module in REQUIRED if module not in modules]

    if with_lines:
        for name in sorted(files):
            missed = sorted(n for n, count in files[name].lines.items() if count == 0)
            if missed:
                print(f"src/{name}: {' '.join(map(str, missed))}")
    if failed:
        print("\nbelow the threshold:", ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
