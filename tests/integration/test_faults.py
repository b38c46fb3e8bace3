"""The daemon against a control plane, and a network, that misbehave: nothing lost, nothing twice.

Most faults are played to one daemon, one after the other, as in life; each must be survived, said
in one or two log lines, and followed by the whole way of a message.
"""

import copy
import os
import ssl
import subprocess
import time

import pytest

import daemonkit
from daemonkit import ERROR
from hubkit import wait_until
from peer import FAULTS, Fault, Peer, answer

STALLS = {"stall", "stall_body"}
# what a client may take for a whole, good answer
FINE = {"slow", "tiny_chunks", "interim", "junk_behind"}
# what libcurl itself tries once more, as a kept-alive connection that ends says nothing
SILENT = {"close", "reset", "half_status"}
# what means yes to a post, whose answer's body is nobody's business
YES = {name for name, fault in FAULTS.items() if fault.taken}
PLAYED = sorted(set(FAULTS) - STALLS)


class Link:
    """One daemon and its peer, through many faults."""

    def __init__(self, **settings):
        self.peer = Peer()
        self.account = daemonkit.Account("root" if os.getuid() == 0 else "user")
        self.daemon = daemonkit.Daemon(self.account, self.peer, **settings)
        self.daemon.boot()
        self.count = 0

    def done(self):
        try:
            assert self.daemon.end() == 0
            assert self.peer.agent_key not in self.daemon.last_log
        finally:
            self.peer.end()
            self.account.done()

    def lines(self, name):
        return [line for line in self.daemon.log.splitlines() if name in line]

    def exchange(self):
        """One message goes the whole way."""
        self.count += 1
        text = f"nonce {self.count}"
        message = self.peer.give(f"echo {text}")
        reply = self.peer.wait_reply(message)
        assert reply["type"] == "assistant_message_v1" and reply["payload"]["message"] == text
        return message


@pytest.fixture(scope="module")
def link():
    link = Link()
    yield link
    link.done()


def play(link, endpoint, fault):
    """Has the fault played at the next request of the endpoint, in the course of a message."""
    link.peer.fault(endpoint, fault)
    if endpoint == "poll":
        link.exchange()  # ends the poll that waits, so that another comes
        link.peer.wait_played(fault)
    message = link.exchange()
    link.peer.wait_played(fault)
    return message


# one fault at a time


@pytest.mark.parametrize("name", PLAYED)
def test_a_poll_survives(link, name):
    fault = copy.copy(FAULTS[name])
    before = len(link.lines("poll_failed"))
    play(link, "poll", fault)
    failures = link.lines("poll_failed")[before:]
    assert len(failures) in ((0, 1) if name in SILENT else (0,) if name in FINE else (1,)), failures


@pytest.mark.parametrize("name", PLAYED)
def test_a_reply_survives(link, name):
    fault = copy.copy(FAULTS[name])
    message = play(link, "reply", fault)
    envelopes = [r.json["id"] for r in link.peer.of("reply")
                 if r.json["payload"]["processed_message_id"] == message]
    assert len(set(envelopes)) == 1  # whatever happened, it is the same reply
    assert len(envelopes) == (1 if name in YES else 2)


@pytest.mark.parametrize("name", [name for name in PLAYED if name not in YES])
def test_a_reply_whose_answer_is_lost_is_stored_once(link, name):
    play(link, "reply", FAULTS[name].after())


@pytest.mark.parametrize("name", PLAYED)
def test_an_ack_survives(link, name):
    play(link, "ack", copy.copy(FAULTS[name]))


@pytest.mark.parametrize("name", ["close", "half_body", "page_403", "json_500", "busy_seconds",
                                  "nested", "oversized_chunks", "not_http"])
def test_a_notice_that_fails_costs_no_reply(link, name):
    play(link, "notice", copy.copy(FAULTS[name]))


def test_no_answer_to_a_notice_can_end_a_message(link):
    for status in (400, 404, 410, 413, 422):
        play(link, "notice", Fault(answer(status, {"error": "no"})))


# answers that are final


@pytest.mark.parametrize("status", [404, 410])
def test_a_refused_reply_is_acknowledged_and_blocks_nothing(link, status):
    fault = Fault(answer(status, {"error": "no such job"}))
    link.peer.fault("reply", fault)
    message = link.peer.give("echo unwanted")
    link.peer.wait(lambda: message in link.peer.acked, what="the ack")
    assert link.peer.terminal(message) == []
    assert any("no such job" in line for line in link.lines(message))
    link.exchange()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_reply_that_is_too_large_is_shortened_under_the_same_id(link, status):
    fault = Fault(answer(status, {"error": "too long"}))
    link.peer.fault("reply", fault)
    message = link.peer.give("yes 0123456789 | head -c 100000")
    reply = link.peer.wait_reply(message)
    first = link.peer.wait_played(fault)
    assert first.json["id"] == reply["id"]
    assert len(first.json["payload"]["message"]) > 99000
    assert len(reply["payload"]["message"]) < 20000


def test_a_reply_that_is_too_large_twice_is_given_up(link):
    link.peer.fault("reply", *[Fault(answer(413, {"error": "too long"})) for _ in range(2)])
    message = link.peer.give("yes 0123456789 | head -c 100000")
    link.peer.wait(lambda: message in link.peer.acked, what="the ack")
    assert link.peer.terminal(message) == []
    assert link.lines("reply_refused")
    link.exchange()


def test_an_ack_that_is_refused_is_not_repeated(link):
    fault = Fault(answer(404, {"error": "unknown message"}), taken=True)
    message = play(link, "ack", fault)
    link.exchange()
    assert len([r for r in link.peer.of("ack") if message in r.path]) == 1


# listings


def test_what_is_malformed_in_a_listing_is_left_out_and_said_once(link):
    payload = {"message": "echo never", "processed_message_id": "cmsg_odd"}
    link.peer.put(
        17, None, "job", [], {}, {"id": 5}, {"id": "../up"}, {"id": "a/b"}, {"id": "x" * 129},
        {"id": "line\nbreak"}, {"id": "job_odd1", "messages": {}},
        {"id": "job_odd2", "messages": [5, None, "m", [], {}, {"id": 7}]},
        {"id": "job_odd3", "messages": [{"id": "cmsg_v9", "type": "new_v9", "payload": payload}]},
        {"id": "job_odd4", "messages": [{"id": "cmsg_nopay", "type": "user_message_v1"}]},
        {"id": "job_odd5", "messages": [{"id": "cmsg_mode", "type": "user_message_v1",
                                         "payload": {**payload, "mode": "plan"}}]})
    link.exchange()
    skipped = link.lines("message_skipped")
    assert any("new_v9" in line and "cmsg_v9" in line for line in skipped)
    for _ in range(3):
        link.exchange()
        link.peer.kick()
    assert link.lines("message_skipped") == skipped
    assert not [m for m in link.peer.acked if m in ("cmsg_v9", "cmsg_nopay", "cmsg_mode")]


def test_a_message_listed_again_is_not_run_again(link):
    message = link.exchange()
    payload = {"message": "echo again", "processed_message_id": message}
    acks = link.peer.acked.count(message)
    link.peer.put({"id": "job_again", "messages": [{"id": message, "type": "user_message_v1",
                                                    "payload": payload}]})
    link.peer.kick()
    link.peer.wait(lambda: link.peer.acked.count(message) > acks, what="one more ack")
    assert len(link.peer.terminal(message)) == 1


# outages


def test_an_outage_delays_a_reply_and_loses_nothing(link):
    message = link.peer.give("sleep 1; echo late")
    link.peer.wait(lambda: message in link.peer.given, what="the poll")
    wait_until(lambda: link.daemon.status()["queue"]["running"] == 1, what="the task to run")
    link.peer.down()
    wait_until(lambda: link.daemon.status()["queue"]["outbox"] == 1, what="the reply to be kept")
    assert link.daemon.status()["connection"]["state"] != "connected"
    link.peer.up()
    assert link.peer.wait_reply(message)["payload"]["message"] == "late"
    link.exchange()


def test_an_absurd_retry_after_is_waited_for_but_holds_up_no_end(me, peer):
    daemon = daemonkit.Daemon(me, peer, "absurd").boot()
    fault = Fault(answer(503, {"error": "later"}, "application/json", "Retry-After: " + "9" * 30))
    peer.fault("poll", fault)
    peer.kick()
    peer.wait_played(fault)
    wait_until(lambda: daemon.status()["connection"]["state"] != "connected", what="its effect")
    count = len(peer.requests)
    time.sleep(3)  # nothing can show that it does not come, but that it did not
    assert len(peer.requests) == count
    began = time.monotonic()
    assert daemon.end() == 0
    assert time.monotonic() - began < 5


def test_a_key_refused_twice_ends_the_daemon_with_77_after_what_runs(me, peer):
    daemon = daemonkit.Daemon(me, peer, "refused").boot()
    message = peer.give("sleep 1; echo done")
    peer.wait(lambda: message in peer.given, what="the poll")
    peer.fault("poll", *[Fault(answer(401, {"error": "revoked"})) for _ in range(9)])
    assert peer.wait_reply(message)["payload"]["message"] == "done"
    assert daemon.program.wait() == 77
    assert "refused" in daemon.log and peer.agent_key not in daemon.log


def test_a_key_refused_once_and_pages_of_proxies_end_nothing(link):
    for _ in range(3):
        link.peer.fault("poll", Fault(answer(401, {"error": "hiccup"})), copy.copy(FAULTS["page_403"]))
        link.peer.kick()
        link.exchange()


def test_a_refused_key_on_a_post_parks_the_outbox(me, peer):
    daemon = daemonkit.Daemon(me, peer, "parked").boot()
    fault = Fault(answer(403, {"error": "not now"}))
    peer.fault("reply", fault)
    message = peer.give("echo kept")
    peer.wait_played(fault)
    wait_until(lambda: daemon.status()["queue"]["outbox"] == 1, what="the reply to be kept")
    assert daemon.end() == 0  # it may say that it keeps replies; they are on disk
    daemon.boot()
    assert peer.wait_reply(message)["payload"]["message"] == "kept"
    assert daemon.end() == 0


def test_a_server_that_stalls_is_given_up_in_time(me):
    """Takes as long as the deadlines: 30 s past a poll's wait, 60 s for a reply."""
    polls, replies = Peer(), Peer()
    daemons = [daemonkit.Daemon(me, peer, name, server={"poll": "1s"})
               for peer, name in ((polls, "polls"), (replies, "replies"))]
    try:
        for daemon in daemons:
            daemon.boot()
        stalled = [copy.copy(FAULTS["stall"]), copy.copy(FAULTS["stall_body"])]
        polls.fault("poll", stalled[0])
        replies.fault("reply", stalled[1])
        late = replies.give("echo late")
        polls.wait_played(stalled[0])
        replies.wait_played(stalled[1])
        assert replies.wait_reply(replies.give("echo other")) # another job is not held up
        missed = polls.give("echo missed")
        assert polls.wait_reply(missed, 60)["payload"]["message"] == "missed"
        assert replies.wait_reply(late, 90)["payload"]["message"] == "late"
        assert "did not answer within 31s" in daemons[0].log
        assert "not complete after 1m" in daemons[1].log
    finally:
        codes = [daemon.end() for daemon in daemons]
        polls.end()
        replies.end()
    assert codes == [0, 0]


# TLS


@pytest.fixture
def certificates(tmp_path):
    """A certificate authority and a server's certificate for 127.0.0.1 by it: an SSLContext."""
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=tmp_path)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test authority")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    (tmp_path / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    return context


def test_a_private_authority_is_trusted_by_ca_file_and_only_then(me, certificates, tmp_path):
    peer = Peer(tls=certificates)
    ca = me.write(os.path.join(me.folder, "ca.pem"), (tmp_path / "ca.pem").read_text(), 0o644)
    daemon = daemonkit.Daemon(me, peer, "tls")
    try:
        daemon.start()
        wait_until(lambda: "poll_failed" in daemon.log, what="the poll to fail")
        assert "server.ca_file" in daemon.log
        assert not peer.requests  # the key was not sent to who can't show who it is
        daemon.end()
        daemon.configure(server={"ca_file": ca})
        daemon.boot()
        message = peer.give("echo trusted")
        assert peer.wait_reply(message)["payload"]["message"] == "trusted"
        assert daemon.end() == 0
    finally:
        peer.end()


def test_errors_carry_the_prefix_through_every_fault(link):
    link.peer.fault("reply", copy.copy(FAULTS["half_body"]), copy.copy(FAULTS["busy_429"]))
    message = link.peer.give("exit 3")
    reply = link.peer.wait_reply(message)
    assert reply["type"] == "system_message_v1"
    assert reply["payload"]["message"].startswith(ERROR)
