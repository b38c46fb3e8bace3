"""What errno_test.py has the daemon do with sandboxes that are made before their tasks."""

import os
import re
import signal
import time

from errno_daemon import Life
from processes import descendants

COUNT = 2
ENDING_S = 0.2  # whoever is there as long isn't the end of a survey


class Warm(Life):
    """Tasks that get one, of a user's own and of anybody's; a file of the host's that is replaced
    while they wait, and a reload: both throw them away."""

    OWN = ("nairid-spawner", "nairid-spawner>", "nairid-init")

    @classmethod
    def make(cls, account, name):
        cls.folder = account.shared()

    def prepare(self):
        self.was_idle = False  # when the call failed
        self.inits_seen, self.seen_at = None, 0
        self.shown = os.path.join(self.folder, "shown")
        self.show("old")
        self.daemon.configure(sandbox={"warm": COUNT, "read": [self.shown],
                                       "network": {"mode": "allowlist"}})
        self.hold(True)  # a first task is as any other
        self.first, self.job = self.give("echo one", "one")

    def show(self, text):
        """In a new file."""
        self.account.write(self.shown, text + "\n", 0o644)

    def spawner(self):
        return next((process for process in descendants(self.daemon.pid)
                     if process.name == "nairid-spawner"), None)

    def inits(self):
        """The processes 1 of sandboxes that have a task, or wait for one, or are at their end."""
        spawner = self.spawner()
        return {process.pid for process in descendants(spawner.pid)
                if process.parent == spawner.pid} if spawner else set()

    def had_tasks(self):
        return {int(pid) for pid in re.findall(r"task_started .*?pid=(\d+)", self.daemon.log)}

    def is_idle(self):
        """As many as there are to be, each held by its mount namespace, where we may see that.
        Fewer, where one couldn't be made."""
        inits = self.inits()
        if inits != self.inits_seen:
            self.inits_seen, self.seen_at = inits, time.monotonic()
        if inits & self.had_tasks() or time.monotonic() < self.seen_at + ENDING_S:
            return False
        if self.has_failed():
            return len(inits) <= COUNT
        fds = {kind: n for kind, n in self.count_fds().items()
               if kind.startswith("nairid-spawner ")}
        return len(inits) == COUNT and (not fds or fds.get("nairid-spawner mnt:") == COUNT)

    def fill(self):
        had_failed = self.has_failed()
        self.until(self.is_idle, f"{COUNT} sandboxes")
        self.was_idle |= self.has_failed() and not had_failed

    def kinds(self):
        return re.findall(r"task_ended .*?sandbox=(\w+)", self.daemon.log)

    def answer(self, prompt, text, job=None):
        self.fill()
        message, _ = self.give(prompt, text, job)
        self.answered(message)

    def answer_warm(self, prompt, text, job=None):
        """It may need some attempts on a busy machine."""
        def is_one():
            self.answer(prompt, text, job)
            return self.has_failed() or self.kinds()[-1:] == ["warm"]

        self.until(is_one, "a task to get a sandbox that was made before")

    def live(self):
        self.answered(self.first)
        self.until(lambda: self.kinds(), "the first task's end in the log")
        self.hold(False)
        self.answer_warm("echo two", "two", self.job)  # of its user
        self.answer_warm("cat " + self.shown, "old")   # of anybody
        self.fill()
        self.show("new")
        self.answer("cat " + self.shown, "new", self.job)
        self.fill()
        self.daemon.program.send(signal.SIGHUP)
        self.until(lambda: not self.inits() or self.has_failed(), "these to end")
        message, _ = self.give("echo three", "three", self.job)  # only then there are new ones
        self.answered(message)
        self.fill()

    def stop_midway(self):
        self.stop()

    def check(self):
        errors = super().check()
        assert not (self.was_idle and errors), \
            f"no task was there, and yet one ended in {errors}\n{self.log}"
        return errors
