"""What errno_test.py has a person do: the verbs, each run to its end beside a hub and a daemon that
nothing fails.

Whatever happens to a verb, the next try, without the fault, must do what it is there for.
"""

import json
import os
import re
import shutil
import subprocess

from daemonkit import Daemon
from errnokit import Scenario
from hubkit import REPORTS, Hub, wait_until
from webkit import Server

STEP_S = 90


class Desk:
    """What the verbs ask: a daemon of a hub, and a web server."""

    def __init__(self, account, name):
        self.hub = Hub(account.mkdir(f"{name}-hub")).boot()
        self.hub_name = f"http://localhost:{self.hub.host.port}"
        self.daemon = Daemon(account, self.hub, f"{name}-daemon").boot()
        self.web = Server()
        self.pids = (self.hub.proc.pid, self.daemon.pid)

    def end(self):
        self.web.end()
        self.daemon.end()
        self.hub.end()


class Verb(Scenario):
    EXITS = {0, 69, 70, 73, 74, 75}  # as a daemon's
    SAYS = ".*"  # on standard output, where all is well
    desk = None  # of all verbs
    refused = 0

    @classmethod
    def make(cls, account, name):
        if not Verb.desk:
            Verb.desk = Desk(account, name)

    @classmethod
    def unmake(cls):
        if Verb.desk:
            Verb.desk.end()
            Verb.desk = None

    @classmethod
    def kept(cls):
        return Verb.desk.pids

    def __init__(self, account, name):
        self.account = account
        self.folder = account.mkdir(name)
        self.codes = []
        self.log = ""
        self.prepare()

    def done(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self):
        pass

    def argv(self):
        raise NotImplementedError

    def run(self, env):
        """Whether it says that all is well, and then it must be."""
        done = subprocess.run([*self.account.wrap, self.account.program("nairid"), *self.argv()],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=STEP_S, env=self.account.environ(**env), cwd=self.folder)
        self.codes.append(done.returncode)
        self.log += done.stdout + done.stderr
        for report in REPORTS:
            assert report not in done.stderr, done.stderr
        if done.returncode == 0:
            assert re.fullmatch(self.SAYS, done.stdout, re.S), (done.stdout, done.stderr)
        return done.returncode == 0

    def play(self, env, usual=None):
        return self.run(env)

    def mend(self):
        if self.codes[-1] == 0:
            return False
        assert self.run({}), f"exit {self.codes} without the fault\n{self.log}"
        return True

    def is_done(self):
        return True

    def check(self):
        return []

    # what several need

    def settings(self, **more):
        """A file that a daemon could run with."""
        values = dict(self.desk.daemon.settings, **more)
        return self.account.write(os.path.join(self.folder, "nairid.yaml"),
                                  json.dumps(values, indent=1))


class Config(Verb):
    SAYS = "# agent key: .*\nserver.url: .*\nmetrics.listen: .*\nlog.format: .*"

    def argv(self):
        return ["config", "-c", self.settings()]


class Status(Verb):
    SAYS = r"nairid .*, process \d+, .*connected to http.* running, .*"

    def argv(self):
        return ["status", "--state", self.desk.daemon.state]


class Cancel(Verb):
    """Of a task that runs."""

    EXITS = Verb.EXITS | {1}  # it is cancelled already, though the answer was lost
    SAYS = "stopping job_.*"

    def prepare(self):
        self.job, self.message = self.desk.hub.start("exec sleep 600")
        self.desk.daemon.wait_running(self.message)

    def argv(self):
        return ["cancel", "--state", self.desk.daemon.state, self.job]

    def mend(self):
        if self.codes[-1] == 0:
            return False
        if not self.run({}):
            assert self.codes[-1] == 1 and "no task" in self.log, f"{self.codes}\n{self.log}"
        return True

    def check(self):
        assert "stopped by the user" in self.desk.daemon.reply(self.job, self.message)["content"]
        return []


class Drain(Verb):
    """Of a daemon of its own, whose server nobody reaches."""

    SAYS = "draining: .*"

    def prepare(self):
        self.daemon = Daemon(self.account, None, os.path.basename(self.folder) + "-drained").start()
        wait_until(self.daemon.status, STEP_S, "the daemon that is to be drained")

    def argv(self):
        return ["drain", "--state", self.daemon.state]

    def check(self):
        assert self.daemon.program.wait(STEP_S) == 0, self.daemon.log
        return []

    def done(self):
        self.daemon.program.kill()
        shutil.rmtree(self.daemon.folder, ignore_errors=True)
        super().done()


class Ask(Verb):
    """By what `nairid up` leaves for it; the server has a name."""

    SAYS = "asked\n"

    def prepare(self):
        self.account.write(os.path.join(self.folder, "client.env"),
                           f"NAIRI_API_URL={self.desk.hub_name}\n"
                           f"NAIRI_PUBLIC_API_KEY={self.desk.hub.org_key}\n"
                           f"NAIRI_AGENT_ID={self.desk.hub.slug}\n")

    def argv(self):
        return ["ask", "--state", self.folder, "echo asked"]


class Check(Verb):
    SAYS = "((OK|WARN)  .*\n)*"

    def prepare(self):
        self.state = os.path.join(self.folder, "state")
        os.mkdir(self.state, 0o700)
        os.chown(self.state, self.account.uid, -1)

    def argv(self):
        return ["check", "-c", self.settings(server={"url": self.desk.hub_name}), "--state",
                self.state]


class Sandbox(Verb):
    """With a way out."""

    EXITS = Verb.EXITS | {22, 137}  # of curl; killed
    SAYS = "hello"

    def prepare(self):
        uid = 61358 if self.account.is_root else self.account.uid  # root's command isn't root
        self.workspace = os.path.join(self.folder, "workspace")
        os.mkdir(self.workspace)
        os.chown(self.workspace, uid, uid)

    def argv(self):
        port = self.desk.web.port
        return ["sandbox", "--workspace", self.workspace, "--network", "allowlist", "--allow",
                f"127.0.0.1:{port}", "--", "curl", "-sS", "--fail-with-body",
                f"http://127.0.0.1:{port}/"]
