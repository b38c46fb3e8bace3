"""Tasks that are bombs: each meets its limit, the reply names it, and everybody else goes on.

Each bomb is bounded by itself, too, so that a limit that fails costs a test and not the machine.
"""

import contextlib
import os
import time

import pytest

from daemonkit import ERROR, Meeting
from hubkit import wait_until
from processes import descendants
from test_recovery import SmallDisk

MEMORY = """python3 - <<'E'
import os, signal, time
for i in range(12):
    if os.fork() == 0:
        held = b"x" * (20 << 20)
        signal.pause()
        os._exit(0)
signal.pause()
E
"""
SHARED = """python3 - <<'E'
import os, signal, time
held = b"x" * (30 << 20)
for i in range(6):
    if os.fork() == 0:
        time.sleep(1.5)  # nap: so long that they are looked at together
        os._exit(len(held) == 0)
for i in range(6):
    assert os.wait()[1] == 0
print("all is well")
E
"""
LARGE_FILES = "for i in 1 2 3 4 5 6; do head -c 3000000 /dev/zero >large$i; done; sleep 60"
SMALL_FILES = """python3 - <<'E'
import os, signal, time
os.mkdir("/home/agent/many")
for i in range(6000):
    os.close(os.open(f"/home/agent/many/{i}", os.O_CREAT))
signal.pause()
E
"""
FORK_BOMB = """python3 - <<'E'
import os, signal, time
for i in range(300):
    try:
        if os.fork() == 0:
            signal.pause()
    except BlockingIOError:
        pass
while True:
    pass
E
"""
OPEN_FILES = """python3 - <<'E'
import os, signal, time
for i in range(25):
    if os.fork() == 0:
        for k in range(4000):
            os.open("/dev/null", os.O_RDONLY)
        open(f"/workspace/{i}", "w").close()
        signal.pause()
        os._exit(0)
while sum(os.path.exists(f"/workspace/{i}") for i in range(25)) < 25:
    time.sleep(0.05)  # poll
print("open")
E
"""

REMOVED_FILES = """python3 - <<'E'
import os, signal
for i in range(6):
    fd = os.open(f"/home/agent/{i}", os.O_CREAT | os.O_RDWR)
    os.write(fd, bytes(3000000))
    os.unlink(f"/home/agent/{i}")
signal.pause()
E
"""
# /proc tells nothing of a process whose main thread has ended, but of its other threads
HEADLESS = """python3 - <<'E'
import ctypes, os, signal, threading, time

def go_on():
    while "State:\\tZ" not in open(f"/proc/{os.getpid()}/status").read():
        time.sleep(0.01)  # poll
    work()
    signal.pause()

def lose_main_thread():
    threading.Thread(target=go_on).start()
    ctypes.CDLL(None).syscall({"x86_64": 60}.get(os.uname().machine, 93), 0)  # exit(2)
"""
HEADLESS_MEMORY = HEADLESS + """
held = []
def work():
    held.append(b"x" * (20 << 20))

for i in range(12):
    if os.fork() == 0:
        lose_main_thread()
signal.pause()
E
"""
HEADLESS_FILES = HEADLESS + """
def work():
    for i in range(6):
        fd = os.open(f"/home/agent/{i}", os.O_CREAT | os.O_RDWR)
        os.write(fd, bytes(3000000))
        os.unlink(f"/home/agent/{i}")

lose_main_thread()
E
"""
MEMORY_FILES = """python3 - <<'E'
import os, signal
for i in range(12):
    os.write(os.memfd_create("held"), bytes(8 << 20))
signal.pause()
E
"""
PASSED_ON = """python3 - <<'E'
import mmap, os
fd = os.memfd_create("held")
os.write(fd, bytes(40 << 20))
held = mmap.mmap(fd, 40 << 20)
children = []
for i in range(4):
    child = os.fork()
    if child == 0:
        for k in range(40):
            total = sum(held[::4096])
        os._exit(total)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
os.close(fd)
held.close()
held = b"x" * (40 << 20)
print("all is well")
E
"""

LOW = {"memory": "64M", "disk": "8M", "pids": 40, "files": 64}
# what it is: prompt, what the reply says
BOMBS = {
    "memory of many processes": (
        MEMORY, "because it needed more memory than it may use (sandbox.limits.memory is 64 MiB)"),
    "large files": (
        LARGE_FILES, "because the conversation's files take more disk space than they may "
                     "(sandbox.limits.disk is 8 MiB)"),
    "many small files": (
        SMALL_FILES, "because the conversation's files take more disk space than they may "
                     "(sandbox.limits.disk is 8 MiB)"),
}
# with a limit of their own, which on a slow machine others would meet before theirs
BUSY = {
    "processor time of one process": (
        "while :; do :; done",
        "because it used up the processor time that it may use (sandbox.limits.cpu_time is 2s)"),
    "processor time of many processes": (
        "while :; do /bin/true; done",
        "because it used up the processor time that it may use (sandbox.limits.cpu_time is 2s)"),
}
BOMBS["files that were removed and stay open"] = (REMOVED_FILES, BOMBS["large files"][1])
BOMBS["files that nobody's main thread holds"] = (HEADLESS_FILES, BOMBS["large files"][1])
BOMBS["memory files that nobody maps"] = (MEMORY_FILES, BOMBS["memory of many processes"][1])
# limits that make a call fail: how the program ends is its own choice
FAILURES = {
    "processes": (
        "python3 -c 'import os, signal\nwhile True:\n if os.fork() == 0: signal.pause()'; exit $?",
        "the number of processes and threads of a task (sandbox.limits.pids is 40)"),
    "open files": (
        "python3 -c 'a = [open(\"/dev/null\") for i in range(100)]'; exit $?",
        "the number of open files of a process (sandbox.limits.files is 64)"),
    "a large file": (
        "head -c 20000000 /dev/zero >large; exit $?",
        "the size of a file (sandbox.limits.disk is 8 MiB)"),
    "temporary files": (
        "for i in $(seq 20); do head -c 4000000 /dev/zero >/tmp/$i || exit 1; done",
        "temporary files (/tmp, /dev/shm) have a share of the task's memory "
        "(sandbox.limits.memory is 64 MiB)"),
    "memory of one process": (
        "python3 -c 'bytearray(10 ** 9)'; exit $?",
        "the memory of a task (sandbox.limits.memory is 64 MiB)"),
}


@pytest.fixture
def meeting(account):
    return Meeting(account.shared())


def limited(limits, **task):
    return {"sandbox": {"limits": limits}, "task": {"timeout": "120s", **task}}


def assert_others_go_on(daemon):
    assert daemon.answer("echo alive")["content"] == "alive"
    assert daemon.status()["jobs"]


def assert_no_tasks(daemon, timeout_s=5):
    wait_until(lambda: not daemon.tasks(), timeout_s, lambda: f"these to end: {daemon.tasks()}")


def failure_of(daemon, job, message, timeout_s=120):
    content = daemon.reply(job, message, timeout_s)["content"]
    assert content.startswith(ERROR), content
    return content[len(ERROR):]


@pytest.mark.parametrize("bombs, cpu_time", [(BOMBS, "1h"), (BUSY, "2s")], ids=["size", "time"])
def test_bombs_end_at_their_limits_and_others_go_on(make_daemon, bombs, cpu_time):
    daemon = make_daemon(max_concurrency=len(bombs) + 1, **limited({**LOW, "cpu_time": cpu_time}))
    started = {name: daemon.hub.start(prompt) for name, (prompt, _) in bombs.items()}
    assert daemon.answer("echo alive")["content"] == "alive"
    for name, (_, words) in bombs.items():
        text = failure_of(daemon, *started[name])
        assert text.startswith("sh was ended") and words in text, f"{name}: {text}"
    assert_no_tasks(daemon)
    assert daemon.answer("echo alive")["content"] == "alive"


def test_calls_that_fail_at_a_limit_are_explained(make_daemon, account):
    daemon = make_daemon(**limited(LOW))
    for name, (prompt, words) in FAILURES.items():
        text = daemon.failure(prompt)
        assert text.startswith("sh ended with exit status ") and words in text, f"{name}: {text}"


def test_memory_that_processes_share_counts_once(make_daemon, account):
    daemon = make_daemon(**limited({"memory": "64M"}))
    assert daemon.answer(SHARED)["content"] == "all is well"
    assert daemon.answer(PASSED_ON)["content"] == "all is well"


def test_memory_counts_without_a_main_thread(make_daemon, account):
    daemon = make_daemon(**limited({"memory": "64M"}))
    text = daemon.failure(HEADLESS_MEMORY)
    assert BOMBS["memory of many processes"][1] in text, text


def test_a_conversation_that_has_too_many_files_can_remove_some(make_daemon, account):
    daemon = make_daemon(**limited({"disk": "8M"}))
    job, message = daemon.hub.start(LARGE_FILES)
    assert "another message can have some removed" in failure_of(daemon, job, message)
    message = daemon.hub.resume(job, "sleep 1; rm large*; ls; echo removed")
    assert daemon.reply(job, message)["content"] == "removed"
    message = daemon.hub.resume(job, "head -c 3000000 /dev/zero >large; sleep 1; ls")
    assert daemon.reply(job, message)["content"] == "large"


def test_others_go_on_beside_a_fork_bomb(make_daemon, account):
    daemon = make_daemon(**limited({"pids": 60}))
    job, message = daemon.hub.start(FORK_BOMB)
    wait_until(lambda: len(daemon.tasks()) >= 50, 60, "the bomb to go off")
    for _ in range(3):
        assert_others_go_on(daemon)
    assert len(daemon.tasks()) <= 62
    assert daemon.run("cancel", job, "--state", daemon.state).returncode == 0
    assert failure_of(daemon, job, message) == "stopped by the user"
    assert_no_tasks(daemon)


def test_others_go_on_beside_a_hundred_thousand_open_files(make_daemon, account):
    daemon = make_daemon(**limited({}))
    job, message = daemon.hub.start(OPEN_FILES)
    daemon.wait_running(message)
    assert_others_go_on(daemon)
    assert daemon.reply(job, message, timeout_s=120)["content"] == "open"
    assert_no_tasks(daemon)


def test_others_go_on_beside_a_flood_of_output(make_daemon, account):
    daemon = make_daemon(**limited({}, output_limit="30M"))
    job, message = daemon.hub.start("yes | tr -d '\\n'; :")
    daemon.wait_running(message)
    assert daemon.answer("echo alive")["content"] == "alive"
    assert "printed more than 30 MiB (task.output_limit)" in failure_of(daemon, job, message)
    assert len(daemon.log) < 100_000


def badness(pid):
    with open(f"/proc/{pid}/oom_score_adj") as file:
        return int(file.read())


def test_tasks_are_the_kernels_first_choice_when_memory_is_short(make_daemon, account, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    spawner = daemon.status()["spawner_pid"]
    found = set()
    for process in descendants(spawner):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a sleep that is over
            found.add(badness(process.pid))
    assert found == {1000}
    assert badness(daemon.pid) < 1000 and badness(spawner) < 1000
    meeting.release("a")
    daemon.reply(job, message)


NAMELESS = """python3 - <<'E'
import contextlib, ctypes, os, signal, socket

def make():
    fd = os.open(f"file{os.getpid()}", os.O_CREAT | os.O_RDWR)
    os.unlink(f"file{os.getpid()}")
    return fd

def fill(fd, megabytes):
    with contextlib.suppress(OSError):
        for i in range(megabytes):
            os.write(fd, bytes(1000000))
"""
FILLERS = {
    "slowly": "for i in $(seq 400); do head -c 500000 /dev/zero >>filler; sleep 0.02; done",
    "at once": "head -c 200000000 /dev/zero >filler",
    "without a name": "exec 5>filler; rm filler; head -c 200000000 /dev/zero >&5",
    "in small files": """python3 - <<'E'
import contextlib, os, signal
os.mkdir("many")
with contextlib.suppress(OSError):
    for i in range(100000):
        os.close(os.open(f"many/{i}", os.O_CREAT))
signal.pause()
E
""",
    "without a name, out of sight": NAMELESS + """
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
fill(make(), 200)
signal.pause()
E
""",
    "without a name, in flight": NAMELESS + """
here, there = socket.socketpair()
for i in range(50):
    fd = make()
    socket.send_fds(here, [b"x"], [fd])
    fill(fd, 4)
    os.close(fd)
signal.pause()
E
""",
    "without a name, only mapped": NAMELESS + """
mmap = ctypes.CDLL(None).mmap
mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_long] * 4]
for i in range(50):
    fd = make()
    fill(fd, 4)
    mmap(None, 4096, 1, 1, fd, 0)  # PROT_READ, MAP_SHARED
    os.close(fd)
signal.pause()
E
""",
    "in small files without names": NAMELESS + """
for i in range(6):
    if os.fork() == 0:
        with contextlib.suppress(OSError):
            for k in range(3800):
                make()
        signal.pause()
signal.pause()
E
""",
}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
@pytest.mark.parametrize("pace", FILLERS)
def test_a_task_that_fills_the_disk_is_ended_and_others_go_on(make_daemon, me, pace):
    meeting = Meeting(me.shared())
    daemon = make_daemon(start=False, **meeting.settings())
    disk = SmallDisk(daemon, "96m,nr_inodes=20000")
    try:
        daemon.state_seen = disk.root
        daemon.boot()
        other = daemon.hub.start(
            "head -c 300000 /dev/zero >mine\n" + meeting.hold("a", "wc -c <mine"))
        meeting.wait("a")
        job, message = daemon.hub.start("echo mine >kept")
        daemon.hub.wait_status(message)
        text = failure_of(daemon, job, daemon.hub.resume(job, FILLERS[pace] + "\nsleep 60"))
        assert "because the machine's disk was nearly full, as it seems by this task" in text, text
        assert ("job_files_removed" in daemon.log) == ("had to be removed" in text)
        for i in range(3):
            assert daemon.answer(f"echo {i} >new; cat new")["content"] == str(i)
        kept = daemon.hub.resume(job, "cat kept")
        assert daemon.reply(job, kept)["content"] == "mine"
        meeting.release("a")
        assert daemon.reply(*other)["content"] == "300000"
        assert daemon.end() == 0, daemon.last_log
    finally:
        if daemon.program:
            daemon.program.kill()
            daemon.program = None
        disk.done()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_nobody_is_ended_for_a_disk_that_others_fill(make_daemon, me):
    meeting = Meeting(me.shared())
    daemon = make_daemon(start=False, **meeting.settings())
    disk = SmallDisk(daemon, "96m")
    try:
        daemon.state_seen = disk.root
        daemon.boot()
        job, message = daemon.hub.start(
            "head -c 3000000 /dev/zero >mine\n" + meeting.hold("a", "wc -c <mine"))
        meeting.wait("a")
        disk.fill()
        time.sleep(1.5)  # nap: so long that it is looked at more than once
        disk.empty()
        meeting.release("a")
        assert daemon.reply(job, message)["content"] == "3000000"
        assert daemon.end() == 0, daemon.last_log
    finally:
        if daemon.program:
            daemon.program.kill()
            daemon.program = None
        disk.done()
