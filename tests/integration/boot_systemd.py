"""The units in a real systemd: a minimal Debian boots in systemd-nspawn, hub and daemon start in
it, a task runs, each way to stop and to start again is taken, and the containment suite tries to
get out of the unit's tasks.

    boot_systemd.py SOURCE

The programs are built for release and installed with the packages of the libraries that they are
linked to; the suite's own program comes from $NAIRID_BUILD. Needs root. The guest has a network of
its own with nothing in it. At the end the guest is gone, and with it its directory and its cgroups.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from rungprobe import PROBE

SKIP = 77
BOOT_S = 60
GUEST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENV = {"PATH": GUEST_PATH, "LANG": "C.UTF-8", "HOME": "/root"}
SUITE = "/opt/nairid"
PROBES = "tests/containment/probe"
HUB_URL = "http://127.0.0.1:8420"
USER, HOME = "somebody", "/home/somebody"
SETTINGS = """\
server: {url: "%s"}
agent: {id: %s}
runner: {name: command, argv: [sh]}
sandbox: {network: {mode: none}}
"""
SYSTEMS = SETTINGS % (HUB_URL, "helper")
USERS = SETTINGS % (HUB_URL, USER) + f"api_key_file: {HOME}/.config/nairid/agent.key\n"


def say(text):
    print(f"== {text}", flush=True)


def call(*argv, timeout_s=1500, **kwargs):
    """Its standard output; fails with all it said if it fails. Others may work on this machine."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=timeout_s, **kwargs)
    assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


def wait_until(condition, what, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.05)  # poll


# ---- the tree ----

def packages_of(programs):
    """Debian's packages with the shared libraries of the programs."""
    paths = {path for program in programs
             for path in re.findall(r"=> (/\S+)", call("ldd", program))}
    names = {path: {path, os.path.realpath(path), path.removeprefix("/usr")} for path in paths}
    done = subprocess.run(["dpkg-query", "-S", *sorted(set().union(*names.values()))],
                          capture_output=True, text=True)
    owners = {}
    for line in done.stdout.splitlines():
        packages, _, name = line.rpartition(": ")
        owners[name] = packages.split(":")[0]
    for path, tried in names.items():
        assert tried & owners.keys(), f"{path} is of no package"
    return sorted(set(owners.values()))


def make_tree(source, folder, more=()):
    """A Debian with the programs, what the suite needs, and more packages."""
    build, tree = os.path.join(folder, "build"), os.path.join(folder, "tree")
    say("build for release")
    call("cmake", "-S", source, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
         "-DBUILD_TESTING=OFF", "-DCMAKE_INSTALL_PREFIX=/usr")
    call("cmake", "--build", build, "--parallel", "2")
    libraries = packages_of(os.path.join(build, "daemon", name) for name in ("nairid", "nairi-hub"))
    say(f"a tree with systemd and {' '.join(libraries)}")
    include = ",".join(["systemd", "systemd-sysv", "libpam-systemd", "dbus", "procps", "python3",
                        "python3-pytest", *libraries, *more])
    call("mmdebstrap", "--quiet", "--variant=minbase", f"--include={include}", "bookworm", tree)
    call("cmake", "--install", build, env={**os.environ, "DESTDIR": tree})
    call("systemd-sysusers", f"--root={tree}")
    add_suite(source, tree)
    return tree


def add_suite(source, tree):
    """The containment suite, with the installed programs as its build."""
    for name in ("containment", "integration"):
        shutil.copytree(os.path.join(source, "tests", name), f"{tree}{SUITE}/tests/{name}",
                        ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("daemon", "tests/containment"):
        os.makedirs(f"{tree}{SUITE}/build/{folder}")
    for name in ("nairid", "nairi-hub"):
        os.symlink(f"/usr/bin/{name}", f"{tree}{SUITE}/build/daemon/{name}")
    shutil.copy(os.path.join(os.environ["NAIRID_BUILD"], PROBES), f"{tree}{SUITE}/build/{PROBES}")


# ---- the guest ----

def own_cgroups():
    """Our cgroup's directory in each hierarchy that is mounted here."""
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split() for line in file]
    points = [line[4] for line in mounts if line[line.index("-") + 1] in ("cgroup", "cgroup2")]
    with open("/proc/self/cgroup") as file:
        own = {line.rstrip("\n").split(":", 2)[2] for line in file}
    folders = {os.path.normpath(point + path) for point in points for path in own}
    return [folder for folder in folders if os.path.isdir(folder)]


def guest_cgroups():
    """What systemd-nspawn makes there, and leaves behind."""
    return {os.path.join(folder, name) for folder in own_cgroups()
            for name in ("payload", "supervisor") if os.path.isdir(os.path.join(folder, name))}


class Guest:
    def __init__(self, tree, folder, unified):
        self.tree = tree
        self.unified = unified
        self.log_path = os.path.join(folder, "boot.log")
        self.cgroups_before = guest_cgroups()
        self.nspawn = None

    def boot(self):
        # Its own filter forbids what a machine's systemd lets through.
        calls = "@keyring @memlock landlock_create_ruleset landlock_add_rule landlock_restrict_self"
        with open(self.log_path, "wb") as log:
            self.nspawn = subprocess.Popen(
                ["systemd-nspawn", "--quiet", f"--directory={self.tree}", "--boot",
                 "--register=no", "--keep-unit", "--private-network", "--console=pipe",
                 f"--system-call-filter={calls}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**ENV, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": str(int(self.unified))})
        wait_until(lambda: self.leader() and self.state() in ("running", "degraded"),
                   "the guest to boot", BOOT_S)
        assert self.state() == "running", self.run("systemctl", "--failed", "--no-pager").stdout
        return self

    def leader(self):
        """Its process 1, our process's grandchild."""
        pid = self.nspawn.pid
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                children = file.read().split()
            with open(f"/proc/{children[0]}/comm") as file:
                return int(children[0]) if file.read() == "systemd\n" else None
        except (FileNotFoundError, IndexError):
            return None

    def run(self, *argv, timeout_s=60, env=None):
        return subprocess.run(["nsenter", "--target", str(self.leader()), "--all", "--", *argv],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout_s, env={**ENV, **(env or {})})

    def must(self, *argv, **kwargs):
        done = self.run(*argv, **kwargs)
        assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def state(self):
        return self.run("systemctl", "is-system-running").stdout.strip()

    def show(self, unit, key):
        return self.must("systemctl", "show", "--property", key, "--value", unit)

    def is_active(self, unit):
        return self.show(unit, "ActiveState") == "active"

    def journal(self):
        return self.run("journalctl", "--boot", "--no-pager", "--output=short-precise",
                        "--unit=nairid", "--unit=nairi-hub").stdout

    def write(self, path, text, mode=0o644):
        whole = self.tree + path
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)

    def tell(self):
        """Prints what it says of itself."""
        for argv in (["systemctl", "list-jobs", "--no-pager"], ["ps", "axf"],
                     ["journalctl", "--boot", "--no-pager", "--lines=300"]):
            try:
                if self.leader():
                    print(self.run(*argv).stdout, flush=True)
            except subprocess.TimeoutExpired as e:
                print(e, flush=True)
        with open(self.log_path, errors="replace") as log:
            print(log.read()[-4000:], flush=True)

    def end(self):
        """Powers it off, or kills it; then removes its cgroups. True if it ended by itself."""
        by_itself = True
        if self.nspawn and self.nspawn.poll() is None:
            asked = None
            try:
                asked = self.run("systemctl", "poweroff")
                self.nspawn.wait(60)
            except subprocess.TimeoutExpired as e:
                by_itself = False
                print(e, asked)
                self.tell()
                leader = self.leader()
                if leader:
                    os.kill(leader, signal.SIGKILL)
                self.nspawn.kill()
                self.nspawn.wait(20)
        for folder in guest_cgroups() - self.cgroups_before:
            for path, _, _ in sorted(os.walk(folder), reverse=True):
                wait_until(lambda: self.remove_cgroup(path), f"{path} to be empty", 10)
        return by_itself

    @staticmethod
    def remove_cgroup(path):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True


# ---- what has to be true in it ----

class Service:
    """nairid and nairi-hub in the guest."""

    def __init__(self, guest):
        self.guest = guest

    def set_up(self):
        guest = self.guest
        guest.must("systemctl", "start", "nairi-hub")
        self.await_hub()
        self.org_key = guest.must("nairi-hub", "key", "create", "--org", "test")
        self.agent_key = guest.must("nairi-hub", "key", "create", "--agent", "helper")
        guest.write("/etc/nairid/agent.key", self.agent_key + "\n", 0o600)
        guest.write("/etc/nairid/nairid.yaml", SYSTEMS)

    def await_hub(self):
        wait_until(lambda: self.guest.run("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8420")
                   .returncode == 0, "the hub to listen")

    def ask_argv(self, prompt, agent="helper"):
        return ["nairid", "ask", prompt], {"NAIRI_API_URL": HUB_URL, "NAIRI_AGENT_ID": agent,
                                           "NAIRI_PUBLIC_API_KEY": self.org_key}

    def ask(self, prompt, timeout_s=60, agent="helper"):
        argv, env = self.ask_argv(prompt, agent)
        return self.guest.must(*argv, env=env, timeout_s=timeout_s)

    def pid(self):
        return int(self.guest.show("nairid", "MainPID"))

    def processes(self):
        """All in the unit's cgroup and below, as the guest counts them."""
        group = self.guest.show("nairid", "ControlGroup")
        root = "/sys/fs/cgroup" if self.guest.unified else "/sys/fs/cgroup/systemd"
        if not group:
            return []
        found = self.guest.run("find", root + group, "-name", "cgroup.procs", "-exec", "cat", "{}",
                               ";")
        return found.stdout.split()

    def restarts(self):
        return int(self.guest.show("nairid", "NRestarts"))

    def status_of(self, pid, key):
        text = self.guest.must("cat", f"/proc/{pid}/status")
        return re.search(rf"^{key}:\s*(.*)$", text, re.M).group(1)

    def assert_stopped_with(self, code):
        """Failed for good: systemd doesn't try again."""
        wait_until(lambda: self.guest.show("nairid", "ActiveState") == "failed",
                   f"the unit to fail with {code}", 60)
        assert self.guest.show("nairid", "ExecMainStatus") == str(code)
        assert self.restarts() == 0
        self.guest.must("systemctl", "reset-failed", "nairid")


def a_task_runs(service):
    guest = service.guest
    guest.must("systemctl", "start", "nairid")
    pid = service.pid()
    uid = guest.must("id", "-u", "nairid")
    assert service.status_of(pid, "Uid").split() == [uid] * 4
    assert service.status_of(pid, "NoNewPrivs") == "1"
    assert int(service.status_of(pid, "CapEff"), 16) == 0
    assert service.ask("echo hello from $(hostname)") == "hello from sandbox"
    # what the unit forbids isn't what holds it: a writable workspace, nothing else
    assert service.ask("touch /usr/x /etc/x 2>/dev/null; echo $?; echo y > x; cat x") == "1\ny"
    assert service.ask("grep -c . /proc/net/dev; ls /proc | grep -c '^[0-9]'").split()[0] == "3"
    status = json.loads(guest.must("nairid", "status", "--json", "--state", "/var/lib/nairid"))
    assert status["pid"] == pid


def the_key_stays_inside(service):
    guest = service.guest
    pids = service.processes()
    assert str(service.pid()) in pids and len(pids) >= 2  # and the spawner
    for pid in pids:
        for name in ("environ", "cmdline"):
            assert service.agent_key not in guest.must("cat", f"/proc/{pid}/{name}")
    assert service.agent_key not in service.ask("env; ls -R /run /etc 2>/dev/null; "
                                                "cat /run/credentials/*/* 2>&1; true")
    assert service.agent_key not in guest.journal()


def a_task_reaches_nothing_of_the_machine(service):
    service.guest.write("/etc/canary", "tweet", 0o644)
    target = {name: "/etc/nairid/agent.key" for name in ("key", "state", "other")}
    target |= {"canary": "/etc/canary", "tmp": "/var/lib/probe", "unix": "/run/systemd/private",
               "notify": "/run/systemd/notify", "abstract": "none", "port": 8420, "udp": 8420,
               "shm": 1}
    # exec: it stops and ends all that it may, which a shell above it would be among
    said = json.loads(service.ask(f"exec python3 - {shlex.quote(json.dumps(target))} <<'END'\n"
                                  f"{PROBE}\nEND\n"))
    assert (said["looked into"], said["echo"]) == ([], "ok\n"), said
    # a pair of its own, its own loopback, and limits and priority of its own process 1
    assert {name for name, result in said.items() if result == "reached"} <= {
        "pair", "udp", "prlimit", "priority"}, said
    status = said["status"]
    assert all(int(status[f"Cap{name}"], 16) == 0 for name in ("Inh", "Prm", "Eff", "Bnd", "Amb"))
    assert (said["uid"], said["securebits"], said["descriptors"]) == (1000, 0xcf,
                                                                      ["0", "1", "2", "3"])


def a_reload_keeps_the_process(service):
    pid = service.pid()
    service.guest.must("systemctl", "reload", "nairid")
    assert service.ask("echo again") == "again"
    assert (service.pid(), service.restarts()) == (pid, 0)


def a_killed_daemon_starts_again(service):
    guest = service.guest
    pid = service.pid()
    guest.must("kill", "-KILL", str(pid))
    wait_until(lambda: service.restarts() == 1 and guest.is_active("nairid"), "the restart")
    assert service.pid() != pid
    assert service.ask("echo back") == "back"


def a_killed_spawner_takes_the_daemon_along(service):
    guest = service.guest
    pid = service.pid()
    guest.must("kill", "-KILL", guest.must("pgrep", "--parent", str(pid)))
    wait_until(lambda: service.restarts() == 2 and guest.is_active("nairid"), "the restart")
    assert service.pid() != pid
    assert "status=75" in guest.journal()
    assert service.ask("echo once more") == "once more"


def a_stop_waits_for_the_task(service):
    guest = service.guest
    argv, env = service.ask_argv("echo begun > /workspace/mark; sleep 4; echo finished")
    with subprocess.Popen(["nsenter", "--target", str(guest.leader()), "--all", "--", *argv],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          env={**ENV, **env}) as ask:
        wait_until(lambda: guest.run("sh", "-c", "ls /var/lib/nairid/jobs/*/*/mark").returncode
                   == 0, "the task to run")
        guest.must("systemctl", "stop", "nairid", timeout_s=120)
        assert guest.show("nairid", "ActiveState") == "inactive"
        assert guest.show("nairid", "ExecMainStatus") == "0"
        assert ask.communicate(timeout=60)[0] == "finished\n"
    assert service.processes() == []


def what_only_a_person_can_mend_stays_down(service):
    guest = service.guest
    guest.write("/etc/nairid/nairid.yaml", SYSTEMS + "max_concurency: 4\n")
    guest.run("systemctl", "start", "nairid")
    service.assert_stopped_with(78)
    assert "unknown key 'max_concurency'; did you mean max_concurrency?" in guest.journal()
    guest.write("/etc/nairid/nairid.yaml", SYSTEMS)
    guest.write("/etc/nairid/agent.key", service.org_key, 0o600)
    guest.run("systemctl", "start", "nairid")
    service.assert_stopped_with(78)
    guest.write("/etc/nairid/agent.key", "nairid_nobodyhasthiskey0000000000", 0o600)
    guest.run("systemctl", "start", "nairid", timeout_s=120)
    service.assert_stopped_with(77)
    guest.write("/etc/nairid/agent.key", service.agent_key, 0o600)


def a_server_that_is_away_is_waited_for(service):
    guest = service.guest
    guest.must("systemctl", "stop", "nairi-hub")
    guest.must("systemctl", "start", "--no-block", "nairid")
    # it gives up within its start limit, and systemd starts it again
    wait_until(lambda: service.restarts() == 1, "the first restart", 120)
    assert "status=69" in guest.journal()
    guest.must("systemctl", "start", "nairi-hub")
    service.await_hub()
    wait_until(lambda: guest.is_active("nairid"), "the daemon to find the hub", 60)
    assert service.ask("echo there you are") == "there you are"


class Users:
    """nairid.service of an ordinary user's own systemd."""

    def __init__(self, service):
        self.service = service
        self.guest = guest = service.guest
        guest.must("useradd", "--create-home", USER)
        self.uid = guest.must("id", "-u", USER)
        self.become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups",
                       "--reset-env", "env", f"XDG_RUNTIME_DIR=/run/user/{self.uid}"]
        self.must("mkdir", "-p", f"{HOME}/.config/nairid")
        key = guest.must("nairi-hub", "key", "create", "--agent", USER)
        guest.write(f"{HOME}/.config/nairid/agent.key", key + "\n", 0o600)
        guest.write(f"{HOME}/.config/nairid/nairid.yaml", USERS)
        guest.must("chown", "-R", f"{USER}:", f"{HOME}/.config")

    def must(self, *argv):
        return self.guest.must(*self.become, *argv, timeout_s=120)

    def show(self, key):
        return self.must("systemctl", "--user", "show", "--property", key, "--value", "nairid")

    def is_active(self):
        done = self.guest.run(*self.become, "systemctl", "--user", "is-active", "nairid")
        return done.stdout.strip() == "active"

    def answers(self):
        return self.service.ask("echo hello; touch /usr/x 2>/dev/null || echo no",
                                agent=USER) == "hello\nno"


def a_users_own_unit_lives_without_a_login(service):
    guest, users = service.guest, Users(service)
    guest.must("loginctl", "enable-linger", USER)
    wait_until(lambda: os.path.exists(f"/proc/{guest.leader()}/root/run/user/{users.uid}/systemd/"
                                      "private"), "the user's systemd")
    users.must("systemctl", "--user", "enable", "--now", "nairid")
    pid = users.show("MainPID")
    assert service.status_of(pid, "Uid").split() == [users.uid] * 4
    assert service.status_of(pid, "NoNewPrivs") == "1"
    assert users.answers()
    status = json.loads(users.must("nairid", "status", "--json"))
    assert status["pid"] == int(pid)
    # a new life of the user's systemd, as after the machine's start
    guest.must("systemctl", "restart", f"user@{users.uid}", timeout_s=180)
    wait_until(users.is_active, "its daemon to be there again", 60)
    assert users.show("MainPID") != pid
    assert users.answers()
    guest.must("kill", "-KILL", users.show("MainPID"))
    wait_until(lambda: users.show("NRestarts") == "1" and users.is_active(), "the restart")
    assert users.answers()
    users.must("systemctl", "--user", "stop", "nairid")
    assert users.show("ExecMainStatus") == "0"
    assert guest.run("pgrep", "--uid", users.uid, "nairid").stdout == ""
    guest.must("loginctl", "disable-linger", USER)


def the_containment_suite_reaches_nothing(service):
    env = {"NAIRID_BUILD": f"{SUITE}/build", "PYTHONDONTWRITEBYTECODE": "1",
           "PYTHONPATH": f"{SUITE}/tests/integration"}
    done = service.guest.run("python3", f"{SUITE}/tests/containment/service.py", "suite", env=env,
                             timeout_s=400)
    print(done.stdout, flush=True)
    assert done.returncode == 0, done.stderr


FULL = [a_task_runs, the_key_stays_inside, a_task_reaches_nothing_of_the_machine,
        a_reload_keeps_the_process, a_killed_daemon_starts_again,
        a_killed_spawner_takes_the_daemon_along, a_stop_waits_for_the_task,
        what_only_a_person_can_mend_stays_down, a_server_that_is_away_is_waited_for,
        a_users_own_unit_lives_without_a_login,
        the_containment_suite_reaches_nothing]  # with settings of its own: the last one
SHORT = [a_task_runs]  # in the other layout of cgroups


def check_guest(tree, folder, unified, steps):
    guest = Guest(tree, folder, unified)
    say(f"boot, cgroups {'v2' if unified else 'hybrid'}")
    try:
        service = Service(guest.boot())
        service.set_up()
        for step in steps:
            began = time.monotonic()
            step(service)
            say(f"{step.__name__.replace('_', ' ')} ({time.monotonic() - began:.1f} s)")
    except BaseException:
        guest.tell()
        guest.end()
        raise
    assert guest.end(), "the guest did not power off"


def main():
    if os.getuid() != 0:
        print("skip: needs root")
        return SKIP
    began = time.monotonic()
    folder = tempfile.mkdtemp(prefix="nairid-boot-", dir="/tmp")
    try:
        tree = make_tree(sys.argv[1], folder)
        check_guest(tree, folder, True, FULL)
        shutil.rmtree(tree + "/var/lib/private", ignore_errors=True)
        # Without v2 and in a container systemd may not hear that a user's own one has ended.
        shutil.rmtree(tree + "/var/lib/systemd/linger", ignore_errors=True)
        for name in ("nairid", "nairi-hub"):
            shutil.rmtree(f"{tree}/var/lib/{name}", ignore_errors=True)
        check_guest(tree, folder, False, SHORT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"report: real systemd: {len(FULL) + len(SHORT)} steps in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
