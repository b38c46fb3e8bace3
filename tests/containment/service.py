"""The suite as tasks of a daemon that systemd runs here, and the limits that cgroups hold.

    service.py suite|limits

Runs as root in a guest that has booted for this (integration/boot_*.py): replaces settings and key
of nairid.service. Both by nairid.service, by a unit of root's and by the one of an ordinary user's
own systemd. suite: what there is to be reached belongs to the user whose daemon it is (root's tasks
have users of their own), lies where no unit hides it, and is reached by that user outside the unit.
limits: needs cgroup v2 with controllers.
"""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time

from containment import ALL_WALLS, Campaign, Judge
from daemonkit import Account, Daemon
from hubkit import Hub, wait_until

UNIT = "nairid.service"
BASE = "/srv"  # no unit hides it
USER = "somebody"
CGROUPS = "/sys/fs/cgroup"
LIMITS = {"memory": "64M", "pids": 40, "cpu": "50%"}
HELD = {"memory.max": str(64 << 20), "memory.oom.group": "1", "memory.swap.max": "0",
        "pids.max": "41", "cpu.max": "50000 100000"}
START_S = 150  # of a unit, on an emulated processor
SHARE = 0.7  # of one processor: what the kernel lets through for 50%, and some

MEMORY = """exec python3 -c '
import os, signal
for i in range(12):
    if os.fork() == 0:
        held = b"x" * (20 << 20)
        signal.pause()
signal.pause()'
"""
UNMAPPED = """exec python3 -c '
import os, signal
fd = os.memfd_create("held")
for i in range(256):
    os.write(fd, b"x" * (1 << 20))
signal.pause()'
"""
PIDS = """exec python3 -c '
import os, signal, time
while not os.path.exists("go"):
    time.sleep(0.05) # poll
made = 0
for i in range(100):
    try:
        if os.fork() == 0:
            signal.pause()
        made += 1
    except BlockingIOError:
        break
open("half", "w").write(str(made))
os.rename("half", "made")
signal.pause()'
"""
CPU = """exec python3 -c '
import time
began, used = time.monotonic(), time.process_time()
while time.monotonic() - began < 6:
    pass
print((time.process_time() - used) / (time.monotonic() - began))'
"""


class Service(Daemon):
    """nairid.service, on settings of ours."""

    unit = UNIT
    restarts = True  # when it is killed
    manager = ("systemctl",)
    state = "/var/lib/nairid"

    def __init__(self, hub, sandbox):
        self.hub = hub
        self.account = Account("root")
        self.state_seen = None
        self.env = {}
        self.settings = {"server": {"url": hub.url}, "agent": {"id": hub.slug},
                         "runner": {"name": "command", "argv": ["sh"]}, "sandbox": sandbox}
        self.place()
        self.account.write(self.key_file, hub.agent_key + "\n")
        self.configure()
        os.chmod(self.config, 0o644)

    def place(self):
        os.makedirs("/etc/nairid", exist_ok=True)
        self.config, self.key_file = "/etc/nairid/nairid.yaml", "/etc/nairid/agent.key"

    def systemctl(self, *words):
        """Its output, or None."""
        done = subprocess.run([*self.manager, *words], stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=START_S)
        return done.stdout.strip() if done.returncode == 0 else None

    def start(self):
        assert self.systemctl("restart", self.unit) is not None, self.log

    def boot(self):
        self.start()  # it notifies when it is connected
        wait_until(self.status, 60, "the admin socket")
        return self

    @property
    def log(self):
        done = subprocess.run(["journalctl", "--no-pager", "--lines=200"], capture_output=True,
                              text=True, timeout=60)
        return done.stdout

    @property
    def pid(self):
        return self.status()["pid"]

    def cgroup(self):
        """The subtree that was given to it."""
        with open(f"/proc/{self.pid}/cgroup") as file:
            own = file.read().strip().removeprefix("0::")
        assert own.endswith("/nairid.main"), f"it has not moved into a leaf: {own}"
        return CGROUPS + os.path.dirname(own)

    def task_cgroups(self):
        return [entry.path for entry in os.scandir(self.cgroup()) if "task" in entry.name]

    def hold(self, prompt):
        """Starts a task that is the only one; returns its job, message and cgroup."""
        wait_until(lambda: not self.task_cgroups(), START_S, "the task before to be over")
        job, message = self.hub.start(prompt)
        found = wait_until(self.task_cgroups, START_S, "the task to have a cgroup")
        self.wait_running(message, START_S)
        return job, message, found[0]

    def workspace(self, job):
        return f"{self.state}/jobs/{job}/workspace"

    def stop(self, job, message):
        done = self.run("cancel", "--state", self.state, job)
        assert done.returncode == 0, done.stderr
        self.hub.wait_status(message, timeout_s=START_S)

    def end(self):
        assert self.systemctl("stop", self.unit) is not None, self.log
        self.account.done()


class Transient(Service):
    """A unit of root's that is made for this, with nothing but a delegated cgroup."""

    unit = "nairid-test.service"
    restarts = False

    def place(self):
        folder = self.account.folder
        self.config, self.key_file = f"{folder}/nairid.yaml", f"{folder}/agent.key"
        self.settings["api_key_file"] = self.key_file
        self.state = f"{folder}/state"

    def start(self):
        done = subprocess.run(["systemd-run", "--quiet", f"--unit={self.unit}", "--collect", "-p",
                               "Type=notify", "-p", "Delegate=yes", "-p", "KillMode=mixed",
                               "/usr/bin/nairid", "run", "-c", self.config, "--state", self.state],
                              stdin=subprocess.DEVNULL, timeout=START_S)
        assert done.returncode == 0, self.log


class Own(Service):
    """nairid.service of an ordinary user's own systemd, which lives without a login."""

    def place(self):
        user = make_user()
        self.account.uid = user.pw_uid  # whose the files are
        become = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                  "--reset-env", "env", f"XDG_RUNTIME_DIR=/run/user/{user.pw_uid}")
        self.manager = (*become, "systemctl", "--user")
        folder = f"{user.pw_dir}/.config/nairid"
        subprocess.run([*become, "mkdir", "-p", folder], check=True)
        self.config, self.key_file = f"{folder}/nairid.yaml", f"{folder}/agent.key"
        self.settings["api_key_file"] = self.key_file
        self.state = f"{user.pw_dir}/.local/state/nairid"
        subprocess.run(["loginctl", "enable-linger", USER], check=True, timeout=START_S)
        wait_until(lambda: self.systemctl("is-system-running") == "running", START_S,
                   f"the systemd of {USER}")


KINDS = {Service: "nairid.service", Transient: "a unit of root's",
         Own: "nairid.service of an ordinary user's"}


def make_user():
    """Whose own systemd it is; there may be one of that name."""
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        subprocess.run(["useradd", "--create-home", "--base-dir", BASE, USER], check=True)
        return pwd.getpwnam(USER)


def read(*path):
    with open(os.path.join(*path)) as file:
        return file.read().strip()


def counted(folder, file, name):
    """A line NAME COUNT of a cgroup's file."""
    return int(dict(line.split() for line in read(folder, file).splitlines())[name])


# ---- limits ----


def files_hold_the_limits(daemon):
    """What the daemon writes is what was asked for, one process of ours besides."""
    job, message, folder = daemon.hold("exec sleep 1000")
    found = {name: read(folder, name) for name in HELD}
    assert found == HELD, found
    daemon.stop(job, message)
    wait_until(lambda: not os.path.exists(folder), 30, f"{folder} to be gone")


def memory_is_held_by_the_kernel(daemon):
    """A bomb of many processes, and files of memory that nobody maps: only a cgroup counts them."""
    for prompt in (MEMORY, UNMAPPED):
        before = read("/proc/vmstat")
        text = daemon.failure(prompt, START_S)
        kills = [dict(line.split() for line in vmstat.splitlines())["oom_kill"]
                 for vmstat in (before, read("/proc/vmstat"))]
        assert "needed more memory than it may use (sandbox.limits.memory is 64 MiB)" in text, text
        assert kills[0] != kills[1], "it wasn't the kernel that ended it"
        assert daemon.answer("echo alive", START_S)["content"] == "alive"


def no_more_processes_are_made(daemon):
    # setrlimit(2), which is asked first, lets through what was asked for; the cgroup less, once
    # root has made it so
    for most in (LIMITS["pids"] + 1, 15):
        job, message, folder = daemon.hold(PIDS)
        with open(f"{folder}/pids.max", "w") as file:
            file.write(str(most))
        workspace = daemon.workspace(job)
        with open(f"{workspace}/go", "w"):
            pass
        wait_until(lambda: os.path.exists(f"{workspace}/made"), START_S, "the bomb")
        assert int(read(folder, "pids.current")) <= most
        assert most > LIMITS["pids"] or counted(folder, "pids.events", "max") > 0
        assert most - 12 <= int(read(workspace, "made")) < most
        assert daemon.answer("echo alive", START_S)["content"] == "alive"
        daemon.stop(job, message)
        wait_until(lambda: not os.path.exists(folder), 30, f"{folder} to be gone")


def processors_are_shared_out(daemon):
    job, message, folder = daemon.hold(CPU)
    wait_until(lambda: counted(folder, "cpu.stat", "nr_throttled") > 0, START_S, "it to be held")
    share = float(daemon.reply(job, message, START_S)["content"])
    assert 0.1 < share < SHARE, share


def at_least_two(folder):
    """The processes of a cgroup, once there are two."""
    pids = read(folder, "cgroup.procs").split()
    return pids if len(pids) > 1 else None


def a_killed_daemon_leaves_no_process(daemon):
    if not daemon.restarts:
        return
    job, message, folder = daemon.hold("exec sleep 1000")
    pids = wait_until(lambda: at_least_two(folder), START_S, "process 1 and the program")
    pid = daemon.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: (daemon.status() or {"pid": pid})["pid"] != pid, START_S, "the restart")
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    daemon.wait_running(message, START_S)  # again
    daemon.stop(job, message)


def nothing_is_left(daemon):
    folder = daemon.cgroup()
    wait_until(lambda: [entry.name for entry in os.scandir(folder) if entry.is_dir()] ==
               ["nairid.main"], 30, "only the daemon's own cgroup to be there")
    daemon.end()
    wait_until(lambda: not os.path.exists(folder), 30, f"{folder} to be gone")


STEPS = [files_hold_the_limits, memory_is_held_by_the_kernel, no_more_processes_are_made,
         processors_are_shared_out, a_killed_daemon_leaves_no_process, nothing_is_left]


def limits():
    for kind, name in KINDS.items():
        hub = Hub(f"{BASE}/hub-{kind.__name__}").boot()
        daemon = kind(hub, {"network": {"mode": "none"}, "limits": LIMITS}).boot()
        for step in STEPS:
            began = time.monotonic()
            step(daemon)
            print(f"{name}: {step.__name__.replace('_', ' ')} ({time.monotonic() - began:.1f} s)",
                  flush=True)
        hub.end()
        print(f"report: cgroup v2 holds memory, processes and processors of tasks: {name}")
    return 0


# ---- the suite ----


class Guest(Campaign):
    """By daemons that one kind of unit starts."""

    def __init__(self, kind, account, judge):
        self.kind = kind
        self.how = f"a task of {KINDS[kind]}"
        super().__init__(account, judge)

    @contextlib.contextmanager
    def daemon(self, profile, network, rung, warm=0):
        hub = Hub(os.path.join(self.scenery.account.folder, f"hub-{profile}-{network}")).boot()
        daemon = self.kind(hub, self.policy(profile, network, rung, warm))
        try:
            yield hub, daemon.boot()
        finally:
            daemon.end()
            hub.end()


def suite():
    judge = Judge()
    for kind, account in ((Service, lambda: Account("user", pwd.getpwnam("nairid").pw_uid, BASE)),
                          (Transient, lambda: Account("root", base=BASE)),
                          (Own, lambda: Account("user", make_user().pw_uid, BASE))):
        campaign = Guest(kind, account(), judge)
        try:
            for profile, network in (("agent", "allowlist"), ("agent", "none"), ("strict", "none")):
                campaign.task(profile, network, ALL_WALLS)
        finally:
            campaign.done()
    return judge.end()


if __name__ == "__main__":
    sys.exit({"suite": suite, "limits": limits}[sys.argv[1]]())
