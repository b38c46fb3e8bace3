"""What takes Codex long: it tries again, with growing pauses, before it says what is wrong."""

import json
import os

import agentkit

from claude_provided import furnish, server_program  # noqa: F401: a fixture
from codexkit import make_codex, model, program  # noqa: F401: fixtures
from daemonkit import ERROR
from hubkit import wait_until
from test_provisions import ready

FAILURES = [
    ("FAIL 401", "refused the key", "401 Unauthorized"),
    ("FAIL 429", "limits how much", "429 Too Many Requests"),
    ("FAIL 500", "has a problem", "high demand"),
    ("OVERLOADED", "overloaded", "at capacity"),
    ("FAIL 400", "refused the request", "Stub error 400"),
    ("REFUSE 404 not_found_error model gpt-nope does not exist", "runner.model", "gpt-nope"),
    ("REFUSE 429 insufficient_quota You exceeded your quota", "usage limit", "Quota exceeded"),
]


def test_each_failure_has_words_that_a_chat_user_can_act_on(make_codex):  # noqa: F811
    daemon = make_codex()
    agentkit.check_failures(daemon, FAILURES)


def test_a_model_out_of_reach_is_told(make_codex):  # noqa: F811
    daemon = make_codex(runner={"env": {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}})
    assert "could not reach its model" in daemon.failure("hello")


def test_a_network_that_stays_away_ends_the_turn(make_codex):  # noqa: F811
    """Codex itself would wait for ever."""
    daemon = make_codex(runner={"broker": "off", "env": {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}},
                        sandbox={"network": {"mode": "host"}}, task={"idle_timeout": "5m"})
    assert "could not reach its model" in daemon.failure("hello", timeout_s=240)


def test_a_turn_is_cancelled_in_the_middle_of_a_tool(make_codex):  # noqa: F811
    daemon = make_codex()
    job, message = daemon.hub.start("TOOL: echo begun > begun; sleep 1000")
    begun = os.path.join(daemon.state, "jobs", job, "workspace", "begun")
    wait_until(lambda: os.path.exists(begun), 30, "the tool to begin")
    assert daemon.hub.api("POST", f"/conversations/{job}/stop").status == 202
    assert daemon.reply(job, message)["content"] == ERROR + "stopped by the user"
    wait_until(lambda: not daemon.tasks(), 5, "the sandbox to be empty")
    content = daemon.reply(job, daemon.hub.resume(job, "RECALL"))["content"]
    assert "sleep 1000" in content and content.endswith("RECALL")


def test_rules_skills_servers_and_variables_reach_the_model(
        account, make_codex, model, server_program):  # noqa: F811
    daemon = make_codex(start=False, sandbox={"read": [os.path.dirname(server_program)]})
    furnish(daemon.hub, ["/usr/bin/python3", server_program, "the sum is "])
    daemon.boot()
    given = ready(daemon)
    assert (given["rules"], given["skills"], given["mcp_servers"]) == (1, 1, 1)
    assert given["problems"] == []
    content = daemon.answer('TOOL: printf %s "$GIVEN" | rev; cat ~/.agents/skills/*/notes/how.txt',
                            60)["content"]
    assert "buh-eht-fo-elbairav-afold twice" in content
    seen = json.dumps(model.requests("/v1/responses")[-1])
    assert "AHOY-4711" in seen and "Folds PDF files into paper planes." in seen
    assert "mcp__tools" in seen


def test_what_can_not_be_given_is_named(make_codex, tmp_path):  # noqa: F811
    daemon = make_codex(start=False, sandbox={"profile": "host"})
    furnish(daemon.hub, ["/bin/false"])
    daemon.boot()
    assert [problem.partition(": its file")[0] for problem in ready(daemon)["problems"]] == [
        "artifacts: the runner codex doesn't get the rules",
        "artifacts: the runner codex doesn't get the MCP servers"]
    assert daemon.answer("hello")["content"] == "ECHO: hello"
