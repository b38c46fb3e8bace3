"""The real Codex for tests, as npm gives it.

    def test_something(make_codex):
        daemon = make_codex(task={"timeout": "20s"})
        reply = daemon.answer("TOOL: pwd")

What the model does is written in the prompt: see tests/support/stub-model.mjs.
"""

import os
import subprocess

import pytest

import agentkit
import npmkit

from agentkit import model  # noqa: F401: a fixture

NO_NPM = "the npm registry can't be reached, so there is no Codex to run"
MODEL = "gpt-5.5"  # one that Codex knows, of which its tools are plain functions


def install():
    """The program, of the version of tests/support/codex, installed into the build directory."""
    folder = os.path.join(npmkit.install("codex", NO_NPM), "node_modules/@openai")
    found = subprocess.run(["find", folder, "-type", "f", "-name", "codex", "-size", "+1M"],
                           capture_output=True, text=True, check=True).stdout.split()
    assert len(found) == 1, f"no codex in {folder}"
    return found[0]


@pytest.fixture(scope="session")
def program():
    return install()


@pytest.fixture
def make_codex(request, program, model, make_daemon):  # noqa: F811
    """A factory of daemons whose runner is Codex: make_codex(runner={"model": "m"}).

    Its key is brokered, so its tasks need no network.
    """
    return agentkit.factory(request, make_daemon, program, "OPENAI_API_KEY", {
        "name": "codex", "model": MODEL, "env": {"OPENAI_BASE_URL": model.url + "/v1"}})
