"""OpenCode itself, the one that npm gives, in the sandbox, against a model of ours on loopback. It
takes three seconds a turn: most tests of it are in opencode_long.py."""

import os

from agentkit import SECRET
from opencodekit import make_opencode, model, program  # noqa: F401: fixtures


def test_a_conversation_with_tools_goes_on_without_the_key_being_in_reach(
        account, make_opencode, model):  # noqa: F811
    daemon = make_opencode()
    job, first = daemon.hub.start(
        "TOOL: echo made > file; id -u; pwd; ls -A /tmp | grep -c '[.]so$'; "
        f"grep -rasl '[{SECRET[0]}]{SECRET[1:]}' /proc/[0-9]*/environ /home /workspace /nairid; true")
    reply = daemon.reply(job, first, 120)
    assert (reply["role"], reply["content"]) == ("assistant", "OUTPUT:\n1000\n/workspace\n1\n")
    assert reply["model"] == "claude-test-1"
    assert reply["input_tokens"] > 0 and reply["output_tokens"] > 0
    workspace = os.path.join(daemon.state, "jobs", job, "workspace")
    assert os.listdir(workspace) == ["file"]
    second = daemon.hub.resume(job, "RECALL")
    content = daemon.reply(job, second, 120)["content"]
    assert content.startswith("RECALLED 2:\nTOOL: echo made") and content.endswith("RECALL")
    entries = model.entries()
    assert {entry["path"] for entry in entries} == {"/v1/messages"}
    assert {entry["body"]["model"] for entry in entries} == {"claude-test-1"}


def test_a_refused_key_is_named(make_opencode):  # noqa: F811
    text = make_opencode().failure("FAIL 401", 120)
    assert "refused the key" in text and "invalid x-api-key" in text
