"""What is configured at the real hub is what the tasks of the real daemon find."""

import hashlib
import io
import json
import os
import signal
import stat
import zipfile

import pytest

from hubkit import wait_until
from skillkit import page, upload
from test_hub_configuration import assign, made
from test_provisions import PROGRAM, ready

LONG = "Grüße \"an\" 'alle' $(touch ran) \\ \t" + "0123456789abcdef" * 1024  # bytes of all kinds
SERVERS = {"tools": {"command": "mcp-tools", "env": {"TOKEN": "a-tool's-token-5551"}}}
EMPTY = {"rules": 0, "skills": 0, "mcp_servers": 0}


def skill_of(words):
    """A skill with a program, which says the words."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("pdf-tools/SKILL.md", page())
        program = zipfile.ZipInfo("pdf-tools/bin/run")
        program.external_attr = (stat.S_IFREG | 0o755) << 16
        target.writestr(program, f"#!/bin/sh\necho {words}\n")
    return data.getvalue()


@pytest.fixture
def daemon(make_daemon, me):
    """One with a shell where Claude Code would be."""
    program = me.write(os.path.join(me.shared(), "claude"), PROGRAM, 0o755)
    return make_daemon(start=False, runner={"name": "claude", "argv": [], "program": program},
                       sandbox={"network": {"mode": "host"}, "read": [os.path.dirname(program)]})


def say(daemon, prompt):
    """What a task says."""
    reply = daemon.answer(prompt)
    assert reply["role"] == "assistant", reply
    return reply["content"]


def reload(daemon, **figures):
    """HUP, until the status has these figures."""
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: figures.items() <= ready(daemon).items(), 30,
               lambda: f"{figures}: {ready(daemon)}\n{daemon.log}")


def test_variables_and_secrets_of_the_hub_are_in_a_tasks_environment_and_masked(daemon):
    hub = daemon.hub
    variable = made(hub, f"/agents/{hub.slug}/env-vars", key="PLAIN", value="plain-value-4711")
    made(hub, f"/agents/{hub.slug}/env-vars", key="LONG", value=LONG)
    vault = made(hub, "/vaults", name="keys")
    made(hub, f"/vaults/{vault['id']}/secrets", env_key="HIDDEN", value="hidden-value-4712")
    made(hub, f"/vaults/{vault['id']}/secrets", env_key="ELSEWHERE", value="for-others-4713",
         allowed_domains=["api.example.com"])
    resource = assign(hub, "vault", vault)
    daemon.boot()
    assert sorted(ready(daemon)["variables"]) == ["HIDDEN", "LONG", "PLAIN"]
    assert say(daemon, 'echo "$PLAIN $HIDDEN${ELSEWHERE-}"; printf %s "$PLAIN$HIDDEN" | rev; '
                       'printf %s "$HIDDEN" | base64') == \
        "[secret] [secret]\n2174-eulav-neddih1174-eulav-nialp[secret]\n"
    size = len(LONG.encode())
    assert say(daemon, 'printf %s "$LONG" | wc -c; printf %s "$LONG" | sha256sum; ls').split()[:2] \
        == [str(size), hashlib.sha256(LONG.encode()).hexdigest()]
    answer = hub.api("PATCH", f"/agents/{hub.slug}/env-vars/{variable['id']}",
                     {"key": "OTHER", "value": "other-value-4714"})
    assert answer.status == 200, answer
    assert hub.api("DELETE", f"/agents/{hub.slug}/resources/{resource['id']}").status == 204
    reload(daemon, variables=["OTHER", "LONG"])
    assert say(daemon, 'echo "${PLAIN-none} ${HIDDEN-none} $OTHER"; printf %s "$OTHER" | rev') == \
        "none none [secret]\n4174-eulav-rehto"
    for value in ("plain-value", "hidden-value", "for-others", "other-value", LONG[-100:]):
        assert value not in daemon.log and value not in json.dumps(daemon.status())
        assert value not in hub.log


def test_what_is_assigned_at_the_hub_lies_where_claude_code_looks_and_changes_with_it(daemon):
    hub = daemon.hub
    rule = made(hub, "/artifacts/rules", title='Style: "ours"', description="how",
                content="Grüße.")
    config = made(hub, "/artifacts/mcp-configs", title="Tools", is_sensitive=True,
                  content=json.dumps({"mcpServers": SERVERS}))
    skill = upload(hub, skill_of("flies")).json
    assigned = [assign(hub, f"agent_artifact_{kind}", entity) for kind, entity in
                (("rule", rule), ("mcp_cfg", config), ("skill", skill))]
    daemon.boot()
    found = ready(daemon)
    assert (found["rules"], found["skills"], found["mcp_servers"]) == (1, 1, 1)
    assert found["problems"] == []
    lines = say(daemon, "cat ~/.claude/rules/style-ours-*.md; ~/.claude/skills/pdf-tools*/bin/run; "
                        "cat ~/.claude/skills/pdf-tools*/SKILL.md").splitlines()
    assert lines == ["---", 'title: "Style: \\"ours\\""', 'description: "how"', "---", "",
                     "Grüße.", "flies", *page().splitlines()]
    assert json.loads(say(daemon, "cat /nairid/mcp.json")) == {"mcpServers": {"tools": {
        "command": "mcp-tools", "env": {"TOKEN": "[secret]"}}}}
    assert say(daemon, "for file in ~/.claude/rules/* ~/.claude/skills/*/* /nairid/mcp.json; do "
                       '{ echo x >>"$file" || rm -rf "$file"; } 2>/dev/null && echo "$file"; '
                       "done; { touch ~/.claude/rules/new || mkdir ~/.claude/skills/new; } "
                       "2>/dev/null; ls -A ~/.claude/skills ~/.claude/rules | wc -l") == "5\n"

    answer = hub.api("PUT", f"/artifacts/rules/{rule['id']}", {"title": "Two", "content": "second"})
    assert answer.status == 200, answer
    for resource in assigned[1:]:
        assert hub.api("DELETE",
                       f"/agents/{hub.slug}/resources/{resource['id']}").status == 204
    assert hub.api("DELETE", f"/artifacts/skills/{skill['id']}").status == 204
    assign(hub, "agent_artifact_skill", upload(hub, skill_of("swims")).json)
    reload(daemon, rules=1, skills=1, mcp_servers=0)
    assert say(daemon, "cat ~/.claude/rules/*; ~/.claude/skills/*/bin/run; ls /nairid/mcp.json "
                       "2>/dev/null").splitlines()[-2:] == ["second", "swims"]
    assert ready(daemon)["problems"] == []
    assert "a-tool's-token" not in daemon.log + hub.log


def test_an_agent_without_anything_of_its_own_gets_nothing(daemon):
    hub = daemon.hub
    hub.key_create("--agent", "other")
    made(hub, "/agents/other/env-vars", key="OTHER", value="of-another")
    rule = made(hub, "/artifacts/rules", title="One", content="of another")
    made(hub, "/agents/other/resources", entity_type="agent_artifact_rule", entity_id=rule["id"])
    daemon.boot()
    assert EMPTY.items() <= ready(daemon).items() and ready(daemon)["variables"] == []
    assert say(daemon, 'echo "${OTHER-none}"; ls -A ~/.claude/rules 2>/dev/null') == "none\n"
