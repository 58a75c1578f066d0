"""A network of a test's own: this machine at one end of a cable, the world at the other.

    enter("the laptop")              # at the start: the program runs itself again in namespaces
    with Cable() as cable:           # cable.here = 192.0.2.10, cable.there = 192.0.2.1
        cable.beyond(["program"])    # the command as it has to be to run at the other end
        cable.down(); cable.up()

/etc is a copy of the machine's, to be changed at will. Needs root; without, the test is skipped.
"""

import os
import pathlib
import subprocess
import sys
import time

INSIDE = "POSTRIDER_TEST_NETWORK"

SETUP = """
    set -e
    mount --make-rprivate /
    mount -t tmpfs tmpfs /mnt
    cp -a /etc /mnt/etc
    mount --bind /mnt/etc /etc
    ip link set lo up
    rm -f /etc/resolv.conf
    printf '127.0.0.1 localhost\\n::1 localhost\\n' > /etc/hosts
    printf 'nameserver 127.0.0.1\\n' > /etc/resolv.conf
"""


def enter(what, namespaces=("-n", "-m"), setup=SETUP):
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0:
        print(f"SKIPPED {what}: needs root, for a network of its own", flush=True)
        sys.exit(77)
    trial = subprocess.run(["unshare", *namespaces, "sh", "-c", setup], capture_output=True, text=True)
    if trial.returncode != 0:
        print(f"SKIPPED {what}: no network namespace here: {trial.stderr.strip()}", flush=True)
        sys.exit(77)
    os.execvpe("unshare", ["unshare", *namespaces, "sh", "-c", setup + '\nexec "$@"', "namespace", sys.executable,
                           *sys.argv], {**os.environ, INSIDE: "1"})


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


class Cable:
    here, there = "192.0.2.10", "192.0.2.1"
    here6, there6 = "2001:db8::10", "2001:db8::1"

    def __enter__(self):
        self.world = subprocess.Popen(["unshare", "-n", "sleep", "3600"])
        own = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + 10
        while os.readlink(f"/proc/{self.world.pid}/ns/net") == own:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        ip("link", "add", "name", "cable0", "type", "veth", "peer", "name", "world0", "netns", str(self.world.pid))
        for words in (("link", "set", "lo", "up"), ("link", "set", "world0", "up"),
                      ("addr", "add", self.there + "/24", "dev", "world0"),
                      ("-6", "addr", "add", self.there6 + "/64", "dev", "world0", "nodad")):
            subprocess.run(self.beyond(["ip", *words]), check=True, capture_output=True)
        return self

    def __exit__(self, *_):
        ip("link", "del", "cable0", check=False)
        self.world.kill()
        self.world.wait()

    def beyond(self, command):
        return ["nsenter", "-t", str(self.world.pid), "-n", *map(str, command)]

    def up(self, gateway=True):
        """As when a laptop joins: link, address, and the route a moment later."""
        ip("link", "set", "cable0", "up")
        ip("addr", "add", self.here + "/24", "dev", "cable0")
        ip("-6", "addr", "add", self.here6 + "/64", "dev", "cable0", "nodad")
        if gateway:
            ip("route", "add", "default", "via", self.there)

    def down(self):
        ip("addr", "flush", "dev", "cable0")
        ip("link", "set", "cable0", "down")


def write_etc(name, text):
    """By another file in its place, as NetworkManager and its like do it."""
    path = pathlib.Path("/etc") / name
    beside = path.with_name(name + ".new")
    beside.write_text(text)
    beside.rename(path)
