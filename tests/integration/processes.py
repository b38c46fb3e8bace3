"""What is left of a process tree, by the kernel's own word.

Importing this makes the interpreter a subreaper: whatever its children leave behind becomes its
child, however it detached itself, so that descendants() misses nothing.
"""

import ctypes
import os

PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


class Process:
    """One line of /proc/PID/stat."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/stat", "rb") as file:
            head, _, tail = file.read().decode(errors="replace").rpartition(")")
        self.pid = pid
        self.name = head.partition("(")[2]
        fields = tail.split()
        self.state = fields[0]
        self.parent = int(fields[1])

    def argv(self):
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                return file.read().decode(errors="replace").split("\0")[:-1]
        except OSError:
            return []

    def __repr__(self):
        return f"<{self.pid} {self.name} {self.state} {' '.join(self.argv())[:120]}>"


def everything():
    processes = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                processes.append(Process(int(entry)))
            except OSError:
                pass  # it has just ended
    return processes


def descendants(root=None, but=()):
    """Living processes below root (ours unless named), without those in but and what is below
    them. Zombies that nobody else waits for are collected on the way."""
    root = root or os.getpid()
    children = {}
    for process in everything():
        children.setdefault(process.parent, []).append(process)
    found, todo = [], [root]
    while todo:
        for process in children.get(todo.pop(), []):
            if process.pid in but:
                continue
            todo.append(process.pid)
            if process.state not in "ZX":
                found.append(process)
    return found


def reap_orphans(known=()):
    """Collects zombies that were left to us; known are pids that somebody else waits for."""
    for process in everything():
        if process.parent == os.getpid() and process.state == "Z" and process.pid not in known:
            try:
                os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:
                pass
