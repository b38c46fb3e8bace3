"""Many tasks, one after the other and all at once, and what they leave behind: nothing.

    remains.py [--row N] [--at-once N]

After each lot daemon and spawner have the descriptors, mounts and processes that they had before,
there is no cgroup and no network interface more, and no file but the journal and the jobs' own.
"""

import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from daemonkit import Account, Daemon, assert_nothing_left, files_below, in_chroot  # noqa: E402
from hubkit import Hub, wait_until  # noqa: E402
from processes import descendants  # noqa: E402

MINE = {"journal.db", "journal.db-wal", "journal.db-shm", "nairid.lock", "reserve", "control.sock",
        "jobs"}
KEPT = {"workspace", "home", "home/outbox", ".used", ".known"}  # of a job
STALL_S = 120  # without a new reply: something is stuck
WARM_UP = 3
SOCKETS_MORE = 8  # kept connections to the hub


def open_files(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass  # closed meanwhile
    return found


class Lot:
    """So many tasks, so many at a time."""

    def __init__(self, account, count, at_once):
        self.count = count
        self.account = account
        self.hub = Hub(os.path.join(account.folder, f"hub{count}")).boot()
        self.daemon = Daemon(account, self.hub, f"daemon{count}", max_concurrency=at_once,
                             max_queued=count + 10,
                             runner={"name": "command", "argv": ["/bin/true"]}).boot()

    def done(self):
        self.daemon.end()
        self.hub.end()

    def pass_messages(self, count):
        waiting = [self.hub.start("nothing")[1] for _ in range(count)]
        moved = time.monotonic()
        while waiting:
            # it says nothing, which is told as an error: that is an end, too
            if self.hub.message(waiting[0])["status"] in ("completed", "failed"):
                waiting.pop(0)
                moved = time.monotonic()
            else:
                assert time.monotonic() - moved < STALL_S, self.daemon.log[-4000:]
                time.sleep(0.02)  # poll

    # what there is

    def pids(self):
        return [self.daemon.pid, self.daemon.status()["spawner_pid"]]

    def descriptors(self):
        """Of our own processes, but for sockets; nobody but root may look."""
        if os.getuid() != 0:
            return []
        return [sorted(what for what in open_files(pid) if not what.startswith("socket:"))
                for pid in self.pids()]

    def sockets(self):
        """Their number varies with the connections that are kept for a while, but is bounded."""
        if os.getuid() != 0:
            return 0
        return sum(what.startswith("socket:") for pid in self.pids() for what in open_files(pid))

    def mounts(self):
        counts = []
        for pid in self.pids():
            with open(f"/proc/{pid}/mountinfo", "rb") as file:
                counts.append(file.read().count(b"\n"))
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            ours = sum(self.account.folder in line for line in file)
        return [*counts, ours] if os.getuid() == 0 else [ours]

    def cgroups(self):
        """Folders of tasks in ours, whichever kind of cgroup this machine has."""
        marks = [f"nairid.{pid}." for pid in self.pids()]
        found = []
        for folder, names, _ in os.walk("/sys/fs/cgroup"):
            if any(mark in folder for mark in marks):
                found += [os.path.join(folder, name) for name in names]
        return sorted(found)

    def everything(self):
        return {"descriptors": self.descriptors(), "mounts": self.mounts(),
                "processes": len(descendants(self.daemon.pid)), "cgroups": self.cgroups(),
                "interfaces": sorted(os.listdir("/sys/class/net"))}

    def is_at_rest(self):
        """A task's process 1 may be at its end when the answer comes; the spawner holds it so long."""
        spawner = self.daemon.status()["spawner_pid"]
        held = os.getuid() == 0 and "anon_inode:[pidfd]" in open_files(spawner)
        return (not held and not self.daemon.status()["jobs"] and not self.cgroups() and
                [process.pid for process in descendants(self.daemon.pid)] == [spawner])

    def strange_files(self):
        left = [name for name in os.listdir(self.daemon.state) if name not in MINE]
        for name in files_below(os.path.join(self.daemon.state, "jobs")):
            _, _, rest = name.partition("/")
            if rest and rest not in KEPT:
                left.append(name)
        return left

    def run(self):
        self.pass_messages(WARM_UP)
        wait_until(self.is_at_rest, 30, "the first tasks to be over")
        before, sockets = self.everything(), self.sockets()
        began = time.monotonic()
        self.pass_messages(self.count)
        took_s = time.monotonic() - began
        wait_until(lambda: self.everything() == before, 30,
                   lambda: f"what was there before:\n{before}\nwhat is there now:\n"
                           f"{self.everything()}")
        assert self.sockets() <= sockets + SOCKETS_MORE, f"{sockets}, then {self.sockets()} sockets"
        assert not self.strange_files(), self.strange_files()
        return took_s


def fence():
    """As root in a mount namespace of our own, so that nobody else's mounts come and go in it."""
    if os.getuid() == 0 and "REMAINS_FENCED" not in os.environ:
        os.environ["REMAINS_FENCED"] = "yes"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable,
                              *sys.argv])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--row", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=20)
    args = parser.parse_args()
    names = ["user"]
    if os.getuid() == 0:
        names = ["root"] if in_chroot() or args.row <= 100 else ["root", "user"]
    for name in names:
        for count, at_once in ((args.row, 1), (args.at_once, args.at_once)):
            account = Account(name)
            lot = Lot(account, count, at_once)
            try:
                took_s = lot.run()
            finally:
                lot.done()
            assert_nothing_left()
            account.done()
            print(f"report: remains: {name}, {count} tasks, {at_once} at once, {took_s:.0f} s: "
                  "nothing left", flush=True)


if __name__ == "__main__":
    fence()
    main()
