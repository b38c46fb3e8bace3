"""When a task ends, nothing of it is left within 2 s, whatever it has done to stay, and whoever of
us was killed first: no process, no mount, no cgroup, no temporary file."""

import os
import signal

import pytest

from daemonkit import Meeting
from hubkit import wait_until
from processes import descendants

# What a task leaves behind that wants to stay: deaf, stopped, forked twice, in sessions of their own
SURVIVORS = """
trap '' TERM HUP INT
(setsid sh -c 'trap "" TERM HUP INT; sleep 1000 & sleep 1000' >/dev/null 2>&1 &) &
setsid -f sleep 1000
sh -c 'kill -STOP $$' &
setsid -f sh -c 'kill -STOP $$'
echo data >/tmp/left; echo data >/dev/shm/left
"""
CGROUPS = "/sys/fs/cgroup"


@pytest.fixture
def meeting(account):
    return Meeting(account.shared())


def cgroups(spawner):
    """Folders of cgroups that were made for the tasks of this spawner."""
    try:
        with open(f"/proc/{spawner}/task/{spawner}/children") as file:
            children = file.read().split()
    except OSError:
        return set()
    found = set()
    for pid in children:
        with open(f"/proc/{pid}/cgroup") as file:
            for line in file.read().splitlines():
                _, names, path = line.split(":", 2)
                folder = os.path.join(CGROUPS, names, path.lstrip("/"))
                if "nairid." in path and os.path.isdir(folder):
                    found.add(folder)
    return found


def mounts():
    with open("/proc/self/mountinfo") as file:
        return len(file.readlines())


class Scene:
    """A daemon with a task that holds on, and what there is to be gone when it ends."""

    def __init__(self, make_daemon, meeting):
        self.mounts = mounts()
        self.daemon = make_daemon(**meeting.settings())
        self.job, self.message = self.daemon.hub.start(SURVIVORS + meeting.hold("a"))
        meeting.wait("a")
        self.spawner = self.daemon.status()["spawner_pid"]
        wait_until(lambda: len(descendants(self.spawner)) >= 8, 20, "all survivors to be there")
        self.cgroups = cgroups(self.spawner)
        if self.daemon.account.is_root and os.access(f"{CGROUPS}/memory", os.W_OK):
            assert self.cgroups, "limits hold the task as a whole"

    def assert_all_gone(self):
        hub = [self.daemon.hub.proc.pid] if self.daemon.hub.proc else []
        wait_until(lambda: not descendants(but=hub), 10,
                   lambda: f"these to end: {descendants(but=hub)}")
        assert mounts() == self.mounts

    def assert_tasks_gone(self):
        wait_until(lambda: not descendants(self.spawner), 10,
                   lambda: f"these to end: {descendants(self.spawner)}")
        assert mounts() == self.mounts
        wait_until(lambda: not any(os.path.exists(folder) for folder in self.cgroups), 10,
                   lambda: f"these to be removed: {self.cgroups}")


def test_a_cancelled_task_takes_everything_along(make_daemon, account, meeting):
    scene = Scene(make_daemon, meeting)
    done = scene.daemon.run("cancel", scene.job, "--state", scene.daemon.state)
    assert done.returncode == 0, done.stderr
    assert "stopped by the user" in scene.daemon.reply(scene.job, scene.message)["content"]
    scene.assert_tasks_gone()


def test_a_task_that_is_done_takes_everything_along(make_daemon, account, meeting):
    scene = Scene(make_daemon, meeting)
    meeting.release("a")
    assert scene.daemon.reply(scene.job, scene.message)["content"] == "done"
    scene.assert_tasks_gone()


@pytest.mark.parametrize("victims", ["daemon", "spawner", "daemon and spawner", "process 1"])
def test_whoever_of_us_is_killed_nothing_is_left(make_daemon, account, meeting, victims):
    scene = Scene(make_daemon, meeting)
    if victims == "process 1":
        for process in descendants(scene.spawner):
            if process.parent == scene.spawner:
                os.kill(process.pid, signal.SIGKILL)
        assert "SIGKILL" in scene.daemon.reply(scene.job, scene.message)["content"]
        scene.assert_tasks_gone()
        return
    if "spawner" in victims:
        os.kill(scene.spawner, signal.SIGKILL)
    if "daemon" in victims:
        scene.daemon.program.send(signal.SIGKILL)
    scene.daemon.program.wait()
    scene.assert_all_gone()
    meeting.release("a")
    scene.daemon.boot()  # which removes what a killed spawner could not
    assert not [folder for folder in scene.cgroups if os.path.exists(folder)]
    assert scene.daemon.reply(scene.job, scene.message)["content"] == "done"
