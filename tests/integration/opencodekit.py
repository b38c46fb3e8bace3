"""The real OpenCode for tests, as npm gives it.

    def test_something(make_opencode):
        daemon = make_opencode(task={"timeout": "20s"})
        reply = daemon.answer("TOOL: pwd")

What the model does is written in the prompt: see tests/support/stub-model.mjs.
"""

import os
import platform

import pytest

import agentkit
import npmkit

from agentkit import model  # noqa: F401: a fixture

NO_NPM = "the npm registry can't be reached, so there is no OpenCode to run"
MODEL = "anthropic/claude-test-1"


def install():
    """The program, of the version of tests/support/opencode, installed into the build directory."""
    if platform.machine() != "x86_64":
        pytest.skip("tests/support/opencode has no OpenCode for this processor")
    folder = npmkit.install("opencode", NO_NPM)
    return os.path.join(folder, "node_modules/opencode-linux-x64-baseline/bin/opencode")


@pytest.fixture(scope="session")
def program():
    return install()


@pytest.fixture
def make_opencode(request, program, model, make_daemon):  # noqa: F811
    """A factory of daemons whose runner is OpenCode: make_opencode(runner={"model": "openai/m"}).

    Its key is brokered, so its tasks need no network.
    """
    return agentkit.factory(request, make_daemon, program, "ANTHROPIC_API_KEY", {
        "name": "opencode", "model": MODEL, "permissions": "bypass",
        "env": {"ANTHROPIC_BASE_URL": model.url + "/v1", "OPENAI_BASE_URL": model.url + "/v1"}})
