"""Files that tasks leave for people: they go with the answer, whole, once and nobody else's."""

import base64
import os
import signal

import pytest

from daemonkit import Meeting, files_below
from hubkit import wait_until
from test_attachments import memory_kib

OUTBOX = "cd $NAIRID_OUTBOX"


def requests(peer):
    with peer.lock:
        return [request for request in peer.requests if request.endpoint == "upload"]


def files_of(peer, message, timeout_s=60):
    """What came with the answer: pairs of a name and contents."""
    ids = peer.wait_reply(message, timeout_s)["payload"].get("attachment_ids", [])
    return [peer.uploads[attachment] for attachment in ids]


def text_of(peer, message, timeout_s=60):
    return peer.wait_reply(message, timeout_s)["payload"]["message"]


class Gate:
    """Uploads past the first few wait until it is opened."""

    def __init__(self, peer, free):
        self.peer = peer
        self.free = free
        self.take = peer._upload
        peer._upload = self._wait

    def _wait(self, request):
        self.free -= 1
        if self.free < 0:
            self.peer.lock.wait_for(lambda: self.free > 0 or self.peer.stopping)
        return self.take(request)

    def open(self):
        with self.peer.lock:
            self.free = 1000
            self.peer.lock.notify_all()


@pytest.fixture
def make(peer, make_daemon):
    return lambda **settings: make_daemon(hub=peer, **settings)


def test_files_reach_the_person_with_the_answer(make_daemon, account):
    hub = make_daemon().hub
    job, message = hub.start(f"{OUTBOX}; printf 'a\\000b' > data.bin; echo words > note.txt; echo see")
    hub.wait_status(message, timeout_s=60)
    reply = next(m for m in hub.messages(job) if m["role"] == "assistant")
    assert reply["content"] == "see"
    got = [hub.api("GET", f"/attachments/{attachment}").json for attachment in reply["attachment_ids"]]
    assert [file["filename"] for file in got] == ["data.bin", "note.txt"]
    assert [base64.b64decode(file["data"]) for file in got] == [b"a\0b", b"words\n"]


def test_what_was_sent_is_removed(make, peer, account):
    daemon = make()
    message = peer.give(f"{OUTBOX}; echo x > a; mkdir d; echo y > d/b; echo done")
    assert files_of(peer, message) == [("a", b"x\n")]

    def left():
        return [path for path in files_below(os.path.join(daemon.state, "jobs"))
                if ".out" in path or ".gone" in path]

    wait_until(lambda: not left(), 30, lambda: f"these to go: {left()}")


def test_no_link_leads_to_a_file_of_the_machine(make, peer, account):
    daemon = make()
    secret = account.write(os.path.join(daemon.folder, "secret"), "of the machine")
    journal = os.path.join(daemon.state, "journal.db")
    message = peer.give(f"{OUTBOX}; ln -s /etc/passwd a; ln -s {journal} b; ln -s {secret} c; "
                        f"ln -s /proc/self/environ d; ln {secret} e; ln -s /proc/1/root f; "
                        f"mkdir g; ln -s {secret} g/h; ln -s .. i; echo good > z; echo done")
    assert files_of(peer, message) == [("z", b"good\n")]
    text = text_of(peer, message)
    assert all(f"- `{name}`: " in text for name in "abcdfgi"), text
    # the whole directory for one of the machine's, and its parent
    for trick in (f"rmdir $NAIRID_OUTBOX; ln -s {daemon.folder} $NAIRID_OUTBOX",
                  f"mv $NAIRID_OUTBOX away; ln -s {daemon.folder} $NAIRID_OUTBOX"):
        message = peer.give(f"{trick}; echo done")
        assert files_of(peer, message) == []
        assert "no directory any more" in text_of(peer, message)
    assert b"of the machine" not in b"".join(data for _, data in peer.uploads.values())


@pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGQUIT])
def test_uploads_go_on_where_the_journal_is(make, peer, signo):
    daemon = make()
    gate = Gate(peer, free=1)
    message = peer.give(f"{OUTBOX}; echo 1 > a; echo 2 > b; echo 3 > c; echo done")
    wait_until(lambda: len(requests(peer)) == 2, 30, "the second upload")  # so a is on the disk
    daemon.program.send(signo)
    assert daemon.program.wait() == (0 if signo == signal.SIGQUIT else -signo)
    assert message not in peer.replies
    gate.open()
    daemon.boot()
    assert files_of(peer, message) == [("a", b"1\n"), ("b", b"2\n"), ("c", b"3\n")]
    assert text_of(peer, message) == "done"
    assert sum(name == "a" for name, _ in peer.uploads.values()) == 1


def test_a_bound_that_is_lowered_between_two_files_names_what_it_bars(make, peer):
    daemon = make()
    gate = Gate(peer, free=1)
    message = peer.give(f"{OUTBOX}; head -c 3000 /dev/zero > a; head -c 3000 /dev/zero > b; "
                        "echo 3 > c; echo done")
    wait_until(lambda: len(requests(peer)) == 2, 30, "the second upload")  # so a is on the disk
    daemon.program.send(signal.SIGKILL)
    daemon.program.wait()
    gate.open()
    daemon.configure(attachments={"max": "1K"})
    daemon.boot()
    assert files_of(peer, message) == [("a", b"\0" * 3000), ("c", b"3\n")]
    text = text_of(peer, message)
    assert "- `b`: it is larger than attachments.max" in text and "`a`" not in text


def test_what_an_interrupted_attempt_left_is_not_the_next_ones(make, peer, me):
    meeting = Meeting(me.shared())
    daemon = make(**meeting.settings())
    message = peer.give(f"if [ -e seen ]; then ls -A $NAIRID_OUTBOX; echo two; exit; fi; touch seen; "
                        f"echo half > $NAIRID_OUTBOX/half; {meeting.hold('a')}")
    meeting.wait("a")
    daemon.program.send(signal.SIGKILL)
    daemon.program.wait()
    daemon.boot()
    assert text_of(peer, message) == "two"
    assert files_of(peer, message) == []
    assert not requests(peer)


def test_a_task_that_waits_for_uploads_holds_no_slot(make, peer):
    make(max_concurrency=1)
    gate = Gate(peer, free=0)
    message = peer.give(f"{OUTBOX}; echo 1 > a; echo done")
    wait_until(lambda: requests(peer), 30, "the upload")
    assert text_of(peer, peer.give("echo other")) == "other"
    gate.open()
    assert files_of(peer, message) == [("a", b"1\n")]


def check_memory(make, peer, megabytes):
    """Sends a file of that size; the daemon may grow by less than 4 MB meanwhile."""
    daemon = make(start=False, attachments={"max": "256M"}, task={"timeout": "5m"})
    # what is freed is given back at once, as without the sanitizer
    daemon.env = {"ASAN_OPTIONS": "exitcode=99:quarantine_size_mb=0:thread_local_quarantine_size_kb=0"}
    daemon.boot()
    make_file = f"{OUTBOX}; head -c {{}}M /dev/zero > big; echo done"
    assert len(files_of(peer, peer.give(make_file.format(1)))[0][1]) == 1 << 20
    before = most = memory_kib(daemon)
    message = peer.give(make_file.format(megabytes))

    def look():
        nonlocal most
        most = max(most, memory_kib(daemon))
        return peer.acked.get(message)

    wait_until(look, 240, "the large one")
    (name, data), = files_of(peer, message)
    assert (name, len(data)) == ("big", megabytes << 20) and not data.strip(b"\0")
    print(f"{before} KiB before, {most} KiB at most")
    assert most - before < 4096


def test_a_large_file_takes_no_memory(make, peer):
    """Ten times more than it may; attachments_long.py has one of 200 MB."""
    check_memory(make, peer, 40)
