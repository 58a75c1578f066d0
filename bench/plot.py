#!/usr/bin/env python3
"""Draws what a run of bench/compare.py measured, as SVG beside its JSON: rates over sessions, and cost
over the length of the queue.

    bench/plot.py [RESULT.json]      the newest in bench/results/ if none is named
"""

import json
import pathlib
import re
import statistics
import subprocess
import sys

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
COLOURS = {"postrider": "#c2410c", "Postfix": "#1d4ed8", "smtp-sink": "#a3a3a3"}

# File name, title, what is on the axes, which values (their number is x), scales, and limits.
PLOTS = (
    ("in-kept-open", "Mail taken in, connections kept open", "sessions", "messages/s",
     r"in, (\d+) sessions, kept open", ""),
    ("in-one-per-connection", "Mail taken in, one message per connection", "sessions", "messages/s",
     r"in, (\d+) sessions, one per connection", ""),
    ("start", "From start to the first reply", "messages in the queue", "seconds",
     r"(\d+) deferred: first reply \(", "set logscale xy"),
    ("memory", "Memory with mail in the queue", "messages in the queue", "MB",
     r"(\d+) deferred: memory", "set logscale x"),
    ("fresh", "A fresh message, until it is delivered", "messages in the queue", "seconds",
     r"(\d+) deferred: fresh message", "set logscale xy"),
)


def lines(values, pattern):
    """{contestant: [(x, median)]}"""
    found = {}
    for name in COLOURS:
        points = []
        for what, rounds in values.get(name, {}).items():
            if match := re.match(pattern, what):
                points.append((int(match[1]), statistics.median(rounds)))
        if points:
            found[name] = sorted(points)
    return found


def draw(path, title, x, y, curves, extra):
    script = [f'set terminal svg size 720,400 font "sans-serif,13" background "white"',
              f'set output "{path}"', f'set title "{title}"', f'set xlabel "{x}"', f'set ylabel "{y}"',
              "set yrange [0:]" if "xy" not in extra else "", "set key outside right top", "set grid back lc rgb '#dddddd'",
              extra]
    for name, points in curves.items():
        block = "\n".join(f"{a} {b}" for a, b in points)
        script.append(f"${name.replace('-', '_')} << EOD\n{block}\nEOD")
    script.append("plot " + ", ".join(
        f"${name.replace('-', '_')} with linespoints lw 2 pt 7 ps 0.6 lc rgb '{COLOURS[name]}' title '{name}'"
        for name in curves))
    subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)


def main():
    chosen = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else max(RESULTS.glob("*.json"))
    values = json.loads(chosen.read_text())["values"]
    for name, title, x, y, pattern, extra in PLOTS:
        if curves := lines(values, pattern):
            path = chosen.with_name(f"{chosen.stem}-{name}.svg")
            draw(path, title, x, y, curves, extra)
            print(path)


if __name__ == "__main__":
    main()
