"""Messages that wait too long, keys that are replaced, and the lists of conversations."""

import json
import signal
import urllib.parse

import pytest

from hubkit import Hub, wait_until

ULID = "01KEQ6963XS96YDP3NF9NKB7QJ"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    hub = Hub(tmp_path_factory.mktemp("shared"))
    yield hub.boot()
    assert hub.end() == 0


# ---- messages that wait ----


def test_a_message_that_no_daemon_takes_fails_and_says_what_to_do(make_hub):
    hub = make_hub(extra=["--queue-timeout", "500ms"])
    job, message = hub.start("hello")
    assert hub.wait_status(message)["status"] == "failed"
    rows = hub.messages(job)
    assert [row["role"] for row in rows] == ["user", "system"]
    assert rows[1]["content"].startswith("nairid encountered error: no agent took this message "
                                         "within 500ms: see to it that a daemon")
    [listed] = hub.api("GET", "/conversations").json["conversations"]
    assert listed["status"] == "error"
    assert hub.poll(instance="one") == []


def test_a_message_that_a_daemon_has_is_left_alone(make_hub):
    hub = make_hub(extra=["--queue-timeout", "2s"])
    _, message = hub.start("hello")
    [listed] = hub.poll(instance="one")
    assert [m["id"] for m in listed["messages"]] == [message]
    _, other = hub.start("nobody asks for this one")
    assert hub.wait_status(other)["status"] == "failed"
    assert hub.message(message)["status"] == "pending"


def test_the_time_counts_over_a_restart_and_each_fails_once(make_hub):
    hub = make_hub()  # a day
    jobs = [hub.start("hello") for _ in range(3)]
    assert all(hub.message(message)["status"] == "queued" for _, message in jobs)
    hub.end()
    hub.extra = ["--queue-timeout", "1s"]
    hub.boot()
    for job, message in jobs:
        assert hub.wait_status(message)["status"] == "failed"
    hub.restart()
    for job, _ in jobs:
        assert [row["role"] for row in hub.messages(job)] == ["user", "system"]


def test_it_may_wait_for_ever(make_hub):
    hub = make_hub(extra=["--queue-timeout", "0"])
    _, message = hub.start("hello")
    assert hub.message(message)["status"] == "queued"


@pytest.mark.parametrize("option,value", [
    ("--queue-timeout", "1"), ("--queue-timeout", "-1s"), ("--keep-uploads", "0"),
    ("--attachment-max", "0"), ("--attachment-max", "5G"), ("--attachment-max", "much"),
    ("--agent-files", "0"), ("--agent-files", "2000T"), ("--keep-free", "-1"), ("--keep-free", "x")])
def test_options_that_make_no_sense_are_64(shared, option, value):
    done = shared.command("serve", "--listen", "127.0.0.1:0", option, value)
    assert done.returncode == 64 and option in done.stderr, done


# ---- who waits when the hub stops ----


def answered(hub, look):
    """A message that was looked at, perhaps, before its answer came."""
    _, message = hub.start("hello")
    hub.poll(instance="one")
    if look:
        assert hub.message(message)["status"] == "pending"
    answer = hub.agents("POST", "/messages", instance="one", body={
        "id": "msg_1", "type": "assistant_message_v1",
        "payload": {"processed_message_id": message, "message": "done"}})
    assert answer.status == 200, answer
    return message


def test_a_hub_that_stops_waits_for_whoever_asks_for_his_answer(hub):
    message = answered(hub, look=True)
    hub.proc.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in hub.log, what="it to take the signal")
    assert hub.message(message)["status"] == "completed"
    assert hub.proc.wait(30) == 0 and "lingering" in hub.log


def test_a_hub_that_stops_waits_for_nobody_else(hub):
    answered(hub, look=False)
    assert hub.end() == 0 and "lingering" not in hub.log


def test_a_second_signal_stops_a_hub_that_waits(hub):
    message = answered(hub, look=True)
    hub.proc.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in hub.log, what="it to take the signal")
    hub.proc.send_signal(signal.SIGTERM)
    assert hub.proc.wait(30) in (0, -signal.SIGTERM)  # it may have ended already
    hub.boot()
    assert hub.message(message)["status"] == "completed"


# ---- keys that are replaced ----


def id_of(hub, kind):
    return next(line.split()[0] for line in hub.command("key", "list").stdout.splitlines()
                if line.split()[1] == kind)


def test_a_rotated_key_works_beside_the_new_one(hub):
    for kind, old in (("org", hub.org_key), ("agent", hub.agent_key)):
        done = hub.command("key", "rotate", id_of(hub, kind))
        assert done.returncode == 0 and done.stderr == "", done
        new = done.stdout.strip()
        assert new != old and new.startswith("nr_" if kind == "org" else "nairid_")
        for key in (old, new):
            call = hub.api if kind == "org" else hub.agents
            assert call("GET", "/agents" if kind == "org" else "/jobs", key=key).status == 200
    lines = hub.command("key", "list").stdout.splitlines()
    assert sum("valid until " in line for line in lines) == 2
    assert sum(line.endswith("valid") for line in lines) == 2


def test_an_old_key_expires_on_a_running_hub_and_says_so(hub):
    new = hub.command("key", "rotate", id_of(hub, "agent"), "--overlap", "1s").stdout.strip()
    assert hub.agents("GET", "/jobs", key=new).status == 200

    def expired():
        answer = hub.agents("GET", "/jobs")
        assert answer.status in (200, 401)
        return answer if answer.status == 401 else None

    answer = wait_until(expired, what="the old key to expire")
    assert "expired at 20" in answer.json["error"] and "use the new one" in answer.json["error"]
    assert hub.agents("GET", "/jobs", key=new).status == 200
    assert " expired 20" in hub.command("key", "list").stdout


def test_what_can_not_be_rotated_is_said(hub):
    old = id_of(hub, "org")
    assert hub.command("key", "rotate", old, "--overlap", "0").returncode == 0
    assert hub.api("GET", "/agents").status == 401
    for args in ((old,), ("key_x",), (), (id_of(hub, "agent"), "--overlap", "1"),
                 (id_of(hub, "agent"), "--overlap", "366d")):
        done = hub.command("key", "rotate", *args)
        assert done.returncode == 64 and done.stderr and not done.stdout, done


# ---- lists ----


def listed(hub, path="/conversations", **query):
    answer = hub.api("GET", f"{path}?{urllib.parse.urlencode(query)}")
    assert answer.status == 200, answer
    return answer.json


def ids(hub, path="/conversations", **query):
    return [c["id"] for c in listed(hub, path, **query)["conversations"]]


def test_lists_are_sorted_cut_and_filtered(hub):
    other = hub.api("POST", "/agents", {"name": "Other"}).json
    jobs = [hub.start(f"prompt {i}\nwith a second line")[0] for i in range(5)]
    hub.api("POST", "/conversations/start", {"agent_id": other["id"], "prompt": "x" * 1000,
                                             "ask_mode": True})
    mine = f"/agents/{hub.slug}/conversations"
    assert ids(hub, mine) == jobs[::-1]
    assert ids(hub, mine, sort="created_at_asc") == jobs
    assert ids(hub, mine, sort="created_at_asc", limit=2, offset=1) == jobs[1:3]
    assert listed(hub, mine, limit=4)["more"] is True and "more" not in listed(hub, mine, limit=5)
    assert len(ids(hub)) == 6 and len(ids(hub, f"/agents/{other['id']}/conversations")) == 1
    first = listed(hub, limit=1)["conversations"][0]
    assert first["agent_id"] == other["id"] and first["mode"] == "ask"
    assert first["title"].startswith("xxx") and len(first["title"]) <= 120
    one = listed(hub, mine, limit=1, sort="created_at_asc")["conversations"][0]
    assert set(one) == {"id", "agent_id", "status", "mode", "title", "created_at", "updated_at"}
    assert one["title"] == "prompt 0 with a second line" and one["status"] == "active"
    hub.resume(jobs[1], "more")
    assert ids(hub, mine, sort="updated_at_desc")[0] == jobs[1]
    assert ids(hub, mine, sort="updated_at_asc")[-1] == jobs[1]
    seen = next(c for c in listed(hub, mine)["conversations"] if c["id"] == jobs[1])
    assert ids(hub, mine, updated_after=seen["updated_at"]) == []
    assert ids(hub, mine, updated_after="2020-01-01T00:00:00+01:00", limit=100) == jobs[::-1]
    hub.api("POST", f"/conversations/{jobs[0]}/stop")
    assert ids(hub, mine, status="error") == [jobs[0]]
    assert set(ids(hub, mine, status="active,completed")) == set(jobs[1:])
    assert ids(hub, mine, status="abandoned") == []


@pytest.mark.parametrize("query", [
    "status=", "status=Active", "status=active,", "status=active,%20error", "updated_after=",
    "updated_after=2026-01-01", "updated_after=yesterday", "updated_after=1750000000", "sort=",
    "sort=created_at", "sort=CREATED_AT_DESC", "limit=0", "limit=101", "limit=-1", "limit=x",
    "limit=", "limit=1e1", "offset=-1", "offset=x", "offset=99999999999999999999", "status=%ff",
    "status=%00", "limit=%zz"])
def test_a_query_that_is_not_valid_is_400(shared, query):
    for path in ("/conversations", f"/agents/{shared.slug}/conversations"):
        answer = shared.api("GET", f"{path}?{query}")
        assert answer.status == 400 and answer.json["error"], (path, answer)


def test_unknown_agents_have_no_list(shared):
    assert shared.api("GET", "/agents/nobody/conversations").status == 404
    assert shared.api("GET", f"/agents/cci_{ULID}/conversations").status == 404
    assert shared.api("GET", "/agents/cci_x/conversations").status == 400
    assert json.loads(shared.api("GET", "/conversations").raw) == {"conversations": []}
