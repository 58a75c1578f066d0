#!/usr/bin/env python3
"""The control of the runs with sanitizers: what one of them reports in any process of ours is noticed."""

import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))
from isolation import processes
from mailbench import BIN, Skip, World, main, sanitizer, take_reports, wait_until


def a_report_of_any_process_is_noticed():
    if sanitizer() != "address":
        raise Skip(f"{BIN} was not built with the address sanitizer, which reports signals that are sent")
    with World() as world:
        world.start()
        for name in ("intake", "courier"):
            victim = processes(world)[name]
            os.kill(victim, signal.SIGSEGV)  # A report of its own to a sanitizer.
            world.wait_log(f"process {name} pid {victim} exit status 86")
            [found] = take_reports()
            assert f"=={victim}==ERROR" in found and "SEGV" in found, found
            wait_until(lambda: processes(world)[name] != victim, f"another {name}", log=world.log)
        master = world.daemon
        master.send_signal(signal.SIGSEGV)
        assert master.wait(timeout=60) == 86
        assert "SEGV" in "".join(take_reports())
        world.console.write_text("")  # Where each of them said that a signal had come.


def ends_with_a_report(wrong, kind):
    """What a program has in its report that is wrong in this way; whoever reads what it says."""
    if sanitizer() != kind:
        raise Skip(f"{BIN} was not built with that sanitizer")
    with World(relay=False) as world:
        program = world.directory / "wrong"
        options = ["-fsanitize=thread"] if kind == "thread" else ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        subprocess.run(["c++", "-g", *options, "-x", "c++", "-", "-o", program], input=wrong, text=True, check=True)
        assert subprocess.run([program], stderr=subprocess.DEVNULL).returncode == 86
        [found] = take_reports()
        return found


def undefined_behaviour_is_noticed_whoever_reads_its_words():
    found = ends_with_a_report("int main(int count, char**) { return 0x7fffffff + count == 0; }\n", "address")
    assert "__ubsan_handle_add_overflow" in found, found


def a_race_is_noticed():
    # Of two accesses at the very same instant the sanitizer may see neither, once in a hundred times.
    found = ends_with_a_report("""\
#include <thread>
#include <unistd.h>
int shared;
int main() {
    std::thread other([] { ++shared; });
    usleep(50000);
    ++shared;
    other.join();
}
""", "thread")
    assert "data race" in found, found


def a_race_in_a_confined_worker_is_noticed():
    """Of the courier's two threads, one syncs and the other waits for clients."""
    if sanitizer() != "thread":
        raise Skip(f"{BIN} was not built with that sanitizer")
    with World() as world:
        library = world.directory / "racing.so"
        subprocess.run(["cc", "-g", "-fsanitize=thread", "-shared", "-fPIC", "-x", "c", "-", "-o", library], text=True,
                       check=True, input="""\
#define _GNU_SOURCE
#include <dlfcn.h>
struct epoll_event;
static int shared;
int fdatasync(int file) {
    ++shared;
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
int epoll_wait(int set, struct epoll_event* events, int count, int patience) {
    ++shared;
    return ((int (*)(int, struct epoll_event*, int, int))dlsym(RTLD_NEXT, "epoll_wait"))(set, events, count, patience);
}
""")
        world.daemon_environment = {"LD_PRELOAD": str(library)}
        world.start()
        world.sendmail(["bob@corp.example"], "Subject: x\n\nx\n")
        world.arrived(1)
        world.stop()
        found = "".join(take_reports())  # Without names: the worker may not start who would know them.
        assert "data race" in found and "racing.so" in found, found


if __name__ == "__main__":
    main(a_report_of_any_process_is_noticed, undefined_behaviour_is_noticed_whoever_reads_its_words, a_race_is_noticed,
         a_race_in_a_confined_worker_is_noticed)
