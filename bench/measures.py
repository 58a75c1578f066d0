"""What `make bench` measures. Each measure takes a Bench and a contestant that has just been started
with an empty queue, and returns {what: value}.
"""

import contextlib
import multiprocessing
import os
import re
import statistics
import subprocess
import time

from mailbench import TESTS, free_port, wait_until

SENDER, RECIPIENT = "ann@desk.example", "bob@corp.example"
SESSIONS = (1, 10, 50)
SYNCS = "fsync,fdatasync,sync,syncfs,sync_file_range"
MB = 1e6


# In -----------------------------------------------------------------------------------------------

def ingest(bench, queue):
    """4 KB messages by smtp-source, and by a source that sends a message's commands in one flight. The
    relayhost's port is closed, so what is taken is deferred."""
    values = {}
    for sessions in SESSIONS:
        count = bench.scaled(min(4000, 300 * sessions))
        for keep_open in (False, True):
            seconds = bench.source(queue, sessions, count, keep_open)
            kind = "kept open" if keep_open else "one per connection"
            values[f"in, {sessions} sessions, {kind} (msg/s)"] = count / seconds
            queue.empty()
    result = bench.sender(queue, sessions=50, messages=bench.scaled(4000))
    values["in, 50 sessions, pipelined (msg/s)"] = result["rate"]
    values["in, 50 sessions, pipelined: 99 of 100 answered within (ms)"] = result["p99_ms"]
    return values


def group_commit(bench, queue):
    """With every sync made 10 ms longer: what 64 sessions reach over what one does, and syncs a message."""
    one = bench.sender(queue, sessions=1, messages=bench.scaled(80))
    before = queue.slow_syncs()
    many = bench.sender(queue, sessions=64, messages=bench.scaled(4000))
    syncs = queue.slow_syncs() - before
    return {"slow disk, 1 session (msg/s)": one["rate"], "slow disk, 64 sessions (msg/s)": many["rate"],
            "slow disk, 64 sessions over one": many["rate"] / one["rate"],
            "slow disk, syncs a message": syncs / bench.scaled(4000)}


def sendmail(bench, queue):
    """From before the fork until the exit has been waited for."""
    return times_of_sendmail(queue, bench.scaled(200), b"x" * 72 + b"\n" * 10)


def times_of_sendmail(queue, runs, body):
    with submitting(queue, runs, body) as (told, _):
        told.send("begin")
        times = sorted(told.recv())
    return {"sendmail returns, median (ms)": statistics.median(times) * 1000,
            "sendmail returns, p95 (ms)": times[int(len(times) * 0.95)] * 1000}


def syncs_of_sendmail(bench, queue, body):
    """How often it and those who serve it call for a sync of the disk until it ends, by strace."""
    trace = bench.world.directory / "trace"
    with submitting(queue, 1, body) as (told, pid):
        pids = [pid, *queue.pids()]
        strace = subprocess.Popen(["strace", "-f", "-o", trace, "-e", "trace=execve," + SYNCS,
                                   *(word for pid in pids for word in ("-p", str(pid)))],
                                  stderr=subprocess.PIPE, text=True)
        for _ in pids:
            strace.stderr.readline()  # "Process ... attached"
        told.send("begin")
        told.recv()
        strace.terminate()
        strace.communicate(timeout=30)
    lines = trace.read_text().splitlines()
    child = next(line.split()[0] for line in lines if f"execve(\"{queue.sendmail()[0]}\"" in line)
    end = next(at for at, line in enumerate(lines) if re.match(rf"{child} +\+\+\+ exited", line))
    return sum(bool(re.match(rf"\d+ +({SYNCS.replace(',', '|')})\(", line)) for line in lines[:end])


@contextlib.contextmanager
def submitting(queue, runs, body):
    """A child that may move into a root. It begins when it is told to, and tells the times it took."""
    ours, its = multiprocessing.Pipe()
    child = multiprocessing.Process(target=time_sendmail, args=(queue, its, runs, body))
    child.start()
    its.close()
    try:
        yield ours, child.pid
    finally:
        ours.close()
        child.join()


def time_sendmail(queue, told, runs, body):
    queue.enter()
    message = b"To: " + RECIPIENT.encode() + b"\nSubject: measured\n\n" + body
    words = queue.sendmail() + ["-f", SENDER, RECIPIENT]
    times = []
    told.recv()
    for _ in range(runs):
        reading, writing = os.pipe()
        os.write(writing, message)
        os.close(writing)
        begun = time.monotonic()
        pid = os.posix_spawn(words[0], words, os.environ,
                             file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
        _, status = os.waitpid(pid, 0)
        times.append(time.monotonic() - begun)
        os.close(reading)
        assert status == 0, f"sendmail: {status}"
    told.send(times)


# Out ----------------------------------------------------------------------------------------------

def relay(bench, queue):
    """Queued while the smarthost was away, drained when it is back: TLS, AUTH, 4 KB messages."""
    count = bench.scaled(5000)
    defer(bench, queue, count)
    with bench.smarthost(queue) as smarthost:
        cpu_before, smarthost_before = queue.cpu_seconds(), cpu_seconds([smarthost.pid])
        seconds = bench.flush_and_drain(queue, count)
        cpu = queue.cpu_seconds() - cpu_before
        theirs = cpu_seconds([smarthost.pid]) - smarthost_before
    return {"out, TLS and AUTH (msg/s)": count / seconds,
            "out, processor time (ms/msg)": cpu / count * 1000,
            "out, the smarthost's processor time (ms/msg)": theirs / count * 1000}


def defer(bench, queue, count):
    bench.source(queue, 20, count, True)
    wait_until(lambda: time.time() - queue.log_file.stat().st_mtime > 2, "the end of deferring", 120)


def round_trips(bench, queue):
    """Over a line of 2 x 100 ms: from connecting until the 250 of the message, and from the start of a
    submission until the log tells of the delivery."""
    delay = 0.1
    with bench.smarthost(queue, port=free_port()) as smarthost:
        with bench.long_line(queue.relay_port, smarthost.port, delay) as told:
            first = bench.submission_to_delivery(queue)
            from_connect = last_session(told.read_text())
            following = [bench.submission_to_delivery(queue) for _ in range(5)]
    return {"first message, from connecting (round trips)": from_connect / (2 * delay),
            "first message, submission included (round trips)": first / (2 * delay),
            "a following message, submission included (round trips)": statistics.median(following) / (2 * delay)}


def last_session(told):
    """Seconds from when the last client that was answered connected until its last answer."""
    lines = [line.split() for line in told.splitlines()]
    number, end = next((number, float(when)) for what, number, when in reversed(lines) if what == "answered")
    begun = next(float(when) for what, other, when in lines if (what, other) == ("connected", number))
    return end - begun


# Size ---------------------------------------------------------------------------------------------

def memory(bench, queue):
    """PSS of all processes together: a page that two share counts half for each."""
    count = bench.scaled(5000)
    with bench.smarthost(queue):
        time.sleep(4)
        values = {"memory, idle (MB)": queue.memory() / MB}
        bench.source(queue, 1, 1, False)
        bench.wait_for_deliveries(queue, 1)
        time.sleep(1)
        values["memory, after a delivery (MB)"] = queue.memory() / MB
        bench.source(queue, 20, count, True)
        bench.wait_for_deliveries(queue, count)
        values[f"memory, after {count} messages (MB)"] = queue.memory() / MB
        time.sleep(6)
        before = queue.memory()
        values["memory, after some seconds of rest (MB)"] = before / MB
        peak = bench.peak_memory_during(queue, lambda: (
            bench.sender(queue, sessions=1, messages=1, size=50_000_000),
            bench.wait_for_deliveries(queue, 1)))
        values["memory, added by a message of 50 MB (MB)"] = (peak - before) / MB
    return values


def endurance(bench, queue):
    """Under load for `bench.minutes`, by messages of 4 KB and now and then one of 5 MB, which are
    delivered: the memory at rest before and after, and the most of it under way."""
    with bench.smarthost(queue):
        bench.source(queue, 20, 2000, True)
        bench.wait_for_deliveries(queue, 2000)
        time.sleep(6)
        before, most, count, turn = queue.memory(), 0, 0, 0
        begun = time.monotonic()
        while time.monotonic() - begun < bench.minutes * 60:
            bench.source(queue, 10, 50, turn % 2 == 0)
            if turn % 30 == 0:
                bench.sender(queue, sessions=1, messages=1, size=5_000_000)
                count += 1
            count, turn, most = count + 50, turn + 1, max(most, queue.memory())
            time.sleep(max(0, begun + turn - time.monotonic()))
        bench.wait_for_deliveries(queue, count)
        time.sleep(6)
        return {"endurance, messages": count, "endurance, memory at rest before (MB)": before / MB,
                "endurance, most memory (MB)": most / MB,
                "endurance, memory at rest after (MB)": queue.memory() / MB}


def large(bench, queue):
    """5 MB messages through: in while the smarthost is away, then out."""
    size, count = 5_000_000, bench.scaled(40)
    begun, cpu = time.monotonic(), queue.cpu_seconds()
    bench.sender(queue, sessions=4, messages=count, size=size)
    seconds = time.monotonic() - begun
    values = {"5 MB messages in (MB/s)": size * count / MB / seconds}
    wait_until(lambda: time.time() - queue.log_file.stat().st_mtime > 2, "the end of deferring", 120)
    with bench.smarthost(queue):
        seconds = bench.flush_and_drain(queue, count)
    values["5 MB messages out (MB/s)"] = size * count / MB / seconds
    values["5 MB messages, processor time in and out (ms/MB)"] = (
        (queue.cpu_seconds() - cpu) / (size * count / MB) * 1000)
    return values


def scale(bench, queue):
    """With so many deferred messages, none of them due: a start, a listing, a fresh message."""
    lengths = {"postrider": (1000, 10_000, 100_000, 1_000_000), "Postfix": (1000, 10_000)}
    values = {}
    queued = 0
    for length in lengths[queue.name][:-1 if bench.quick else None]:
        def fill():
            if queue.name == "postrider":
                queue.fill(length - queued)
        if queue.name == "Postfix":
            bench.source(queue, 20, length - queued, True)
            wait_until(lambda: time.time() - queue.log_file.stat().st_mtime > 2, "the end", 300)
        seconds = queue.restart(fill)
        queued = length
        values[f"{length} deferred: first reply (s)"] = seconds
        if queue.name == "postrider":
            values[f"{length} deferred: first reply after a crash (s)"] = queue.restart(end=queue.crash)
        time.sleep(3)
        values[f"{length} deferred: memory (MB)"] = queue.memory() / MB
        busy = queue.cpu_seconds()
        time.sleep(2)
        values[f"{length} deferred: processor time at rest (ms/s)"] = (queue.cpu_seconds() - busy) / 2 * 1000
        values[f"{length} deferred: first line of mailq (s)"] = queue.first_line_of_mailq()
        with bench.smarthost(queue):
            values[f"{length} deferred: fresh message (s)"] = bench.submission_to_delivery(queue)
    return values


# Others -------------------------------------------------------------------------------------------

def peers(bench, queue):
    """In short what can be asked of others as well. Those without a daemon have `sendmail` alone."""
    body = (b"x" * 72 + b"\n") * 56  # 4 KB
    values = {}
    time.sleep(4)
    if queue.port:
        values["memory, idle (MB)"] = queue.memory() / MB
    times_of_sendmail(queue, 1, body)  # What only the first one does is not counted.
    time.sleep(2)
    values["sendmail, syncs before it returns"] = syncs_of_sendmail(bench, queue, body)
    values.update(times_of_sendmail(queue, bench.scaled(200), body))
    if queue.port:
        count = bench.scaled(500)
        for keep_open in (False, True):
            queue.empty()
            seconds = bench.source(queue, 50, count, keep_open)
            kind = "kept open" if keep_open else "one per connection"
            values[f"in, 50 sessions, {kind} (msg/s)"] = count / seconds
        queue.empty()
        queue.hold()
        count = bench.scaled(200)
        defer(bench, queue, count)
        with bench.smarthost(queue):
            values["out, TLS and AUTH (msg/s)"] = count / bench.flush_and_drain(queue, count)
    return {f"peers: {what}": value for what, value in values.items()}


# Reading /proc ------------------------------------------------------------------------------------

def cpu_seconds(pids):
    """Of the processes, and of those of their children that have ended."""
    total = 0
    for pid in pids:
        try:
            fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def pss(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += int(re.search(r"^Pss:\s+(\d+)", rollup.read(), re.M)[1]) * 1024
        except OSError:
            continue
    return total


MEASURES = {measure.__name__: measure for measure in
            (ingest, group_commit, sendmail, relay, round_trips, memory, large, scale, endurance, peers)}
