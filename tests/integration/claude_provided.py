"""Claude Code itself with what the real hub provides: it reads the rules, knows the skills, runs
the MCP servers and has the variables; and with a gateway's servers in place of those."""

import io
import json
import os
import zipfile

import pytest

import claudekit
import mcpkit

from claudekit import make_claude, model, program  # noqa: F401: fixtures
from skillkit import page, upload
from test_hub_configuration import assign, made
from test_provisions import ready
from webkit import Server

RULE = "Whoever asks is greeted with AHOY-4711."
CALL = 'CALL mcp__{server}__add {{"a": 2, "b": 40}}\n'


def skill():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as target:
        target.writestr("SKILL.md", page(description="Folds PDF files into paper planes."))
        target.writestr("notes/how.txt", "fold twice\n")
    return data.getvalue()


def furnish(hub, command):
    """All that can be assigned to an agent."""
    made(hub, f"/agents/{hub.slug}/env-vars", key="GIVEN", value="a-variable-of-the-hub")
    rule = made(hub, "/artifacts/rules", title="Greetings", description="how", content=RULE)
    config = made(hub, "/artifacts/mcp-configs", title="Tools", content=json.dumps(
        {"mcpServers": {"tools": {"command": command[0], "args": command[1:]}}}))
    for kind, entity in (("rule", rule), ("mcp_cfg", config),
                         ("skill", upload(hub, skill()).json)):
        assign(hub, f"agent_artifact_{kind}", entity)


def offered(body):
    return {tool["name"] for tool in body.get("tools", [])}


def main_request(model, tool):  # noqa: F811
    """The request of the conversation itself, which is offered all tools."""
    bodies = [body for body in model.requests() if tool in offered(body)]
    assert bodies, [sorted(offered(body)) for body in model.requests()]
    return bodies[-1]


@pytest.fixture
def server_program(account):
    folder = account.shared()
    with open(mcpkit.__file__, encoding="ascii") as file:
        return account.write(os.path.join(folder, "mcpkit.py"), file.read(), 0o644)


def test_rules_skills_servers_and_variables_reach_the_model_and_can_be_used(
        account, make_claude, model, server_program):  # noqa: F811
    daemon = make_claude(start=False, sandbox={"read": [os.path.dirname(server_program)]})
    # one that takes longer to begin than Claude Code would wait for it unasked
    furnish(daemon.hub, ["/bin/sh", "-c", 'sleep 6; exec /usr/bin/python3 "$0" "the sum is "',
                         server_program])
    daemon.boot()
    assert (ready(daemon)["rules"], ready(daemon)["skills"], ready(daemon)["mcp_servers"]) == \
        (1, 1, 1)
    reply = daemon.answer(CALL.format(server="tools") +
                          'TOOL: printf %s "$GIVEN" | rev; cat ~/.claude/skills/*/notes/how.txt', 60)
    assert reply["content"] == "OUTPUT:\nthe sum is 42\n---\nbuh-eht-fo-elbairav-afold twice"
    body = main_request(model, "mcp__tools__add")
    seen = json.dumps([body.get("system"), body.get("messages")])
    assert "AHOY-4711" in seen
    assert "Folds PDF files into paper planes." in seen + json.dumps(body["tools"])


def test_a_skill_can_be_called_by_its_name(make_claude, model):  # noqa: F811
    daemon = make_claude(start=False)
    furnish(daemon.hub, ["true"])
    daemon.boot()
    ready(daemon)
    folder = daemon.answer("TOOL: ls ~/.claude/skills", 60)["content"].split()[-1]
    assert folder.startswith("pdf-tools")
    reply = daemon.answer('CALL Skill {"skill": "' + folder + '"}', 60)
    assert reply["role"] == "assistant", reply
    assert any("# What to do" in json.dumps(body.get("messages")) for body in model.requests())


def test_a_gateways_server_is_used_in_the_place_of_the_hubs(account, make_claude,  # noqa: F811
                                                            model):
    gateway = Server()
    gateway.answers["/servers"] = (200, b'[{"name": "far", "url": "/far/mcp"}]')
    gateway.answers["/far/mcp"] = mcpkit.over_http("from afar: ")
    try:
        daemon = make_claude(start=False, runner={"mcp_gateway": gateway.url},
                             sandbox={"network": {"mode": "allowlist"}})
        furnish(daemon.hub, ["true"])
        daemon.boot()
        assert ready(daemon)["hosts_not_allowed"] == []
        reply = daemon.answer(CALL.format(server="far"), 60)
        assert reply["content"] == "OUTPUT:\nfrom afar: 42"
        assert "mcp__tools__add" not in offered(main_request(model, "mcp__far__add"))
        for _, headers, _ in gateway.seen:
            assert claudekit.SECRET not in str(headers)
    finally:
        gateway.end()
