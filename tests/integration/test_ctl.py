"""status, drain, cancel and logs: what a person asks the running daemon, over its admin socket."""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import termios

import pytest

from clikit import Terminal, environment, nairid
from daemonkit import ERROR, Meeting
from hubkit import wait_until
from slowdisk import SYNC, SlowDisk


@pytest.fixture
def env(tmp_path):
    return environment(tmp_path)


@pytest.fixture
def meeting(account):
    return Meeting(account.shared())


def control(daemon, *args):
    """A verb about that daemon, as its own user."""
    return daemon.run(args[0], "--state", daemon.state, *args[1:])


# a daemon that runs


def test_status_in_json_is_the_daemons_own_answer(account, make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    daemon.wait_running(message)
    done = control(daemon, "status", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    status = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert status["pid"] == daemon.pid and status["spawner_pid"] > 0
    assert status["version"] == "0.1.0" and status["uptime_ms"] > 0
    assert status["connection"]["state"] == "connected"
    assert status["queue"]["running"] == 1
    assert [(j["id"], j["message"], j["state"]) for j in status["jobs"]] == [
        (job, message, "running")]
    meeting.release("a")
    daemon.reply(job, message)


def test_status_in_words_names_process_server_and_job(account, make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    daemon.wait_running(message)
    done = control(daemon, "status")
    assert (done.returncode, done.stderr) == (0, "")
    first, second, third, fourth = done.stdout.splitlines()
    assert first.startswith(f"nairid 0.1.0, process {daemon.pid}, up ")
    assert second.startswith(f"connected to {daemon.hub.url}, last answer ")
    assert third == "1 of 4 running, 0 waiting"
    assert fourth.startswith(f"{job} running for ")
    meeting.release("a")
    daemon.reply(job, message)


def test_cancel_ends_the_job_and_its_person_is_told(account, make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    done = control(daemon, "cancel", job)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"stopping {job}\n", "")
    assert daemon.reply(job, message)["content"] == ERROR + "stopped by the user"
    wait_until(lambda: not daemon.status()["jobs"], 30, "the job to be acknowledged")
    again = control(daemon, "cancel", job)
    assert again.returncode == 1
    assert job in again.stderr and "nairid status" in again.stderr


@contextlib.contextmanager
def asked(daemon, **request):
    """A connection on which a request has been sent, and its answer not read."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(os.path.join(daemon.state, "control.sock"))
        client.sendall(json.dumps(request).encode() + b"\n")
        yield client


def is_silent(client):
    return not select.select([client], [], [], 0)[0]


@pytest.fixture
def slow(make_daemon, me):
    """A daemon that runs a task, whose disk can be held: daemon, disk, meeting, job, message."""
    meeting = Meeting(me.shared())
    daemon = make_daemon(start=False, **meeting.settings())
    disk = SlowDisk(daemon)
    daemon.boot()
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    daemon.wait_running(message)
    daemon.wait_durable(lambda status: True, "what was decided so far to be on the disk")
    yield daemon, disk, meeting, job, message
    disk.release()


def test_cancel_is_answered_once_its_word_is_on_the_disk(slow):
    """Who is told that a job is stopped need not ask again after a crash; see design: store, then
    act, then acknowledge."""
    daemon, disk, meeting, job, message = slow
    disk.hold(SYNC)
    with asked(daemon, verb="cancel", job=job) as client:
        wait_until(disk.somebody_waits, 30, "the word to be written")
        assert daemon.status()["durable"] is False  # it is busy with it, and with nothing else
        assert is_silent(client)
        daemon.program.kill()
        assert client.recv(1) == b""  # nobody was told
    meeting.release("a")
    disk.release()
    daemon.boot()
    daemon.reply(job, message)  # whatever it says


def test_a_cancel_that_was_answered_outlives_a_crash(slow):
    daemon, disk, meeting, job, message = slow
    disk.hold(SYNC)
    with asked(daemon, verb="cancel", job=job) as client:
        wait_until(disk.somebody_waits, 30, "the word to be written")
        disk.release()
        assert json.loads(client.makefile("rb").readline()) == {"job": job, "ok": True}
        daemon.program.kill()
    meeting.release("a")
    daemon.boot()
    assert daemon.reply(job, message)["content"] == ERROR + "stopped by the user"


def test_drain_is_answered_behind_what_was_decided_before_it(slow):
    daemon, disk, _, job, message = slow
    disk.hold(SYNC)
    with asked(daemon, verb="cancel", job=job), asked(daemon, verb="drain") as client:
        wait_until(disk.somebody_waits, 30, "the word to be written")
        wait_until(lambda: daemon.status()["draining"], 30, "the drain to be heard")
        assert is_silent(client)
        disk.release()
        assert json.loads(client.makefile("rb").readline()) == {"ok": True}
    assert daemon.program.wait() == 0
    assert daemon.reply(job, message)["content"] == ERROR + "stopped by the user"


def test_drain_finishes_what_runs_and_ends_with_0(account, make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    done = control(daemon, "drain")
    assert (done.returncode, done.stderr) == (0, "")
    assert "draining" in done.stdout
    assert "draining" in control(daemon, "status").stdout
    meeting.release("a")
    assert daemon.program.wait() == 0
    assert daemon.reply(job, message)["content"] == "done"


def test_watch_goes_on_until_the_daemon_ends(me, make_daemon):
    daemon = make_daemon()
    argv = [me.program("nairid"), "status", "--json", "--watch", "--state", daemon.state]
    with subprocess.Popen([*me.wrap, *argv], env=me.environ(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as watch:
        pids = [json.loads(watch.stdout.readline())["pid"] for _ in range(2)]
        assert pids == [daemon.pid] * 2
        daemon.end()
        _, errors = watch.communicate(timeout=30)
        assert watch.returncode == 69
        assert "no nairid runs" in errors


def test_watch_redraws_a_terminal_without_flicker_and_follows_its_size(me, make_daemon):
    meeting = Meeting(me.shared())
    daemon = make_daemon(**meeting.settings())
    terminal = Terminal("status", "--watch", "--state", daemon.state,
                        env=me.environ(TERM="xterm"), columns=60)
    terminal.expect("0 of 4 running")
    job, message = daemon.hub.start(meeting.hold("a"))
    terminal.expect(job)
    assert terminal.seen.count(b"\033[2J") == 1, "the screen is cleared once"
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 30, 0, 0))
    wait_until(lambda: terminal._read(0.1) and terminal.seen.count(b"\033[2J") == 2, 20,
               lambda: f"the new size: {terminal.seen!r}")
    last = terminal.seen.split(b"\033[2J")[-1]
    assert all(len(line) <= 30 for line in last.decode().replace("\033[K", "").splitlines()
               if line.startswith("job_"))
    terminal.interrupt()
    assert terminal.end() == -signal.SIGINT
    meeting.release("a")
    daemon.reply(job, message)


def test_watch_writes_a_line_for_each_change_to_what_is_no_terminal(me, make_daemon):
    meeting = Meeting(me.shared())
    daemon = make_daemon(**meeting.settings())
    with subprocess.Popen([*me.wrap, me.program("nairid"), "status", "--watch", "--state",
                           daemon.state], env=me.environ(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout.readline() == "connected\n"
        job, message = daemon.hub.start(meeting.hold("a"))
        line = watch.stdout.readline()
        while line == f"{job} received\n":  # it may be seen before it starts
            line = watch.stdout.readline()
        assert line == f"{job} running\n"
        meeting.release("a")
        daemon.reply(job, message)
        while line != f"{job} done\n":
            assert line.startswith(job), line
            line = watch.stdout.readline()
        daemon.end()
        watch.communicate(timeout=30)
        assert watch.returncode == 69


def test_root_may_ask_a_users_daemon_and_no_other_user_may(make_daemon, account, env):
    if os.getuid() != 0:
        pytest.skip("needs root")
    daemon = make_daemon()
    assert nairid("status", "--state", daemon.state, env=env).returncode == 0
    stranger = subprocess.run(
        ["setpriv", "--reuid=61358", "--regid=61358", "--clear-groups", "--",
         account.program("nairid"), "status", "--state", daemon.state],
        env=env, capture_output=True, text=True, timeout=60)
    assert stranger.returncode == 69
    assert "another user's" in stranger.stderr


# where the daemon is


def test_the_daemon_of_up_is_found_by_its_directory_and_without(me, make_daemon):
    """`up` keeps its daemon's state in daemon/ of its own state directory."""
    daemon = make_daemon(start=False)
    home = me.mkdir("home")
    for name in ("home/.local", "home/.local/state", "home/.local/state/nairid-up"):
        me.mkdir(name)
    up = os.path.join(home, ".local/state/nairid-up")
    daemon.state = os.path.join(up, "daemon")
    daemon.boot()
    by_name = daemon.run("status", "--json", "--state", up)
    assert json.loads(by_name.stdout)["pid"] == daemon.pid
    daemon.env = {"HOME": home, "XDG_STATE_HOME": os.path.join(home, ".local/state")}
    found = daemon.run("status", "--json")
    assert json.loads(found.stdout)["pid"] == daemon.pid
    refused = daemon.run("cancel", "job_01KA0000000000000000000000")
    assert refused.returncode == 1
    assert "has nothing that waits or runs here" in refused.stderr


def test_the_directory_is_the_one_that_run_would_take(me, make_daemon):
    daemon = make_daemon()
    daemon.env = {"STATE_DIRECTORY": daemon.state}
    assert json.loads(daemon.run("status", "--json").stdout)["pid"] == daemon.pid


# no daemon


@pytest.mark.parametrize("args", [["status"], ["status", "--json"], ["drain"], ["cancel", "job_1"],
                                  ["logs", "job_1"]])
def test_without_a_daemon_each_says_so_with_69(env, tmp_path, args):
    state = tmp_path / "state"
    for make in (lambda: None, state.mkdir):  # no directory, and one without a daemon
        make()
        done = nairid(*args, "--state", state, env=env)
        assert (done.returncode, done.stdout) == (69, "")
        assert str(state) in done.stderr and "no nairid runs" in done.stderr
        assert done.stderr.count("\n") == 1


def test_without_a_directory_the_default_one_is_named(env, tmp_path):
    done = nairid("status", env={**env, "XDG_STATE_HOME": os.fspath(tmp_path)})
    assert done.returncode == 69
    assert f"'{tmp_path}/nairid'" in done.stderr


@pytest.mark.parametrize("args", [["cancel"], ["cancel", "a", "b"], ["status", "x"], ["logs"],
                                  ["drain", "now"], ["status", "--jsno"]])
def test_wrong_usage_is_64(env, args):
    done = nairid(*args, env=env)
    assert (done.returncode, done.stdout) == (64, "")
    assert f"nairid {args[0]} --help" in done.stderr


def test_logs_prints_what_was_logged_of_that_job_alone(make_daemon, me):
    secret = me.write(os.path.join(me.mkdir("secrets"), "token"), "correct-horse-battery\n")
    daemon = make_daemon(runner={"secrets": {"TOKEN": {"file": secret}}})
    job, message = daemon.hub.start("echo $TOKEN >&2; kill -9 $$")
    daemon.reply(job, message)
    other, answered = daemon.hub.start("echo other")
    daemon.reply(other, answered)
    done = control(daemon, "logs", job)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(f"job={job}" in line for line in lines), done.stdout
    assert [line for line in lines if line in daemon.log.splitlines()] == lines
    events = [line.split()[2] for line in lines]
    assert events.index("task_started") < events.index("task_ended") < events.index(
        "reply_delivered")
    assert "correct-horse" not in done.stdout
    assert "task_started" in control(daemon, "logs", other).stdout


@pytest.mark.parametrize("form", ["json", "journal"])
def test_logs_are_lines_of_text_whatever_the_log_has(make_daemon, form):
    daemon = make_daemon(log={"format": form})
    job, message = daemon.hub.start("echo done")
    daemon.reply(job, message)
    line = control(daemon, "logs", job).stdout.splitlines()[0]
    time, level, event, *fields = line.split()
    assert time.endswith("Z") and (level, event) == ("info", "task_started")
    assert f"job={job}" in fields


def test_logs_of_an_unknown_job_says_where_older_lines_are(make_daemon):
    daemon = make_daemon()
    done = control(daemon, "logs", "job_01KA0000000000000000000000")
    assert (done.returncode, done.stdout) == (1, "")
    assert "job_01KA0000000000000000000000" in done.stderr and "since the daemon" in done.stderr


def test_a_daemon_that_hangs_is_given_up(make_daemon, me):
    daemon = make_daemon()
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        done = control(daemon, "status")
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert done.returncode == 69
    assert "no answer within 5000 ms" in done.stderr
