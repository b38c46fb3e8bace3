"""That connections die as deadwire.py says."""

import socket
import struct

import pytest

import deadwire

TCP_INFO_UNACKED = 24  # offset in struct tcp_info: segments sent and not acknowledged


@pytest.fixture
def pair():
    if not deadwire.can_die():
        pytest.skip(deadwire.NOT_ALLOWED)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        yield listener, ours, theirs
        ours.close()
        theirs.close()


def unacknowledged(sock):
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
    return struct.unpack_from("=I", info, TCP_INFO_UNACKED)[0]


def test_on_a_cut_wire_nothing_arrives_and_nobody_is_told_until_it_is_whole_again(pair):
    _, ours, theirs = pair
    ours.sendall(b"before")
    assert theirs.recv(6) == b"before"
    deadwire.cut(theirs)
    ours.sendall(b"while")
    theirs.settimeout(0.3)  # longer than a first retransmission takes
    with pytest.raises(socket.timeout):
        theirs.recv(5)
    assert unacknowledged(ours) == 1
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    deadwire.mend(theirs)
    theirs.settimeout(20)
    assert theirs.recv(5) == b"while"
    deadwire.mend(theirs)  # a second time does no harm


def test_no_connection_is_made_over_a_cut_wire(pair):
    listener, _, _ = pair
    deadwire.cut(listener)
    with pytest.raises(socket.timeout):
        socket.create_connection(listener.getsockname(), timeout=0.3)


def test_who_has_vanished_says_nothing_and_answers_with_a_reset(pair):
    _, ours, theirs = pair
    theirs.sendall(b"before")
    deadwire.vanish(theirs)
    assert ours.recv(100) == b"before"
    ours.settimeout(0.3)
    with pytest.raises(socket.timeout):  # neither an end nor an error
        ours.recv(1)
    ours.sendall(b"x")
    ours.settimeout(20)
    with pytest.raises(ConnectionResetError):
        ours.recv(1)


def test_only_cases_in_which_connections_die_need_more_than_others(monkeypatch):
    class Line:
        def __init__(self, word, *details):
            self.word = word
            self.details = [Line(detail) for detail in details]

    class Case:
        steps = [Line("at", "good", "close")]

    monkeypatch.setattr(deadwire, "can_die", lambda: False)
    assert deadwire.lacking(Case) is None
    for steps in ([Line("vanish")], [Line("cut")], [Line("at", "vanish")], [Line("at", "cut")]):
        Case.steps = steps
        assert deadwire.lacking(Case) == deadwire.NOT_ALLOWED
    monkeypatch.setattr(deadwire, "can_die", lambda: True)
    assert deadwire.lacking(Case) is None
