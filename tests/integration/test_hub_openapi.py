"""The hub's OpenAPI document: it has the hub's routes and no others, each of its answers is seen,
and each that is seen is as it says."""

import contextlib
import http.client
import json
import os
import re
import sqlite3

import jsonschema
import pytest

import skillkit
from hubkit import on_small_disk, wait_until
from openapikit import METHODS, DescribedHub, load

SOURCE = os.path.join(os.path.dirname(__file__), "..", "..", "daemon", "hub")
ULID = "01KEQ6963XS96YDP3NF9NKB7QJ"
UNKNOWN = {"job_id": f"job_{ULID}", "message_id": f"cmsg_{ULID}", "agent": f"cci_{ULID}",
           "id": f"att_{ULID}", "secret_id": f"sec_{ULID}"}
UPLOAD_MAX = 32 << 20  # of a skill, and here of any file


@pytest.fixture(scope="module")
def document():
    return load(os.path.join(SOURCE, "openapi.json"))


@pytest.fixture(scope="module")
def hub(tmp_path_factory, document):
    hub = DescribedHub(tmp_path_factory.mktemp("hub"), extra=["--attachment-max", "32M"])
    hub.document = document
    yield hub.boot()
    assert hub.end() in (0, None)


def routes():
    """(method, path) of the hub's table."""
    with open(os.path.join(SOURCE, "route.c"), encoding="utf-8") as file:
        rows = re.findall(r'\{ "(\w+)",\s+(PUBLIC|AGENTS) "([^"]+)",', file.read())
    prefixes = {"PUBLIC": "/api/public/v1", "AGENTS": "/api/agents"}
    return [(method, prefixes[prefix] + path) for method, prefix, path in rows]


def nameless(method, path):
    """The names of parameters don't count, but {agent} may have slashes."""
    return method, re.sub(r"\{(?!agent\})\w+\}", "{}", path)


# ---- the document alone ----


def test_the_document_has_the_hubs_routes_and_no_others(document):
    served = {nameless(*route) for route in routes()}
    described = {nameless(op.method, op.path) for op in document.operations
                 if op.path.startswith("/api/")}
    assert len(routes()) > 50 and described == served
    others = {op.path for op in document.operations if not op.path.startswith("/api/")}
    assert others == {"/", "/openapi.json", "/socket.io/", "/socketio/"}


def test_the_document_is_sound(document):
    """Each schema is one, each reference leads somewhere, each parameter is described."""
    root = document.root
    assert root["openapi"] == "3.1.0"
    jsonschema.Draft202012Validator.check_schema({"$defs": root["components"]["schemas"]})
    used = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(root)))
    for name in used:
        document.resolver.resolve(f"#/{name}")
    for kind in ("schemas", "responses", "parameters"):
        for name in root["components"][kind]:
            assert f"components/{kind}/{name}" in used, f"nothing refers to {kind}/{name}"
    ids = [op.node["operationId"] for op in document.operations]
    assert len(ids) == len(set(ids))
    for op in document.operations:
        assert op.method.lower() in METHODS and op.node["summary"].endswith("."), op
        parameters = [document.resolve(node) for node in op.node.get("parameters", [])]
        inside = {node["name"] for node in parameters if node["in"] == "path"}
        assert inside == set(re.findall(r"\{(\w+)\}", op.path)), op
        assert set(op.node["tags"]) <= {tag["name"] for tag in root["tags"]}, op


def test_it_is_served_as_it_stands_in_the_tree(hub, document):
    answer = hub.request("GET", "/openapi.json")
    assert answer.status == 200 and answer.json == document.root


# ---- the hub held against it ----


def key_for(hub, op):
    return hub.org_key if op.key == "organisationKey" else hub.agent_key


def walk_keys(hub, op):
    """Nobody, and whoever has the other kind of key, gets in."""
    if not op.key:
        return
    other = hub.agent_key if op.key == "organisationKey" else hub.org_key
    path = op.fill(UNKNOWN)
    for key in (None, other, "nr_x", "nairid_" + "A" * 43):
        assert hub.request(op.method, path, key=key).status == 401, op
    if op.key == "agentKey":
        for headers, status in (({"X-AGENT-ID": "somebody"}, 403), ({"X-Nairi-Fence": "x"}, 400)):
            answer = hub.request(op.method, path, key=hub.agent_key, headers=headers)
            assert answer.status == status, answer


def walk_bodies(hub, op, values):
    """What is no JSON object, and what is too long, is refused."""
    key = key_for(hub, op)
    path = op.fill(values)
    for body in (b"{", b"[]", b'"x"'):
        assert hub.request(op.method, path, body, key=key).status == 400, op
    if "413" in op.statuses:
        assert hub.request(op.method, path, b" " * ((8 << 20) + 1), key=key).status == 413, op


def walk_unknown(hub, op):
    """What isn't there isn't found; what can't be an id is refused, one way or the other."""
    key = key_for(hub, op)
    if "{" not in op.path:
        return
    answer = hub.request(op.method, op.fill(UNKNOWN), {}, key=key)
    assert answer.status == (404 if "404" in op.statuses else 400), (op, answer)
    answer = hub.request(op.method, op.fill({name: "no%20id" for name in UNKNOWN}), {}, key=key)
    assert answer.status in (400, 404), (op, answer)


class Story:
    """What people and daemons do with a hub, so that each operation goes well once."""

    def __init__(self, hub):
        self.hub = hub
        self.values = {}

    def api(self, status, method, path, body=None, **kwargs):
        answer = self.hub.api(method, path, body, **kwargs)
        assert answer.status == status, answer
        return answer.json if answer.raw else None

    def agents(self, status, method, path, body=None, **kwargs):
        answer = self.hub.agents(method, path, body, **kwargs)
        assert answer.status == status, answer
        return answer.json

    def upload(self, path, data, name="a.txt", agent=False, status=201):
        call = self.agents if agent else self.api
        return call(status, "POST", path, **skillkit.form(data, name))

    def envelope(self, kind, about, number, **payload):
        return {"id": f"msg_{number}", "type": kind,
                "payload": {"processed_message_id": about, **payload}}

    def conversation(self):
        slug = self.hub.slug
        file = self.upload("/attachments", b"some text")["attachment_id"]
        assert self.api(200, "GET", f"/attachments/{file}")["filename"] == "a.txt"
        gone = self.upload("/attachments", b"to be deleted")["attachment_id"]
        self.api(204, "DELETE", f"/attachments/{gone}")
        started = self.api(201, "POST", "/conversations/start",
                           {"agent_id": slug, "prompt": "hello", "attachment_ids": [file]})
        job, message = started["job_id"], started["message_id"]
        self.values.update(job_id=job, message_id=message)
        [listed] = self.agents(200, "GET", "/jobs", instance="one", wait_s=5)["jobs"]
        fence = listed["fence"]
        assert self.agents(200, "GET", f"/attachments/{file}")["data"]
        for number, (kind, payload) in enumerate((
                ("processing_message_v1", {"job_id": job}),
                ("agent_progress_v1", {"job_id": job, "progress_type": "tool_use",
                                       "tool_name": "Bash", "tool_status": "running",
                                       "tool_use_id": "t1"}))):
            self.agents(200, "POST", "/messages",
                        self.envelope(kind, message, number, **payload), instance="one",
                        fence=fence)
        working = self.api(200, "GET", f"/agents/{slug}")
        assert working["working_on"][0]["message_id"] == message
        mine = self.upload("/attachments", b"a result", agent=True)["attachment_id"]
        usage = {"cost_usd": "0.0123456789", "input_tokens": 5, "output_tokens": 6,
                 "cache_read_tokens": 7, "cache_write_tokens": 8, "model": "m"}
        answer = self.envelope("assistant_message_v1", message, 9, message="done", usage=usage,
                               attachment_ids=[mine], job_id=job)
        self.agents(409, "POST", "/messages", answer, instance="one", fence=fence + 1)
        self.agents(409, "POST", f"/messages/{message}/ack", instance="two")
        self.agents(200, "POST", "/messages", answer, instance="one", fence=fence)
        self.agents(200, "POST", f"/messages/{message}/ack", instance="one", fence=fence)
        rows = self.api(200, "GET", f"/conversations/{job}/messages")["messages"]
        assert [row["role"] for row in rows] == ["user", "progress", "assistant"]
        assert rows[-1]["attachment_ids"] == [mine] and rows[-1]["model"] == "m"
        self.api(400, "GET", f"/conversations/{job}/messages?before=x")
        self.api(200, "GET", f"/messages/{message}")
        self.api(201, "POST", f"/conversations/{job}/continue", {"prompt": "more"})
        self.agents(200, "GET", "/jobs", instance="one")
        self.api(202, "POST", f"/conversations/{job}/stop")
        [stopped] = self.agents(200, "GET", "/jobs", instance="one")["jobs"]
        assert stopped["cancel_requested"] is True
        for path in ("/conversations", f"/agents/{slug}/conversations"):
            [one] = self.api(200, "GET", f"{path}?status=active&limit=1")["conversations"]
            assert (one["id"], one["title"]) == (job, "hello")
            self.api(400, "GET", f"{path}?limit=0")
        self.api(404, "POST", "/conversations/start", {"agent_id": "nobody", "prompt": "x"})
        self.agents(404, "POST", "/messages",
                    self.envelope("assistant_message_v1", f"cmsg_{ULID}", 10, message="x"))

    def agent(self):
        slug = self.api(201, "POST", "/agents", {"name": "Second", "description": None})["agent_id"]
        self.api(200, "PATCH", f"/agents/{slug}", {"description": "d"})
        self.api(202, "POST", f"/agents/{slug}/deploy", {"update_config_only": True})
        assert {agent["deploy_status"] for agent in self.api(200, "GET", "/agents")} == {
            "requested", "current"}
        self.api(204, "DELETE", f"/agents/{slug}")
        self.api(400, "GET", "/agents?limit=0")

    def entity(self, path, body, kind, change="PUT"):
        """Made, listed, shown, changed, assigned, in use, no longer assigned, gone."""
        made = body if "id" in body else self.api(201, "POST", path, body)
        below = f"{path}/{made['id']}"
        resources = f"/agents/{self.hub.slug}/resources"
        self.api(400, "GET", f"{path}?limit=0")
        assert made in self.api(200, "GET", path) and self.api(200, "GET", below) == made
        if change:
            self.api(200, change, below, body)
        wish = {"entity_type": kind, "entity_id": made["id"]}
        assigned = self.api(201, "POST", resources, wish)
        self.api(200, "POST", resources, wish)
        self.api(400, "DELETE", below)
        self.api(200, "GET", f"{resources}?limit=1&offset=0")
        for artifact in self.agents(200, "GET", "/artifacts"):
            for file in artifact["files"]:
                self.agents(200, "GET", f"/attachments/{file['attachmentId']}")
        self.api(204, "DELETE", f"{resources}/{assigned['id']}")
        self.api(204, "DELETE", below)

    def configuration(self):
        self.entity("/artifacts/rules", {"title": "t", "description": "d", "content": "c"},
                    "agent_artifact_rule")
        servers = json.dumps({"mcpServers": {"a": {"url": "http://127.0.0.1/"}}})
        self.entity("/artifacts/mcp-configs",
                    {"title": "t", "content": servers, "is_sensitive": True},
                    "agent_artifact_mcp_cfg")
        skill = self.upload("/artifacts/skills", skillkit.archive(), "a.zip")
        self.entity("/artifacts/skills", skill, "agent_artifact_skill", change=None)
        self.entity("/vaults", {"name": "n", "description": "d"}, "vault", change="PATCH")
        path = f"/agents/{self.hub.slug}/env-vars"
        var = self.api(201, "POST", path, {"key": "A", "value": "1"})
        self.api(200, "PATCH", f"{path}/{var['id']}", {"value": "2"})
        self.api(200, "GET", path)
        assert self.agents(200, "GET", "/env") == {"env_vars": [{"key": "A", "value": "2"}]}
        self.api(204, "DELETE", f"{path}/{var['id']}")
        self.agents(404, "GET", "/token")
        vault = self.api(201, "POST", "/vaults", {"name": "n"})["id"]
        path = f"/vaults/{vault}/secrets"
        secret = self.api(201, "POST", path, {"env_key": "A", "value": "1",
                                              "allowed_domains": ["x.example"]})
        self.api(200, "GET", path)
        self.api(400, "GET", f"{path}?offset=-1")
        self.api(200, "PATCH", f"{path}/{secret['id']}", {})
        self.api(204, "DELETE", f"{path}/{secret['id']}")

    def leave(self):
        """One of each thing, for what comes: {beginning of a path: values for it}."""
        public = "/api/public/v1"
        servers = json.dumps({"mcpServers": {"a": {"command": "x"}}})
        vault = self.api(201, "POST", "/vaults", {"name": "left"})["id"]
        secret = self.api(201, "POST", f"/vaults/{vault}/secrets", {"env_key": "A", "value": "1"})
        var = self.api(201, "POST", f"/agents/{self.hub.slug}/env-vars", {"key": "A", "value": "1"})
        rule = self.api(201, "POST", "/artifacts/rules", {"title": "t", "content": "c"})
        config = self.api(201, "POST", "/artifacts/mcp-configs", {"title": "t", "content": servers})
        return {f"{public}/vaults/": {"id": vault, "secret_id": secret["id"]},
                f"{public}/agents/": {"agent": self.hub.slug, "id": var["id"]},
                f"{public}/artifacts/rules/": {"id": rule["id"]},
                f"{public}/artifacts/mcp-configs/": {"id": config["id"]},
                "": self.values}

    def refused_uploads(self):
        for path, agent in (("/attachments", False), ("/attachments", True),
                            ("/artifacts/skills", False)):
            call = self.agents if agent else self.api
            call(400, "POST", path, b"no form")
            self.upload(path, b"x" * (UPLOAD_MAX + 1), "a.zip", agent, status=413)

    def realtime(self):
        for path in ("/socket.io/", "/socketio/"):
            headers = {"X-CCAGENT-API-KEY": self.hub.agent_key, "X-CCAGENT-ID": "three"}
            answer = self.hub.request("GET", f"{path}?EIO=4&transport=polling", headers=headers)
            assert answer.status == 200, answer
            session = json.loads(answer.raw[1:])["sid"]
            query = f"{path}?EIO=4&transport=polling&sid={session}"
            assert self.hub.request("POST", query, b"40").status == 200
            assert self.hub.request("GET", query).status == 200
            for method in ("GET", "POST"):
                body = b"40" if method == "POST" else None
                websocket = f"{path}?EIO=4&transport=websocket"
                assert self.hub.request(method, websocket, body).status == 400
            assert self.hub.request("POST", query, b"4" * 1000001).status == 413
        assert self.hub.request("GET", "/").status == 200

    def trouble(self):
        """The database fails, whatever is asked for."""
        for name, back in (("keys", "lost"), ("lost", "keys")):
            with contextlib.closing(sqlite3.connect(self.hub.db, timeout=30)) as db:
                db.execute(f"ALTER TABLE {name} RENAME TO {back}")
            if back == "keys":
                break
            for op in self.hub.document.operations:
                if not op.key:
                    continue
                answer = self.hub.request(op.method, op.fill(UNKNOWN), {}, key=key_for(self.hub, op))
                assert answer.status == 500 and "database" in answer.json["error"], (op, answer)

    def too_much(self):
        """So many bodies that no other finds a place, also not on the realtime channel."""
        headers = {"X-CCAGENT-API-KEY": self.hub.agent_key, "X-CCAGENT-ID": "four"}
        queries = []
        for path in ("/socket.io/", "/socketio/"):
            answer = self.hub.request("GET", f"{path}?EIO=4&transport=polling", headers=headers)
            session = json.loads(answer.raw[1:])["sid"]
            queries.append(f"{path}?EIO=4&transport=polling&sid={session}")
        with contextlib.ExitStack() as stack:
            for size in [(8 << 20) - 1] * 16 + [15]:  # one byte less than the 128 MiB that there are
                client = http.client.HTTPConnection(self.hub.host.hostname, self.hub.host.port)
                stack.callback(client.close)
                client.putrequest("POST", "/api/public/v1/conversations/start")
                client.putheader("Authorization", f"Bearer {self.hub.org_key}")
                client.putheader("Content-Length", str(8 << 20))
                client.endheaders()
                client.send(b" " * size)
            for query in queries:
                wait_until(lambda: self.hub.request("POST", query, b"40").status == 503,
                           what="503")
                assert self.hub.request("GET", query, b"40").status == 503


def test_every_answer_of_the_document_is_seen_and_is_as_it_says(hub, document):
    story = Story(hub)
    story.conversation()
    story.agent()
    story.configuration()
    story.refused_uploads()
    story.realtime()
    hub.request("GET", "/openapi.json")
    story.trouble()
    story.too_much()
    left = story.leave()
    for op in document.operations:
        walk_keys(hub, op)
        walk_unknown(hub, op)
        if op.has_json_body:
            walk_bodies(hub, op, next(values for start, values in left.items()
                                      if op.path.startswith(start)))
    wanted = {(str(op), status) for op in document.operations for status in op.statuses}
    assert hub.document.seen - wanted == set()
    assert sorted(wanted - hub.document.seen) == []


def test_values_that_cannot_be_opened_are_500(tmp_path, document):
    hub = DescribedHub(tmp_path)
    hub.document = document
    hub.boot()
    story = Story(hub)
    agent = f"/agents/{hub.slug}"
    story.api(201, "POST", f"{agent}/env-vars", {"key": "A", "value": "1"})
    config = story.api(201, "POST", "/artifacts/mcp-configs",
                       {"title": "t", "content": '{"mcpServers":{"a":{"command":"x"}}}'})
    story.api(201, "POST", f"{agent}/resources",
              {"entity_type": "agent_artifact_mcp_cfg", "entity_id": config["id"]})
    [artifact] = story.agents(200, "GET", "/artifacts")
    file = artifact["files"][0]["attachmentId"]
    with contextlib.closing(sqlite3.connect(hub.db, timeout=30)) as db:
        for table in ("env_vars", "artifacts"):
            db.execute(f"UPDATE {table} SET sealed = x'00' WHERE sealed IS NOT NULL")
        db.commit()
    for call, path in ((hub.api, f"{agent}/env-vars"), (hub.agents, "/env"),
                       (hub.api, "/artifacts/mcp-configs"), (hub.agents, f"/attachments/{file}"),
                       (hub.api, f"/artifacts/mcp-configs/{config['id']}")):
        answer = call("GET", path)
        assert answer.status == 500 and "decrypted" in answer.json["error"], answer
    assert hub.end() == 0


def test_too_many_files_at_a_time_are_503(tmp_path, document):
    hub = DescribedHub(tmp_path)
    hub.document = document
    hub.boot()
    form = skillkit.form(b"x" * 1000, "a.zip")
    file = hub.api("POST", "/attachments", **form).json["attachment_id"]
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            client = http.client.HTTPConnection(hub.host.hostname, hub.host.port)
            stack.callback(client.close)
            client.putrequest("POST", "/api/public/v1/attachments")
            client.putheader("Authorization", f"Bearer {hub.org_key}")
            client.putheader("Content-Type", "multipart/form-data; boundary=b")
            client.putheader("Content-Length", "1000")
            client.endheaders()
            client.send(b"--b")
        wait_until(lambda: hub.api("GET", f"/attachments/{file}").status == 503, what="503")
        for call, path in ((hub.api, "/attachments"), (hub.agents, "/attachments"),
                           (hub.api, "/artifacts/skills")):
            answer = call("POST", path, **form)
            assert answer.status == 503 and answer.headers["Retry-After"] == "5", answer
    wait_until(lambda: hub.api("GET", f"/attachments/{file}").status == 200, what="room again")
    assert hub.end() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_on_a_full_disk_what_writes_is_refused_and_what_reads_goes_on(tmp_path, document):
    hub = on_small_disk(tmp_path, DescribedHub, size="3m")
    hub.document = document
    job, message = hub.start("hello")
    hub.poll(instance="one")
    form = skillkit.form(b"x" * 1000, "a.zip")
    for call, path in ((hub.api, "/attachments"), (hub.agents, "/attachments"),
                       (hub.api, "/artifacts/skills")):
        assert call("POST", path, **form).status == 507  # by --keep-free
    with open(f"{hub.disk}/filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    answer = wait_until(lambda: refusal(hub, "x" * 100000), what="the disk to be full")
    assert "the disk is full" in answer.json["error"], answer
    assert hub.message(message)["status"] == "pending"
    assert len(hub.messages(job)) == 1 and hub.api("GET", "/agents").status == 200
    os.unlink(f"{hub.disk}/filler")
    hub.resume(job, "there is room again")
    assert hub.end() == 0


def refusal(hub, prompt):
    answer = hub.api("POST", "/conversations/start", {"agent_id": hub.slug, "prompt": prompt})
    return answer if answer.status == 500 else None


def test_what_no_operation_describes_is_an_error_of_the_same_form(hub, document):
    schema = {"$ref": "#/components/schemas/Error"}
    for method, path, status in (("GET", "/api/public/v1/nothing", 404),
                                 ("PUT", "/api/public/v1/agents", 405),
                                 ("GET", "/api/agents/attachments/%zz", 400)):
        answer = hub.request(method, path, key=hub.agent_key)
        assert answer.status == status, answer
        document.validate(answer.json, schema, path)
