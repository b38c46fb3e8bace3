"""The ladder: what a task can reach where the machine gives less than all walls, and that it ends.

Each rung is made by a filter around nairid (tests/support/lessen.c) or by mounts, and tried by root
and by an ordinary user, for which only some of them differ. One command probes all there is to
probe and says what it could do; whatever it could have killed is in a pid namespace with it.
"""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import textwrap

import pytest

import daemonkit
from daemonkit import in_chroot
from hubkit import REPORTS, wait_until
from rungprobe import PROBE
from test_sandbox import ends_within, landlock_abi

BUILD = os.environ["NAIRID_BUILD"]
OWN_UID = 0x70000000 + 77  # a task's, as root: of the range, and of no job
BARE = ["user-namespace", "mount-namespace", "pid-namespace", "ipc-namespace", "uts-namespace",
        "cgroup-namespace", "network-namespace", "root", "proc"]
END_S = 10  # on a busy machine
SCOPES = 6  # Landlock's ABI with signals

# Stays when nairid has ended, and says who else does; what it says goes to standard error.
WATCH = """
"$@"; code=$?
for try in {1..50}; do
    left=
    for process in /proc/[0-9]*; do
        read -r stat 2>/dev/null <"$process/stat" || continue
        case $stat in
        "1 "*|*" (lessen) "*|*") Z "*) ;;
        *) left="$left $stat;" ;;
        esac
    done
    [ -n "$left" ] || break
    sleep 0.2 # poll: what was killed has to get its turn to die
done
[ -z "$left" ] || echo "survivors:$left" >&2
exit $code
"""


class Rung:
    def __init__(self, name, flags=(), accept=(), roots=(True, False), hides=None):
        self.name = name
        self.flags = list(flags)
        self.accept = list(accept)
        self.roots = roots
        self.hides = hides  # a folder of the machine
        self.is_bare = "--no-namespaces" in self.flags

    def accepted(self, is_root):
        return self.accept + (["ids"] if self.is_bare and not is_root else [])


RUNGS = [
    Rung("everything"),
    Rung("no-landlock", ["--landlock", "0"], ["landlock"]),
    Rung("landlock-2", ["--landlock", "2"]),
    Rung("host-proc", accept=["proc"], hides="/proc/bus"),
    Rung("no-cgroup", roots=[True], hides="/sys/fs/cgroup"),
    Rung("no-user-namespace", ["--no-userns"], ["user-namespace"], roots=[True]),
    Rung("bare", ["--no-namespaces"], BARE),
]


def cases(rungs=None):
    """Every rung as every account that has it."""
    found = []
    for rung in rungs or RUNGS:
        for name in ("root", "user"):
            if (name == "root") not in rung.roots or (os.getuid() != 0 and name == "root"):
                continue
            marks = []
            if os.getuid() != 0 and rung.hides:
                marks.append(pytest.mark.skip(reason="needs root"))
            if in_chroot() and (name == "user" and not rung.is_bare or rung.hides):
                marks.append(pytest.mark.skip(reason=daemonkit.NO_USERS))
            if rung.is_bare and name == "user" and landlock_abi() < SCOPES:
                marks.append(pytest.mark.skip(reason="needs Landlock's scopes"))
            found.append(pytest.param((rung, name), id=f"{rung.name}-{name}", marks=marks))
    if not found:
        mark = pytest.mark.skip(reason="needs root")
        found.append(pytest.param(None, id="none", marks=[mark]))
    return found


class Place:
    """A machine that gives less, with a workspace; commands that run on it in the sandbox."""

    def __init__(self, rung, account):
        self.rung = rung
        self.account = account
        self.lessen = shutil.copy(os.path.join(BUILD, "tests", "lessen"), account.folder)
        self.uid = OWN_UID if account.is_root else account.uid
        self.tmp = account.mkdir("tmp", 0o711)
        self.workspace = account.mkdir("work")
        os.chown(self.workspace, self.uid, self.uid)

    def around(self):
        """What makes the machine such, before the account is taken."""
        if os.getuid() != 0:
            return ["bash", "-c", '"$@"', "watch"]  # no pid namespace of one's own to look at
        hide = f"mount -t tmpfs none {self.rung.hides}; " if self.rung.hides else ""
        return ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "bash", "-c",
                hide + WATCH, "watch"]

    def argv(self, verb, *rest):
        accept = json.dumps(self.rung.accepted(self.account.is_root))
        less = [self.lessen, *self.rung.flags] if self.rung.flags else []
        return [*self.around(), *self.account.wrap, *less, self.account.program("nairid"), verb,
                "--set", f"sandbox.accept={accept}", *rest]

    def popen(self, *command, flags=(), **kwargs):
        argv = self.argv("sandbox", "--workspace", self.workspace, "--network", "none", *flags,
                         "--", *command)
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "text": True, "cwd": self.account.folder,
                   "env": self.account.environ(SECRET="hunter2", TMPDIR=self.tmp)}
        return subprocess.Popen(argv, **{**options, **kwargs})

    def end(self, process, timeout_s=60):
        """Its output; nothing may be left of it, and no sanitizer may have complained."""
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert "survivors:" not in err, err
        assert os.listdir(self.tmp) == []
        for report in REPORTS:
            assert report not in err, err
        return out, err

    def run(self, *command, **kwargs):
        process = self.popen(*command, **kwargs)
        out, err = self.end(process)
        return process.returncode, out, err

    def path(self, name):
        return os.path.join(self.workspace, name)


@pytest.fixture
def place(request):
    rung, name = request.param
    account = daemonkit.Account(name)
    yield Place(rung, account)
    account.done()


def on(rungs=None):
    return pytest.mark.parametrize("place", cases(rungs), indirect=True)


def rung_named(name):
    return [rung for rung in RUNGS if rung.name == name]


@pytest.fixture
def outside(place):
    """What there is to reach: each is shown to be there by who may."""
    account = place.account
    os.chmod(account.folder, 0o755)
    names = {name: account.write(os.path.join(account.folder, name), "tweet", mode)
             for name, mode in (("canary", 0o644), ("key", 0o600), ("state", 0o644))}
    other = account.mkdir("other-job")  # another task's: of its user as root, else of the same
    os.chown(other, OWN_UID + 1 if account.is_root else account.uid, -1)
    names["other"] = os.path.join(other, "file")
    with open(names["other"], "w") as file:
        file.write("tweet")
    os.chmod(names["other"], 0o666)
    libc = ctypes.CDLL(None)
    shm = libc.shmget(0x6e616972, 4096, 0o1666)
    with socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as abstract, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, \
            socket.create_server(("127.0.0.1", 0)) as tcp, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for sock, name in ((unix, "unix"), (notify, "notify")):
            names[name] = os.path.join(account.folder, name + ".sock")
            sock.bind(names[name])
            os.chmod(names[name], 0o666)
        unix.listen()
        names["abstract"] = f"nairid-rung-{os.getpid()}"
        abstract.bind("\0" + names["abstract"])
        abstract.listen()
        udp.bind(("127.0.0.1", 0))
        names |= {"port": tcp.getsockname()[1], "udp": udp.getsockname()[1], "shm": 0x6e616972,
                  "tmp": f"/tmp/nairid-rung-probe-{os.getpid()}"}
        yield names
        for sock in (udp, notify):
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)  # nothing came through
    libc.shmctl(shm, 0, None)
    for name in ("canary", "key", "state", "other"):
        with open(names[name]) as file:
            assert file.read() == "tweet", name
    assert not os.path.exists(names["tmp"])


@on()
def test_a_task_reaches_nothing_but_its_own(place, outside):
    code, out, err = place.run("/usr/bin/python3", "-c", PROBE, json.dumps(outside))
    assert code == 0, err
    said = json.loads(out)
    check_identity(place, said)
    check_files(place, said)
    check_processes(place, said)
    assert [] == [name for name in (
        "keyctl", "add_key", "unshare", "mount", "chroot", "setuid", "unix", "abstract", "tcp",
        "outside", "notify", "shm", "terminal") if said[name] == "reached"], said
    assert (said["echo"], said["pair"]) == ("ok\n", "reached")
    assert os.path.exists(place.path("b/f"))


@on(rung_named("everything") + rung_named("bare"))
def test_no_link_is_followed_that_a_task_made_on_the_way_to_a_shown_path(place):
    secret = place.account.mkdir("secret", 0o755)
    place.account.write(os.path.join(secret, "key"), "canary\n", 0o644)
    written = place.account.mkdir("written", 0o755)
    shown = [os.path.join(place.workspace, "a", "b"), os.path.join(written, "a", "b")]
    for path in shown:
        os.makedirs(path)
        for made in (path, os.path.dirname(path), os.path.dirname(os.path.dirname(path))):
            os.chown(made, place.uid, place.uid)
    flags = ["--set", f"sandbox.read={json.dumps(shown)}", "--set", f'sandbox.write=["{written}"]']
    code, out, err = place.run("ls", "-d", *shown, flags=flags)
    assert (code, out.split()) == (0, shown), err
    for path in shown:
        keep = f"{path}.kept"
        os.rename(path, keep)  # as a task can, where it may write
        os.symlink(secret, path)
        code, out, err = place.run("cat", f"{path}/key", flags=flags)
        assert "canary" not in out and path in err
        if code != 78:  # what may be written has no rule of its own that would fail
            assert place.rung.is_bare and "Permission denied" in err
        else:
            assert "a link" in err
        os.unlink(path)
        os.rename(keep, path)
    code, out, err = place.run("ls", "-d", *shown, flags=flags)
    assert (code, out.split()) == (0, shown), err


def check_identity(place, said):
    status, rung, is_root = said["status"], place.rung, place.account.is_root
    mapped = not rung.is_bare and rung.name != "no-user-namespace"
    assert said["uid"] == (1000 if mapped else place.uid) != 0
    assert status["Uid"].split() == [str(said["uid"])] * 4
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, (name, status[name])
    if is_root or not rung.is_bare:
        assert int(status["CapBnd"], 16) == 0
        assert said["securebits"] == 0xcf, hex(said["securebits"])
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    if is_root:
        assert status["Groups"].split() == []
    assert said["descriptors"] == ["0", "1", "2", "3"]  # 3: the listing's own
    assert "SECRET" not in said["environ"]
    assert (said["tty_nr"], said["session"]) == ("0", True)
    assert said["core"] == [1, 1]
    assert said["badness"] == "1000"  # it dies before we do


def check_files(place, said):
    for name in ("canary", "key", "other", "state"):
        assert said["read " + name] != "reached" and said["write " + name] != "reached", name
    for name, result in said.items():
        if name.startswith("make ") and not name.startswith("make /tmp/"):
            assert result != "reached", name
        if name.startswith("read /"):
            assert result != "reached", name


def check_processes(place, said):
    assert said["secrets"] == []
    assert said["looked into"] == []
    if not place.rung.is_bare or place.account.is_root:
        assert said["listed"] == []  # else how many files they have open shows, not which
    in_namespace = said["parent"] == 1
    # process 1 of a pid namespace may be sent signals; it gets none
    assert [pid for pid in said["signalled"] if not (in_namespace and pid == "1")] == []
    assert said["ptrace"] != "reached"
    if not in_namespace:
        assert said["prlimit"] == "EPERM" and said["priority"] == "EPERM"


LEAVE = """exec 9>life
(setsid sh -c 'trap "" TERM HUP INT; sleep 1000 & sleep 1000' &)
setsid -f sleep 1000
nohup sleep 1000 >/dev/null 2>&1 &
sh -c 'kill -STOP $$' &
mkdir -p "$TMPDIR/a/b/c" && echo x >"$TMPDIR/a/b/c/d" && chmod 0 "$TMPDIR/a/b" "$TMPDIR/a"
"""


def life_line(place):
    os.mkfifo(place.path("life"))
    os.chmod(place.path("life"), 0o666)
    return os.open(place.path("life"), os.O_RDONLY | os.O_NONBLOCK)


@on(rung_named("bare") + rung_named("no-user-namespace"))  # others have the kernel for that
def test_what_a_task_leaves_dies_with_it(place):
    life = life_line(place)
    code, out, err = place.run("sh", "-c", LEAVE + "echo done; exit 7")
    assert (code, out) == (7, "done\n"), err
    assert ends_within(life, END_S)
    os.close(life)


@on(rung_named("bare") + rung_named("no-user-namespace"))
def test_a_task_that_kills_all_it_can_ends_as_it_wants(place):
    code, out, err = place.run("/usr/bin/python3", "-c", textwrap.dedent("""
        import os, signal, subprocess
        children = [subprocess.Popen(["sleep", "1000"], start_new_session=True) for _ in range(3)]
        try:
            os.kill(-1, signal.SIGKILL)
        except OSError:
            pass
        print([child.wait() for child in children])
        raise SystemExit(5)
        """))
    assert (code, out) == (5, "[-9, -9, -9]\n"), err


def processes_of(process):
    """Names and pids below it, which are ours to see whatever namespace they are in."""
    return {p.pid: p for p in daemonkit.descendants(process.pid)}


def find(process, want):
    """The first one below it whose name or title begins so."""
    def look():
        found = [pid for pid, p in processes_of(process).items() if want(p)]
        return min(found) if found else None
    wait_until(lambda: look() is not None, 30, "the process to be there")
    return look()


@pytest.mark.parametrize("victim", ["spawner", "init"])
@on(rung_named("bare") + rung_named("no-user-namespace"))
def test_whoever_of_ours_is_killed_everything_ends(place, victim):
    life = life_line(place)
    process = place.popen("sh", "-c", LEAVE + "trap '' TERM; echo ready; while :; do sleep 1; done")
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    pid = find(process, lambda p: p.name == "nairid-init" if victim == "init"
               else p.argv() == ["nairid: spawner"] and p.name != "nairid-init")
    os.kill(pid, signal.SIGKILL)
    assert ends_within(life, END_S)
    place.end(process)
    assert process.returncode == (75 if victim == "spawner" else 128 + signal.SIGKILL)
    os.close(life)


@on([Rung("bare-landlock-5", ["--no-namespaces", "--landlock", "5"], BARE, roots=[True])])
def test_without_scopes_a_task_may_end_itself_and_nobody_else(place):
    life = life_line(place)
    code, out, err = place.run("sh", "-c", LEAVE + "kill -KILL $PPID; sleep 1000")
    assert (code, out) == (128 + signal.SIGKILL, ""), err
    assert ends_within(life, END_S)
    os.close(life)


# what is refused, and how it is said


def check_walls(place, *flags):
    done = subprocess.run(place.argv("check", "--state", os.path.join(place.account.folder, "s"),
                                     "--set", "sandbox.network.mode=none", *flags),
                          capture_output=True, text=True, timeout=60, cwd=place.account.folder,
                          env=place.account.environ(NAIRI_AGENT_ID="x"))
    return [line for line in done.stdout.splitlines() if re.match(r"\w+ +walls ", line)], done


LOSSES = {
    "user-namespace": "a task is a user of the machine itself",
    "mount-namespace": "a task sees names, sizes and times of the machine's files",
    "pid-namespace": "a task sees the machine's processes; its own are ended by us",
    "ipc-namespace": "a task is refused every IPC object",
    "uts-namespace": "a task sees the machine's name",
    "cgroup-namespace": "a task sees the names of the machine's cgroups",
    "network-namespace": "with none a task has no socket at all",
    "ids": "a task runs as the daemon's own user: it can change modes and times of that user's",
    "root": "a task works at its job's own paths, with the machine's /etc/passwd",
    "proc": "a task reads names and command lines of the machine's processes",
    "landlock": "there is no second wall behind the mounts",
}
OLDEST_LANDLOCK = Rung("landlock-1", ["--landlock", "1"], ["landlock"])


@on(RUNGS + [OLDEST_LANDLOCK])
def test_check_names_each_wall_that_is_missing_and_what_is_lost(place):
    lines, done = check_walls(place, "--set", "runner.name=command", "--set", "runner.argv=[sh]",
                              "--set", "agent.id=x")
    missing = {match[1]: match[2] for line in lines if (
        match := re.match(r"WARN +walls +(\S+) is missing \(.{8,}?\): (.*)", line))}
    assert set(missing) == set(place.rung.accepted(place.account.is_root)), done.stdout
    for name, words in missing.items():
        assert LOSSES[name] in words, (name, words)
    assert lines[-1].startswith("OK"), done.stdout
    assert re.search(r"^OK +sandbox ", done.stdout, re.M), done.stdout


WEAKER = {
    "landlock-2": ["landlock is weaker: it knows nothing of truncate(2), TCP ports and device "
                   "commands", "landlock-scopes is weaker: abstract sockets are kept away by the "
                   "network namespace only"],
    "no-cgroup": ["cgroup is weaker: a task's memory and processor time are measured now and then",
                  "not seen: what waits in sockets and pipes, memory files that aren't open"],
}


@on([rung for rung in RUNGS if rung.name in WEAKER])
def test_check_names_what_is_weaker_and_nothing_has_to_be_accepted(place):
    lines, done = check_walls(place, "--set", "runner.name=command", "--set", "runner.argv=[sh]",
                              "--set", "agent.id=x")
    for words in WEAKER[place.rung.name]:
        assert any(line.startswith("WARN") and words in line for line in lines), done.stdout
    assert lines[-1].startswith("OK"), done.stdout


MEMORY = """import os, signal
for i in range(4):
    if os.fork() == 0:
        held = b"x" * (30 << 20)
        signal.pause()
os.wait()"""


@on(rung_named("no-cgroup") + rung_named("host-proc"))
def test_what_a_task_uses_is_measured(place):
    for limit, command in (("memory=64M", ["/usr/bin/python3", "-c", MEMORY]),
                           ("cpu_time=1s", ["sh", "-c", "while :; do /bin/true; done"])):
        code, _, err = place.run(*command, flags=["--set", f"sandbox.limits.{limit}"])
        assert code == 128 + signal.SIGKILL, err
        name = limit.partition("=")[0]
        assert f"see sandbox.limits.{name}" in err, err


# Before nairid somebody who has much and does much.
BUSY_BESIDE = """
/usr/bin/python3 -c 'held = b"x" * (200 << 20)
while True: pass' & beside=$!
until [ "$(awk '/^RssAnon/ {print ($2 > 200000)}' /proc/$beside/status)" = 1 ]; do sleep 0.05; done
"$@"; code=$?
kill -KILL $beside 2>/dev/null
exit $code
"""


@on(rung_named("host-proc") + rung_named("bare"))  # others show where /proc is shared
def test_what_others_use_is_not_the_tasks(place):
    around = place.around()
    place.around = lambda: [*around, "bash", "-c", BUSY_BESIDE, "beside"]
    code, out, err = place.run("sh", "-c", "sleep 2; echo done", flags=[  # nap: several looks
        "--set", "sandbox.limits.memory=64M", "--set", "sandbox.limits.cpu_time=1s"])
    assert (code, out) == (0, "done\n"), err


def test_the_manual_names_each_wall_that_can_be_done_without():
    root = pathlib.Path(__file__).resolve().parents[2]
    with open(root / "packaging" / "man" / "nairid-container.7", encoding="ascii") as file:
        text = file.read()
    named = {word for line in text.splitlines() if line.startswith((".Va ", ".Pq Va "))
             for word in re.findall("[a-z][a-z-]+", line)}
    assert set(LOSSES) <= named, set(LOSSES) - named
    examples = [re.findall("[a-z-]+", found) for found in re.findall(r"accept: \[([^]]*)", text)]
    assert examples == [BARE, [*BARE, "ids"]]  # a container's, a sidecar's


@on([rung for rung in RUNGS if rung.accept])
def test_what_is_not_accepted_stops_the_start_by_its_name(place):
    wanted = place.rung.accepted(place.account.is_root)
    for accept in ([], [*wanted[:-1], "cgroup"]):
        place.rung = Rung(place.rung.name, place.rung.flags, accept,
                          hides=place.rung.hides)
        lines, done = check_walls(place, "--set", "runner.name=command",
                                  "--set", "runner.argv=[sh]", "--set", "agent.id=x",
                                  "--set", f"sandbox.accept={json.dumps(accept)}")
        first = next(name for name in wanted if name not in accept)
        assert done.returncode == 78
        assert re.match(rf"FAIL +walls +{first}: .*sandbox.accept: \[", lines[-1]), done.stdout
        for name in wanted:
            assert name in lines[-1].partition("sandbox.accept: [")[2]
        if len(wanted) == 1:
            break


@on([Rung("bare-landlock-5", ["--no-namespaces", "--landlock", "5"], [*BARE, "landlock-scopes"],
          roots=[False]),
     Rung("bare-no-landlock", ["--no-namespaces", "--landlock", "0"], [*BARE, "landlock"])])
def test_there_is_no_way_without_namespaces_and_what_replaces_them(place):
    code, out, err = place.run("true")
    assert (code, out) == (78, "")
    assert re.search("landlock(-scopes)?: .*no doing without", err), err


@on(rung_named("bare"))
def test_the_network_that_takes_a_namespace_is_refused(place):
    code, _, err = place.run("true", flags=["--network", "allowlist"])
    assert code == 78 and "allowlist" in err and "network namespace" in err, err
    daemon = daemonkit.Daemon(place.account, None, sandbox={
        "accept": place.rung.accepted(place.account.is_root), "network": {"mode": "allowlist"}})
    daemon.wrap = [place.lessen, *place.rung.flags]
    os.chmod(daemon.folder, 0o711)
    daemon.start()
    assert daemon.program.wait() == 78, daemon.log
    assert "network namespace" in daemon.log


# real tasks


@on(rung_named("bare") + rung_named("no-user-namespace"))
def test_the_daemon_runs_tasks(place, make_hub):
    hub = make_hub()
    daemon = daemonkit.Daemon(place.account, hub,
                              sandbox={"accept": place.rung.accepted(place.account.is_root)})
    daemon.wrap = [place.lessen, *place.rung.flags]
    if place.account.is_root and place.rung.is_bare:
        daemon.start()
        assert daemon.program.wait() == 78 and "chmod o+x" in daemon.log, daemon.log
        os.chmod(daemon.folder, 0o711)
    daemon.boot()
    job, first = hub.start("echo one >kept; echo two >$HOME/kept; echo x >$TMPDIR/gone; id -u; "
                           f"cat {daemon.key_file} {daemon.state}/journal.db; sleep 1000 & exit 0")
    reply = daemon.reply(job, first)
    uid = int(reply["content"].split()[0])
    assert uid != 0 and (uid >= 0x70000000) == place.account.is_root, reply
    second = hub.resume(job, "cat kept $HOME/kept; ls -A $TMPDIR")
    assert daemon.reply(job, second)["content"].split() == ["one", "two"]
    mine = {p.pid for p in daemon.tasks()}
    assert mine == set()
    assert daemon.end() == 0


@pytest.mark.parametrize("victim", ["daemon", "spawner"])
@on(rung_named("bare") + rung_named("no-user-namespace"))
def test_whichever_of_the_daemons_is_killed_everything_ends(place, make_hub, victim):
    hub = make_hub()
    daemon = daemonkit.Daemon(place.account, hub,
                              sandbox={"accept": place.rung.accepted(place.account.is_root)})
    daemon.wrap = [place.lessen, *place.rung.flags]
    os.chmod(daemon.folder, 0o711)
    daemon.boot()
    _, _, leave = LEAVE.partition("\n")  # but for the line about a life line
    hub.start(f"trap '' TERM\n{leave}sleep 1000; sleep 1000")
    wait_until(lambda: len(daemon.tasks()) >= 6, 30, "all of it to be there")
    os.kill(daemon.pid if victim == "daemon" else daemon.status()["spawner_pid"], signal.SIGKILL)
    assert daemon.program.wait() == (-signal.SIGKILL if victim == "daemon" else 75)
    wait_until(lambda: not daemonkit.descendants(but=[hub.proc.pid]), END_S,
               lambda: f"these to end: {daemonkit.descendants(but=[hub.proc.pid])}")


@on(rung_named("bare") + rung_named("no-user-namespace"))
def test_what_came_with_a_message_is_read_and_not_changed(place, peer):
    accept = place.rung.accepted(place.account.is_root)
    script = "read -r S; F=$(sed -n 's/^- //p'); eval \"$S\""
    daemon = daemonkit.Daemon(place.account, peer, sandbox={"accept": accept},
                              runner={"argv": ["sh", "-c", script]})
    daemon.wrap = [place.lessen, *place.rung.flags]
    if place.account.is_root and place.rung.is_bare:
        os.chmod(daemon.folder, 0o711)
    daemon.boot()
    message = peer.give("cat $F; (echo x >>$F) 2>/dev/null && echo written; rm -f $F 2>/dev/null "
                        "&& echo removed; touch $(dirname $F)/x 2>/dev/null && echo made; exit 0",
                        payload={"attachments": [peer.attach(b"words\n")]})
    assert peer.wait_reply(message)["payload"]["message"] == "words"
    assert daemon.end() == 0


@on(rung_named("bare") + rung_named("no-user-namespace"))
def test_files_of_the_outbox_go_with_the_answer(place, peer):
    accept = place.rung.accepted(place.account.is_root)
    daemon = daemonkit.Daemon(place.account, peer, sandbox={"accept": accept})
    daemon.wrap = [place.lessen, *place.rung.flags]
    if place.account.is_root and place.rung.is_bare:
        os.chmod(daemon.folder, 0o711)
    daemon.boot()
    message = peer.give("cd $NAIRID_OUTBOX && echo words >note; ln -s /etc/passwd link; ls")
    reply = peer.wait_reply(message)["payload"]
    assert [peer.uploads[i] for i in reply["attachment_ids"]] == [("note", b"words\n")]
    assert "- `link`: a link" in reply["message"]
    assert peer.wait_reply(peer.give("ls -A $NAIRID_OUTBOX; echo none", peer.job_of[message]))[
        "payload"]["message"] == "none"
    assert daemon.end() == 0



@on(rung_named("bare") + rung_named("no-user-namespace"))
def test_a_command_by_hand_and_a_jobs_tasks_keep_apart(place, make_hub):
    account, rung = place.account, place.rung
    hub = make_hub()
    meeting = daemonkit.Meeting(account.shared())
    settings = meeting.settings()
    settings.setdefault("sandbox", {})["accept"] = rung.accepted(account.is_root)
    daemon = daemonkit.Daemon(account, hub, **settings)
    daemon.wrap = [place.lessen, *rung.flags]
    os.chmod(daemon.folder, 0o711)
    if account.is_root and rung.is_bare:
        os.makedirs(daemon.state, exist_ok=True)
        os.chmod(daemon.state, 0o711)
    daemon.boot()
    job, message = hub.start(meeting.hold("a", then="echo it lives"))
    meeting.wait("a")
    place.workspace = os.path.join(daemon.state, "jobs", job, "workspace")
    code, out, err = place.run("/bin/echo", "here")
    if rung.is_bare:
        assert code == 64 and "it is a job's" in err, err
    else:
        assert (code, out) == (0, "here\n"), err
    meeting.release("a")
    assert daemon.reply(job, message)["content"] == "it lives"
    if rung.is_bare and account.is_root:  # a copy that kept its owner
        copied = account.mkdir("copied")
        owner = os.stat(place.workspace).st_uid
        os.chown(copied, owner, owner)
        place.workspace = copied
        code, _, err = place.run("/bin/echo", "here", flags=["--state", daemon.state])
        assert code == 64 and "it is a job's" in err, err
    assert daemon.end() == 0


def as_root(place):
    if not place.account.is_root:
        pytest.skip("needs root")


# Before nairid there is somebody of the task's user, who is none of its tasks.
BESIDE = """
uid=$1; shift
setpriv --reuid=$uid --regid=$uid --clear-groups sleep 60 & beside=$!
until grep -q "^Uid:.$uid" /proc/$beside/status; do sleep 0.05; done
"$@"; code=$?
kill -KILL $beside 2>/dev/null && echo "it lived" >&2
exit $code
"""


@on(rung_named("bare")[:1])
def test_a_user_of_whom_somebody_lives_on_is_no_tasks_user(place):
    as_root(place)
    around = place.around()
    place.around = lambda: [*around, "bash", "-c", BESIDE, "beside", str(place.uid)]
    code, out, err = place.run("echo", "ran")
    if landlock_abi() < SCOPES:  # then it could be killed
        assert (code, out) == (0, "ran\n") and "it lived" not in err, err
    else:
        assert code != 0 and out == "" and "it lived" in err, err
        assert f"processes of an earlier task live on as user {place.uid}" in err, err


@on(rung_named("bare")[:1])
def test_an_accounts_processes_do_not_end_with_a_task(place):
    as_root(place)
    place.uid = 61234  # as systemd gives them to services
    os.chown(place.workspace, place.uid, place.uid)
    around = place.around()
    place.around = lambda: [*around, "bash", "-c", BESIDE, "beside", str(place.uid)]
    code, out, err = place.run("echo", "ran")
    assert code == 78 and out == "" and "it lived" in err, err
    assert f"user {place.uid} can't be a task's here" in err, err
