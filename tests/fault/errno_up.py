"""What errno_test.py has `nairid up` do: a first start with its keys, a restart of whichever of the
two dies, an end; and a second start from what the first one left.

Only the process `nairid up` itself is failed, until it executes another program.
"""

import http.client
import json
import os
import shutil
import signal
import stat
import subprocess
import time

from daemonkit import Program, assert_nothing_left
from errnokit import Scenario, fds_of
from processes import descendants

STEP_S = 90
SETTINGS = {"runner": {"name": "command", "argv": ["sh"]}, "drain_timeout": "5s",
            "sandbox": {"network": {"mode": "none"}}}
MINE = {"client.env", "agent.key", "hub.db", "hub.db-wal", "hub.db-shm", "hub.db.lock", "hub.db.key",
        "hub.db-attachments", "daemon", "nairid.lock", "notify.sock"}  # which the next start removes, if need be


class Ended(Exception):
    """The program has ended, unasked."""


class Evening(Scenario):
    """From an empty state directory."""

    EXITS = {0, 69, 70, 73, 74, 75}  # as a daemon's
    refused = 0

    def __init__(self, account, name):
        self.account = account
        self.folder = account.mkdir(name)
        self.state = os.path.join(self.folder, "state")
        self.config = account.write(os.path.join(self.folder, "up.yaml"), json.dumps(SETTINGS))
        self.program = None
        self.codes = []
        self.log = ""
        self.went_well = False
        self.prepare()

    def prepare(self):
        pass

    def done(self):
        if self.program:
            self.program.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # steps

    def start(self, env):
        self.program = Program(self.account,
                               [self.account.program("nairid"), "up", "-c", self.config, "--state",
                                self.state, "--listen", "127.0.0.1:0"],
                               self.folder, f"up-{len(self.codes)}", self.account.environ(**env))

    def until(self, condition, what):
        deadline = time.monotonic() + STEP_S
        while True:
            value = condition()
            if value:
                return value
            if not self.program.is_running():
                raise Ended(what)
            assert time.monotonic() < deadline, f"waited {STEP_S} s for {what}\n{self.program.log}"
            time.sleep(0.01)  # poll

    def ready(self):
        return self.until(lambda: self.program.stdout.startswith("ready http://") and
                          "\n" in self.program.stdout, "the first line")

    def child(self, verb):
        """Of the process itself: its hub ("serve") or its daemon ("run")."""
        for process in descendants(self.program.pid):
            if process.parent == self.program.pid and process.argv()[1:2] == [verb]:
                return process.pid
        return None

    def client(self):
        """The variables of client.env."""
        with open(os.path.join(self.state, "client.env"), encoding="ascii") as file:
            return dict(line.split("=", 1) for line in file.read().splitlines() if "=" in line)

    def call(self, method, path, body=None):
        """The JSON of an answer, None where there is none now."""
        client = self.client()
        host = client["NAIRI_API_URL"].removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=STEP_S)
        try:
            connection.request(method, "/api/public/v1" + path, body and json.dumps(body),
                               {"Authorization": f"Bearer {client['NAIRI_PUBLIC_API_KEY']}",
                                "Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            return json.loads(text) if response.status < 300 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def ask(self, word):
        """A task is started and answered."""
        message = self.until(lambda: self.call(
            "POST", "/conversations/start",
            {"agent_id": self.client()["NAIRI_AGENT_ID"], "prompt": f"echo {word}"}),
            "a conversation to start")["message_id"]
        self.until(lambda: (self.call("GET", f"/messages/{message}") or {}).get("status") ==
                   "completed", f"the answer to {word}")

    def restart(self, verb):
        """One of the two dies and comes back."""
        pid = self.until(lambda: self.child(verb), verb)
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: self.child(verb) not in (None, pid), f"a new {verb}")

    def live(self):
        self.ready()
        self.ask("one")
        self.restart("serve")
        self.restart("run")
        self.ask("two")

    def wait(self):
        self.codes.append(self.program.wait(STEP_S))
        self.log += self.program.log
        self.program = None

    # the whole

    def play(self, env, usual=None):
        self.start(dict(env, ERRNO_SHIM_VERB="up"))
        try:
            self.live()
            self.more_fds = self.leaked(usual)
            self.program.send(signal.SIGTERM)
        except Ended:
            self.wait()
            return False
        self.wait()
        return True

    def is_running(self):
        return self.program.is_running()

    def count_fds(self):
        return fds_of(self.program.pid)

    def is_done(self):
        return True

    def mend(self):
        """Without the fault: the same directory serves."""
        if self.codes[-1] == 0:
            return False
        assert_nothing_left(self.kept(), STEP_S)  # until then the two hold their locks
        self.start({})
        self.ready()
        self.ask("mended")
        self.program.send(signal.SIGTERM)
        self.wait()
        assert self.codes[-1] == 0, f"exit {self.codes} of the one that mends\n{self.log}"
        return True

    def check(self):
        left = set(os.listdir(self.state)) - MINE
        assert not left, f"left in the state directory: {left}"
        for name in ("client.env", "agent.key"):
            mode = stat.S_IMODE(os.stat(os.path.join(self.state, name)).st_mode)
            assert mode == 0o600, f"{name} has mode {mode:o}"
        return []


class Again(Evening):
    """From what another one left, in a directory whose name is too long for a socket."""

    yesterday = None

    @classmethod
    def make(cls, account, name):
        life = Evening(account, name)
        life.start({})
        life.ready()
        life.program.send(signal.SIGTERM)
        life.wait()
        cls.yesterday = life

    def prepare(self):
        self.state = os.path.join(self.folder, "s" * 120)
        subprocess.run(["cp", "-a", self.yesterday.state, self.state], check=True)

    def live(self):
        self.ready()
