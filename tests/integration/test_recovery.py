"""What happens when something dies, is missing, is broken or is full: said in words, nothing lost.
"""

import os
import signal
import sqlite3
import subprocess

import pytest

from daemonkit import ERROR, Meeting, replies
from hubkit import preload, wait_until
from processes import descendants


@pytest.fixture
def meeting(me):
    return Meeting(me.shared())


def spawner_of(daemon):
    return daemon.status()["spawner_pid"]


def assert_all_ended(daemon, timeout_s=3):
    """Daemon, spawner and tasks are gone; the daemon's exit code is returned."""
    code = daemon.program.wait(timeout_s)
    hub = daemon.hub.proc.pid if daemon.hub.proc else None
    wait_until(lambda: not descendants(but=[hub]), timeout_s,
               lambda: f"these to end: {descendants(but=[hub])}")
    return code


# something dies


def test_a_killed_daemon_takes_its_tasks_along_and_the_message_runs_again(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start("(setsid sleep 1000 &)\n" + meeting.hold("a"))
    meeting.wait("a")
    daemon.program.send(signal.SIGKILL)
    assert assert_all_ended(daemon) == -signal.SIGKILL
    meeting.release("a")
    daemon.boot()
    assert daemon.reply(job, message)["content"] == "done"


def test_a_killed_spawner_ends_the_daemon_with_75(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start("(setsid sleep 1000 &)\n" + meeting.hold("a"))
    meeting.wait("a")
    os.kill(spawner_of(daemon), signal.SIGKILL)
    assert assert_all_ended(daemon) == 75
    meeting.release("a")
    daemon.boot()
    assert daemon.reply(job, message)["content"] == "done"


def test_a_message_that_is_interrupted_too_often_gets_an_error(make_daemon, meeting):
    daemon = make_daemon(task={"max_attempts": 2}, **meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    for _ in range(2):
        meeting.wait("a")
        os.unlink(meeting.path("a") + ".here")
        daemon.program.send(signal.SIGKILL)
        assert_all_ended(daemon)
        daemon.boot()
    content = daemon.reply(job, message)["content"]
    assert content.startswith(ERROR) and "task.max_attempts" in content and "2 times" in content
    assert not meeting.is_here("a")


def test_a_reply_outlives_the_death_of_hub_and_daemon(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    count = meeting.path("count")
    job, message = daemon.hub.start(meeting.hold("a", f"echo x >> '{count}'; echo done"))
    meeting.wait("a")
    daemon.hub.end(signal.SIGKILL)
    meeting.release("a")
    daemon.wait_durable(lambda status: status["queue"]["outbox"] == 1, "the reply to be kept")
    daemon.program.send(signal.SIGKILL)
    assert_all_ended(daemon)
    daemon.start()
    daemon.hub.boot()
    assert daemon.reply(job, message)["content"] == "done"
    wait_until(lambda: daemon.status()["queue"]["outbox"] == 0, what="the acknowledgement")
    with open(count) as file:
        assert file.read() == "x\n"  # a message whose reply is on disk is never run again


def hold_survey(daemon, message):
    """Waits for the message's reply to be on disk, and holds up what looks at its task's leavings.
    False where that was over too soon."""

    def look():
        status = daemon.status()
        return " surveyed " in daemon.log or (status["durable"] and any(
            job["message"] == message and job["state"] == "finished" for job in status["jobs"]))

    wait_until(look, 60, "the attempt to end")
    os.kill(spawner_of(daemon), signal.SIGSTOP)
    status = daemon.status()  # what the spawner had said before is known by then
    return " surveyed " not in daemon.log and any(
        job["message"] == message and job["state"] == "finished" for job in status["jobs"])


@pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGQUIT], ids=["killed", "ended"])
def test_what_a_task_left_is_looked_at_after_a_restart_and_the_task_runs_once(make_daemon, meeting,
                                                                             signo):
    daemon = make_daemon(**meeting.settings())
    for i in range(10):
        count = meeting.path(f"count{i}")
        job, message = daemon.hub.start(f"echo x >> '{count}'; mkdir many; touch .envrc\n"
                                        "seq 20000 | sed s:^:many/: | xargs touch; echo done")
        held, spawner = hold_survey(daemon, message), spawner_of(daemon)
        if held:
            daemon.program.send(signo)
            if signo == signal.SIGQUIT:
                wait_until(lambda: " signal " in daemon.log, what="the daemon to hear of it")
        os.kill(spawner, signal.SIGCONT)
        if held:
            break
        daemon.reply(job, message)
        daemon.restart()  # with a log of its own
    assert held
    log = daemon.log
    assert assert_all_ended(daemon) == (-signal.SIGKILL if signo == signal.SIGKILL else 0)
    daemon.boot()
    assert daemon.reply(job, message)["content"] == (
        "done\n\n[nairid noticed that this task left files that programs may run or obey later: "
        "`.envrc` (new; shells run it).]")
    with open(count) as file:
        assert file.read() == "x\n", log


def test_the_daemon_waits_for_a_server_that_comes_later(make_hub, make_daemon):
    hub = make_hub()
    hub.end()
    daemon = make_daemon(hub=hub, start=False)
    daemon.start()
    wait_until(lambda: "poll_failed" in daemon.log, what="the first failure")
    hub.boot()
    assert daemon.answer("echo found")["content"] == "found"


def test_messages_sent_while_the_daemon_is_down_are_answered_after(make_daemon):
    daemon = make_daemon()
    daemon.end()
    started = [daemon.hub.start(f"echo {i}") for i in range(5)]
    daemon.boot()
    for i, (job, message) in enumerate(started):
        assert daemon.reply(job, message)["content"] == str(i)


def test_an_acknowledged_message_is_not_run_again_after_a_restart(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    count = meeting.path("count")
    daemon.answer(f"echo x >> '{count}'; echo done")
    daemon.restart()
    daemon.restart(signal.SIGQUIT)
    assert daemon.answer("echo more")["content"] == "more"
    with open(count) as file:
        assert file.read() == "x\n"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_it_works_as_process_1_of_a_container(make_daemon):
    daemon = make_daemon(start=False)
    daemon.wrap = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--"]
    daemon.boot()
    assert daemon.status()["pid"] == 1
    for i in range(3):
        assert daemon.answer(f"(setsid sleep 1000 &)\necho {i}")["content"] == str(i)
    inside = next(process for process in descendants(daemon.pid) if process.parent == daemon.pid)
    wait_until(lambda: len(descendants(inside.pid)) == 1, 5,
               lambda: f"only the spawner to be left: {descendants(inside.pid)}")
    os.kill(inside.pid, signal.SIGTERM)
    assert daemon.program.wait(20) == 0


# something is broken or missing at the start


def refused(daemon, code):
    """Starts a daemon that can't; returns what it said."""
    daemon.start()
    found = daemon.program.wait(30)
    assert found == code, f"exit {found}\n{daemon.log}"
    log = daemon.log
    daemon.program = None
    return log


def test_a_second_daemon_on_the_same_state_names_the_first(make_daemon):
    daemon = make_daemon()
    done = daemon.run("run", "-c", daemon.config, "--state", daemon.state)
    assert done.returncode == 75
    assert str(daemon.pid) in done.stderr and daemon.state in done.stderr
    assert daemon.answer("echo unharmed")["content"] == "unharmed"


def test_a_corrupt_journal_is_named_and_left_as_it_is(make_daemon):
    daemon = make_daemon()
    daemon.answer("echo before")
    daemon.end()
    journal = os.path.join(daemon.state, "journal.db")
    with open(journal, "r+b") as file:
        file.write(b"this is no database, " * 100)
    with open(journal, "rb") as file:
        damaged = file.read()
    daemon.start()
    code = daemon.program.wait(30)
    assert code in (74, 78), code
    assert journal in daemon.log and "aside" in daemon.log
    daemon.program = None
    with open(journal, "rb") as file:
        assert file.read() == damaged
    for name in ("journal.db", "journal.db-wal"):
        if os.path.exists(os.path.join(daemon.state, name)):
            os.rename(os.path.join(daemon.state, name), os.path.join(daemon.state, name + ".old"))
    daemon.boot()
    assert daemon.answer("echo after")["content"] == "after"


def test_a_journal_of_a_newer_version_is_refused(make_daemon):
    daemon = make_daemon()
    daemon.end()
    with sqlite3.connect(os.path.join(daemon.state, "journal.db")) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    daemon.start()
    assert daemon.program.wait(30) in (74, 78)
    assert "newer nairid" in daemon.log and "999" in daemon.log
    daemon.program = None


def test_a_key_that_the_server_refuses_ends_with_77(make_daemon):
    daemon = make_daemon(start=False)
    daemon.account.write(daemon.key_file, "nairid_0000000000000000000000000000000000000000000\n")
    assert "key" in refused(daemon, 77)


def test_an_organisation_key_is_refused_before_it_is_sent(make_daemon):
    daemon = make_daemon(start=False)
    daemon.account.write(daemon.key_file, daemon.hub.org_key + "\n")
    log = refused(daemon, 78)
    assert "organisation" in log and daemon.hub.org_key not in log


SHELL = "runner: {name: command, argv: [sh]}\n"


@pytest.mark.parametrize("text, words", [
    ("server: {url: x\n", ["nairid.yaml:"]),
    ("max_concurency: 2\n", ["nairid.yaml:1:1:", "max_concurrency"]),
    ("max_concurrency: many\n", ["nairid.yaml:1:1:"]),
    ("max_concurrency: 0\n", ["nairid.yaml:1:1:", "1"]),
    ("max_concurrency: 1\nmax_concurrency: 2\n", ["nairid.yaml:2:1:"]),
    ("runner: {name: comand}\n", ["nairid.yaml:1:10:", "command"]),
    ("sandbox: {network: {mode: allowlist, allow: [x.org]}}\n" + SHELL,
     ["nairid.yaml:1:46:", "sandbox.network.allow", "HOST:PORT"]),
    ("sandbox: {network: {mode: none}, write: [/proc/x]}\n" + SHELL, ["sandbox.write", "/proc"]),
    ("sandbox: {network: {mode: none}}\n", ["nairid.yaml:1:21:", "sandbox.network.mode", "host"]),
    ("runner: {name: cursor}\nsandbox: {network: {mode: host}}\n",
     ["runner.name", "cursor", "command"]),
])
def test_wrong_settings_are_named_by_place(make_daemon, text, words):
    daemon = make_daemon(start=False)
    daemon.account.write(daemon.config, text)
    daemon.env = {"NAIRID_AGENT_ID": "a", "NAIRI_API_KEY": daemon.hub.agent_key,
                  "NAIRID_SERVER_URL": daemon.hub.url}
    log = refused(daemon, 78)
    for word in words:
        assert word in log, log


def test_a_missing_settings_file_is_named(make_daemon):
    daemon = make_daemon(start=False)
    os.unlink(daemon.config)
    assert daemon.config in refused(daemon, 78)


@pytest.mark.parametrize("settings, words", [
    ({"runner": {"argv": ["no-such-program"]}}, ["no-such-program", "runner.argv"]),
    ({"sandbox": {"read": ["/no-such-folder"]}}, ["sandbox.read", "/no-such-folder"]),
    ({"sandbox": {"write": ["/no-such-folder"]}}, ["sandbox.write", "/no-such-folder"]),
])
def test_what_the_machine_lacks_stops_the_start_by_name(make_daemon, settings, words):
    daemon = make_daemon(start=False, **settings)
    log = refused(daemon, 78)
    for word in words:
        assert word in log, log


def test_a_program_that_only_the_host_sees_stops_the_start(make_daemon, account):
    """A link out of what the sandbox shows: the host's own files don't tell."""
    shown, hidden = account.shared(), account.shared()
    account.write(os.path.join(hidden, "tool"), "#!/bin/sh\n", mode=0o755)
    os.symlink(os.path.join(hidden, "tool"), os.path.join(shown, "tool"))
    daemon = make_daemon(start=False, runner={"argv": [os.path.join(shown, "tool")]},
                         sandbox={"read": [shown]})
    assert "seen from the sandbox" in refused(daemon, 78)
    assert not any(name.startswith("nairid-trial") for name in os.listdir(daemon.state))


def test_no_server_ends_with_69(make_hub, make_daemon):
    hub = make_hub()
    hub.end()
    daemon = make_daemon(hub=hub, start=False)
    daemon.env = preload("fastclock", FASTCLOCK="12")  # the minute that it tries is five seconds
    daemon.start()
    assert daemon.program.wait(90) == 69
    assert hub.host.netloc in daemon.log and "server.url" in daemon.log
    daemon.program = None


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
@pytest.mark.skipif(not os.path.exists("/etc/machine-id"), reason="this machine has no id")
def test_a_copied_state_becomes_a_daemon_of_its_own(make_daemon, me):
    daemon = make_daemon()
    assert daemon.answer("echo here")["content"] == "here"
    daemon.end()
    other = me.write(os.path.join(me.folder, "machine-id"), "0" * 31 + "1\n", mode=0o444)
    daemon.wrap = ["unshare", "-m", "sh", "-ec",
                   f"mount --bind {other} /etc/machine-id\nexec \"$@\"", "sh"]
    daemon.boot()
    assert "state_moved" in daemon.log and "instance=ccaid_" in daemon.log
    assert daemon.answer("echo there")["content"] == "there"
    daemon.restart()
    assert "state_moved" not in daemon.log


# a full disk


class SmallDisk:
    """A tmpfs in a mount namespace of its own, on the state directory of a daemon."""

    def __init__(self, daemon, size):
        self.daemon = daemon
        os.mkdir(daemon.state, 0o700)
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c",
             f"mount -t tmpfs -o mode=0700,size={size} none '{daemon.state}' && echo mounted && "
             "exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"mounted\n"
        daemon.wrap = ["nsenter", "-t", str(self.holder.pid), "-m", "-r", "--wd=.", "--"]
        self.root = f"/proc/{self.holder.pid}/root{daemon.state}"

    def fill(self):
        with open(os.path.join(self.root, "filler"), "wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    pass

    def empty(self):
        os.unlink(os.path.join(self.root, "filler"))

    def done(self):
        self.holder.stdin.close()
        self.holder.wait(10)
        self.holder.stdout.close()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_full_disk_is_named_and_loses_nothing(make_daemon, me):
    daemon = make_daemon(start=False, workspace={"root": me.mkdir("jobs")})
    disk = SmallDisk(daemon, "96m")
    try:
        daemon.state_seen = disk.root
        daemon.boot()
        started = [daemon.hub.start("echo first")]
        daemon.hub.wait_status(started[0][1])
        disk.fill()
        padding = "#" * 20_000
        for _ in range(200):
            started.append(daemon.hub.start(f"echo {len(started)}\n{padding}"))
            if "disk_full" in daemon.log or not daemon.program.is_running():
                break
        if not daemon.program.is_running():  # more than the reserve came at once
            code = daemon.program.wait(60)
            assert code in (74, 75), code
            assert "no space left" in daemon.log, daemon.log
            daemon.boot()
        wait_until(lambda: "disk_full" in daemon.log, 30, lambda: f"a word of it:\n{daemon.log}")
        assert daemon.status()["disk_full"]
        assert "disk is full" in daemon.run("status", "--state", disk.root).stdout
        wait_until(lambda: not daemon.status()["jobs"], 30, "what it took to be answered")
        left = [message for _, message in started
                if daemon.hub.message(message)["status"] not in ("completed", "failed")]
        assert left, "something stays at the server"
        assert daemon.log.count(" disk_full ") == 1, "once a minute"
        disk.empty()
        for job, message in started:
            daemon.hub.wait_status(message, timeout_s=60)
            found = [row["content"] for row in replies(daemon.hub.messages(job), message)]
            assert len(found) == 1 and not found[0].startswith(ERROR), found
        assert "disk_has_room" in daemon.log and not daemon.status()["disk_full"]
        assert daemon.end() == 0, daemon.last_log
    finally:
        if daemon.program:
            daemon.program.kill()
            daemon.program = None
        disk.done()
