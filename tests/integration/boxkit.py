"""A workspace, and commands in a sandbox with it: `nairid sandbox`, by hand.

    class Box(boxkit.Box):
        def popen(self, *command, **kwargs):
            return self.start(["--network", "none"], command, **kwargs)
"""

import os
import re
import subprocess
import textwrap

from hubkit import REPORTS

TASK_UID = 61358  # whose the workspace is when we are root; no account has it


class Done:
    """A command that has ended."""

    def __init__(self, process):
        self.out, self.err = process.communicate(timeout=90)
        self.code = process.returncode
        for report in REPORTS:
            assert report not in self.err, self.err

    @property
    def refused(self):
        return re.findall(r"^nairid sandbox: (the task .*)$", self.err, re.M)


class Box:
    done = Done  # what run() gives

    def __init__(self, account):
        self.account = account
        self.workspace = account.mkdir("work")
        uid = TASK_UID if account.is_root else account.uid
        os.chown(self.workspace, uid, uid)
        self.before = []  # the words of what is to run the program

    def start(self, options, command, **kwargs):
        argv = [*self.before, *self.account.wrap, self.account.program("nairid"), "sandbox",
                "--workspace", self.workspace, *options, "--", *command]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, cwd=self.workspace,
                                env=self.account.environ(), **kwargs)

    def run(self, *command, **kwargs):
        return self.done(self.popen(*command, **kwargs))

    def python(self, script, **kwargs):
        return self.run("/usr/bin/python3", "-c", textwrap.dedent(script), **kwargs)
