"""What tests of the agents' real programs share: a model for them to talk to, and where they are."""

import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from daemonkit import ERROR
from hubkit import wait_until
from npmkit import SUPPORT

SECRET = "stub-key-of-the-tests"


def for_account(program, account, name):
    """The program where the account can execute it: a build beneath /root is closed to others."""
    if subprocess.run([*account.wrap, "test", "-x", program]).returncode == 0:
        return program
    folder = account.mkdir("node_modules", 0o755)
    os.makedirs(os.path.join(folder, "agent"))
    return shutil.copy(program, os.path.join(folder, "agent", name))


def factory(request, make_daemon, program, key, runner):
    """A factory of daemons with that runner (its section of the settings): make(task={...}).

    The model's key comes by the secret named so (None: there is none) and is brokered, so that
    tasks need no network.
    """
    name = "account" if "account" in request.fixturenames else "me"
    account = request.getfixturevalue(name)
    installed = for_account(program, account, runner["name"])

    def make(start=True, key=key, **settings):
        daemon = make_daemon(start=False)
        secrets = {}
        if key:
            path = account.write(os.path.join(daemon.folder, "model.key"), SECRET + "\n")
            secrets = {key: {"file": path}}
        daemon.configure(runner={"argv": [], "program": installed, "secrets": secrets, **runner},
                         sandbox={"network": {"mode": "none" if key else "host"}})
        daemon.configure(**settings)
        return daemon.boot() if start else daemon

    return make


def check_failures(daemon, failures, timeout_s=60):
    """Asks for each (prompt, our words, the program's own words) at once; what a person is told of
    it has both."""
    started = [(daemon.hub.start(prompt), prompt, ours, its) for prompt, ours, its in failures]
    for (job, message), prompt, ours, its in started:
        reply = daemon.reply(job, message, timeout_s)
        assert reply["role"] == "system" and reply["content"].startswith(ERROR), (prompt, reply)
        assert ours in reply["content"] and its in reply["content"], (prompt, reply)
        assert SECRET not in reply["content"]


WRAPPER = """#!/bin/sh
# the agent's program, and something that outlives it
{before}
"{program}" "$@"
{after}
"""


def wrap(make, program, account, before="", after=""):
    """A daemon, made by make(), whose program is a script around the real one."""
    path = os.path.join(account.shared(), "wrapper")
    with open(path, "w", encoding="utf-8") as file:
        file.write(WRAPPER.format(program=program, before=before, after=after))
    os.chmod(path, 0o755)
    return make(runner={"program": path}, sandbox={"read": [os.path.dirname(program)]})


def ends(daemon):
    """How the daemon says that tasks ended: ["status=0", "signal=SIGTERM"]"""
    return re.findall(r"task_ended .*?(status=\d+|signal=\w+)", daemon.log)


def how_many(most, bytes_each):
    """How many programs of that size this machine can run at once."""
    with open("/proc/meminfo", encoding="ascii") as file:
        [available] = [int(line.split()[1]) << 10 for line in file
                       if line.startswith("MemAvailable:")]
    return max(2, min(most, available // bytes_each))


class Model:
    """The model's stand-in, on loopback. What it does is written in the prompt: see
    tests/support/stub-model.mjs."""

    def __init__(self, folder):
        self.log = os.path.join(folder, "requests.ndjson")
        script = os.path.join(SUPPORT, "stub-model.mjs")
        self.proc = subprocess.Popen(["node", script, "0", "--log", self.log],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        line = self.proc.stdout.readline().decode()
        assert line.startswith("ready "), line
        self.url = line.split()[1]

    def entries(self):
        """What it was asked, oldest first: method, path, headers, body."""
        if not os.path.exists(self.log):
            return []
        with open(self.log, encoding="utf-8") as file:
            return [json.loads(line) for line in file.read().splitlines()]

    def requests(self, path="/v1/messages"):
        """The bodies of what it was asked there."""
        return [entry["body"] for entry in self.entries()
                if entry["path"].startswith(path) and entry.get("body")]

    def wait_asked(self, text, timeout_s=30):
        """Waits until a request has the text in it; returns that request's body."""

        def look():
            return next((entry["body"] for entry in self.entries()
                         if text in json.dumps(entry.get("body"))), None)

        return wait_until(look, timeout_s, f"the model to be asked for {text}")

    def end(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(10)
        self.proc.stdout.close()


@pytest.fixture
def model(tmp_path, make_daemon):  # so that it ends before the daemons are looked after
    model = Model(str(tmp_path))
    yield model
    model.end()
