"""What the daemon that this one replaces is known to get wrong, and this one must not: what no other
test shows already. Each begins with the number that the protocol's description gives it."""

import os
import signal
import threading

import pytest

from daemonkit import ERROR, Meeting, files_below
from hubkit import wait_until
from wire import answer
from processes import descendants


@pytest.fixture
def meeting(me):
    return Meeting(me.shared())


def kill(daemon):
    """With all that is its own; its hub goes on."""
    hub = daemon.hub.proc.pid
    daemon.program.send(signal.SIGKILL)
    daemon.program.wait(5)
    wait_until(lambda: not descendants(but=[hub]), 5, "everything to end")


def test_w2_a_message_is_acknowledged_only_once_its_reply_was_accepted(peer, make_daemon, meeting,
                                                                        monkeypatch):
    submit = peer._submit
    refused = []

    def refuse_once(request):
        if request.endpoint == "reply" and not refused:
            refused.append(request)
            return answer(500, {"error": "once"})
        return submit(request)

    monkeypatch.setattr(peer, "_submit", refuse_once)
    make_daemon(peer, **meeting.settings())
    message = peer.give(meeting.hold("a"))
    meeting.wait("a")
    meeting.release("a")
    assert peer.wait_reply(message)["payload"]["message"] == "done"
    with peer.lock:
        assert [request.endpoint for request in peer.requests
                if request.endpoint in ("reply", "ack")] == ["reply", "reply", "ack"]


def test_w4_what_a_crash_cut_short_runs_again_in_its_own_mode(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(
        meeting.hold("a", "echo x 2>&- >file && echo wrote || echo read-only"), ask_mode=True)
    meeting.wait("a")
    kill(daemon)
    meeting.release("a")
    daemon.boot()
    assert daemon.reply(job, message)["content"] == "read-only"


def test_w6_a_follow_up_keeps_its_conversations_mode_even_without_local_state(make_daemon, me):
    daemon = make_daemon(start=False)
    old = me.mkdir("old")  # which gives each state the same instance id, and so the lease
    daemon.env["NAIRI_CONFIG_DIR"] = old
    path = me.write(os.path.join(old, "state.json"),
                    '{"agent_id": "ccaid_01JQ8ZK5T8R0B7T5N3X9W2V4M6"}')
    daemon.boot()
    job, message = daemon.hub.start("echo one", ask_mode=True)
    assert daemon.reply(job, message)["content"] == "one"
    again = "echo x 2>&- >file && echo wrote || echo read-only"
    message = daemon.hub.resume(job, again)
    assert daemon.reply(job, message)["content"] == "read-only"
    daemon.end()
    os.rename(daemon.state, daemon.state + ".gone")
    os.unlink(path + ".taken-by-nairid")
    daemon.boot()
    message = daemon.hub.resume(job, again)
    assert daemon.reply(job, message)["content"] == "read-only"


def test_w8_a_failure_outside_of_the_program_leaves_no_slot_taken(make_daemon):
    daemon = make_daemon(max_concurrency=1, runner={"argv": ["./tool"]})
    failed = [daemon.hub.start("x") for _ in range(3)]
    for job, message in failed:
        assert daemon.reply(job, message)["content"].startswith(ERROR)
    assert daemon.status()["queue"]["running"] == 0
    daemon.configure(runner={"argv": ["sh"]})
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: "reloaded" in daemon.log, what="the log to say so")
    assert daemon.answer("echo on")["content"] == "on"  # a conversation that is idle holds none
    assert daemon.answer("echo on")["content"] == "on"


def test_w11_no_message_of_a_long_row_is_dropped(make_daemon):
    daemon = make_daemon(start=False, max_queued=4)
    job, message = daemon.hub.start("echo 0 >>row; cat row")
    messages = [message] + [daemon.hub.resume(job, f"echo {n} >>row; cat row") for n in range(1, 12)]
    daemon.boot()
    for message in messages:
        daemon.hub.wait_status(message, timeout_s=60)
    replies = [m["content"].split() for m in daemon.hub.messages(job) if m["role"] == "assistant"]
    assert replies == [[str(i) for i in range(n + 1)] for n in range(12)]


@pytest.mark.parametrize("kind", ["processing", "progress"])
def test_w17_a_reply_waits_for_no_post_that_hangs(peer, make_daemon, meeting, monkeypatch, kind):
    submit = peer._submit
    hung = threading.Event()

    def hang(connection):
        hung.set()
        connection.recv(1)  # until the daemon gives it up

    monkeypatch.setattr(peer, "_submit", lambda request: hang if request.endpoint == kind
                        else submit(request))
    daemon = make_daemon(peer, **meeting.settings())
    message = peer.give("echo begun; " + meeting.hold("a"))
    meeting.wait("a")
    assert hung.wait(30)
    meeting.release("a")
    # long before server.request_timeout, which is a minute
    assert peer.wait_reply(message, 20)["payload"]["message"] == "begun\ndone"
    assert f"post_given_up post={kind}" in daemon.log


def test_w18_what_waited_is_fetched_at_once(make_daemon):
    daemon = make_daemon(start=False, server={"poll_interval": "1h", "realtime": "off"})
    job, message = daemon.hub.start("echo on")
    daemon.boot()
    assert daemon.reply(job, message, timeout_s=25)["content"] == "on"


def test_w19_a_follow_up_whose_start_waits_runs_after_it_in_its_mode(peer, make_daemon, meeting):
    daemon = make_daemon(peer, max_concurrency=1, **meeting.settings())
    other = peer.give(meeting.hold("other"))
    meeting.wait("other")
    script = "echo x 2>&- >file && echo wrote || echo read-only"
    start = peer.give(script, fields={"mode": "ask"})
    job = peer.job_of[start]
    daemon.wait_durable(lambda status: status["queue"]["waiting"] == 1, "the start to wait")
    again = peer.give(script, job)
    daemon.wait_durable(lambda status: len(status["jobs"]) == 3, "the follow-up to be there")
    meeting.release("other")
    for message, text in ((other, "done"), (start, "read-only"), (again, "read-only")):
        assert peer.wait_reply(message)["payload"]["message"] == text
    with peer.lock:
        order = [request.message for request in peer.requests
                 if request.endpoint == "reply" and request.message != other]
    assert order == [start, again]


def test_w26_and_w29_no_prompt_and_no_output_is_kept_in_logs(make_daemon):
    daemon = make_daemon(log={"level": "debug"})
    job, message = daemon.hub.start("echo pearl | tr pr PR; echo coral >&2; : amber")
    assert daemon.reply(job, message)["content"] == "PeaRl"
    assert "exit status 3" in daemon.failure("echo jade; exit 3")
    logs = daemon.log + daemon.run("logs", "--state", daemon.state, job).stdout
    assert not {word for word in ("pearl", "PeaRl", "coral", "amber", "jade") if word in logs}
    assert [path for path in files_below(daemon.state) if "log" in path] == []


@pytest.mark.parametrize("end", ["", "/socketio/"])
def test_w42_the_servers_url_may_end_in_any_of_its_forms(make_daemon, hub, end):
    daemon = make_daemon(hub, start=False)
    del daemon.settings["server"]["url"]
    daemon.configure()
    daemon.env["EKSEC_WS_API_URL"] = hub.url + end
    assert daemon.boot().answer("echo on")["content"] == "on"
