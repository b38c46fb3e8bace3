"""The real Claude Code for tests, as npm gives it, and a model for it to talk to.

    def test_something(make_claude):
        daemon = make_claude(task={"timeout": "20s"})
        reply = daemon.answer("TOOL: pwd")

What the model does is written in the prompt: see tests/support/stub-model.mjs.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess

import pytest

import npmkit

from hubkit import wait_until
from npmkit import SUPPORT

SECRET = "stub-key-of-the-tests"
NO_NPM = "the npm registry can't be reached, so there is no Claude Code to run"
BYTES_EACH = 450 << 20  # of memory that one running Claude Code is to have here


def install():
    """Installs the version of tests/support/claude into the build directory, once; its program."""
    folder = os.path.join(os.environ["NAIRID_BUILD"], "claude-code")
    os.makedirs(folder, exist_ok=True)
    program = os.path.join(folder, "node_modules/@anthropic-ai/claude-code/bin/claude.exe")
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not _is_installed(folder, program):
            _fetch(folder, program)
    return program


def _is_installed(folder, program):
    """Whether it is there, and of the version that is wanted."""
    with open(os.path.join(SUPPORT, "claude/package.json"), encoding="ascii") as file:
        wanted = json.load(file)["dependencies"]["@anthropic-ai/claude-code"]
    done = os.path.join(folder, "version")
    if not os.path.exists(done) or not os.access(program, os.X_OK):
        return False
    with open(done, encoding="ascii") as file:
        return file.read() == wanted


def _fetch(folder, program):
    npmkit.fetch("claude", folder, NO_NPM)
    # what npm would do if it ran scripts: put the native program in place
    subprocess.run(["node", "install.cjs"], cwd=os.path.dirname(os.path.dirname(program)),
                   check=True, timeout=60)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60,
                             env={"HOME": folder, "PATH": "/usr/bin:/bin"}, check=True)
    with open(os.path.join(folder, "version"), "w", encoding="ascii") as file:
        file.write(version.stdout.split()[0])


def for_account(program, account):
    """The program where the account can execute it: a build beneath /root is closed to others."""
    if subprocess.run([*account.wrap, "test", "-x", program]).returncode == 0:
        return program
    folder = account.mkdir("node_modules", 0o755)
    os.makedirs(os.path.join(folder, "claude-code"))
    return shutil.copy(program, os.path.join(folder, "claude-code", "claude"))


def how_many(most):
    """How many Claude Codes this machine can run at once."""
    with open("/proc/meminfo", encoding="ascii") as file:
        [available] = [int(line.split()[1]) << 10 for line in file
                       if line.startswith("MemAvailable:")]
    return max(2, min(most, available // BYTES_EACH))


class Model:
    """The model's stand-in, on loopback."""

    def __init__(self, folder):
        self.log = os.path.join(folder, "requests.ndjson")
        script = os.path.join(SUPPORT, "stub-model.mjs")
        self.proc = subprocess.Popen(["node", script, "0", "--log", self.log],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        line = self.proc.stdout.readline().decode()
        assert line.startswith("ready "), line
        self.url = line.split()[1]

    def requests(self):
        """The bodies of what it was asked, oldest first."""
        if not os.path.exists(self.log):
            return []
        with open(self.log, encoding="utf-8") as file:
            entries = [json.loads(line) for line in file.read().splitlines()]
        return [entry["body"] for entry in entries
                if entry["path"].startswith("/v1/messages") and entry.get("body")]

    def wait_asked(self, text, timeout_s=30):
        """Waits until a request has the text in its conversation; returns that request."""

        def look():
            return next((body for body in self.requests()
                         if text in json.dumps(body.get("messages"))), None)

        return wait_until(look, timeout_s, f"the model to be asked for {text}")

    def end(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(10)
        self.proc.stdout.close()


# fixtures


@pytest.fixture(scope="session")
def program():
    return install()


@pytest.fixture
def model(tmp_path, make_daemon):  # so that it ends before the daemons are looked after
    model = Model(str(tmp_path))
    yield model
    model.end()


@pytest.fixture
def make_claude(request, program, model, make_daemon):
    """A factory of daemons whose runner is Claude Code: make_claude(runner={"model": "m"}).

    Its key is brokered, so its tasks need no network.
    """
    name = "account" if "account" in request.fixturenames else "me"
    account = request.getfixturevalue(name)
    installed = for_account(program, account)

    def make(start=True, key=SECRET, **settings):
        daemon = make_daemon(start=False)
        secrets = {}
        if key:
            path = account.write(os.path.join(daemon.folder, "anthropic.key"), key + "\n")
            secrets = {"ANTHROPIC_API_KEY": {"file": path}}
        daemon.configure(runner={"name": "claude", "argv": [], "program": installed,
                                 "permissions": "bypass", "secrets": secrets,
                                 "env": {"ANTHROPIC_BASE_URL": model.url,
                                         "CLAUDE_CODE_MAX_RETRIES": "0"}},
                         sandbox={"network": {"mode": "none" if key else "host"}})
        daemon.configure(**settings)
        return daemon.boot() if start else daemon

    return make
