"""What agents are configured with: env vars, rules, MCP configurations, vaults, and their way to
the daemons of an agent."""

import base64
import concurrent.futures
import json
import os
import re
import sqlite3
import stat
import subprocess

import pytest

import skillkit
from hubkit import program, wait_until

ULID = "01KEQ6963XS96YDP3NF9NKB7QJ"
MCP = json.dumps({"mcpServers": {"tools": {"command": "mcp-tools", "env": {"TOKEN": "tok-5551"}}}})


def made(hub, path, **body):
    """What a POST has made."""
    answer = hub.api("POST", path, body)
    assert answer.status == 201, answer
    return answer.json


def gone(hub, path):
    """Deletes it, and shows that it is gone."""
    answer = hub.api("DELETE", path)
    assert (answer.status, answer.raw) == (204, b""), answer
    answer = hub.api("DELETE", path)
    assert answer.status == 404, answer


def refused(hub, method, path, body, status, words):
    answer = hub.api(method, path, body)
    assert answer.status == status and words in answer.json["error"], answer


def assign(hub, kind, entity):
    return made(hub, f"/agents/{hub.slug}/resources", entity_type=kind, entity_id=entity["id"])


def env(hub):
    """The env vars that a daemon of the agent gets."""
    answer = hub.agents("GET", "/env")
    assert answer.status == 200, answer
    return {pair["key"]: pair["value"] for pair in answer.json["env_vars"]}


def artifacts(hub):
    answer = hub.agents("GET", "/artifacts")
    assert answer.status == 200, answer
    return answer.json


def content(hub, artifact):
    """The bytes of an artifact's file, as a daemon gets them."""
    [file] = artifact["files"]
    answer = hub.agents("GET", f"/attachments/{file['attachmentId']}")
    assert answer.status == 200 and answer.json["id"] == file["attachmentId"], answer
    return base64.b64decode(answer.json["data"], validate=True)


# ---- env vars ----


def test_env_vars_are_kept_and_reach_the_agents_daemons(hub):
    path = f"/agents/{hub.slug}/env-vars"
    assert hub.api("GET", path).json == []
    first = made(hub, path, key="FOO", value="bar")
    made(hub, path, key="_EMPTY", value="")
    assert first["id"].startswith("cev_") and first["container_id"].startswith("cci_")
    assert (first["key"], first["value"]) == ("FOO", "bar")
    assert env(hub) == {"FOO": "bar", "_EMPTY": ""}
    changed = hub.api("PATCH", f"{path}/{first['id']}", {"value": "Grüße\n"})
    assert changed.status == 200 and changed.json["value"] == "Grüße\n"
    assert env(hub)["FOO"] == "Grüße\n"
    assert [var["key"] for var in hub.api("GET", path).json] == ["FOO", "_EMPTY"]
    gone(hub, f"{path}/{first['id']}")
    assert env(hub) == {"_EMPTY": ""}


def test_an_empty_patch_of_an_env_var_changes_nothing(hub):
    path = f"/agents/{hub.slug}/env-vars"
    var = made(hub, path, key="A", value="b")
    answer = hub.api("PATCH", f"{path}/{var['id']}", {})
    assert (answer.status, answer.json) == (200, var)


@pytest.mark.parametrize("key", ["", "1A", "A-B", "A B", "Ä", "NAIRI_X", "CCAGENT_", "A=B", None,
                                 "A" * 257])
def test_keys_of_env_vars_are_checked(shared_hub, key):
    refused(shared_hub, "POST", f"/agents/{shared_hub.slug}/env-vars", {"key": key, "value": "x"},
            400, "key")


def test_env_vars_have_bounds(hub):
    path = f"/agents/{hub.slug}/env-vars"
    refused(hub, "POST", path, {"key": "A", "value": "x" * 32769}, 400, "32768")
    refused(hub, "POST", path, {"key": "A"}, 400, "value is required")
    for i in range(15):
        made(hub, path, key=f"BIG_{i}", value="x" * 32768)
    refused(hub, "POST", path, {"key": "A", "value": "x" * 32768}, 400, "together at most")
    for i in range(128 - 15):
        made(hub, path, key=f"K_{i}", value="")
    refused(hub, "POST", path, {"key": "A", "value": ""}, 400, "128")


def test_a_key_is_there_once(hub):
    path = f"/agents/{hub.slug}/env-vars"
    made(hub, path, key="A", value="1")
    second = made(hub, path, key="B", value="2")
    refused(hub, "POST", path, {"key": "A", "value": "3"}, 400, "already")
    refused(hub, "PATCH", f"{path}/{second['id']}", {"key": "A"}, 400, "already")
    assert env(hub) == {"A": "1", "B": "2"}


def test_another_agents_env_vars_are_out_of_reach(hub):
    var = made(hub, f"/agents/{hub.slug}/env-vars", key="A", value="1")
    other = made(hub, "/agents", name="Other")["agent_id"]
    path = f"/agents/{other}/env-vars"
    for method, body in (("PATCH", {"value": "2"}), ("DELETE", None)):
        refused(hub, method, f"{path}/{var['id']}", body, 404, "not found")
    assert env(hub) == {"A": "1"}
    key = hub.key_create("--agent", other)
    assert hub.agents("GET", "/env", key=key).json == {"env_vars": []}


def test_a_slug_with_slashes_has_env_vars_too(shared_hub):
    shared_hub.key_create("--agent", "github.com/owner/repo")
    for slug in ("github.com/owner/repo", "github.com%2Fowner%2Frepo"):
        path = f"/agents/{slug}/env-vars"
        var = made(shared_hub, path, key="A", value="1")
        assert shared_hub.api("GET", path).json == [var]
        gone(shared_hub, f"{path}/{var['id']}")


# ---- rules and MCP configurations ----


def test_a_rule_reaches_an_agent_that_it_is_assigned_to(hub):
    rule = made(hub, "/artifacts/rules", title='Style: "ours"', description="how we write",
                content="# Style\n\nShort.")
    assert rule["id"].startswith("aar_") and artifacts(hub) == []
    resource = assign(hub, "agent_artifact_rule", rule)
    assert resource["id"].startswith("ccr_") and resource["entity_id"] == rule["id"]
    [got] = artifacts(hub)
    assert (got["title"], got["description"], got["type"]) == (
        'Style: "ours"', "how we write", "rule")
    location = got["files"][0]["location"]
    assert location.startswith("~/.config/eksecd/rules/style-ours-") and location.endswith(".md")
    text = content(hub, got).decode()
    assert text == ('---\ntitle: "Style: \\"ours\\""\ndescription: "how we write"\n---\n\n'
                    "# Style\n\nShort.\n")


def test_a_changed_rule_is_another_file(hub):
    rule = made(hub, "/artifacts/rules", title="One", description="d", content="first")
    assign(hub, "agent_artifact_rule", rule)
    [before] = artifacts(hub)
    answer = hub.api("PUT", f"/artifacts/rules/{rule['id']}", {"title": "Two", "content": "second"})
    assert answer.status == 200 and answer.json["description"] == "", answer
    [after] = artifacts(hub)
    assert b"second" in content(hub, after)
    assert after["files"][0]["attachmentId"] != before["files"][0]["attachmentId"]
    old = before["files"][0]["attachmentId"]
    assert hub.agents("GET", f"/attachments/{old}").status == 404


def test_the_file_of_an_artifact_is_its_agents_alone(hub):
    rule = made(hub, "/artifacts/rules", title="One", content="first")
    assign(hub, "agent_artifact_rule", rule)
    [got] = artifacts(hub)
    other = hub.key_create("--agent", "other")
    answer = hub.agents("GET", f"/attachments/{got['files'][0]['attachmentId']}", key=other)
    assert answer.status == 404, answer


@pytest.mark.parametrize("path, kind, noun, body", [
    ("/artifacts/rules", "agent_artifact_rule", "rule", {"title": "t", "content": "c"}),
    ("/artifacts/mcp-configs", "agent_artifact_mcp_cfg", "MCP config",
     {"title": "t", "content": MCP}),
    ("/vaults", "vault", "vault", {"name": "n"}),
])
def test_what_is_assigned_is_not_deleted(shared_hub, path, kind, noun, body):
    entity = made(shared_hub, path, **body)
    resource = assign(shared_hub, kind, entity)
    answer = shared_hub.api("DELETE", f"{path}/{entity['id']}")
    assert answer.status == 400
    assert answer.json == {"error": f"cannot delete {noun}: still assigned to 1 agent(s)"}
    gone(shared_hub, f"/agents/{shared_hub.slug}/resources/{resource['id']}")
    gone(shared_hub, f"{path}/{entity['id']}")


def test_an_mcp_configuration_reaches_an_agent_byte_for_byte(hub):
    config = made(hub, "/artifacts/mcp-configs", title="Tools", description="d", content=MCP)
    assert config["content"] == MCP and config["is_sensitive"] is False
    assign(hub, "agent_artifact_mcp_cfg", config)
    [got] = artifacts(hub)
    assert got["type"] == "mcp_config" and got["files"][0]["location"].endswith(".json")
    assert content(hub, got).decode() == MCP


def test_a_sensitive_mcp_configuration_is_not_shown_again(hub):
    config = made(hub, "/artifacts/mcp-configs", title="Tools", content=MCP, is_sensitive=True)
    assert config["content"] is None
    for path in ("/artifacts/mcp-configs", f"/artifacts/mcp-configs/{config['id']}"):
        assert b"tok-5551" not in hub.api("GET", path).raw
    assign(hub, "agent_artifact_mcp_cfg", config)
    assert content(hub, artifacts(hub)[0]).decode() == MCP


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"mcpServers":{}}', '{"mcpServers":[]}',
                                  '{"mcpServers":{"a":1}}', '{"mcpServers":{"a":{}}}',
                                  '{"mcpServers":{"":{"url":"http://x"}}}', None, {"a": 1}])
def test_an_mcp_configuration_has_servers(shared_hub, text):
    refused(shared_hub, "POST", "/artifacts/mcp-configs", {"title": "t", "content": text}, 400,
            "content")


def test_what_is_not_there_is_not_found(shared_hub):
    for path in (f"/artifacts/rules/aar_{ULID}", f"/artifacts/mcp-configs/amc_{ULID}"):
        body = {"title": "t", "content": MCP}
        for method in ("GET", "PUT", "DELETE"):
            noun = "rule" if "rules" in path else "MCP config"
            answer = shared_hub.api(method, path, body if method == "PUT" else None)
            assert (answer.status, answer.json) == (404, {"error": f"{noun} not found"}), answer
    rule = made(shared_hub, "/artifacts/rules", title="t", content="c")
    assert shared_hub.api("GET", f"/artifacts/mcp-configs/{rule['id']}").status == 404


def test_only_what_exists_is_assigned(shared_hub):
    path = f"/agents/{shared_hub.slug}/resources"
    for kind in ("agent_artifact_rule", "vault", "llm_model", "anthropic_integration"):
        refused(shared_hub, "POST", path, {"entity_type": kind, "entity_id": f"aar_{ULID}"}, 404,
                "entity not found")
    refused(shared_hub, "POST", path, {"entity_type": "tank", "entity_id": "x"}, 400, "entity_type")
    refused(shared_hub, "POST", "/agents/nobody/resources",
            {"entity_type": "vault", "entity_id": f"vlt_{ULID}"}, 404, "agent not found")


def test_assigning_twice_is_assigning_once(hub):
    vault = made(hub, "/vaults", name="one")
    first = assign(hub, "vault", vault)
    path = f"/agents/{hub.slug}/resources"
    again = hub.api("POST", path, {"entity_type": "vault", "entity_id": vault["id"]})
    assert (again.status, again.json) == (200, first)
    assert hub.api("GET", path).json == [first]


# ---- vaults ----


def test_a_secret_goes_to_the_agents_of_its_vault_and_nowhere_else(hub):
    vault = made(hub, "/vaults", name="keys", description="ours")
    path = f"/vaults/{vault['id']}/secrets"
    secret = made(hub, path, env_key="TOKEN", value="s3cret-value-77")
    assert secret["id"].startswith("sec_") and secret["delivered"] is True
    for answer in (hub.api("GET", path), hub.api("GET", f"/vaults/{vault['id']}"),
                   hub.api("GET", "/vaults"), hub.api("PATCH", f"{path}/{secret['id']}", {})):
        assert answer.status == 200 and b"s3cret-value-77" not in answer.raw, answer
    assert env(hub) == {}
    resource = assign(hub, "vault", vault)
    assert env(hub) == {"TOKEN": "s3cret-value-77"}
    gone(hub, f"/agents/{hub.slug}/resources/{resource['id']}")
    assert env(hub) == {}
    assert "s3cret-value-77" not in hub.log


def test_a_secret_for_certain_domains_is_not_handed_out(hub):
    vault = made(hub, "/vaults", name="keys")
    path = f"/vaults/{vault['id']}/secrets"
    secret = made(hub, path, env_key="TOKEN", value="v", allowed_domains=["api.example.com"])
    assert secret["delivered"] is False and secret["allowed_domains"] == ["api.example.com"]
    assign(hub, "vault", vault)
    assert env(hub) == {}
    answer = hub.api("PATCH", f"{path}/{secret['id']}", {"allowed_domains": []})
    assert answer.status == 200 and answer.json["delivered"] is True
    assert env(hub) == {"TOKEN": "v"}


def test_an_env_var_goes_before_a_secret_and_an_older_assignment_before_a_later(hub):
    first, second = (made(hub, "/vaults", name=name) for name in "ab")
    for vault, value in ((first, "1"), (second, "2")):
        for key in ("X", "Y"):
            made(hub, f"/vaults/{vault['id']}/secrets", env_key=key, value=value)
    assign(hub, "vault", second)
    assign(hub, "vault", first)
    assert env(hub) == {"X": "2", "Y": "2"}
    made(hub, f"/agents/{hub.slug}/env-vars", key="X", value="mine")
    assert env(hub) == {"X": "mine", "Y": "2"}


def test_a_patch_of_a_secret_changes_what_it_names(hub):
    vault = made(hub, "/vaults", name="keys")
    assign(hub, "vault", vault)
    path = f"/vaults/{vault['id']}/secrets"
    secret = made(hub, path, env_key="A", value="1")
    assert hub.api("PATCH", f"{path}/{secret['id']}", {}).json == secret
    assert hub.api("PATCH", f"{path}/{secret['id']}", {"env_key": "B"}).json["env_key"] == "B"
    assert env(hub) == {"B": "1"}
    hub.api("PATCH", f"{path}/{secret['id']}", {"value": "2"})
    assert env(hub) == {"B": "2"}
    refused(hub, "PATCH", f"{path}/{secret['id']}", {"env_key": "NAIRI_X"}, 400, "env_key")
    gone(hub, f"{path}/{secret['id']}")


def test_vaults_are_changed_and_deleted_with_their_secrets(shared_hub):
    vault = made(shared_hub, "/vaults", name="one", description="d")
    path = f"/vaults/{vault['id']}"
    made(shared_hub, f"{path}/secrets", env_key="A", value="1")
    assert shared_hub.api("PATCH", path, {}).json == vault
    changed = shared_hub.api("PATCH", path, {"name": "two", "description": None}).json
    assert (changed["name"], changed["description"]) == ("two", None)
    refused(shared_hub, "PATCH", path, {"name": None}, 400, "name")
    gone(shared_hub, path)
    assert shared_hub.api("GET", f"{path}/secrets").status == 404


@pytest.mark.parametrize("domains", ["x", [1], ["a b"], ["https://x"], ["x:1"], ["*"], [""],
                                     ["x"] * 51])
def test_domains_are_names(shared_hub, domains):
    vault = made(shared_hub, "/vaults", name="keys")
    refused(shared_hub, "POST", f"/vaults/{vault['id']}/secrets",
            {"env_key": "A", "value": "1", "allowed_domains": domains}, 400, "allowed_domains")


# ---- pages ----


def pages(hub, path, limit):
    """All rows of a list, page by page; each page but the last has `limit` of them."""
    rows, query = [], f"?limit={limit}"
    while query:
        answer = hub.api("GET", path + query)
        assert answer.status == 200, answer
        rows += answer.json
        link = answer.headers["Link"]
        assert len(answer.json) == limit or not link, answer
        query = re.fullmatch(r'<(.+)>; rel="next"', link)[1] if link else None
    return rows


@pytest.fixture(scope="module")
def filled(shared_hub):
    """The paths of lists with at least five rows each."""
    hub = shared_hub
    vault = made(hub, "/vaults", name="paged")["id"]
    for i in range(5):
        made(hub, "/agents", name=f"Paged {i}")
        rule = made(hub, "/artifacts/rules", title=f"r{i}", content="c")
        made(hub, "/artifacts/mcp-configs", title=f"m{i}", content=MCP)
        assert skillkit.upload(hub, skillkit.archive(
            {"SKILL.md": skillkit.page(name=f"paged-{i}")})).status == 201
        made(hub, "/vaults", name=f"v{i}")
        made(hub, f"/vaults/{vault}/secrets", env_key=f"S{i}", value="1")
        made(hub, f"/agents/{hub.slug}/env-vars", key=f"PAGED_{i}", value="1")
        assign(hub, "agent_artifact_rule", rule)
    return ["/agents", "/artifacts/rules", "/artifacts/mcp-configs", "/artifacts/skills", "/vaults",
            f"/vaults/{vault}/secrets", f"/agents/{hub.slug}/env-vars",
            f"/agents/{hub.slug}/resources"]


def test_every_list_comes_in_pages(shared_hub, filled):
    for path in filled:
        whole = shared_hub.api("GET", path)
        assert len(whole.json) >= 5 and whole.headers["Link"] is None, path
        for limit in (1, 2, len(whole.json), 100):
            assert pages(shared_hub, path, limit) == whole.json, path
        assert shared_hub.api("GET", f"{path}?offset=1").json == whole.json[1:], path
        assert shared_hub.api("GET", f"{path}?offset={len(whole.json)}").json == [], path


def test_pages_that_make_no_sense_are_refused(shared_hub, filled):
    for path in filled:
        for query in ("limit=0", "limit=101", "limit=x", "limit=", "limit=-1", "offset=-1",
                      "offset=x", "offset=1000000001"):
            refused(shared_hub, "GET", f"{path}?{query}", None, 400, query.split("=")[0])


def test_a_list_without_a_limit_has_a_bound(hub):
    hub.end()
    with sqlite3.connect(hub.db) as db:
        db.executemany("INSERT INTO agents (id, slug, instances_count, created_ms, updated_ms)"
                       " VALUES (?, ?, 1, 0, 0)",
                       [(f"cci_{i:026}", f"agent-{i}") for i in range(1000)])
    hub.boot()
    answer = hub.api("GET", "/agents")
    assert len(answer.json) == 1000
    assert answer.headers["Link"] == '<?limit=100&offset=1000>; rel="next"'
    [last] = hub.api("GET", "/agents?limit=100&offset=1000").json
    assert last["agent_id"] == "agent-999" and len(pages(hub, "/agents", 100)) == 1001


def test_a_page_has_a_bound_in_bytes(hub):
    for i in range(5):
        made(hub, "/agents", name=f"Long {i}", system_prompt="x" * (3 << 20))
    answer = hub.api("GET", "/agents?limit=100")
    assert len(answer.json) == 3 and answer.headers["Link"] == '<?limit=100&offset=3>; rel="next"'
    assert len(hub.api("GET", "/agents?limit=100&offset=3").json) == 2


# ---- at rest ----


def fill(hub):
    made(hub, f"/agents/{hub.slug}/env-vars", key="FOO", value="plain-text-4711")
    vault = made(hub, "/vaults", name="keys")
    made(hub, f"/vaults/{vault['id']}/secrets", env_key="TOKEN", value="plain-text-4712")
    made(hub, "/artifacts/mcp-configs", title="t", content=MCP)


def test_values_are_encrypted_at_rest(hub):
    fill(hub)
    hub.restart()
    assert env(hub) == {"FOO": "plain-text-4711"}
    hub.end()
    for name in os.listdir(hub.state):
        if os.path.isdir(os.path.join(hub.state, name)):
            continue
        with open(os.path.join(hub.state, name), "rb") as file:
            data = file.read()
        assert b"plain-text" not in data and b"tok-5551" not in data, name
    key = os.stat(hub.db + ".key")
    assert stat.S_IMODE(key.st_mode) == 0o600


def start_fails(hub, code, words):
    done = hub.command("serve", "--listen", "127.0.0.1:0")
    assert done.returncode == code, done
    assert all(word in done.stderr for word in words), done.stderr


def test_without_its_key_the_hub_does_not_start(hub):
    fill(hub)
    hub.end()
    os.rename(hub.db + ".key", hub.db + ".elsewhere")
    start_fails(hub, 78, ["hub.db.key", "missing", "--secrets-key"])
    hub.extra = ["--secrets-key", hub.db + ".elsewhere"]
    hub.boot()
    assert env(hub) == {"FOO": "plain-text-4711"}


@pytest.mark.parametrize("text, code, words", [
    ("0" * 64, 78, ["not the key", "--secrets-key"]),
    ("hello", 78, ["no key file"]),
    ("", 64, ["empty"]),
])
def test_with_a_wrong_key_the_hub_does_not_start(hub, text, code, words):
    fill(hub)
    hub.end()
    with open(hub.db + ".key", "w") as file:
        file.write(text)
    start_fails(hub, code, words)


def test_a_key_that_others_may_read_is_refused(hub):
    hub.end()
    os.chmod(hub.db + ".key", 0o644)
    start_fails(hub, 73, ["chmod 600"])


def test_a_lost_key_is_replaced_while_nothing_is_sealed(hub):
    hub.end()
    os.unlink(hub.db + ".key")
    hub.boot()
    fill(hub)
    assert env(hub) == {"FOO": "plain-text-4711"}


def test_a_value_that_was_moved_to_another_row_is_refused(hub):
    path = f"/agents/{hub.slug}/env-vars"
    made(hub, path, key="A", value="1")
    made(hub, path, key="B", value="2")
    hub.end()
    with sqlite3.connect(hub.db) as db:
        db.execute("UPDATE env_vars SET sealed = (SELECT sealed FROM env_vars WHERE key = 'A')")
    hub.boot()
    for answer in (hub.api("GET", path), hub.agents("GET", "/env")):
        assert answer.status == 500 and "can't be decrypted" in answer.json["error"], answer


# ---- agents ----


def test_a_deleted_agent_is_gone_with_its_keys_and_configuration(hub):
    made(hub, f"/agents/{hub.slug}/env-vars", key="A", value="1")
    assign(hub, "vault", made(hub, "/vaults", name="n"))
    job, message = hub.start("hello")
    agent = hub.api("GET", f"/agents/{hub.slug}").json
    gone(hub, f"/agents/{agent['id']}")
    assert hub.api("GET", "/agents").json == []
    assert hub.api("GET", f"/agents/{hub.slug}").status == 404
    assert hub.agents("GET", "/env").status == 401
    assert hub.message(message)["status"] == "failed"
    assert hub.messages(job)[-1]["content"] == ("nairid encountered error: the agent was deleted")
    refused(hub, "POST", f"/conversations/{job}/continue", {"prompt": "x"}, 404, "deleted")
    hub.agent_key = hub.key_create("--agent", hub.slug)
    assert env(hub) == {} and hub.poll() == []


def test_a_deleted_agents_long_poll_ends_at_once(hub):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        poll = pool.submit(hub.agents, "GET", "/jobs", instance="one", wait_s=60)
        wait_until(lambda: hub.api("GET", f"/agents/{hub.slug}").json["instances_online"] == 1)
        assert hub.api("DELETE", f"/agents/{hub.slug}").status == 204
        answer = poll.result(45)
        assert answer.status == 401, answer


def test_a_deployment_is_noted_until_a_daemon_has_fetched_its_configuration(hub):
    path = f"/agents/{hub.slug}"
    assert hub.api("GET", path).json["deploy_status"] == "current"
    answer = hub.api("POST", f"{path}/deploy", {"update_config_only": True})
    assert (answer.status, answer.json) == (202, {"status": "requested"})
    assert hub.api("GET", path).json["deploy_status"] == "requested"
    env(hub)
    assert hub.api("GET", path).json["deploy_status"] == "current"
    assert hub.api("POST", f"{path}/deploy").status == 202
    refused(hub, "POST", f"{path}/deploy", {"update_config_only": 1}, 400, "update_config_only")


def test_the_help_names_the_key_file():
    done = subprocess.run([program("nairi-hub"), "--help"], capture_output=True, text=True,
                          timeout=60)
    assert "--secrets-key FILE" in done.stdout
