"""The realtime channel against the real socket.io server: nothing is polled for meanwhile, as the
time between polls is an hour."""

import signal

import pytest

from daemonkit import Meeting
from hubkit import wait_until
from socketiokit import ControlPlane

SERVER = {"server": {"poll_interval": "1h"}}


@pytest.fixture
def make_plane():
    planes = []

    def make(**options):
        planes.append(ControlPlane(**options))
        return planes[-1]

    yield make
    for plane in planes:
        plane.end()


@pytest.fixture
def meeting(me):
    return Meeting(me.shared())


def join(make_daemon, plane, **settings):
    daemon = make_daemon(hub=plane, **SERVER, **settings)
    plane.wait_joined(daemon)
    return daemon


def test_messages_come_at_once_and_are_answered_once(make_daemon, make_plane):
    plane = make_plane(pingInterval=300)
    daemon = join(make_daemon, plane)
    first = plane.write("echo one", job="job_a")
    plane.wait_acked(first)
    second = plane.write("echo two", job="job_a", kind="user_message_v1")
    plane.wait_acked(second)
    assert (plane.replies(first), plane.replies(second)) == (["one"], ["two"])
    wait_until(lambda: plane.seen()["sockets"] == 1, 10, "one session")
    seen = plane.seen()
    assert seen["refused"] == 0, seen  # no request overlapped another
    assert len(seen["handshakes"]) == 1, "and no ping was missed"
    assert daemon.log.count("realtime_up") == 1


def test_the_handshake_has_the_four_headers(make_daemon, make_plane):
    plane = make_plane()
    daemon = join(make_daemon, plane)
    headers = plane.seen()["handshakes"][0]
    assert headers["x-ccagent-api-key"] == plane.agent_key
    assert headers["x-ccagent-id"].startswith("ccaid_")
    assert headers["x-agent-id"] == plane.slug
    assert headers["x-ccagent-repo"] == ""
    assert plane.agent_key not in daemon.log


def test_what_arrives_twice_runs_once(make_daemon, make_plane, meeting):
    plane = make_plane()
    join(make_daemon, plane, **meeting.settings())
    paths = [meeting.path(f"run{i}") for i in range(4)]  # each task may have a user of its own
    messages = [plane.write(f"echo ran >> {path}; echo done", pushes=3) for path in paths[:3]]
    # a follow-up is told by a poll, which lists all that isn't acknowledged, too
    messages.append(plane.write(f"echo ran >> {paths[3]}; echo done", job="job_1", pushes=2,
                                kind="user_message_v1"))
    plane.wait_acked(*messages)
    for path in paths:
        with open(path, encoding="ascii") as file:
            assert file.read() == "ran\n"
    assert [plane.replies(message) for message in messages] == [["done"]] * 4


def test_messages_of_one_job_run_in_their_order(make_daemon, make_plane, meeting):
    plane = make_plane()
    join(make_daemon, plane, **meeting.settings())
    path = meeting.path("order")
    messages = [plane.write(f"echo {i} >> {path}", job="job_a",
                            kind="user_message_v1" if i else "start_conversation_v1")
                for i in range(6)]
    plane.wait_acked(*messages)
    with open(path, encoding="ascii") as file:
        assert file.read().split() == ["0", "1", "2", "3", "4", "5"]


def test_a_restarted_server_is_joined_again_and_what_was_missed_is_polled(make_daemon, make_plane):
    plane = make_plane()
    daemon = join(make_daemon, plane)
    plane.restart()
    missed = plane.write("echo missed", pushes=0)
    plane.wait_joined(daemon, times=2)
    pushed = plane.write("echo pushed")
    plane.wait_acked(missed, pushed)
    assert (plane.replies(missed), plane.replies(pushed)) == (["missed"], ["pushed"])


@pytest.mark.parametrize("how", ["forget", "disconnect"])
def test_a_lost_session_is_replaced(make_daemon, make_plane, how):
    plane = make_plane(pingInterval=300, pingTimeout=2000)
    daemon = join(make_daemon, plane)
    plane.order(how)
    missed = plane.write("echo missed")
    plane.wait_joined(daemon, times=2)
    plane.wait_acked(missed)
    assert plane.replies(missed) == ["missed"]
    pushed = plane.write("echo pushed")
    plane.wait_acked(pushed)
    assert plane.replies(pushed) == ["pushed"]


def test_slow_answers_are_waited_for(make_daemon, make_plane):
    plane = make_plane(slow=400, pingInterval=1000, pingTimeout=3000)
    join(make_daemon, plane)
    messages = [plane.write(f"echo {i}") for i in range(4)]
    plane.wait_acked(*messages)
    assert [plane.replies(message) for message in messages] == [["0"], ["1"], ["2"], ["3"]]
    assert len(plane.seen()["handshakes"]) == 1


def test_the_other_path_is_found(make_daemon, make_plane):
    plane = make_plane(path="/socketio/")
    daemon = join(make_daemon, plane)
    message = plane.write("echo here")
    plane.wait_acked(message)
    assert "realtime_absent" not in daemon.log


def test_a_server_without_it_is_served_by_polls_and_the_log_says_so_once(make_daemon, make_plane):
    plane = make_plane(path="/elsewhere/")
    daemon = make_daemon(hub=plane, server={"poll_interval": "200ms"})
    message = plane.write("echo polled", pushes=0)
    plane.wait_acked(message)
    assert plane.replies(message) == ["polled"]
    assert daemon.log.count("realtime_absent") == 1
    assert "no realtime channel" in daemon.log


def test_a_refusal_is_told_in_the_servers_words(make_daemon, make_plane):
    plane = make_plane(refuse="Not authorized, says the server")
    daemon = make_daemon(hub=plane, server={"poll_interval": "200ms"})
    wait_until(lambda: "Not authorized, says the server" in daemon.log, 20, "the refusal")
    message = plane.write("echo polled", pushes=0)
    plane.wait_acked(message)


def test_it_stays_away_where_the_settings_say_so(make_daemon, make_plane):
    plane = make_plane()
    make_daemon(hub=plane, server={"poll_interval": "200ms", "realtime": "off"})
    message = plane.write("echo polled", pushes=0)
    plane.wait_acked(message)
    assert plane.seen()["handshakes"] == []


def test_events_that_mean_nothing_here_change_nothing(make_daemon, make_plane):
    plane = make_plane()
    daemon = join(make_daemon, plane)
    plane.order("emit", arguments=["cc_message", {"id": "m", "type": "check_idle_jobs_v1",
                                                  "payload": {}}])
    plane.order("emit", arguments=["cc_message"])
    plane.order("emit", arguments=["cc_message", "text", [1, None]])
    plane.order("emit", arguments=["other", {"\u00e9": "\u2028"}])
    plane.order("emit", arguments=["cc_message", {"id": "m", "type": "dance_v1", "payload": {
        "job_id": "job_x", "processed_message_id": "cmsg_x"}}])
    message = plane.write("echo '\u00e9 \u2028'")
    plane.wait_acked(message)
    assert plane.replies(message) == ["\u00e9 \u2028"]
    assert daemon.log.count("dance_v1") == 1
    assert plane.seen()["acks"] == [message]


def said_goodbye(plane):
    # by which of its two packets the server goes is its own matter; a cut is a "transport error"
    events = plane.seen()["events"]
    return (["disconnect", "client namespace disconnect"] in events or
            ["disconnect", "transport close"] in events)


def test_it_says_goodbye_when_it_ends_with_nothing_to_do(make_daemon, make_plane):
    plane = make_plane()
    daemon = join(make_daemon, plane)
    assert daemon.end() == 0
    wait_until(lambda: said_goodbye(plane), 5, lambda: f"the goodbye: {plane.seen()}")


def test_a_server_that_takes_no_goodbye_is_left_soon(make_daemon, make_plane):
    plane = make_plane(slow=20000)
    daemon = make_daemon(hub=plane, **SERVER)
    daemon.program.send(signal.SIGTERM)
    assert daemon.program.wait(15) == 0


def test_that_it_works_is_said_by_the_channel_and_keeps_no_answer_waiting(make_daemon, make_plane):
    plane = make_plane()
    daemon = join(make_daemon, plane)
    plane.order("hold", type="processing_message_v1")  # by HTTP it would wait for ever
    message = plane.write("echo done")
    plane.wait_acked(message)
    assert plane.replies(message) == ["done"]
    wait_until(lambda: [e[1]["type"] for e in plane.seen()["events"] if e[0] == "cc_message"] ==
               ["processing_message_v1"], 10, lambda: f"the notice: {plane.seen()}")
    (notice,) = [e[1] for e in plane.seen()["events"] if e[0] == "cc_message"]
    assert notice["id"].startswith("msg_")
    assert notice["payload"] == {"job_id": "job_1", "processed_message_id": message}
    assert daemon.log.count("realtime_up") == 1


def test_it_says_goodbye_when_it_drains(make_daemon, make_plane, meeting):
    plane = make_plane()
    daemon = join(make_daemon, plane, **meeting.settings())
    message = plane.write(meeting.hold("a"))
    meeting.wait("a")
    daemon.program.send(signal.SIGTERM)
    wait_until(lambda: said_goodbye(plane), 10, lambda: f"the goodbye: {plane.seen()}")
    meeting.release("a")
    plane.wait_acked(message)
    assert daemon.program.wait() == 0
