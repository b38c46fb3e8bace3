"""Files that come with messages: where a task finds them, and what is said where it can't."""

import base64
import hashlib
import os
import signal
import stat
import threading
import time

import pytest

from daemonkit import ERROR, files_below
from hubkit import wait_until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300
LIST = "find /attachments -type f -printf '%f %s %m\\n' | sort"


def give(peer, prompt, *files, earlier=None, **more):
    payload = {"attachments": [peer.attach(data) for data in files]}
    if earlier:
        payload["previous_messages"] = earlier
    return peer.give(prompt, payload=payload, **more)


def text_of(peer, message, timeout_s=60):
    return peer.wait_reply(message, timeout_s)["payload"]["message"]


def error_of(peer, message, timeout_s=60):
    text = text_of(peer, message, timeout_s)
    assert text.startswith(ERROR), text
    return text[len(ERROR):]


def downloads(peer):
    with peer.lock:
        return [request for request in peer.requests if request.endpoint == "download"]


def wait_downloads(peer, count):
    wait_until(lambda: len(downloads(peer)) >= count, 30, f"{count} downloads")


@pytest.fixture
def make(peer, make_daemon):
    """A daemon whose runner is sh: the prompt is its script, which ends before the list of files."""

    def make(**settings):
        return make_daemon(hub=peer, **settings)

    return make


def test_a_task_reads_what_came_with_its_message(make, peer, account):
    daemon = make()
    message = give(peer, f"{LIST}; sha1sum /attachments/*/*; id -u; exit", PNG, b"words\n",
                   b"\x00\x01\x02")
    text = text_of(peer, message)
    assert "attachment_0.png 76808 4" in text
    assert "attachment_1.txt 6 4" in text
    assert "attachment_2.bin 3 4" in text
    assert hashlib.sha1(PNG).hexdigest() in text
    for request in downloads(peer):
        assert request.headers["Authorization"] == f"Bearer {peer.agent_key}"
    assert "attachment_fetched" in daemon.log


def test_the_prompt_names_them(make, peer):
    make(runner={"argv": ["cat"]})
    message = give(peer, "look", PNG, b"words\n")
    assert text_of(peer, message) == (
        f"look\n---\nAttachments:\n- /attachments/{message}/attachment_0.png\n"
        f"- /attachments/{message}/attachment_1.txt")


def test_nobody_but_the_task_can_change_or_read_them(make, peer, account):
    daemon = make()
    tries = ("for f in /attachments/*/*; do (echo x >> $f) 2>/dev/null && echo written; "
             "chmod 777 $f 2>/dev/null && echo chmod; rm -f $f 2>/dev/null && echo removed; "
             "mv $f $f.x 2>/dev/null && echo moved; done; "
             "touch /attachments/x 2>/dev/null && echo made; cat /attachments/*/*; exit")
    assert text_of(peer, give(peer, tries, b"words\n")) == "words"
    top = os.path.join(daemon.state, "jobs")
    job = os.path.join(top, os.listdir(top)[0], "attachments")
    for name in [".", *files_below(job)]:
        found = os.stat(os.path.join(job, name))
        assert stat.S_IMODE(found.st_mode) & 0o007 == 0
        assert found.st_uid == account.uid
        if account.is_root:
            assert found.st_gid >= 0x70000000


def test_messages_of_one_job_keep_their_files_apart(make, peer):
    make()
    first = give(peer, "cat /attachments/*/*; exit", b"one\n")
    assert text_of(peer, first) == "one"
    job = peer.job_of[first]
    second = give(peer, f"cat /attachments/{first}/*; exit", b"two\n", job=job)
    assert text_of(peer, second) == "one"
    third = peer.give("cat /attachments/*/*; exit", job)
    assert text_of(peer, third) == "one\ntwo"


def test_a_restart_fetches_only_what_is_missing(make, peer):
    held = threading.Event()
    entered = threading.Event()

    def hold(sock):
        entered.set()
        held.wait(60)
        sock.close()

    daemon = make(server={"request_timeout": "20s"})
    message = give(peer, "cat /attachments/*/*; exit", b"one\n", hold)
    last = max(peer.files)
    wait_until(lambda: "attachment_fetched" in daemon.log, 30, "the first file")
    assert entered.wait(30)
    daemon.program.kill()
    daemon.program = None
    peer.files[last] = b"two\n"
    held.set()
    before = len(downloads(peer))
    daemon.boot()
    assert text_of(peer, message) == "one\ntwo"
    assert [request.path.rsplit("/", 1)[1] for request in downloads(peer)[before:]] == [last]


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGQUIT])
def test_an_end_of_the_daemon_waits_for_no_download(make, peer, signo):
    held = threading.Event()
    daemon = make(drain_timeout="1s")
    message = give(peer, "cat /attachments/*/*; exit", lambda sock: held.wait(60))
    wait_downloads(peer, 1)
    daemon.end(signo, timeout_s=40)
    held.set()
    peer.files[max(peer.files)] = b"later\n"
    daemon.boot()
    assert text_of(peer, message) == "later"


def test_a_stop_ends_a_download(make, peer):
    held = threading.Event()
    daemon = make()
    message = give(peer, "exit", lambda sock: held.wait(60))
    wait_downloads(peer, 1)
    assert daemon.run("cancel", peer.job_of[message], "--state", daemon.state).returncode == 0
    assert error_of(peer, message) == "stopped by the user"
    held.set()
    again = peer.give("echo on", peer.job_of[message])
    assert text_of(peer, again) == "on"


def test_the_tasks_time_ends_a_download(make, peer):
    held = threading.Event()
    make(task={"timeout": "1s"})
    text = error_of(peer, give(peer, "exit", lambda sock: held.wait(60)))
    held.set()
    assert "task.timeout" in text and "attachments had not all come" in text


def test_what_is_too_large_is_said_at_once(make, peer):
    make(attachments={"max": "100K"})
    text = error_of(peer, give(peer, "exit", bytes(102401)))
    assert "att_" in text and "larger than 100 KiB (attachments.max)" in text
    assert text_of(peer, give(peer, "cat /attachments/*/* | wc -c; exit", bytes(102400))) == "102400"
    many = [bytes(102000)] * 11
    text = error_of(peer, give(peer, "exit", *many))
    assert "together larger than 1000 KiB (ten times attachments.max)" in text
    assert len(downloads(peer)) <= 2 + 11


def test_a_server_that_goes_on_failing_is_given_up(make, peer):
    make(server={"request_timeout": "1s"})
    text = error_of(peer, give(peer, "exit", lambda sock: sock.sendall(
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")))
    assert "could not be fetched" in text and "send the message again later" in text
    assert len(downloads(peer)) >= 2


def test_a_page_that_says_404_is_believed_after_a_while(make, peer):
    """A proxy says so while its server starts again; that takes no five times request_timeout."""
    make(server={"request_timeout": "4s"})
    began = time.monotonic()
    text = error_of(peer, give(peer, "exit", lambda sock: sock.sendall(
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<p>no")))
    assert "status 404" in text and "send the message again later" in text
    assert time.monotonic() - began < 15 and len(downloads(peer)) >= 2


def test_files_of_earlier_messages_come_only_where_they_are_shown(make, peer):
    make()
    message = give(peer, f"{LIST}; exit", b"own\n",
                   earlier=[{"message": "x", "attachments": [peer.attach(b"earlier\n")]}])
    assert text_of(peer, message).startswith("attachment_0.txt 4 4")
    assert len(downloads(peer)) == 1


def test_files_go_with_the_job(make, peer):
    daemon = make(workspace={"retention": "0s"})
    message = give(peer, "cat /attachments/*/*; exit", b"words\n")
    assert text_of(peer, message) == "words"
    daemon.restart()
    wait_until(lambda: not files_below(os.path.join(daemon.state, "jobs")), 30, "the job to go")


def test_files_count_as_the_jobs_disk_space(make, peer):
    make(sandbox={"limits": {"disk": "1M"}})
    message = give(peer, "cat /attachments/*/* | wc -c; exit", os.urandom(600000))
    assert text_of(peer, message) == "600000"
    full = peer.give("head -c 700000 /dev/urandom > big; sleep 60; echo never", peer.job_of[message])
    assert "sandbox.limits.disk" in error_of(peer, full)


def test_a_person_sends_a_file_and_gets_one_back(make_daemon, tmp_path):
    """ask, hub, daemon, task, and the way back."""
    daemon = make_daemon()
    folder = daemon.account.mkdir("files", 0o755)
    daemon.account.write(os.path.join(folder, "words.txt"), "some words\n")
    daemon.env = {"NAIRI_API_URL": daemon.hub.url, "NAIRI_PUBLIC_API_KEY": daemon.hub.org_key,
                  "NAIRI_AGENT_ID": daemon.hub.slug}
    done = daemon.run("ask", "--attach", os.path.join(folder, "words.txt"), "--save", folder,
                      "cp /attachments/*/* $NAIRID_OUTBOX/back.txt; cat /attachments/*/*; exit")
    assert (done.returncode, done.stdout) == (0, "some words\n"), done.stderr
    with open(os.path.join(folder, "back.txt"), encoding="ascii") as file:
        assert file.read() == "some words\n"


def memory_kib(daemon, what="VmRSS"):
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what + ":"))


def stream(megabytes):
    """Answers with a file of that size, without having it in memory either."""
    piece = base64.b64encode(bytes(range(256)) * 192)  # 48 KiB, a multiple of 3

    def send(sock):
        count = megabytes * 1024 * 1024 // (256 * 192)
        body = len(b'{"data":""}') + count * len(piece)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n{\"data\":\"" % body)
        for _ in range(count):
            sock.sendall(piece)
        sock.sendall(b"\"}")

    return send


def check_memory(make, peer, megabytes):
    """Fetches a file of that size; the daemon may grow by less than 4 MB meanwhile."""
    daemon = make(start=False, attachments={"max": "256M"}, task={"timeout": "5m"})
    # what is freed is given back at once, as without the sanitizer
    daemon.env = {"ASAN_OPTIONS": "exitcode=99:quarantine_size_mb=0:thread_local_quarantine_size_kb=0"}
    daemon.boot()
    size = "stat -c %s /attachments/*/*; exit"
    assert text_of(peer, give(peer, size, stream(1))) == str(21 * 49152)
    before, peak = memory_kib(daemon), memory_kib(daemon, "VmHWM")
    most = before
    message = give(peer, size, stream(megabytes))

    def look():
        nonlocal most
        most = max(most, memory_kib(daemon))
        return peer.acked.get(message)

    wait_until(look, 240, "the large one")
    after = memory_kib(daemon, "VmHWM")
    if after > peak:  # between two looks
        most = max(most, after)
    assert text_of(peer, message) == str(megabytes * 1024 * 1024 // 49152 * 49152)
    print(f"{before} KiB before, {most} KiB at most")
    assert most - before < 4096


def test_a_large_file_takes_no_memory(make, peer):
    """Five times more than it may; attachments_long.py has one of 200 MB."""
    check_memory(make, peer, 20)
