"""Sandboxes that are made before their tasks: sandbox.warm."""

import os
import re
import signal

from daemonkit import Meeting
from hubkit import wait_until
from processes import descendants

COUNT = 2


def inits(daemon):
    """The processes 1 of sandboxes, whether they have a task or wait for one."""
    spawner = daemon.status()["spawner_pid"]
    return {process.pid for process in descendants(spawner) if process.parent == spawner}


def wait_inits(daemon, count=COUNT):
    wait_until(lambda: len(inits(daemon)) == count, 30, f"{count} sandboxes")
    return inits(daemon)


def kinds(daemon):
    return re.findall(r"task_ended .*?sandbox=(\w+)", daemon.log)


def answer_warm(daemon, prompt):
    """What a task says that ran in one of them: it may need some attempts on a busy machine."""
    found = []

    def run():
        wait_inits(daemon)
        found.append(daemon.answer(prompt)["content"])
        return kinds(daemon)[-1] == "warm"

    wait_until(run, 60, "a task to get a sandbox that was made before")
    return found[-1]


def test_tasks_get_sandboxes_that_were_made_before(make_daemon, account):
    daemon = make_daemon(sandbox={"warm": COUNT, "network": {"mode": "allowlist"}})
    listener = "grep -q ' 0100007F:0328 .* 0A ' /proc/net/tcp && echo $https_proxy"
    assert daemon.answer(listener)["content"] == "http://127.0.0.1:808"
    assert kinds(daemon) == ["new"]
    assert answer_warm(daemon, listener) == "http://127.0.0.1:808"
    assert answer_warm(daemon, "touch /tmp/x && ls /tmp && pwd") == "x\n/workspace"
    assert answer_warm(daemon, "ls /tmp | wc -l") == "0"


def test_a_reload_throws_them_away(make_daemon, account):
    daemon = make_daemon(sandbox={"warm": COUNT, "limits": {"memory": "1G"}})
    size = "df -k -P /tmp | tail -1 | tr -s ' ' | cut -d' ' -f2"
    assert daemon.answer(size)["content"] == "262144"
    old = wait_inits(daemon)
    daemon.configure(sandbox={"limits": {"memory": "512M"}})
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: not old & inits(daemon), 20, "the old ones to end")
    assert daemon.answer(size)["content"] == "131072"
    assert kinds(daemon) == ["new", "new"]
    assert answer_warm(daemon, size) == "131072"


def test_killed_ones_cost_no_message(make_daemon, account):
    daemon = make_daemon(sandbox={"warm": COUNT})
    daemon.answer("echo first")
    for pid in wait_inits(daemon):
        os.kill(pid, signal.SIGKILL)
    assert daemon.answer("echo second")["content"] == "second"


def test_a_drain_ends_them_first(make_daemon, account):
    meeting = Meeting(account.shared())
    daemon = make_daemon(sandbox={"warm": COUNT, **meeting.settings()["sandbox"]})
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    wait_inits(daemon, COUNT + 1)
    daemon.program.send(signal.SIGTERM)
    wait_inits(daemon, 1)
    meeting.release("a")
    assert daemon.reply(job, message)["content"] == "done"
    assert daemon.program.wait() == 0


def test_none_outlives_a_killed_daemon(make_daemon, account):
    daemon = make_daemon(sandbox={"warm": COUNT})
    daemon.answer("echo first")
    hub = [daemon.hub.proc.pid]
    wait_inits(daemon)
    daemon.program.send(signal.SIGKILL)
    daemon.program.wait()
    wait_until(lambda: not descendants(but=hub), 20,
               lambda: f"these to end: {descendants(but=hub)}")
    daemon.boot()
    assert daemon.answer("echo again")["content"] == "again"
