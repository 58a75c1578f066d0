#!/usr/bin/env python3
"""RS10: twice the input costs at most 2.5 times the work, for what strangers can make long.

    tests/fuzz/doubling.py FUZZ_REPLAY

Work is counted in instructions, by valgrind's callgrind: the same on a busy machine. What an empty
input costs is taken off. The control triples an input and must be found to cost more than 2.5
times as much."""
import pathlib
import subprocess
import sys
import tempfile

LIMIT = 2.5
BASE = 4000

# Target, what the attack is, and the input of about n bytes.
ATTACKS = [
    ("address", "an open quote", lambda n: b'"' + b"a\\" * (n // 2)),
    ("address_list", "many addresses", lambda n: b"a@b.example," * (n // 12)),
    ("address_list", "comments within comments", lambda n: b"(" * (n // 2) + b")" * (n // 2)),
    ("address_list", "open comments", lambda n: b"(" * n),
    ("address_list", "groups within groups", lambda n: b"a:" * (n // 2) + b";" * (n // 2)),
    ("address_list", "angles that never close", lambda n: b"<a " * (n // 3)),
    ("address_list", "routes", lambda n: b"<" + b"@a," * (n // 3) + b":u@c>"),
    ("address_list", "operators", lambda n: b"@.@:" * (n // 4)),
    ("cleanup", "a field of many lines", lambda n: b"Subject: a\n" + b" b\n" * (n // 3) + b"\n"),
    ("cleanup", "many hidden recipients",
     lambda n: b"To: a@x\nBcc: " + b"u@x.example,\n " * (n // 14) + b"z@x\n\n"),
    ("cleanup", "many fields to remove", lambda n: b"Bcc: a@x\n" * (n // 9) + b"\n"),
    ("cleanup", "parts within parts",
     lambda n: b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * (n // 47)),
    ("cleanup", "lines that may be boundaries",
     lambda n: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--a\n" * (n // 4)),
    ("cleanup", "carriage returns", lambda n: b"To: a@x\n\n" + b"\r" * n),
    ("command_line", "a long path", lambda n: b"MAIL FROM:<" + b'"' * n),
    ("command_line", "many parameters", lambda n: b"RCPT TO:<a@x> NOTIFY=" + b"DELAY," * (n // 6)),
    ("data_reader", "lines of dots", lambda n: b".\r\n" * (n // 3)),
    ("data_reader", "ends that are none", lambda n: b"\n.\r\r\n.\n" * (n // 8)),
    ("outgoing", "lines of dots", lambda n: b"\x00" + b".\n" * (n // 2)),
    ("outgoing", "bytes to encode",
     lambda n: b"\x02Content-Transfer-Encoding: 8bit\n\n" + b"\xc3\xbc " * (n // 3)),
    ("queue_codec", "frames", lambda n: (b"\0\0\0\0\x08" + b"\0" * 8) * (n // 13)),
    ("reply_parser", "lines", lambda n: b"250 a\r\n" * (n // 7)),
    ("reply_parser", "a line without end", lambda n: b"250 " + b"a" * n),
    ("report", "long words", lambda n: b"\0a@x\n\nb@x\n\n" + b"w " * (n // 2) + b"\n\n\nA: b\r\n"),
    ("submission", "empty frames", lambda n: b"C\0\0\0\0" * (n // 5)),
    ("tables", "a table of many keys",
     lambda n: b"\x03k\n" + b"".join(b"key%d value\n" % i for i in range(n // 14))),
    ("tables", "pcre: nested repetitions",
     lambda n: b"\x01" + b"a" * (n // 4) + b"!\n/^(a+)+$/ x\n"),
    ("tables", "regexp: nested repetitions",
     lambda n: b"\x00" + b"a" * (n // 4) + b"!\n/^(((a+)+)*)+$/ x\n"),
    ("tables", "regexp: groups that take anything",
     lambda n: b"\x00" + b"a" * (n // 4) + b"\n/((a*)*|(.+)+)*(.*)(.*)x?/ $1$4\n"),
    ("tables", "regexp: a count to keep",
     lambda n: b"\x00" + b"a" * (n // 4) + b"\n/^.*a.{25}c/ x\n"),
    ("texts", "a long name", lambda n: b"\xc3\xbc" * (n // 2)),
    ("texts", "many next hops", lambda n: b"[h]:25," * (n // 7)),
]


def instructions(program, target, text):
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, target,
             file.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
    output = run.stdout.decode(errors="replace")
    if run.returncode != 0:
        sys.exit(f"{target}: failed\n{output}")
    collected = [line for line in output.splitlines() if "Collected" in line]
    return int(collected[0].split(":")[1].replace(",", ""))


def ratio(program, target, make, factor):
    nothing = instructions(program, target, b"")
    once = instructions(program, target, make(BASE)) - nothing
    more = instructions(program, target, make(factor * BASE)) - nothing
    return more / max(once, 1)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = str(pathlib.Path(sys.argv[1]).resolve())
    tripled = ratio(program, "address_list", lambda n: b"a@b.example," * (n // 12), 3)
    print(f"control: three times the input costs {tripled:.2f} times the work")
    failed = tripled <= LIMIT
    for target, attack, make in ATTACKS:
        measured = ratio(program, target, make, 2)
        good = measured <= LIMIT
        failed = failed or not good
        print(f"{'ok' if good else 'FAILED':6} {target:14} {attack:32} {measured:5.2f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
