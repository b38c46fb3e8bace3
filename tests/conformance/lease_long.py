"""Leases in real time (120 s): who falls silent loses its jobs then, and who calls keeps them.

What the hub does at which moment is shown with a clock of the test's own in unit/hub/test_inbox.c;
here it is the real hub, its timers, and connections of which some die without a word. Each test has
an agent of its own on one hub, and all wait side by side, in long polls of the second instance.
"""

import concurrent.futures
import itertools
import socket
import time

import pytest

import deadwire

from hubkit import Hub
from wire import Unread

LEASE_S = 120
SLACK_S = 25       # of a busy machine
POLL_S = 120       # as long as the hub lets a poll wait
_numbers = itertools.count(1)


class Agent:
    """An agent of the hub, whose instances are "first" and "second"."""

    def __init__(self, hub, slug):
        self.hub = hub
        self.slug = slug
        self.key = hub.key_create("--agent", slug)

    def call(self, method, path, body=None, **kwargs):
        return self.hub.agents(method, path, body, key=self.key, **kwargs)

    def start(self):
        answer = self.hub.api("POST", "/conversations/start",
                              {"agent_id": self.slug, "prompt": "work"})
        assert answer.status == 201, answer
        return answer.json["job_id"], answer.json["message_id"]

    def take(self):
        """The one job that there is, by the first instance."""
        [job] = self.call("GET", "/jobs", instance="first").json["jobs"]
        assert job["fence"] == 1
        return job

    def wait_job(self):
        """Polls as the second instance until it is given something: (when, the job)."""
        deadline = time.monotonic() + 4 * LEASE_S
        while time.monotonic() < deadline:
            jobs = self.call("GET", "/jobs", instance="second", wait_s=POLL_S).json["jobs"]
            if jobs:
                assert len(jobs) == 1, jobs
                return time.monotonic(), jobs[0]
        raise AssertionError("nobody got the job")

    def submit(self, kind, job, message, instance, fence, text="done"):
        body = {"id": f"msg_{next(_numbers)}", "type": kind,
                "payload": {"job_id": job, "processed_message_id": message, "message": text}}
        return self.call("POST", "/messages", body, instance=instance, fence=fence).status

    def ack(self, message, instance, fence):
        return self.call("POST", f"/messages/{message}/ack", instance=instance, fence=fence).status

    def hold_poll(self):
        """A long poll of the first instance, on a connection of its own."""
        sock = socket.create_connection((self.hub.host.hostname, self.hub.host.port))
        sock.sendall(f"GET /api/agents/jobs HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer "
                     f"{self.key}\r\nX-CCAGENT-ID: first\r\nPrefer: wait=60\r\n\r\n".encode())
        return sock


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = Hub(tmp_path_factory.mktemp("hub")).boot()
    yield hub
    assert hub.end() == 0


def finish(agent, job, message, listed):
    """The second instance has the job: the first is refused whatever it does, the second not."""
    assert listed["id"] == job and listed["fence"] == 2
    assert [record["id"] for record in listed["messages"]] == [message]
    for kind in ("assistant_message_v1", "processing_message_v1", "agent_progress_v1"):
        assert agent.submit(kind, job, message, "first", 1, text="late") == 409
    assert agent.ack(message, "first", 1) == 409
    assert agent.submit("assistant_message_v1", job, message, "second", 2) == 200
    assert agent.ack(message, "second", 2) == 200
    contents = [m["content"] for m in agent.hub.messages(job) if m["role"] == "assistant"]
    assert contents == ["done"]
    assert agent.call("GET", "/jobs", instance="first").json["jobs"] == []


def silent_instance(hub):
    agent = Agent(hub, "silent")
    job, message = agent.start()
    agent.take()
    began = time.monotonic()
    came, listed = agent.wait_job()
    assert LEASE_S - 1 <= came - began <= LEASE_S + SLACK_S
    finish(agent, job, message, listed)


def calling_instance(hub, renew):
    """The call comes when half of the lease is over: the rest begins anew then."""
    agent = Agent(hub, renew.__name__.replace("_", "-"))
    job, message = agent.start()
    agent.take()
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        taken = other.submit(agent.wait_job)
        with pytest.raises(concurrent.futures.TimeoutError):
            taken.result(LEASE_S / 2)
        began = time.monotonic()
        renew(agent, job, message)
        came, listed = taken.result()
    assert LEASE_S - 1 <= came - began <= LEASE_S + SLACK_S
    finish(agent, job, message, listed)


def by_progress(agent, job, message):
    assert agent.submit("agent_progress_v1", job, message, "first", 1) == 200


def by_poll(agent, job, message):
    assert agent.call("GET", "/jobs", instance="first", wait_s=1).json["jobs"] == []


def by_refused_ack(agent, job, message):
    assert agent.ack(message, "first", 7) == 409  # a call is a call


def dead_connection(hub, slug, die):
    """It was alive when its poll came; the message is handed to a connection that is dead."""
    agent = Agent(hub, slug)
    sock = agent.hold_poll()
    began = time.monotonic()
    unread = Unread(sock)
    unread.wait()  # the hub has it
    unread.close()
    die(sock)
    job, message = agent.start()
    came, listed = agent.wait_job()
    assert LEASE_S - 1 <= came - began <= LEASE_S + SLACK_S
    finish(agent, job, message, listed)
    sock.close()


def plays():
    found = {"silent": silent_instance}
    for renew in (by_progress, by_poll, by_refused_ack):
        found[renew.__name__] = lambda hub, renew=renew: calling_instance(hub, renew)
    if deadwire.can_die():
        found["wire-cut"] = lambda hub: dead_connection(hub, "wire-cut", deadwire.cut)
        found["vanished"] = lambda hub: dead_connection(hub, "vanished", deadwire.vanish)
    return found


@pytest.fixture(scope="module")
def side_by_side(hub):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        yield {name: pool.submit(play, hub) for name, play in plays().items()}


@pytest.mark.parametrize("name", plays())
def test_a_job_goes_on_when_its_lease_is_over_and_not_before(side_by_side, name):
    side_by_side[name].result()
