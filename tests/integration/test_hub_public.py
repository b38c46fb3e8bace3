"""The public API: what is refused and how, agents, conversations, and their order."""

import json
import re
import time

import pytest

ULID = "01KEQ6963XS96YDP3NF9NKB7QJ"


def error_of(answer):
    assert set(answer.json) == {"error"}, answer
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json["error"]


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b'"text"', b"null", b'{"prompt":"x"} trailing', b'{"prompt":"\xff"}',
    b'{"prompt":"a\\u0000b"}', b"[" * 1000, b'{"a":' * 1000 + b"1" + b"}" * 1000,
    b'{"prompt":1,"agent_id":"test-agent"}', b'{"prompt":"","agent_id":"test-agent"}',
    b'{"prompt":null,"agent_id":"test-agent"}', b'{"agent_id":"test-agent"}',
    b'{"prompt":["x"],"agent_id":"test-agent"}', b'{"prompt":"x"}', b'{"prompt":"x","agent_id":7}',
    b'{"prompt":"x","agent_id":""}', b'{"prompt":"x","agent_id":"cci_short"}',
    b'{"prompt":"x","agent_id":"a b"}', b'{"prompt":"x","agent_id":"test-agent","ask_mode":"yes"}',
    b'{"prompt":"x","agent_id":"test-agent","attachment_ids":"att_1"}',
    b'{"prompt":"x","agent_id":"test-agent","attachment_ids":["att_1"]}',
], ids=lambda body: repr(body[:60]))
def test_a_start_with_a_bad_body_is_400_and_creates_nothing(hub, body):
    answer = hub.api("POST", "/conversations/start", body)
    assert answer.status == 400, answer
    assert error_of(answer)
    assert hub.poll() == []


def test_optional_fields_may_be_null_or_empty(hub):
    answer = hub.api("POST", "/conversations/start", {
        "agent_id": "test-agent", "prompt": "x", "ask_mode": None, "attachment_ids": [],
        "unknown": {"ignored": True}})
    assert answer.status == 201


@pytest.mark.parametrize("method,path,status", [
    ("GET", "/messages/nonsense", 400), ("GET", f"/messages/job_{ULID}", 400),
    ("GET", "/messages/cmsg_short", 400), ("GET", f"/messages/cmsg_{ULID}", 404),
    ("GET", "/messages/%00", 400), ("GET", "/messages/%zz", 400), ("GET", "/messages/%ff", 400),
    ("GET", "/messages/cmsg_%", 400),
    ("GET", "/conversations/nonsense/messages", 400),
    ("GET", f"/conversations/cmsg_{ULID}/messages", 400),
    ("GET", f"/conversations/job_{ULID}/messages", 404),
    ("GET", f"/conversations/j_{ULID}/messages", 404),
    ("POST", "/conversations/nonsense/continue", 400),
    ("POST", f"/conversations/job_{ULID}/continue", 404),
    ("POST", "/conversations/nonsense/stop", 400),
    ("POST", f"/conversations/job_{ULID}/stop", 404),
    ("GET", "/agents/nobody", 404), ("GET", f"/agents/cci_{ULID}", 404),
    ("GET", "/agents/cci_short", 400), ("GET", "/agents/a%20b", 400),
    ("PATCH", "/agents/nobody", 404), ("PATCH", "/agents/cci_short", 400),
    ("GET", "", 404), ("GET", "/", 404), ("GET", "/agents/", 404), ("GET", "/messages/", 404),
    ("GET", "/messages", 404), ("GET", f"/messages/cmsg_{ULID}/x", 404),
    ("GET", "/conversations//messages", 404), ("GET", "/../../etc/passwd", 404),
])
def test_bad_ids_are_400_and_unknown_ones_404(hub, method, path, status):
    body = {"prompt": "x"} if method != "GET" else None
    answer = hub.api(method, path, body)
    assert answer.status == status, answer
    assert error_of(answer)


@pytest.mark.parametrize("method,path,allow", [
    ("GET", "/conversations/start", {"POST"}), ("DELETE", "/agents", {"GET", "POST"}),
    ("PUT", "/agents/test-agent", {"GET", "PATCH", "DELETE"}), ("HEAD", "/agents", {"GET", "POST"}),
    ("OPTIONS", "/agents", {"GET", "POST"}), ("POST", f"/messages/cmsg_{ULID}", {"GET"}),
    ("BREW", "/agents", {"GET", "POST"}),
])
def test_a_wrong_method_is_405_and_names_the_right_ones(hub, method, path, allow):
    answer = hub.api(method, path)
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) == allow


@pytest.mark.parametrize("header,words", [
    (None, "no key"), ("Basic dTpw", "Bearer KEY"), ("Bearer", "Bearer KEY"),
    ("Bearer ", "nr_"), ("Bearer x", "nr_"), ("Bearer nr_", "nr_"),
    ("Bearer nr_short", "nr_"), ("Bearer nr_" + "A" * 43, "unknown"),
    ("Bearer nr_" + "A" * 5000, "nr_"), ("Bearer nairid_" + "A" * 43, "organisation key"),
], ids=lambda text: repr(text)[:40])
def test_a_bad_key_is_401_with_a_sentence(hub, header, words):
    answer = hub.api("GET", "/agents", key=None,
                     headers={"Authorization": header} if header else {})
    assert answer.status == 401, answer
    assert words in error_of(answer)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_scheme_is_read_in_any_case(hub):
    headers = {"Authorization": f"bearer {hub.org_key}"}
    assert hub.api("GET", "/agents", key=None, headers=headers).status == 200


def test_a_key_of_the_wrong_length_or_case_is_unknown(hub):
    for key in (hub.org_key[:-1], hub.org_key + "A", hub.org_key.swapcase()):
        assert hub.api("GET", "/agents", key=key).status == 401


def test_agents_are_made_listed_and_found_by_id_and_slug(hub):
    made = hub.api("POST", "/agents", {"name": "My Agent!", "description": "d"})
    assert made.status == 201
    agent = made.json
    assert (agent["name"], agent["agent_id"], agent["instances_count"]) == (
        "My Agent!", "my-agent", 1)
    assert (agent["description"], agent["system_prompt"]) == ("d", None)
    again = hub.api("POST", "/agents", {"name": "my agent", "instances_count": 3}).json
    assert (again["agent_id"], again["instances_count"]) == ("my-agent-2", 3)
    assert hub.api("GET", f"/agents/{agent['id']}").json == agent
    assert hub.api("GET", "/agents/my-agent").json == agent
    listed = hub.api("GET", "/agents").json
    assert [a["agent_id"] for a in listed] == ["test-agent", "my-agent", "my-agent-2"]
    started = hub.api("POST", "/conversations/start", {"agent_id": agent["id"], "prompt": "x"})
    assert started.status == 201


@pytest.mark.parametrize("body", [
    {}, {"name": ""}, {"name": None}, {"name": 3}, {"name": "x" * 201},
    {"name": "x", "instances_count": 0}, {"name": "x", "instances_count": 1.5},
    {"name": "x", "instances_count": "2"}, {"name": "x", "instances_count": 10**9},
    {"name": "x", "description": 1}, {"name": "x", "system_prompt": []},
])
def test_an_agent_with_bad_fields_is_400(hub, body):
    answer = hub.api("POST", "/agents", body)
    assert answer.status == 400
    assert error_of(answer)
    assert len(hub.api("GET", "/agents").json) == 1


def test_a_slug_with_slashes_may_be_raw_or_encoded(hub):
    hub.key_create("--agent", "github.com/owner/repo")
    for path in ("/agents/github.com/owner/repo", "/agents/github.com%2Fowner%2frepo"):
        assert hub.api("GET", path).json["agent_id"] == "github.com/owner/repo"
        assert hub.api("PATCH", path, {"description": path}).json["description"] == path


def test_patch_changes_only_what_is_sent(hub):
    def patch(body):
        answer = hub.api("PATCH", "/agents/test-agent", body)
        assert answer.status == 200, answer
        return answer.json

    original = patch({})
    first = patch({"description": "one", "system_prompt": "two"})
    assert (first["name"], first["description"], first["system_prompt"]) == (
        original["name"], "one", "two")
    assert first["updated_at"] > original["updated_at"]
    time.sleep(0.005)  # nap: so that a touched updated_at would show
    assert patch({}) == first
    assert patch({"description": "one"}) == first
    assert patch({"unknown": 1}) == first
    emptied = patch({"description": ""})
    assert (emptied["description"], emptied["system_prompt"]) == ("", "two")
    assert emptied["updated_at"] > first["updated_at"]
    nulled = patch({"description": None, "system_prompt": None, "name": "Other"})
    assert (nulled["description"], nulled["system_prompt"], nulled["name"]) == (None, None, "Other")
    assert patch({"name": ""})["name"] == ""
    assert patch({"name": None})["name"] == "test-agent"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"name":1}', b'{"system_prompt":{}}',
                                  b'{"description":"x","name":false}'])
def test_a_bad_patch_is_400_and_changes_nothing(hub, body):
    before = hub.api("GET", "/agents/test-agent").json
    answer = hub.api("PATCH", "/agents/test-agent", body)
    assert answer.status == 400
    assert hub.api("GET", "/agents/test-agent").json == before


def test_the_mode_and_the_agents_system_prompt_reach_the_daemon(hub):
    hub.api("PATCH", "/agents/test-agent", {"system_prompt": "be kind"})
    job, message = hub.start("question", ask_mode=True)
    hub.api("PATCH", "/agents/test-agent", {"system_prompt": "changed later"})
    (listed,) = hub.poll()
    assert (listed["id"], listed["mode"], listed["system_prompt"]) == (job, "ask", "be kind")
    (record,) = listed["messages"]
    assert (record["id"], record["type"]) == (message, "start_conversation_v1")
    assert record["payload"] == {
        "job_id": job, "message": "question", "processed_message_id": message, "message_link": "",
        "mode": "ask", "system_prompt": "be kind"}
    follow = hub.resume(job, "more")
    (listed,) = hub.poll()
    assert [m["id"] for m in listed["messages"]] == [message, follow]
    assert listed["messages"][1]["type"] == "user_message_v1"
    assert listed["messages"][1]["payload"] == {
        "job_id": job, "message": "more", "processed_message_id": follow, "message_link": ""}


def test_text_of_any_kind_comes_back_as_it_was(hub):
    for text in ("a\nb\tc", "ünïcödé 🎉", '"quoted" \\ </script>', "x" * 1_000_000, "\x7f\x01"):
        _, message = hub.start(text)
        assert hub.message(message)["content"] == text


def test_a_prompt_or_body_past_the_limit_is_413(hub):
    body = {"agent_id": "test-agent", "prompt": "x" * (1 << 20)}
    assert hub.api("POST", "/conversations/start", body).status == 201
    body["prompt"] += "x"
    answer = hub.api("POST", "/conversations/start", body)
    assert answer.status == 413
    assert "longer than 1048576 bytes" in error_of(answer)
    body["prompt"] = "x" * (9 << 20)
    answer = hub.api("POST", "/conversations/start", body)
    assert answer.status == 413
    assert error_of(answer)


def test_messages_are_listed_oldest_first_with_rising_times(hub):
    job, first = hub.start("0")
    ids = [first] + [hub.resume(job, str(i)) for i in range(1, 20)]
    listed = hub.messages(job)
    assert [m["id"] for m in listed] == ids
    assert [m["content"] for m in listed] == [str(i) for i in range(20)]
    times = [m["created_at"] for m in listed]
    assert times == sorted(times)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", t) for t in times)


def test_a_list_may_be_asked_for_before_a_message(hub):
    job, first = hub.start("0")
    second = hub.resume(job, "1")
    answer = hub.api("GET", f"/conversations/{job}/messages?before={second}")
    assert [m["id"] for m in answer.json["messages"]] == [first]
    assert "more" not in answer.json
    answer = hub.api("GET", f"/conversations/{job}/messages?before=cmsg_none")
    assert answer.status == 400 and "before" in error_of(answer)


def test_a_revoked_key_is_refused_at_once_and_a_new_one_works_at_once(hub):
    key = hub.key_create("--org", "second")
    assert hub.api("GET", "/agents", key=key).status == 200
    (line,) = [l for l in hub.command("key", "list").stdout.splitlines() if " second " in l]
    assert hub.command("key", "revoke", line.split()[0]).returncode == 0
    answer = hub.api("GET", "/agents", key=key)
    assert answer.status == 401
    assert "revoked" in error_of(answer)
    assert hub.api("GET", "/agents").status == 200


def test_stopping_before_a_daemon_has_it_is_answered_by_the_hub(hub):
    job, first = hub.start("one")
    second = hub.resume(job, "two")
    answer = hub.api("POST", f"/conversations/{job}/stop")
    assert (answer.status, answer.json["job_id"]) == (202, job)
    assert hub.message(first)["status"] == hub.message(second)["status"] == "failed"
    replies = [m for m in hub.messages(job) if m["role"] == "system"]
    assert [m["content"] for m in replies] == [
        "nairid encountered error: stopped by the user"] * 2
    assert [m["processed_message_id"] for m in replies] == [first, second]
    assert hub.poll() == [], "and a daemon never sees it"
    assert hub.api("POST", f"/conversations/{job}/stop").status == 202
    assert len(hub.messages(job)) == 4, "stopping what is over changes nothing"
    third = hub.resume(job, "three")
    (listed,) = hub.poll()
    assert [m["id"] for m in listed["messages"]] == [third]
    assert "cancel_requested" not in listed


def test_answers_are_json_even_for_nothing(hub):
    for path in ("/nowhere", "/api/public/v2/agents", "/favicon.ico"):
        answer = hub.request("GET", path)
        assert answer.status == 404
        json.loads(answer.raw)
