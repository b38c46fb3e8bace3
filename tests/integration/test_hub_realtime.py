"""The hub's realtime channel: what the protocol says of it, the real socket.io-client as an agent,
and nairid itself."""

import json
import signal

import pytest

from daemonkit import ERROR, Meeting
from hubkit import wait_until
from socketiokit import Agent

POLLING = "?EIO=4&transport=polling"
RS = b"\x1e"


class Session:
    """A session by hand, with one request at a time."""

    def __init__(self, hub, path="/socket.io/", instance="ccaid_hand", key=None):
        self.hub = hub
        self.headers = {"X-CCAGENT-API-KEY": hub.agent_key if key is None else key,
                        "X-CCAGENT-ID": instance, "X-AGENT-ID": hub.slug}
        self.path = path + POLLING
        answer = hub.request("GET", self.path, headers=self.headers)
        assert answer.status == 200, answer
        assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
        assert answer.raw[:1] == b"0"
        self.open = json.loads(answer.raw[1:])
        self.path += "&sid=" + self.open["sid"]

    def get(self):
        return self.hub.request("GET", self.path, headers=self.headers)

    def post(self, body):
        return self.hub.request("POST", self.path, body, headers={
            **self.headers, "Content-Type": "text/plain;charset=UTF-8"})

    def join(self):
        answer = self.post(b"40")
        assert (answer.status, answer.raw) == (200, b"ok"), answer
        packets = self.get().raw.split(RS)
        assert packets[0].startswith(b'40{"sid":"'), packets
        return packets[1:]

    def messages(self):
        return [json.loads(packet[2:])[1] for packet in self.get().raw.split(RS)
                if packet.startswith(b'42["cc_message"')]


def test_one_key_has_so_many_sessions_and_others_have_theirs(hub):
    sessions = [Session(hub, instance="ccaid_0")]
    sessions[0].join()
    for i in range(1, 201):
        sessions.append(Session(hub, instance=f"ccaid_{i}"))
        assert sessions[i].post(b"40").status == 200
    answer = sessions[0].get()
    assert (answer.status, answer.json["code"]) == (400, 1), "the oldest makes place"
    assert sessions[1].get().raw.startswith(b"40{")


def test_a_stranger_fills_no_log(hub):
    stranger = Session(hub)
    for _ in range(3):
        assert stranger.post(RS.join([b'42["cc_message",{}]'] * 500)).status == 200
    assert stranger.post(b"4" * 20000).status == 413
    assert hub.log.count("realtime_dropped") == 1


@pytest.fixture
def make_agent(hub):
    agents = []

    def make(**options):
        agents.append(Agent(hub, **options))
        return agents[-1]

    yield make
    for agent in agents:
        agent.end()


# by hand


@pytest.mark.parametrize("method, query, status, code", [
    ("GET", "?EIO=4&transport=websocket", 400, 0),
    ("GET", "?EIO=4", 400, 0),
    ("GET", "?EIO=4&transport=polling&sid=unknown", 400, 1),
    ("POST", "?EIO=4&transport=polling&sid=unknown", 400, 1),
    ("POST", "?EIO=4&transport=polling", 400, 2),
    ("GET", "?EIO=3&transport=polling", 400, 5),
    ("GET", "?transport=polling", 400, 5),
])
@pytest.mark.parametrize("path", ["/socket.io/", "/socketio/"])
def test_what_is_wrong_is_refused_by_its_number(hub, path, method, query, status, code):
    answer = hub.request(method, path + query, b"40" if method == "POST" else None,
                         headers={"Connection": "Upgrade", "Upgrade": "websocket"})
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["message"]


@pytest.mark.parametrize("path", ["/socket.io/", "/socketio/"])
def test_a_session_is_opened_without_an_upgrade(hub, path):
    session = Session(hub, path)
    assert session.open["upgrades"] == []
    assert (session.open["pingInterval"], session.open["pingTimeout"],
            session.open["maxPayload"]) == (25000, 20000, 1000000)
    assert session.join() == []


def test_an_unacknowledged_message_comes_with_the_joining_and_carries_its_job(hub):
    job, message = hub.start("hello", ask_mode=True)
    (packet,) = Session(hub).join()
    name, envelope = json.loads(packet[2:])
    assert name == "cc_message"
    assert envelope["type"] == "start_conversation_v1"
    assert envelope["payload"]["job_id"] == job
    assert envelope["payload"]["processed_message_id"] == message
    assert envelope["payload"]["message"] == "hello"
    assert envelope["payload"]["mode"] == envelope["job"]["mode"] == "ask"
    assert envelope["job"]["fence"] == hub.poll(instance="ccaid_hand")[0]["fence"]
    assert hub.message(message)["status"] == "pending"
    assert hub.poll(instance="another") == []  # it is leased


def test_a_message_comes_at_once_to_who_waits(hub):
    session = Session(hub)
    session.join()
    for i in range(3):
        job, message = hub.start(f"hello {i}")
        (envelope,) = session.messages()
        assert envelope["payload"]["processed_message_id"] == message


def test_an_unknown_key_is_refused_and_the_session_ends(hub):
    session = Session(hub, key=hub.agent_key[:-1] + ("A" if hub.agent_key[-1] != "A" else "B"))
    assert session.post(b"40{}").status == 200
    packets = session.get().raw.split(RS)
    assert json.loads(packets[0][2:])["message"] == "this key is unknown or was revoked"
    assert packets[0].startswith(b"44{")
    answer = session.get()
    assert (answer.status, answer.json["code"]) == (400, 1)


@pytest.mark.parametrize("key", ["", "nr_organisation"])
def test_what_is_no_agent_key_is_refused(hub, key):
    session = Session(hub, key=key)
    session.post(b"40")
    assert session.get().raw.startswith(b'44{"message":"')


def test_another_namespace_is_refused_and_this_one_goes_on(hub):
    session = Session(hub)
    session.post(b"40/admin,")
    assert session.get().raw == b'44/admin,{"message":"Invalid namespace","data":{}}'
    session.join()


@pytest.mark.parametrize("body", [b"", b"x", b"4", b"49", b"451-[]", b"0{}", b"bAQID", b"42[]",
                                  b"40" + RS])
def test_a_broken_post_ends_the_session(hub, body):
    session = Session(hub)
    session.join()
    session.post(body)
    assert session.get().json["code"] == 1


def test_a_body_past_the_limit_is_refused(hub):
    session = Session(hub)
    assert session.post(b'42["x","' + b"y" * 1000000 + b'"]').status == 413


@pytest.mark.parametrize("body", [b"41", b"1", b"41" + RS + b"1"])
def test_a_goodbye_ends_the_session(hub, body):
    session = Session(hub)
    session.join()
    assert session.post(body).status == 200
    assert session.get().json["code"] == 1


def test_an_event_with_a_number_is_acknowledged(hub):
    session = Session(hub)
    session.join()
    session.post(b'42["ping"]' + RS + b'427["ping"]' + RS + b'42["other",1]')
    assert session.get().raw == b"437[]"


def test_a_reply_by_the_channel_is_a_reply(hub):
    job, message = hub.start("hello")
    session = Session(hub)
    session.join()
    about = {"job_id": job, "processed_message_id": message}
    for kind, payload in (("processing_message_v1", about),
                          ("assistant_message_v1", {**about, "message": "hi"}),
                          ("assistant_message_v1", {**about, "message": "hi again"})):
        session.post(b"42" + json.dumps(["cc_message", {"id": "msg_" + payload.get("message", "p"),
                                                        "type": kind,
                                                        "payload": payload}]).encode())
    hub.wait_status(message)
    assert [m["content"] for m in hub.messages(job) if m["role"] == "assistant"] == ["hi"]
    assert hub.agents("POST", f"/messages/{message}/ack", instance="ccaid_hand").status == 200


def test_what_an_agent_did_not_get_comes_to_its_next_session(hub):
    first = Session(hub)
    first.join()
    job, message = hub.start("hello")
    wait_until(lambda: hub.message(message)["status"] == "pending", 20, "it to be handed out")
    again = Session(hub)
    (packet,) = again.join()
    assert message.encode() in packet
    assert first.get().json["code"] == 1  # of an instance there is one session


def test_who_names_no_instance_is_refused(hub):
    session = Session(hub, instance="")
    session.post(b"40")
    assert b"X-CCAGENT-ID" in session.get().raw


def test_who_never_reads_does_not_fill_the_memory(hub):
    session = Session(hub)
    session.join()
    for _ in range(30):
        assert session.post(RS.join([b"40/" + b"x" * 90 + b","] * 9000)).status == 200
    assert len(session.get().raw) < 1100000


@pytest.mark.parametrize("key", ["", "nairid_of_nobody"])
def test_strangers_keep_no_agent_out(hub, key):
    strangers = [Session(hub, instance=f"ccaid_{i}", key=key) for i in range(150)]
    for session in strangers[-90:]:
        session.post(b"40")
    session = Session(hub)
    session.join()
    assert strangers[0].get().json["code"] == 1  # its place was needed
    for i in range(150):
        Session(hub, instance=f"ccaid_more_{i}", key=key)
    hub.start("hello")
    assert len(session.messages()) == 1  # who has joined stays


# the real client


@pytest.mark.parametrize("path, transports", [("/socket.io/", ["polling"]),
                                              ("/socketio/", ["websocket", "polling"])])
def test_the_real_client_joins_and_answers(hub, make_agent, path, transports):
    agent = make_agent(path=path, transports=transports, answers=True)
    assert agent.wait("connect") == ["connect", "polling"]
    for i in range(3):
        job, message = hub.start(f"hello {i}")
        hub.wait_status(message)
        replies = [m["content"] for m in hub.messages(job) if m["role"] == "assistant"]
        assert replies == [f"HELLO {i}"]
    agent.emit("ping")
    assert not agent.named("disconnect")


def test_the_real_client_is_told_why_it_may_not_join(make_agent):
    agent = make_agent(key="nairid_short")
    assert "isn't whole" in agent.wait("connect_error")[1]


def test_the_real_client_comes_back_after_a_restart_and_gets_what_it_missed(hub, make_agent):
    agent = make_agent()
    agent.wait("connect")
    job, message = hub.start("first")
    agent.wait("cc_message")
    hub.restart(signal.SIGKILL)
    job, missed = hub.start("second")
    agent.wait("connect", times=2)
    wait_until(lambda: {message, missed} <= {
        event[1]["payload"]["processed_message_id"] for event in agent.named("cc_message")[1:]},
        30, lambda: f"both messages: {agent.events}")


# nairid


def test_nairid_is_served_by_it(make_daemon):
    daemon = make_daemon(server={"realtime": "on", "poll_interval": "1h"})
    wait_until(lambda: "realtime_up" in daemon.log, 30, "the daemon to join")
    for i in range(3):
        assert daemon.answer(f"echo {i}")["content"] == str(i)
    job, message = daemon.hub.start("echo a")
    assert daemon.reply(job, message)["content"] == "a"
    again = daemon.hub.resume(job, "echo b")
    assert daemon.reply(job, again)["content"] == "b"


def test_nairid_is_told_to_stop_by_it(make_daemon, me):
    meeting = Meeting(me.shared())
    daemon = make_daemon(server={"realtime": "on", "poll_interval": "1h"}, **meeting.settings())
    wait_until(lambda: "realtime_up" in daemon.log, 30, "the daemon to join")
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    assert daemon.hub.api("POST", f"/conversations/{job}/stop").status == 202
    assert daemon.reply(job, message)["content"] == ERROR + "stopped by the user"


def test_nairid_joins_again_after_the_hubs_restart(make_daemon):
    daemon = make_daemon(server={"realtime": "on", "poll_interval": "1h"})
    wait_until(lambda: "realtime_up" in daemon.log, 30, "the daemon to join")
    daemon.hub.restart()
    wait_until(lambda: daemon.log.count("realtime_up") == 2, 30, "the daemon to join again")
    assert daemon.answer("echo again")["content"] == "again"
