"""The curl commands of Nairi's public documentation, as they stand there: only the host and the key
are changed, and the placeholders in angle brackets filled in. The agent's slug is AGENT_ID, so even
that stays as it is."""

import json
import os
import re
import subprocess

import pytest

START = r"""
curl -X POST https://api.nairi.ai/api/public/v1/conversations/start \
  -H "Authorization: Bearer $NAIRI_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"agent_id":"AGENT_ID", "prompt":"hello"}'
"""
POLL = r"""
curl https://api.nairi.ai/api/public/v1/messages/<message_id> \
  -H "Authorization: Bearer $NAIRI_API_KEY"
"""
LIST = r"""
curl https://api.nairi.ai/api/public/v1/conversations/<job_id>/messages \
  -H "Authorization: Bearer $NAIRI_API_KEY"
"""
CONTINUE = r"""
curl -X POST https://api.nairi.ai/api/public/v1/conversations/<job_id>/continue \
  -H "Authorization: Bearer $NAIRI_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"prompt":"and the second question..."}'
"""
PATCH = r"""
curl -X PATCH https://api.nairi.ai/api/public/v1/agents/AGENT_ID \
  -H "Authorization: Bearer $NAIRI_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "description": "Updated description",
    "system_prompt": "You are a helpful coding assistant."
  }'
"""


@pytest.fixture
def hub(make_hub):
    return make_hub(slug="AGENT_ID")


def run(hub, command, key=None, **placeholders):
    """Runs the command in a shell; returns what it printed, as JSON."""
    command = command.replace("https://api.nairi.ai", hub.url)
    for name, value in placeholders.items():
        command = command.replace(f"<{name}>", value)
    env = {"PATH": os.environ["PATH"], "NAIRI_API_KEY": key or hub.org_key}
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def answer(hub, message, text):
    """Does the daemon's part: takes what there is and replies to the message."""
    hub.poll()
    done = hub.agents("POST", "/messages", {
        "id": f"msg_{message}", "type": "assistant_message_v1",
        "payload": {"job_id": message, "processed_message_id": message, "message": text} | {
            "job_id": hub.message(message)["job_id"]}})
    assert done.status == 200, done
    assert hub.agents("POST", f"/messages/{message}/ack").status == 200


def test_the_documented_flow_runs_as_written(hub):
    started = run(hub, START)
    assert re.fullmatch(r"job_[0-9A-HJKMNP-TV-Z]{26}", started["job_id"])
    assert re.fullmatch(r"cmsg_[0-9A-HJKMNP-TV-Z]{26}", started["message_id"])

    polled = run(hub, POLL, message_id=started["message_id"])
    assert polled["id"] == started["message_id"]
    assert (polled["status"], polled["role"], polled["content"]) == ("queued", "user", "hello")

    answer(hub, started["message_id"], "hello to you")
    assert run(hub, POLL, message_id=started["message_id"])["status"] == "completed"
    thread = run(hub, LIST, job_id=started["job_id"])["messages"]
    assert [(m["role"], m["content"]) for m in thread] == [
        ("user", "hello"), ("assistant", "hello to you")]

    continued = run(hub, CONTINUE, job_id=started["job_id"])
    assert continued["job_id"] == started["job_id"]
    assert continued["message_id"] != started["message_id"]
    answer(hub, continued["message_id"], "the second answer")
    thread = run(hub, LIST, job_id=started["job_id"])["messages"]
    assert [m["content"] for m in thread] == [
        "hello", "hello to you", "and the second question...", "the second answer"]


def test_the_documented_patch_runs_as_written(hub):
    before = hub.api("GET", "/agents/AGENT_ID").json
    after = run(hub, PATCH)
    assert after["description"] == "Updated description"
    assert after["system_prompt"] == "You are a helpful coding assistant."
    assert set(after) >= {"id", "name", "agent_id", "instances_count", "description",
                          "is_self_hosted", "system_prompt", "created_at", "updated_at"}
    for field in ("id", "name", "agent_id", "instances_count", "created_at"):
        assert after[field] == before[field]
    assert re.fullmatch(r"cci_[0-9A-HJKMNP-TV-Z]{26}", after["id"])
    for field in ("created_at", "updated_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", after[field])
    by_ulid = run(hub, PATCH.replace("AGENT_ID", after["id"]))
    assert by_ulid == after, "the same values again change nothing, updated_at included"


def test_a_failed_message_looks_as_documented(hub):
    started = run(hub, START)
    hub.poll()
    hub.agents("POST", "/messages", {
        "id": "msg_1", "type": "system_message_v1",
        "payload": {"job_id": started["job_id"], "processed_message_id": started["message_id"],
                    "message": "nairid encountered error: no such program"}})
    assert run(hub, POLL, message_id=started["message_id"])["status"] == "failed"
    thread = run(hub, LIST, job_id=started["job_id"])["messages"]
    assert (thread[-1]["role"], thread[-1]["content"]) == (
        "system", "nairid encountered error: no such program")


def test_keys_are_not_interchangeable(hub):
    refused = run(hub, START, key=hub.agent_key)
    assert "organisation key" in refused["error"]
    refused = run(hub, START, key="nr_" + "x" * 43)
    assert "unknown" in refused["error"]
