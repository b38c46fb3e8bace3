"""Jobs that nobody writes to any more: hub and daemon agree that they are over."""

import json
import signal

import pytest

from daemonkit import Meeting
from hubkit import wait_until
from socketiokit import ControlPlane

REASON = "Job complete - Thread is inactive"


def ends(hub, job):
    return [m["content"] for m in hub.messages(job) if m["role"] == "system"]


@pytest.fixture
def asking_hub(make_hub):
    return make_hub(extra=["--check-idle", "1s"])


@pytest.fixture
def plane():
    plane = ControlPlane()
    yield plane
    plane.end()


def test_an_idle_job_is_reported_complete_once_and_goes_on_where_it_was(make_daemon, asking_hub):
    daemon = make_daemon(hub=asking_hub, job={"idle": "1s"}, server={"poll": "1s"})
    job, message = daemon.hub.start("echo kept > kept; echo one")
    assert daemon.reply(job, message)["content"] == "one"
    wait_until(lambda: ends(daemon.hub, job) == [REASON], 30, "the job to be over")
    daemon.restart()
    other, message = daemon.hub.start("echo other")
    daemon.reply(other, message)
    wait_until(lambda: ends(daemon.hub, other) == [REASON], 30, "the other job to be over")
    assert ends(daemon.hub, job) == [REASON], "and the first one is not told again"
    again = daemon.hub.resume(job, "cat kept")
    assert daemon.reply(job, again)["content"] == "kept"  # its files are workspace.retention's
    wait_until(lambda: ends(daemon.hub, job) == [REASON] * 2, 30, "it to be over once more")


def test_a_job_with_an_open_message_is_never_over(make_daemon, asking_hub, me):
    meeting = Meeting(me.shared())
    daemon = make_daemon(hub=asking_hub, job={"idle": "1s"}, server={"poll": "1s"},
                         **meeting.settings())
    job, message = daemon.hub.start("echo one")
    daemon.reply(job, message)
    held = daemon.hub.resume(job, meeting.hold("a", "echo two"))
    meeting.wait("a")
    before = len(ends(daemon.hub, job))  # it may have been over before somebody wrote again
    other, message = daemon.hub.start("echo other")
    daemon.reply(other, message)
    wait_until(lambda: ends(daemon.hub, other), 30, "a check")
    assert len(ends(daemon.hub, job)) == before
    meeting.release("a")
    daemon.hub.wait_status(held)
    wait_until(lambda: len(ends(daemon.hub, job)) == before + 1, 30, "the job to be over")


def test_what_could_not_be_told_is_told_after_a_crash(make_daemon, plane):
    daemon = make_daemon(hub=plane, server={"poll_interval": "1h"}, job={"idle": "1s"})
    plane.wait_joined(daemon)
    message = plane.write("echo one", job="job_a")
    plane.wait_acked(message)
    check = ["cc_message", {"id": "m", "type": "check_idle_jobs_v1", "payload": {}}]

    def ended():
        return [e for e in plane.seen()["replies"] if e["type"] == "job_complete_v1"]

    plane.order("fail", path="/api/agents/messages", times=1000)
    wait_until(lambda: plane.order("emit", arguments=check) is not None and
               "job_idle" in daemon.log, 20, "the job to be found idle")
    daemon.program.send(signal.SIGKILL)
    daemon.program.proc.wait(10)
    assert not ended()
    plane.order("fail", path="/api/agents/messages", times=0)
    daemon.boot()
    wait_until(ended, 30, "the job to be over")
    plane.wait_joined(daemon)
    last = plane.write("echo two", job="job_b")
    plane.wait_acked(last)
    (envelope,) = ended()
    assert envelope["payload"] == {"job_id": "job_a", "reason": REASON}
    assert envelope["id"].startswith("msg_"), json.dumps(envelope)
