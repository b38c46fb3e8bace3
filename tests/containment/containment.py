"""Tries to get out of sandboxes in every way that we know, and says what came of it.

    containment.py short|matrix|rungs|container

For each way a task can be started it prints, for each probe that a plain start lets through,

    NAME control=reached sandbox=blocked

and the totals. A probe that reaches something in the sandbox fails the test, unless allowed.txt
says why it may. short: profiles agent and strict, root and an ordinary user, `nairid sandbox` and a
real task. rungs: machines that give less. matrix: both, and every profile with every network mode.
container: inside a container that hides parts of /proc (see container.py).
"""

import contextlib
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from daemonkit import Account, Daemon, in_chroot  # noqa: E402
from hubkit import REPORTS, Hub, wait_until  # noqa: E402
from processes import descendants  # noqa: E402
from scenery import BOMBS, LIMITS, Outcome, Scenery  # noqa: E402

PROGRAM = os.path.join(os.environ["NAIRID_BUILD"], "tests", "containment", "probe")
OWN_UID = 0x70000000 + 77  # a task's, as root: of the range, and of no job
NOT_AS_ROOT = 77
BOMB_HOLD_MS = 6000  # longer than it takes to see that a task has more than it may
LEAST = 100  # probes that must count where a machine gives ordinary users namespaces


class Way:
    """One way to start a task."""

    def __init__(self, account, how, profile, network, rung="all"):
        self.account = account
        self.how = how
        self.profile = profile
        self.network = network
        self.rung = rung

    def __str__(self):
        return (f"{self.account}, {self.how}, profile {self.profile}, network {self.network}, "
                f"walls {self.rung}")


def read_allowed():
    rules = []
    with open(os.path.join(HERE, "allowed.txt"), encoding="ascii") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                words, _, reason = line.strip().partition(": ")
                rules.append((*words.split(" "), reason))
                assert len(rules[-1]) == 6 and reason, line
    return rules


def reason_for(rules, name, way):
    for pattern, profile, network, account, rung, reason in rules:
        if (fnmatch.fnmatchcase(name, pattern) and profile in ("*", way.profile) and
                network in ("*", way.network) and account in ("*", way.account) and
                rung in ("*", way.rung)):
            return reason
    return None


class Rung:
    """A machine that gives less than all walls: made so by tests/support/lessen.c."""

    def __init__(self, name, flags=(), accepted=()):
        self.name = name
        self.flags = flags
        self.accepted = list(accepted)
        self.is_bare = "--no-namespaces" in flags

    def less(self, folder):
        """What to put before a command; folder is one that its user can reach."""
        if not self.flags:
            return []
        program = os.path.join(os.environ["NAIRID_BUILD"], "tests", "lessen")
        return [shutil.copy(program, folder), *self.flags]

    def accept(self, is_root):
        return self.accepted + (["ids"] if self.is_bare and not is_root else [])


ALL_WALLS = Rung("all")
RUNGS = [Rung("no-landlock", ["--landlock", "0"], ["landlock"]),
         Rung("landlock-2", ["--landlock", "2"]),
         Rung("no-user-namespace", ["--no-userns"], ["user-namespace"]),
         Rung("bare", ["--no-namespaces"],
              ["user-namespace", "mount-namespace", "pid-namespace", "ipc-namespace",
               "uts-namespace", "cgroup-namespace", "network-namespace", "root", "proc"])]
CONTAINER = Rung("container", accepted=["proc"])


class Judge:
    """Counts, and keeps what went wrong."""

    def __init__(self):
        self.began = time.monotonic()
        self.rules = read_allowed()
        self.failures = []
        self.reports = []

    def judge(self, way, control, verdicts):
        print(f"\n== {way} ({time.monotonic() - self.began:.0f} s)")
        counted = contained = allowed = 0
        for name, (verdict, detail) in verdicts.items():
            outside = control.get(name, ("absent", ""))
            reason = reason_for(self.rules, name, way) if verdict == "reached" else None
            counts = outside[0] == "reached" and verdict != "absent"
            counted += counts and reason is None
            contained += counts and verdict == "blocked"
            allowed += reason is not None
            if counts or verdict == "reached":
                print(f"{name} control={outside[0]} sandbox={verdict} ({reason or detail})")
            if verdict == "reached" and reason is None:
                self.failures.append(f"{way}: {name}: {detail}")
        self.reports.append(f"containment: {way}: {contained} of {counted} contained"
                            f"{f', {allowed} allowed' if allowed else ''}")
        return counted

    def expect(self, condition, text):
        if not condition:
            self.failures.append(text)

    def end(self):
        print()
        for report in self.reports:
            print(f"report: {report}")
        for failure in self.failures:
            print(f"FAILED: {failure}")
        return 1 if self.failures else 0


def all_names():
    done = subprocess.run([PROGRAM, "--list"], capture_output=True, text=True, check=True)
    return done.stdout.split()


class Campaign:
    """All that runs as one account."""

    how = "a task"

    def __init__(self, account, judge):
        self.name = account.name
        self.judge = judge
        self.scenery = Scenery(account, PROGRAM)
        self.scene = self.scenery.write_scene()
        self.names = [n for n in all_names() if not n.startswith(("bomb-", "survive-"))]
        self.control = self.scenery.control(self.names, self.scene)
        self.control.update(self.scenery.control_survivors(self.scene))
        self.scenery.victim_said.clear()

    def done(self):
        self.scenery.done()

    def check_witnesses(self, way, verdicts):
        """The victim knows better than who sends whether a signal arrives."""
        if not self.scenery.victim_said and verdicts["kill-owner"][0] == "reached":
            verdicts["kill-owner"] = ("blocked", "nothing arrived")
        self.judge.expect(not self.scenery.victim_said,
                          f"{way}: a signal reached the host: {self.scenery.victim_said}")

    def sandbox(self, profile, network, rung=ALL_WALLS):
        """By `nairid sandbox`."""
        scenery = self.scenery
        way = Way(self.name, "nairid sandbox", profile, network, rung.name)
        workspace = self.workspace(f"sandbox-{profile}-{network}-{rung.name}", rung)
        more = ["--workspace", workspace, "--allow", "localhost:1"] if network == "allowlist" else [
            "--workspace", workspace]
        if network == "allowlist":  # its password is the operator's
            more += ["--set", f"server.proxy=http://user:{scenery.secret}@127.0.0.1:1"]
        more += self.accept(rung)
        done = scenery.run([*scenery.sandbox_argv(profile, network, more, self.less(rung)), "--",
                            scenery.program, self.scene, *self.names, "survive-"], workspace)
        self._check_reports(done.stderr)
        verdicts = Outcome(done.stdout, f"{way}: {done.stderr}").verdicts
        verdicts.update(scenery.survivors(workspace, 2))
        self.check_witnesses(way, verdicts)
        return self.judge.judge(way, self.control, verdicts)

    def workspace(self, name, rung):
        path = self.scenery.workspace(name)
        if "user-namespace" in rung.accepted and self.scenery.account.is_root:
            os.chown(path, OWN_UID, OWN_UID)  # no uid but its own is mapped to it
        return path

    def less(self, rung):
        return rung.less(self.scenery.account.folder)

    def accept(self, rung):
        names = rung.accept(self.scenery.account.is_root)
        return ["--set", f"sandbox.accept={json.dumps(names)}"] if names else []

    def _check_reports(self, text):
        for report in REPORTS:
            self.judge.expect(report not in text, text)

    def bombs(self, profile, rung=ALL_WALLS, but=()):
        """With small limits, and what is several times as much. but: not these."""
        scenery = self.scenery
        way = Way(self.name, "nairid sandbox with small limits", profile, "none", rung.name)
        workspace = self.workspace(f"bombs-{rung.name}", rung)
        if "bomb-files" not in self.control:
            scene = scenery.write_scene("bombs", **BOMBS)
            plain = scenery.probe(scenery.wrap, scene, ["bomb-"], scenery.workspace("control-bombs"))
            self.control.update(plain.verdicts)
        scene = scenery.write_scene("bombs", bomb_hold_ms=BOMB_HOLD_MS, **BOMBS)
        limits = [f"sandbox.limits.{name}={value}" for name, value in LIMITS.items()]
        more = [word for limit in limits for word in ("--set", limit)]
        more += self.accept(rung)
        argv = scenery.sandbox_argv(profile, "none", [*more, "--workspace", workspace],
                                    self.less(rung))
        verdicts = {}
        alone = [[name] for name in LARGE_BOMBS if name not in but]  # which may end a sandbox
        for names in (SMALL_BOMBS, *alone):
            done = scenery.run([*argv, "--", scenery.program, scene, *names], workspace)
            self._check_reports(done.stderr)
            if done.stdout.endswith("end\n"):
                verdicts.update(Outcome(done.stdout, str(way)).verdicts)
            else:
                said = ("blocked", f"exit {done.returncode}: {done.stderr.strip()}")
                self.judge.expect(done.returncode == 128 + signal.SIGKILL, f"{way}: {said}")
                verdicts.update({name: said for name in names})
        # which allowed.txt allows where nobody but a cgroup could see it
        reached = [name for name in HIDDEN if verdicts.get(name, [""])[0] == "reached"]
        self.judge.expect(not reached or not self.has_cgroup(rung),
                          f"{way}: a cgroup counts all memory: {reached}")
        self.judge.judge(way, self.control, verdicts)

    def has_cgroup(self, rung):
        """Whether the kernel holds the limits of a task as a whole."""
        argv = [*self.scenery.account.wrap, *self.less(rung), self.scenery.account.program("nairid"),
                "check", "--state", os.path.join(self.scenery.account.folder, "none"),
                *(word for setting in ("agent.id=x", "runner.name=command", "runner.argv=[sh]",
                                       "sandbox.network.mode=none") for word in ("--set", setting)),
                *self.accept(rung)]
        done = self.scenery.run(argv, self.scenery.folder)
        lines = [line.split()[:2] for line in done.stdout.splitlines()]
        assert ["OK", "walls"] in lines, done.stdout + done.stderr
        return not re.search("^WARN +walls +cgroup is weaker", done.stdout, re.M)

    def task(self, profile, network, rung=ALL_WALLS, warm=0):
        """As a message's task, with a hub, a daemon and another task beside it. warm: how many
        sandboxes are made before their tasks, of which it gets one."""
        way = Way(self.name, f"{self.how}, made before" if warm else self.how, profile, network,
                  rung.name)
        with self.daemon(profile, network, rung, warm) as (hub, daemon):
            held, message = hub.start("exec sleep 600")
            daemon.wait_running(message)
            if warm:
                self._await_warm(daemon)
            verdicts = self._as_task(way, hub, daemon)
            if warm:
                self.judge.expect("task_ended" in daemon.log and "sandbox=warm" in daemon.log,
                                  f"{way}: it got a new sandbox")
            daemon.run("cancel", "--state", daemon.state, held)
            hub.wait_status(message)
            self.check_witnesses(way, verdicts)
        return self.judge.judge(way, self.control, verdicts)

    @staticmethod
    def _await_warm(daemon):
        """Until tasks get sandboxes that were there before; the next one most likely does."""

        def is_warm():
            daemon.answer("echo warm")
            return daemon.log.count("sandbox=warm") > 2

        wait_until(is_warm, 60, "sandboxes to be made before their tasks")

    def policy(self, profile, network, rung, warm=0):
        """The settings of a daemon's sandboxes."""
        return {"profile": profile, "network": {"mode": network}, "read": [self.scenery.shown],
                "warm": warm,
                "accept": rung.accept(self.scenery.account.is_root)}

    @contextlib.contextmanager
    def daemon(self, profile, network, rung, warm=0):
        account = self.scenery.account
        name = f"{profile}-{network}-{rung.name}-{warm}"
        hub = Hub(os.path.join(account.folder, f"hub-{name}")).boot()
        daemon = Daemon(account, hub, f"daemon-{name}",
                        sandbox=self.policy(profile, network, rung, warm))
        daemon.wrap = self.less(rung)
        daemon.env = {"TOKEN": self.scenery.secret}
        if rung.is_bare and account.is_root:
            os.chmod(daemon.folder, 0o711)  # each job's own user passes here
        try:
            yield hub, daemon.boot()
        finally:
            daemon.end()
            hub.end()

    def _as_task(self, way, hub, daemon):
        scenery = self.scenery
        status = daemon.status()

        def find_other():
            below = descendants(status["spawner_pid"])
            return below if any(p.argv() == ["sleep", "600"] for p in below) else None

        below = wait_until(find_other, 30, "the other task to sleep")
        other = next(p for p in below if p.argv() == ["sleep", "600"])
        egress = [p for p in below if any("egress" in word for word in p.argv())]
        journal = os.path.join(daemon.state, "journal.db")
        more = {"daemon": status["pid"], "spawner": status["spawner_pid"],
                "other_task": other.pid, "hub_port": hub.host.port,
                "real_key": daemon.key_file, "real_state": daemon.state,
                "real_jobs": os.path.join(daemon.state, "jobs"), "real_journal": journal,
                "real_admin": os.path.join(daemon.state, "control.sock")}
        if egress:
            more["egress"] = egress[0].pid
        scene = scenery.write_scene("task", **more)
        known = [n for n in self.names if n in REAL]
        self.control.update(scenery.control(known, scene))
        prompt = " ".join([scenery.program, scene, *PREFIXES, "survive-"])
        reply = daemon.answer(f"exec {prompt}", 120)
        verdicts = Outcome(reply["content"], f"{way}: {daemon.log}").verdicts
        self.judge.expect("`rootlink`" in reply["content"],
                          f"{way}: a link that leads out was left without a word")
        for folder, _, files in os.walk(os.path.join(daemon.state, "jobs")):
            if any(name.startswith("survivor-") for name in files):
                verdicts.update(scenery.survivors(folder, 2))
        return verdicts


# Those whose targets are a daemon's own; and beginnings that are all names but the bombs'.
REAL = ("kill-daemon", "kill-spawner", "kill-egress", "kill-other-task", "ptrace-daemon",
        "ptrace-spawner", "ptrace-other-task", "setns-daemon-mount", "net-hub", "file-real-key",
        "file-real-state", "file-real-jobs", "unix-real-admin")
HIDDEN = ("bomb-memory-hidden", "bomb-memory-sockets")
LARGE_BOMBS = [name for name in all_names() if name.startswith(("bomb-memory", "bomb-processes"))]
SMALL_BOMBS = [name for name in all_names() if name.startswith("bomb-") and name not in LARGE_BOMBS]
PREFIXES = sorted({name.partition("-")[0] + "-" for name in all_names()} - {"bomb-", "survive-"})


def short(campaign):
    counted = campaign.sandbox("agent", "allowlist")
    if campaign.scenery.namespaces():
        campaign.judge.expect(counted >= LEAST, f"only {counted} probes count, {LEAST} are wanted")
    campaign.sandbox("strict", "none")
    campaign.bombs("agent", but=HIDDEN)
    campaign.task("agent", "allowlist")
    if campaign.scenery.namespaces():
        campaign.task("agent", "allowlist", warm=4)


def rungs_of(campaign):
    return [rung for rung in RUNGS
            if rung.name != "no-user-namespace" or campaign.scenery.account.is_root]


def rungs(campaign):
    """What is left where walls are missing."""
    for rung in rungs_of(campaign):
        campaign.sandbox("agent", "none", rung)
        campaign.task("agent", "none", rung)


def matrix(campaign):
    rungs(campaign)
    for rung in rungs_of(campaign):
        campaign.bombs("agent", rung)
        for network in ("host",) if rung.is_bare else ("allowlist", "host"):
            campaign.sandbox("agent", network, rung)
        for profile in ("strict", "host"):
            campaign.sandbox(profile, "none", rung)
            campaign.task(profile, "none", rung)
    for profile in ("strict", "agent", "host"):
        for network in ("none", "allowlist", "host"):
            campaign.sandbox(profile, network)
            campaign.task(profile, network)
        campaign.bombs(profile)


def container(campaign):
    """What podman gives without rights on the machine; and Docker's filter, in there."""
    campaign.sandbox("agent", "allowlist", CONTAINER)
    campaign.sandbox("strict", "none", CONTAINER)
    campaign.bombs("agent", CONTAINER)
    campaign.task("agent", "allowlist", CONTAINER)
    bare = RUNGS[-1]
    campaign.sandbox("agent", "none", bare)
    campaign.task("agent", "none", bare)


def check_refusal(judge):
    """The program is none for the machine's root; no probe has that name, should it be one."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        is_real = os.getuid() == 0 and file.read().split() == ["0", "0", str(2**32 - 1)]
    if is_real:
        done = subprocess.run([PROGRAM, os.devnull, "none-is-called-so"], capture_output=True,
                              text=True)
        judge.expect(done.returncode == NOT_AS_ROOT and done.stdout == "",
                     f"the probes would run as the machine's root: {done}")


def fence():
    """As root in a pid namespace of our own: there are rungs on which a task sees all processes."""
    if os.getuid() == 0 and "CONTAINMENT_FENCED" not in os.environ:
        os.environ["CONTAINMENT_FENCED"] = "yes"
        os.execvp("unshare", ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child",
                              "--propagation", "private", sys.executable, *sys.argv])


def main():
    extent = {"short": short, "matrix": matrix, "rungs": rungs, "container": container}[sys.argv[1]]
    accounts = ["user"]
    if os.getuid() == 0:
        accounts = ["root"] if in_chroot() else ["root", "user"]
    judge = Judge()
    check_refusal(judge)
    for name in accounts:
        campaign = Campaign(Account(name), judge)
        try:
            extent(campaign)
        finally:
            campaign.done()
    return judge.end()


if __name__ == "__main__":
    fence()
    sys.exit(main())
