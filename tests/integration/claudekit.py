"""The real Claude Code for tests, as npm gives it, and a model for it to talk to.

    def test_something(make_claude):
        daemon = make_claude(task={"timeout": "20s"})
        reply = daemon.answer("TOOL: pwd")

What the model does is written in the prompt: see tests/support/stub-model.mjs.
"""

import fcntl
import json
import os
import subprocess

import pytest

import agentkit
import npmkit

from agentkit import SECRET, Model, model  # noqa: F401: a fixture
from npmkit import SUPPORT

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
    return agentkit.for_account(program, account, "claude")


def how_many(most):
    """How many Claude Codes this machine can run at once."""
    return agentkit.how_many(most, BYTES_EACH)


# fixtures


@pytest.fixture(scope="session")
def program():
    return install()


@pytest.fixture
def make_claude(request, program, model, make_daemon):
    """A factory of daemons whose runner is Claude Code: make_claude(runner={"model": "m"}).

    Its key is brokered, so its tasks need no network.
    """
    return agentkit.factory(request, make_daemon, program, "ANTHROPIC_API_KEY", {
        "name": "claude", "permissions": "bypass",
        "env": {"ANTHROPIC_BASE_URL": model.url, "CLAUDE_CODE_MAX_RETRIES": "0"}})
