"""The daemon when its server is away, refuses it, stalls, lists nonsense, or can't prove who it is."""

import copy
import os
import re
import ssl
import subprocess
import time

import pytest

import daemonkit
from faultkit import Link
from hubkit import wait_until
from peer import FAULTS, Fault, Peer, answer, in_seconds


@pytest.fixture(scope="module")
def link():
    link = Link()
    yield link
    link.done()


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
    link.peer.wait(lambda: link.peer.acked.count(message) > acks, what="one more ack")
    assert len(link.peer.terminal(message)) == 1


# outages


def test_a_clock_that_is_off_is_said_once(link):
    def an_hour_ahead(good):
        return [re.sub(rb"Date: [^\r]*", b"Date: " + in_seconds(3600).encode(), good)]

    for _ in range(2):
        link.peer.fault("poll", Fault(an_hour_ahead, taken=True))
        link.exchange()
        link.exchange()
    assert len(link.lines("clock_skew")) == 1


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
    with pytest.raises(AssertionError):
        peer.wait(lambda: len(peer.requests) > count, 3)
    began = time.monotonic()
    assert daemon.end() == 0
    assert time.monotonic() - began < 5


def test_a_key_refused_twice_ends_the_daemon_with_77_after_what_runs(me, peer):
    daemon = daemonkit.Daemon(me, peer, "refused").boot()
    message = peer.give("sleep 1; echo ran >> count; wc -l < count")
    peer.wait(lambda: message in peer.given, what="the poll")
    peer.fault("poll", *[Fault(answer(401, {"error": "revoked"})) for _ in range(9)])
    assert daemon.program.wait() == 77
    assert "refused" in daemon.log and peer.agent_key not in daemon.log
    peer.faults["poll"].clear()
    daemon.boot()
    assert peer.wait_reply(message)["payload"]["message"] == "1"  # it ran once, to its end
    assert daemon.end() == 0


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
