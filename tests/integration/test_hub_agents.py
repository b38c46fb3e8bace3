"""The agents API as daemons use it: polls, replies, acks, leases, fences, stops."""

import concurrent.futures
import json
import socket
import time

import pytest

from hubkit import wait_until

ULID = "01KEQ6963XS96YDP3NF9NKB7QJ"
ERROR = "nairid encountered error: "
SOON_S = 8  # an event must show within this on a busy machine; a stall takes the whole wait
FAST_S = 1  # and as a rule within this


def post(hub, kind, message_id, text=None, job=None, id=None, fence=None, instance=None, **payload):
    """Sends an envelope of that type about that message; returns the answer."""
    if message_id:
        payload["processed_message_id"] = message_id
    if job:
        payload["job_id"] = job
    if text is not None:
        payload["message"] = text
    return hub.agents("POST", "/messages",
                      {"id": id or f"msg_{kind}_{message_id}", "type": kind, "payload": payload},
                      fence=fence, instance=instance)


def reply(hub, message_id, text="done", **kwargs):
    answer = post(hub, "assistant_message_v1", message_id, text, **kwargs)
    assert answer.status == 200, answer
    return answer


def ids(jobs):
    return [m["id"] for job in jobs for m in job["messages"]]


class Later:
    """A call in the background: later = Later(hub.poll, wait_s=5); later.result()."""

    def __init__(self, function, *args, **kwargs):
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.future = self.pool.submit(self._run, function, args, kwargs)

    def _run(self, function, args, kwargs):
        result = function(*args, **kwargs)
        self.ended = time.monotonic()
        return result

    def result(self):
        result = self.future.result(90)
        self.pool.shutdown()
        return result


def parked(hub, instance="i1", wait_s=30, **kwargs):
    """A long poll that the hub has parked: the instance's lease shows that it arrived."""
    later = Later(hub.agents, "GET", "/jobs", instance=instance, wait_s=wait_s, **kwargs)
    time.sleep(0.15)  # nothing shows from outside that a poll waits
    assert not later.future.done()
    return later


# statuses and replies


def test_a_message_goes_from_queued_over_pending_to_completed(hub):
    job, message = hub.start("hello")
    queued = hub.message(message)
    assert queued["status"] == "queued"
    (listed,) = hub.poll(instance="i1")
    assert (listed["id"], listed["job_type"], listed["mode"], listed["title"], listed["fence"]) == (
        job, "api", "execute", None, 1)
    pending = hub.message(message)
    assert pending["status"] == "pending"
    assert pending["updated_at"] >= queued["updated_at"]
    answer = reply(hub, message, "hi", instance="i1", fence=1)
    assert answer.headers["X-Nairi-Fence"] == "1"
    assert hub.message(message)["status"] == "completed"
    last = hub.messages(job)[-1]
    assert (last["role"], last["content"], last["status"], last["processed_message_id"]) == (
        "assistant", "hi", "completed", message)
    acked = hub.agents("POST", f"/messages/{message}/ack", instance="i1", fence=1)
    assert (acked.status, acked.headers["X-Nairi-Fence"]) == (200, "1")
    assert hub.poll(instance="i1") == []


def test_an_error_message_fails_it_and_a_new_prompt_goes_on(hub):
    job, message = hub.start("hello")
    hub.poll()
    assert post(hub, "system_message_v1", message, ERROR + "broken", job=job).status == 200
    assert hub.message(message)["status"] == "failed"
    assert hub.messages(job)[-1]["content"] == ERROR + "broken"
    second = hub.resume(job, "again")
    assert hub.message(second)["status"] == "queued"


@pytest.mark.parametrize("text", ["New commit added", "nairid encountered error:broken",
                                  "Nairid encountered error: x", " " + ERROR])
def test_other_system_messages_are_appended_only(hub, text):
    job, message = hub.start("hello")
    hub.poll()
    assert post(hub, "system_message_v1", message, text, job=job).status == 200
    assert hub.message(message)["status"] == "pending"
    assert [m["content"] for m in hub.messages(job)] == ["hello", text]


def test_a_system_message_may_name_the_job_alone(hub):
    job, _ = hub.start("hello")
    assert post(hub, "system_message_v1", None, "note", job=job,
                processed_message_id="").status == 200
    assert hub.messages(job)[-1]["content"] == "note"


def test_processing_makes_it_pending_and_nothing_more(hub):
    job, message = hub.start("hello")
    assert hub.message(message)["status"] == "queued"
    assert post(hub, "processing_message_v1", message, job=job).json == {"stored": True}
    assert hub.message(message)["status"] == "pending"
    assert len(hub.messages(job)) == 1
    reply(hub, message)
    assert post(hub, "processing_message_v1", message, job=job).json == {"stored": False}
    assert hub.message(message)["status"] == "completed"


def test_job_complete_appends_its_reason(hub):
    job, message = hub.start("hello")
    hub.poll()
    reply(hub, message)
    assert post(hub, "job_complete_v1", None, job=job,
                reason="Job complete - Thread is inactive").status == 200
    last = hub.messages(job)[-1]
    assert (last["role"], last["content"]) == ("system", "Job complete - Thread is inactive")


def test_a_repeated_envelope_is_200_and_stored_once(hub):
    job, message = hub.start("hello")
    hub.poll()
    first = reply(hub, message, "one", id="msg_same")
    again = reply(hub, message, "one", id="msg_same")
    assert (first.json, again.json) == ({"stored": True}, {"stored": False})
    assert len(hub.messages(job)) == 2


def test_a_second_terminal_reply_is_200_and_not_stored(hub):
    job, message = hub.start("hello")
    hub.poll()
    reply(hub, message, "one", id="msg_1")
    assert reply(hub, message, "two", id="msg_2").json == {"stored": False}
    answer = post(hub, "system_message_v1", message, ERROR + "late", job=job)
    assert (answer.status, answer.json) == (200, {"stored": False})
    assert [m["content"] for m in hub.messages(job)] == ["hello", "one"]
    assert hub.message(message)["status"] == "completed"


def test_ack_is_idempotent_and_a_reply_may_still_come_after_it(hub):
    job, message = hub.start("hello")
    hub.poll()
    for stored in (True, False, False):
        answer = hub.agents("POST", f"/messages/{message}/ack")
        assert (answer.status, answer.json) == (200, {"stored": stored})
    assert hub.poll() == []
    assert reply(hub, message).json == {"stored": True}
    assert hub.message(message)["status"] == "completed"


def test_usage_becomes_cost_fields(hub):
    job, message = hub.start("hello")
    hub.poll()
    reply(hub, message, usage={"cost_usd": "0.0123456789", "input_tokens": 12, "output_tokens": 3,
                               "cache_read_tokens": 0, "cache_write_tokens": "bad", "model": "m-1",
                               "id": "not ours to overwrite"})
    last = hub.messages(job)[-1]
    assert {k: last.get(k) for k in ("cost_usd", "input_tokens", "output_tokens",
                                     "cache_read_tokens", "model")} == {
        "cost_usd": "0.0123456789", "input_tokens": 12, "output_tokens": 3, "cache_read_tokens": 0,
        "model": "m-1"}
    assert "cache_write_tokens" not in last
    assert last["id"].startswith("cmsg_")
    assert hub.messages(job)[0].get("input_tokens") is None  # what was asked cost nothing


def test_a_failed_message_has_no_cost_fields(hub):
    job, message = hub.start("hello")
    hub.poll()
    payload = {"job_id": job, "processed_message_id": message, "usage": {"input_tokens": 12},
               "message": "nairid encountered error: no"}
    body = {"id": "msg_1", "type": "system_message_v1", "payload": payload}
    assert hub.agents("POST", "/messages", body).json == {"stored": True}
    assert "input_tokens" not in hub.messages(job)[-1]


def test_progress_is_listed_in_order_with_its_fields(hub):
    job, message = hub.start("hello")
    hub.poll()
    payloads = [
        {"job_id": job, "processed_message_id": message, "progress_type": "tool_use",
         "tool_name": "Bash", "tool_input": "ls", "tool_status": "running", "tool_use_id": "t1",
         "parent_tool_use_id": "t0"},
        {"job_id": job, "processed_message_id": message, "progress_type": "text",
         "text_delta": "thinking"}]
    for i, payload in enumerate(payloads):
        body = {"id": f"prg_{i}", "type": "agent_progress_v1", "payload": payload}
        assert hub.agents("POST", "/messages", body).json == {"stored": True}
        assert hub.agents("POST", "/messages", body).json == {"stored": False}
    reply(hub, message)
    listed = hub.messages(job)
    assert [m["role"] for m in listed] == ["user", "progress", "progress", "assistant"]
    assert [json.loads(m["content"]) for m in listed[1:3]] == payloads
    assert (listed[1]["progress_type"], listed[1]["tool_name"], listed[1]["tool_status"],
            listed[1]["tool_use_id"], listed[1]["parent_tool_use_id"]) == (
        "tool_use", "Bash", "running", "t1", "t0")
    late = {"id": "prg_late", "type": "agent_progress_v1", "payload": payloads[1]}
    assert hub.agents("POST", "/messages", late).json == {"stored": False}


def test_progress_of_a_message_is_bounded_and_keeps_the_newest(hub):
    job, message = hub.start("hello")
    hub.poll()
    for i in range(230):
        body = {"id": f"prg_{i}", "type": "agent_progress_v1",
                "payload": {"processed_message_id": message, "progress_type": "text",
                            "text_delta": str(i)}}
        assert hub.agents("POST", "/messages", body).status == 200
    deltas = [json.loads(m["content"])["text_delta"] for m in hub.messages(job)[1:]]
    assert deltas == [str(i) for i in range(30, 230)]


def test_progress_of_one_tool_has_one_row_and_never_goes_back(hub):
    job, message = hub.start("hello")
    hub.poll()
    for i, (tool, kind, status) in enumerate([
            ("t1", "tool_use", "running"), ("t2", "tool_use", "running"),
            ("t1", "tool_heartbeat", "running"), ("t1", "tool_use", "completed"),
            ("t1", "tool_use", "running")]):
        body = {"id": f"prg_{i}", "type": "agent_progress_v1",
                "payload": {"processed_message_id": message, "progress_type": kind,
                            "tool_use_id": tool, "tool_status": status}}
        assert hub.agents("POST", "/messages", body).json == {"stored": i < 4}
    assert [(m["tool_use_id"], m["progress_type"], m["tool_status"])
            for m in hub.messages(job)[1:]] == [
        ("t1", "tool_use", "completed"), ("t2", "tool_use", "running"),
        ("t1", "tool_heartbeat", "running")]


def test_a_job_that_somebody_has_written_to_is_not_over(hub):
    job, message = hub.start("hello")
    hub.poll()
    assert post(hub, "job_complete_v1", None, job=job, reason="over", id="msg_1").json == {
        "stored": False}
    reply(hub, message)
    assert post(hub, "job_complete_v1", None, job=job, reason="over", id="msg_2").json == {
        "stored": True}
    assert post(hub, "job_complete_v1", None, job=job, reason="over", id="msg_2").json == {
        "stored": False}
    assert [m["content"] for m in hub.messages(job)[2:]] == ["over"]


def test_a_type_that_is_not_known_here_is_taken_and_ignored(hub):
    job, message = hub.start("hello")
    hub.poll()
    assert post(hub, "made_up_v1", message, "text", job=job).json == {"stored": False}
    assert len(hub.messages(job)) == 1


# what is refused


@pytest.mark.parametrize("body,status", [
    (b"", 400), (b"[]", 400), (b"{", 400), (b'{"id":"m","type":"assistant_message_v1"}', 400),
    (b'{"id":"m","type":"assistant_message_v1","payload":[]}', 400),
    (b'{"id":7,"type":"assistant_message_v1","payload":{}}', 400),
    (b'{"id":"","type":"assistant_message_v1","payload":{}}', 400),
    (b'{"id":"a b","type":"assistant_message_v1","payload":{"message":"x"}}', 400),
    (b'{"id":"m","type":7,"payload":{}}', 400),
    (b'{"id":"m","type":"assistant_message_v1","payload":{"message":"x"}}', 400),
    (b'{"id":"m","type":"assistant_message_v1","payload":{"message":7,"processed_message_id":'
     b'"cmsg_01KEQ6963XS96YDP3NF9NKB7QJ"}}', 400),
    (b'{"id":"m","type":"assistant_message_v1","payload":{"message":"x","processed_message_id":'
     b'"nonsense"}}', 400),
    (b'{"id":"m","type":"assistant_message_v1","payload":{"message":"x","processed_message_id":'
     b'"cmsg_01KEQ6963XS96YDP3NF9NKB7QJ"}}', 404),
    (b'{"id":"m","type":"system_message_v1","payload":{"message":"x"}}', 400),
    (b'{"id":"m","type":"job_complete_v1","payload":{"reason":"x","job_id":'
     b'"job_01KEQ6963XS96YDP3NF9NKB7QJ"}}', 404),
])
def test_bad_envelopes_are_refused(hub, body, status):
    answer = hub.agents("POST", "/messages", body)
    assert answer.status == status, answer
    assert set(answer.json) == {"error"}


def test_acks_of_bad_or_unknown_ids_are_refused(hub):
    assert hub.agents("POST", "/messages/nonsense/ack").status == 400
    assert hub.agents("POST", f"/messages/cmsg_{ULID}/ack").status == 404


def test_an_agent_sees_and_answers_only_its_own(hub):
    job, message = hub.start("for the first")
    other = hub.key_create("--agent", "other")
    assert hub.poll(key=other) == []
    body = {"id": "msg_1", "type": "assistant_message_v1",
            "payload": {"processed_message_id": message, "job_id": job, "message": "stolen"}}
    assert hub.agents("POST", "/messages", body, key=other).status == 404
    assert hub.agents("POST", f"/messages/{message}/ack", key=other).status == 404
    assert hub.message(message)["status"] == "queued"


def test_a_reply_must_name_its_own_job(hub):
    _, message = hub.start("one")
    job, _ = hub.start("two")
    assert post(hub, "assistant_message_v1", message, "x", job=job).status == 400


def test_keys_of_the_wrong_kind_are_401(hub):
    answer = hub.agents("GET", "/jobs", key=hub.org_key)
    assert answer.status == 401
    assert "agent key" in answer.json["error"]
    assert hub.agents("GET", "/jobs", key=None).status == 401


def test_an_agent_id_that_is_not_the_keys_is_403(hub):
    agent = hub.api("GET", "/agents/test-agent").json
    for name in ("test-agent", agent["id"]):
        assert hub.agents("GET", "/jobs", headers={"X-AGENT-ID": name}).status == 200
    answer = hub.agents("GET", "/jobs", headers={"X-AGENT-ID": "somebody-else"})
    assert answer.status == 403
    assert "somebody-else" in answer.json["error"] and "test-agent" in answer.json["error"]


@pytest.mark.parametrize("name,value", [
    ("X-CCAGENT-ID", "x" * 129), ("X-CCAGENT-ID", "\xff"), ("X-Nairi-Fence", "x"),
    ("X-Nairi-Fence", "-1"), ("X-Nairi-Fence", "99999999999999999999")])
def test_malformed_headers_are_400(hub, name, value):
    assert hub.agents("GET", "/jobs", headers={name: value}).status == 400


def test_the_start_of_a_daemon_is_answered_truthfully(hub):
    assert hub.agents("GET", "/env").json == {"env_vars": []}
    assert hub.agents("GET", "/artifacts").json == []
    token = hub.agents("GET", "/token")
    assert token.status == 404
    assert "login" in token.json["error"]


# long polls


def test_a_long_poll_answers_as_soon_as_a_message_is_there(hub):
    later = parked(hub)
    began = time.monotonic()
    job, message = hub.start("wake up")
    answer = later.result()
    assert later.ended - began < SOON_S
    assert answer.headers["Preference-Applied"] == "wait=30"
    assert ids(answer.json["jobs"]) == [message]


def test_a_long_poll_on_a_kept_connection_answers_as_soon(hub):
    """A client that keeps its connection shows a resume without a wake-up."""
    import http.client

    connection = http.client.HTTPConnection(hub.host.hostname, hub.host.port, timeout=60)
    headers = {"Authorization": f"Bearer {hub.agent_key}", "X-CCAGENT-ID": "i1",
               "Prefer": "respond-async, wait=30"}
    took = []
    for i in range(20):
        # nap: the poll comes first; where it doesn't, its answer is only easier
        starter = Later(lambda: time.sleep(0.05) or (time.monotonic(), hub.start(str(i))))
        connection.request("GET", "/api/agents/jobs", headers=headers)
        answer = json.loads(connection.getresponse().read())
        ended = time.monotonic()
        began, (_, message) = starter.result()
        assert ids(answer["jobs"]) == [message]
        took.append(ended - began)
    connection.close()
    assert max(took) < SOON_S
    assert sorted(took)[len(took) // 2] < FAST_S


def test_a_long_poll_that_sees_nothing_ends_with_its_time(hub):
    answer = hub.agents("GET", "/jobs", instance="i1", wait_s=1)
    assert answer.json == {"jobs": []}
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert 0.9 < answer.elapsed_s < 1 + SOON_S


def test_a_poll_without_prefer_answers_at_once(hub):
    for headers in ({}, {"Prefer": "wait=x"}, {"Prefer": "respond-async"}, {"Prefer": "wait=0"}):
        answer = hub.agents("GET", "/jobs", headers=headers)
        assert answer.elapsed_s < SOON_S
        assert answer.headers["Preference-Applied"] is None


def test_a_wait_is_capped(hub):
    later = parked(hub, wait_s=100000)
    hub.start("x")
    assert later.result().headers["Preference-Applied"] == "wait=120"


def test_a_long_poll_lists_only_what_is_new_and_a_plain_one_everything(hub):
    _, first = hub.start("one")
    assert ids(hub.poll(instance="i1", wait_s=5)) == [first]
    later = parked(hub)
    _, second = hub.start("two")
    assert ids(later.result().json["jobs"]) == [second]
    assert ids(hub.poll(instance="i1")) == [first, second]
    assert ids(hub.poll(instance="i1")) == [first, second]


def test_one_message_goes_to_one_of_many_pollers(hub):
    laters = [parked(hub, instance=f"i{n}", wait_s=2) for n in range(6)]
    messages = [hub.start(str(n))[1] for n in range(3)]
    answers = [later.result() for later in laters]
    got = [ids(a.json["jobs"]) for a in answers]
    assert sorted(sum(got, [])) == sorted(messages)
    assert all(a.elapsed_s < 2 + SOON_S for a in answers)


def test_a_hundred_polls_of_instances_are_woken_and_answered(hub):
    hub.key_create("--agent", "crowd")
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        futures = [pool.submit(hub.agents, "GET", "/jobs", instance=f"i{n}", wait_s=40)
                   for n in range(100)]
        time.sleep(1)  # nap: most polls are held by then; those that aren't have it easier
        began = time.monotonic()
        messages = {hub.start(str(n))[1] for n in range(100)}
        got = [ids(f.result(60).json["jobs"]) for f in futures]
        assert time.monotonic() - began < 20
    assert set(sum(got, [])) == messages


def test_the_message_of_a_client_that_left_goes_to_the_next(hub):
    request = (f"GET /api/agents/jobs HTTP/1.1\r\nHost: x\r\nX-CCAGENT-ID: i1\r\n"
               f"Authorization: Bearer {hub.agent_key}\r\nPrefer: wait=60\r\n\r\n")
    for _ in range(5):
        with socket.create_connection((hub.host.hostname, hub.host.port)) as client:
            client.sendall(request.encode())
            time.sleep(0.1)  # nap: so that the poll is held when its client leaves
        _, message = hub.start("x")
        assert ids(hub.poll(instance="i2", wait_s=5)) == [message]


def test_the_newest_poll_of_an_instance_is_answered_first(hub):
    older = parked(hub)
    newer = parked(hub)
    _, message = hub.start("x")
    assert ids(newer.result().json["jobs"]) == [message]
    assert not older.future.done()
    _, message = hub.start("y")
    assert ids(older.result().json["jobs"]) == [message]


# leases and fences


def test_a_job_stays_with_the_instance_that_took_it(hub):
    job, first = hub.start("one")
    assert ids(hub.poll(instance="i1")) == [first]
    second = hub.resume(job, "two")
    assert hub.poll(instance="i2") == []
    assert ids(hub.poll(instance="i1")) == [first, second]
    for message in (first, second):
        reply(hub, message, instance="i1", fence=1)
        assert hub.agents("POST", f"/messages/{message}/ack", instance="i1", fence=1).status == 200
    third = hub.resume(job, "three")
    assert hub.poll(instance="i2") == [], "also between messages"
    assert ids(hub.poll(instance="i1")) == [third]


def test_a_wrong_fence_is_409_and_nothing_is_stored(hub):
    job, message = hub.start("one")
    hub.poll(instance="i1")
    for fence in (2, 99):
        answer = post(hub, "assistant_message_v1", message, "x", fence=fence, job=job)
        assert answer.status == 409
        assert "lease" in answer.json["error"]
        assert hub.agents("POST", f"/messages/{message}/ack", fence=fence).status == 409
    assert hub.message(message)["status"] == "pending"
    assert len(hub.messages(job)) == 1


def test_without_a_fence_only_the_holder_may_write(hub):
    _, message = hub.start("one")
    hub.poll(instance="i1")
    for instance, status in (("i2", 409), (None, 409), ("i1", 200)):
        assert post(hub, "assistant_message_v1", message, "x", instance=instance).status == status


def test_fences_and_leases_survive_a_restart_and_what_is_unacked_is_listed_again(hub):
    job, first = hub.start("one")
    _, queued = hub.start("two")
    (listed, _) = hub.poll(instance="i1")
    assert listed["fence"] == 1
    hub.restart()
    assert hub.poll(instance="i2", wait_s=1) == [], "i1 may be alive still"
    again = hub.poll(instance="i1", wait_s=5)
    assert ids(again) == [first, queued]
    assert [j["fence"] for j in again] == [1, 1]
    assert reply(hub, first, instance="i1", fence=1).headers["X-Nairi-Fence"] == "1"


# stopping


def test_stopping_a_held_job_wakes_its_holder(hub):
    job, message = hub.start("one")
    hub.poll(instance="i1")
    later = parked(hub)
    other = parked(hub, instance="i2", wait_s=2)
    began = time.monotonic()
    assert hub.api("POST", f"/conversations/{job}/stop").status == 202
    (listed,) = later.result().json["jobs"]
    assert later.ended - began < SOON_S
    assert (listed["id"], listed["cancel_requested"], listed["messages"]) == (job, True, [])
    assert other.result().json == {"jobs": []}
    assert hub.message(message)["status"] == "pending", "until the daemon says so"
    assert hub.poll(instance="i1", wait_s=1) == [], "it is told once"
    (listed,) = hub.poll(instance="i1")
    assert listed["cancel_requested"] and ids([listed]) == [message], "and when it asks plainly"

    follow = hub.resume(job, "meant to run")
    assert hub.poll(instance="i1", wait_s=1) == [], "what came later waits"
    later = parked(hub)
    post(hub, "system_message_v1", message, ERROR + "stopped by the user", instance="i1", fence=1)
    (listed,) = later.result().json["jobs"]
    assert ids([listed]) == [message, follow], "all that it has not acknowledged"
    assert "cancel_requested" not in listed
    assert hub.message(message)["status"] == "failed"


def test_stopping_answers_what_was_not_handed_out_at_once(hub):
    job, first = hub.start("one")
    hub.poll(instance="i1")
    second = hub.resume(job, "two")
    hub.api("POST", f"/conversations/{job}/stop")
    assert [hub.message(m)["status"] for m in (first, second)] == ["pending", "failed"]
    (listed,) = hub.poll(instance="i1")
    assert ids([listed]) == [first] and listed["cancel_requested"]


def test_a_stop_survives_a_restart(hub):
    job, message = hub.start("one")
    hub.poll(instance="i1")
    hub.api("POST", f"/conversations/{job}/stop")
    hub.poll(instance="i1", wait_s=1)
    hub.restart()
    (listed,) = hub.poll(instance="i1", wait_s=5)
    assert listed["cancel_requested"] and ids([listed]) == [message]


# bounds


def test_an_instance_holds_a_thousand_and_the_rest_comes_as_acks_make_room(hub):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        messages = list(pool.map(lambda i: hub.start(str(i))[1], range(1200)))
    answer = hub.agents("GET", "/jobs", instance="i1")
    held = ids(answer.json["jobs"])
    assert len(held) == 1000 and answer.json["more"] is True
    assert sorted(held) == sorted(set(held))
    assert hub.poll(instance="i1", wait_s=1) == []
    assert len(ids(hub.poll(instance="i2"))) == 200, "another instance takes the rest"
    hub.start("one more")
    later = parked(hub)
    for message in held[:100]:
        assert hub.agents("POST", f"/messages/{message}/ack", instance="i1").status == 200
    assert len(ids(later.result().json["jobs"])) == 1
    assert set(messages) >= set(held)


def test_prompts_of_megabytes_are_handed_out_in_parts(hub):
    sent = [hub.start("x" * (1 << 20))[1] for _ in range(10)]
    answer = hub.agents("GET", "/jobs", instance="i1")
    first = ids(answer.json["jobs"])
    assert first == sent[:8] and answer.json["more"] is True
    later = parked(hub)
    for message in first[:3]:
        hub.agents("POST", f"/messages/{message}/ack", instance="i1")
    got = ids(later.result().json["jobs"])
    wait_until(lambda: got.extend(ids(hub.poll(instance="i1", wait_s=1))) or got == sent[8:], 10)


def test_ten_thousand_waiting_messages_do_not_slow_a_poll_down(hub):
    import sqlite3

    hub.start("first")
    hub.end()
    base = sqlite3.connect(hub.db)
    agent, now = base.execute("SELECT agent, created_ms FROM messages").fetchone()
    base.execute(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
        " INSERT INTO jobs (seq, id, agent, status, mode, created_ms, updated_ms)"
        f" SELECT i, 'job_' || i, {agent}, 'active', 'execute', {now}, {now} FROM n")
    base.execute(
        "INSERT INTO messages (id, job, agent, role, status, type, content, size, acked,"
        " created_ms, updated_ms) SELECT 'cmsg_' || seq, seq, agent, 'user', 'queued',"
        " 'start_conversation_v1', 'x', 1, 0, created_ms, updated_ms FROM jobs WHERE seq > 1")
    base.commit()
    base.close()
    hub.boot()
    first = hub.agents("GET", "/jobs", instance="i1")
    assert len(ids(first.json["jobs"])) == 1000
    again = [hub.agents("GET", "/jobs", instance="i1", wait_s=1).elapsed_s for _ in range(3)]
    assert min(again) < 1 + SOON_S
    assert first.elapsed_s < 10, "a thousand messages, under sanitizers"
    _, message = hub.start("last")
    assert hub.message(message)["status"] == "queued"
