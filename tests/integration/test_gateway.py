"""A gateway whose MCP servers tasks use in place of the control plane's."""

import json
import signal

import pytest

from hubkit import wait_until
from test_provisions import make, provider, ready  # noqa: F401: fixtures
from webkit import Server

ASK = """python3 - <<'END'
import urllib.request
for url in ({urls}):
    try:
        print(urllib.request.urlopen(url, timeout=20).read().decode())
    except OSError as error:
        print(getattr(error, "code", error))
END"""
SERVERS = [{"name": "git hub", "url": "/github/mcp"}, {"name": "files", "url": "/files?all=1"}]


@pytest.fixture
def gateway():
    gateway = Server()
    gateway.answers["/servers"] = (200, json.dumps(SERVERS).encode())
    gateway.answers["/github/mcp"] = (200, b"the server itself")
    yield gateway
    gateway.end()


@pytest.fixture
def furnished(provider):  # noqa: F811
    """With a rule and an MCP config."""
    provider.artifact("rule", "Rule", "rules/rule.md", b"rule\n")
    provider.config = provider.artifact("mcp_config", "Tools", "mcp/tools.json",
                                        b'{"mcpServers":{"local":{"command":"true"}}}')
    return provider


def servers_of(gateway):
    return {"mcpServers": {entry["name"]: {"type": "http", "url": gateway.url + entry["url"]}
                           for entry in SERVERS}}


def hup(daemon, **settings):
    daemon.configure(**settings)
    daemon.program.send(signal.SIGHUP)


def test_its_servers_take_the_place_of_mcp_configs_by_the_old_name(make, furnished,  # noqa: F811
                                                                   gateway):
    daemon = make(start=False)
    daemon.env["AGENT_MCP_PROXY"] = gateway.url + "/"
    daemon.boot()
    text = furnished.answer('cat /nairid/mcp.json; echo; cat ~/.claude/rules/rule.md; '
                            'for word in "$@"; do echo "$word"; done | grep mcp')
    lines = text.splitlines()
    assert json.loads(lines[0]) == servers_of(gateway)
    assert lines[1:] == ["rule", "--mcp-config=/nairid/mcp.json"]
    found = ready(daemon)
    assert (found["rules"], found["mcp_servers"], found["problems"]) == (1, 2, [])
    with furnished.lock:
        assert f"/api/agents/attachments/{furnished.config}" not in \
            [request.path for request in furnished.requests]
    assert gateway.paths() == ["/servers"]
    [(_, headers, _)] = gateway.seen
    assert {"authorization", "x-agent-id", "x-ccagent-id"}.isdisjoint(map(str.lower, headers))
    checked = daemon.run("check", "-c", daemon.config, "--state", daemon.state).stdout
    assert "1 rule, 0 skills, 2 MCP servers of the gateway" in checked
    assert f"gateway   {gateway.url} has 2 MCP servers\n" in checked
    gateway.answers["/servers"] = (404, b"{}")
    checked = daemon.run("check", "-c", daemon.config, "--state", daemon.state).stdout
    assert f"WARN  gateway   the MCP gateway {gateway.url} (runner.mcp_gateway) answers with " \
        "status 404" in checked


def test_tasks_reach_the_gateway_as_the_operator_named_it_and_nothing_beside_it(
        account, make, provider, gateway):  # noqa: F811
    other = Server()
    daemon = make(start=False, runner={"mcp_gateway": gateway.url})
    daemon.configure(sandbox={"network": {"mode": "allowlist"}})
    daemon.boot()
    assert ready(daemon)["hosts_not_allowed"] == []
    text = provider.answer(ASK.format(urls=f"'{gateway.url}/github/mcp', '{other.url}/x'"))
    assert text.splitlines() == ["the server itself", "403"]
    assert other.seen == []
    other.end()
    told = daemon.run("sandbox", "-c", daemon.config, "--state", daemon.state, "--explain", "--",
                      "true", cwd=daemon.folder).stdout
    assert f"127.0.0.1:{gateway.port}" in told and "runner.mcp_gateway, " in told


def test_with_a_proxy_for_tasks_the_gateway_is_asked_without_it(make, provider,  # noqa: F811
                                                                gateway):
    daemon = make(start=False, runner={"mcp_gateway": gateway.url})
    daemon.env["AGENT_HTTP_PROXY"] = "http://127.0.0.1:9"
    daemon.boot()
    assert provider.answer('echo "$HTTP_PROXY $NO_PROXY $no_proxy"') == \
        "http://127.0.0.1:9 127.0.0.1 127.0.0.1\n"
    assert ready(daemon)["mcp_servers"] == 2


def test_on_hup_it_is_asked_again_and_without_it_the_configs_are_back(make, furnished,  # noqa: F811
                                                                      gateway):
    daemon = make(runner={"mcp_gateway": gateway.url})
    assert ready(daemon)["mcp_servers"] == 2
    gateway.answers["/servers"] = (200, json.dumps(SERVERS[:1]).encode())
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: ready(daemon)["mcp_servers"] == 1, 20, lambda: daemon.log)
    furnished.provide("artifacts", 503)
    hup(daemon, runner={"mcp_gateway": ""})
    wait_until(lambda: daemon.status()["provisioning"]["mcp_servers"] == 0, 20,
               lambda: daemon.log)
    # what was the gateway's isn't shown any more, before there is something in its place
    assert furnished.answer('ls /nairid/mcp.json 2>/dev/null; cat ~/.claude/rules/rule.md') == \
        "rule\n"
    documents = furnished.documents
    furnished.artifact("rule", "More", "rules/more.md", b"more\n")
    furnished.artifact("mcp_config", "Tools", "mcp/tools.json",
                       b'{"mcpServers":{"local":{"command":"true"}}}')
    assert documents["artifacts"] != 503
    wait_until(lambda: daemon.status()["provisioning"]["mcp_servers"] == 1, 30,
               lambda: daemon.log)
    assert furnished.answer("cat /nairid/mcp.json") == \
        '{"mcpServers":{"local":{"command":"true"}}}'


def test_what_it_may_not_say_is_named_and_the_rest_is_there(make, provider, gateway):  # noqa: F811
    gateway.answers["/servers"] = (200, json.dumps(
        [*SERVERS, {"name": "out", "url": "@evil.example/"}, {"name": "up", "url": "/../x"},
         {"name": "a/b", "url": "/x"}, 7]).encode())
    daemon = make(runner={"mcp_gateway": gateway.url})
    found = ready(daemon)
    assert found["mcp_servers"] == 2
    for name in ("'out'", "'up'", "'a/b'", "''"):
        assert any(f"MCP server {name} of the gateway is left out" in text
                   for text in found["problems"]), found


def test_one_that_fails_is_named_and_tried_again_and_holds_up_the_rest_not_for_long(
        make, furnished, gateway):  # noqa: F811
    gateway.answers["/servers"] = (500, b"{}")
    daemon = make(runner={"mcp_gateway": gateway.url})
    name = f"the MCP gateway {gateway.url} (runner.mcp_gateway) "
    wait_until(lambda: name + "answers with status 500" in daemon.log, 20, lambda: daemon.log)
    gateway.answers["/servers"] = (200, b'{"a":1}')
    wait_until(lambda: name + "answers, but not with a list of its servers: it is no list" in
               daemon.log, 20, lambda: daemon.log)
    wait_until(lambda: daemon.status()["provisioning"]["rules"] == 1, 40, lambda: daemon.log)
    found = daemon.status()["provisioning"]
    assert found["mcp_servers"] == 0 and "it is no list" in str(found["problems"])
    gateway.answers["/servers"] = (200, json.dumps(SERVERS).encode())
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: ready(daemon)["mcp_servers"] == 2, 40, lambda: daemon.log)
    assert ready(daemon)["problems"] == []


def test_one_that_cant_be_reached_is_named(make, provider, gateway):  # noqa: F811
    daemon = make(runner={"mcp_gateway": "http://127.0.0.1:1"})
    wait_until(lambda: "the MCP gateway can't be asked: " in daemon.log, 20, lambda: daemon.log)
    assert "127.0.0.1:1" in daemon.log and "runner.mcp_gateway" in daemon.log
