"""The daemon against a control plane, and a network, that misbehave: nothing lost, nothing twice.

Most faults are played to one daemon, one after the other, as in life; each must be survived, said
in one or two log lines, and followed by the whole way of a message.
"""

import copy

import pytest

from daemonkit import ERROR
from faultkit import Link
from peer import FAULTS, Fault, answer

STALLS = {"stall", "stall_body"}
# what a client may take for a whole, good answer
FINE = {"slow", "tiny_chunks", "interim", "junk_behind"}
# what libcurl itself tries once more, as a kept-alive connection that ends says nothing
SILENT = {"close", "reset", "half_status"}
# what means yes to a post, whose answer's body is nobody's business
YES = {name for name, fault in FAULTS.items() if fault.taken}
PLAYED = sorted(set(FAULTS) - STALLS)


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


def test_a_lost_lease_forgets_the_message_until_it_is_listed_again(link):
    peer = link.peer

    def conflict(_):
        with peer.lock:
            del peer.jobs[job["id"]]  # another daemon has it now
        return [answer(409, {"error": "the fence is stale"})]

    fault = Fault(conflict)
    peer.fault("reply", fault)
    with peer.lock:
        message = peer.give("echo held")
        job = next(job for job in peer.jobs.values() if job["messages"][0]["id"] == message)
        job["fence"] = 5
    assert peer.wait_played(fault).headers["X-Nairi-Fence"] == "5"
    link.exchange()
    assert peer.terminal(message) == [] and message not in peer.acked
    assert any(job["id"] in line for line in link.lines("lease_lost"))
    job["fence"] = 6
    peer.put(job)
    peer.wait_reply(message)
    assert peer.of("reply")[-1].headers["X-Nairi-Fence"] == "6"
    assert peer.of("ack")[-1].headers["X-Nairi-Fence"] == "6"


def test_errors_carry_the_prefix_through_every_fault(link):
    link.peer.fault("reply", copy.copy(FAULTS["half_body"]), copy.copy(FAULTS["busy_429"]))
    message = link.peer.give("exit 3")
    reply = link.peer.wait_reply(message)
    assert reply["type"] == "system_message_v1"
    assert reply["payload"]["message"].startswith(ERROR)
