"""The hub's OpenAPI document: it has the hub's routes and no others, each of its answers is seen,
and each that is seen is as it says."""

import json
import os
import re

import jsonschema
import pytest

import skillkit
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
    key = hub.org_key if op.key == "organisationKey" else hub.agent_key
    path = op.fill(values)
    for body in (b"{", b"[]", b'"x"'):
        assert hub.request(op.method, path, body, key=key).status == 400, op
    if "413" in op.statuses:
        assert hub.request(op.method, path, b" " * ((8 << 20) + 1), key=key).status == 413, op


def walk_unknown(hub, op):
    """What isn't there isn't found; what can't be an id is refused, one way or the other."""
    key = hub.org_key if op.key == "organisationKey" else hub.agent_key
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

    def entity(self, path, body, kind, change="PUT"):
        """Made, listed, shown, changed, assigned, in use, no longer assigned, gone."""
        made = body if "id" in body else self.api(201, "POST", path, body)
        below = f"{path}/{made['id']}"
        resources = f"/agents/{self.hub.slug}/resources"
        assert made in self.api(200, "GET", path) and self.api(200, "GET", below) == made
        if change:
            self.api(200, change, below, body)
        wish = {"entity_type": kind, "entity_id": made["id"]}
        assigned = self.api(201, "POST", resources, wish)
        self.api(200, "POST", resources, wish)
        self.api(400, "DELETE", below)
        self.api(200, "GET", resources)
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
        assert self.hub.request("GET", "/").status == 200


def test_every_answer_of_the_document_is_seen_and_is_as_it_says(hub, document):
    story = Story(hub)
    story.conversation()
    story.agent()
    story.configuration()
    story.refused_uploads()
    story.realtime()
    hub.request("GET", "/openapi.json")
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


def test_what_no_operation_describes_is_an_error_of_the_same_form(hub, document):
    schema = {"$ref": "#/components/schemas/Error"}
    for method, path, status in (("GET", "/api/public/v1/nothing", 404),
                                 ("PUT", "/api/public/v1/agents", 405),
                                 ("GET", "/api/agents/attachments/%zz", 400)):
        answer = hub.request(method, path, key=hub.agent_key)
        assert answer.status == status, answer
        document.validate(answer.json, schema, path)
