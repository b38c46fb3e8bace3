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

from agentkit import SECRET, model  # noqa: F401: a fixture

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
    name = "account" if "account" in request.fixturenames else "me"
    account = request.getfixturevalue(name)
    installed = agentkit.for_account(program, account, "opencode")

    def make(start=True, key="ANTHROPIC_API_KEY", **settings):
        daemon = make_daemon(start=False)
        secrets = {}
        if key:
            path = account.write(os.path.join(daemon.folder, "model.key"), SECRET + "\n")
            secrets = {key: {"file": path}}
        daemon.configure(runner={"name": "opencode", "argv": [], "program": installed,
                                 "model": MODEL, "permissions": "bypass", "secrets": secrets,
                                 "env": {"ANTHROPIC_BASE_URL": model.url + "/v1",
                                         "OPENAI_BASE_URL": model.url + "/v1"}},
                         sandbox={"network": {"mode": "none" if key else "host"}})
        daemon.configure(**settings)
        return daemon.boot() if start else daemon

    return make
