"""`nairid sandbox --explain` tells the truth: what it prints is compared with what a program finds
inside, path by path, limit by limit, and system call by system call.

Whatever could do harm is called in the sandbox only.
"""

import json
import os
import re
import subprocess

import pytest

from hubkit import REPORTS

TASK_UID = 61359  # whose the workspace is when we are root; no account has it
NO_CALLS = [340, 400, 511, 999]  # numbers that no call has
# They would wait for ever, keep the machine's disks busy, or spoil the caller's stack.
LEFT_OUT = {"pause", "select", "ppoll", "pselect6", "rt_sigsuspend", "sync", "vfork"}

# What is found inside, as JSON in the workspace, where what was explained is. CALLS and CONDITIONS
# stand before it.
INSIDE = r"""
import ctypes, errno, json, os, resource, shutil, signal, stat, subprocess

libc = ctypes.CDLL(None, use_errno=True)


def attempt(number, arguments):
    # In a child of its own: the call may end it, stop it, or make another.
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        me = os.getpid()
        r = libc.syscall(number, *[ctypes.c_long(a) for a in arguments])
        if os.getpid() != me:
            os._exit(0)
        os.write(into, (errno.errorcode[ctypes.get_errno()] if r == -1 else "ok").encode())
        os._exit(0)
    os.close(into)
    os.waitpid(child, 0)
    said = os.read(out, 64).decode()
    os.close(out)
    return said or "ended"


def may(path):
    # The rights that one finds to have.
    found = set()
    try:
        directory = os.path.isdir(path)
        if directory:
            os.listdir(path)
            found.add("list")
        else:
            with open(path, "rb") as file:
                if stat.S_ISREG(os.stat(path).st_mode):
                    file.read(1)
            found.add("read")
    except OSError:
        pass
    try:
        if directory:
            name = os.path.join(path, "probe")
            with open(name, "w") as file:
                file.write("x")
            found |= {"read", "write"}
            os.rename(name, name + "2")
            os.unlink(name + "2")
            found.add("make, rename, remove")
        else:
            os.close(os.open(path, os.O_WRONLY))
            found.add("write")
    except OSError:
        pass
    if "make, rename, remove" in found:
        name = os.path.join(path, "true")
        shutil.copy("/usr/bin/true", name)
        try:
            subprocess.run([name], check=True)
            found.add("execute")
        except OSError:
            pass
        os.unlink(name)
    return sorted(found)


def status(name):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))


def text(path):
    with open(path) as file:
        return file.read()


PATHS = []
with open("/workspace/explained") as file:
    for line in file:
        kind = line[:11].strip()
        if kind in ("root", "read-only", "writable", "device", "file", "private"):
            PATHS.append(line[11:].split(": ")[0])
        elif kind == "link":
            PATHS.append(line[11:].split(" -> ")[0])

# Before the calls, some of which change what is found.
result = {
    "mounts": [line.split() for line in text("/proc/self/mountinfo").splitlines()],
    "may": {path: may(path) for path in PATHS if os.path.exists(path)},
    "links": {path: os.readlink(path) for path in PATHS if os.path.islink(path)},
    "root": sorted(os.listdir("/")),
    "dev": sorted(os.listdir("/dev")),
    "environ": sorted(os.environ),
    "uid_map": text("/proc/self/uid_map").split(), "gid_map": text("/proc/self/gid_map").split(),
    "namespaces": {name: os.readlink("/proc/self/ns/" + name) for name in os.listdir("/proc/self/ns")},
    "limits": {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0]
               for name in ("DATA", "FSIZE", "NPROC", "NOFILE", "CORE")},
    "status": {name: status(name) for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")},
    "fds": sorted(os.listdir("/proc/self/fd")),
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
}
result["calls"] = {number: attempt(number, [0] * 6) for number in CALLS}
result["conditions"] = {name: attempt(*call) for name, call in CONDITIONS.items()}
with open("/workspace/found", "w") as file:
    json.dump(result, file)
"""

# One call that each condition refuses, by its words.
CONDITIONS = {
    "clone that makes a namespace": ("clone", [0x10000000 | 17]),
    "clone that makes a thread with descriptors of its own": ("clone", [0x10b00]),
    "close_range that gives a thread descriptors of its own": ("close_range", [900, 900, 2]),
    "socket of a family other than unix, inet, inet6 and netlink": ("socket", [40, 1]),
    "socket of netlink other than route": ("socket", [16, 3, 15]),
    "socket of a protocol other than TCP, UDP and ICMP": ("socket", [2, 1, 132]),
    "socketpair of a family other than unix": ("socketpair", [30, 1]),
    "ioctl TIOCSTI, TIOCSETD, TIOCLINUX or TIOCCONS": ("ioctl", [0, 0x5423]),
    "ioctl that makes a btrfs subvolume, or marks one": ("ioctl", [0, 0x50009417]),
    "prctl of an option that isn't about the program itself": ("prctl", [35]),
    "personality other than Linux's own": ("personality", [0x400000]),
    "setrlimit of the core size": ("setrlimit", [4, 0]),
    "prlimit64 of the core size": ("prlimit64", [0, 4, 1]),
    "prlimit64 of process 1": ("prlimit64", [1, 7]),
    "sched_setaffinity of process 1": ("sched_setaffinity", [1]),
    "sched_setattr of process 1": ("sched_setattr", [1]),
    "sched_setparam of process 1": ("sched_setparam", [1]),
    "sched_setscheduler of process 1": ("sched_setscheduler", [1]),
    "setpriority of process 1": ("setpriority", [0, 1, 19]),
    "setpriority of a whole user": ("setpriority", [2, 0, 19]),
    "ioprio_set of process 1": ("ioprio_set", [1, 1]),
    "ioprio_set of a whole user": ("ioprio_set", [3, 0]),
    "chmod with a set-id mode": ("chmod", [0, 0o4755]),
    "fchmod with a set-id mode": ("fchmod", [0, 0o2755]),
    "creat with a set-id mode": ("creat", [0, 0o4755]),
    "mknod with a set-id mode": ("mknod", [0, 0o4755]),
    "mknod of a device": ("mknod", [0, 0o20600]),
    "mknodat of a device": ("mknodat", [-1, 0, 0o60600]),
    "open with a set-id mode": ("open", [0, 0o100, 0o4755]),
    "mknodat with a set-id mode": ("mknodat", [-1, 0, 0o4755]),
    "fchmodat with a set-id mode": ("fchmodat", [-1, 0, 0o4755]),
    "openat with a set-id mode": ("openat", [-1, 0, 0o100, 0o4755]),
}


@pytest.fixture(scope="module")
def numbers():
    """{name: number} of every call that this machine has."""
    said = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"],
                          capture_output=True, text=True, check=True).stdout
    found = {}
    for name in re.findall(r"#define __NR_(\w+) ", said):
        found[name] = None
    # Some are defined by others: the compiler works the values out.
    source = "#include <sys/syscall.h>\n" + "".join(f"N_{name} __NR_{name}\n" for name in found)
    said = subprocess.run(["cc", "-E", "-P", "-x", "c", "-"], input=source, capture_output=True,
                          text=True, check=True).stdout
    for name, value in re.findall(r"^N_(\w+)\s+\(?(\d+)\b", said, re.M):
        found[name] = int(value)
    return {name: number for name, number in found.items() if number is not None and number < 512}


class Telling:
    """What was explained, line by line, and what was found inside."""

    def __init__(self, account, *flags, numbers=None, explain=True):
        """numbers: of the calls to try; none of them otherwise."""
        numbers = numbers or {}
        self.uid = TASK_UID if account.is_root else account.uid
        self.workspace = os.path.join(account.folder, "work")
        if not os.path.isdir(self.workspace):
            account.mkdir("work")
            os.chown(self.workspace, self.uid, self.uid)
        self.account = account
        calls = sorted(number for name, number in numbers.items() if name not in LEFT_OUT)
        conditions = {words: (numbers[name], arguments)
                      for words, (name, arguments) in CONDITIONS.items() if name in numbers}
        script = f"CALLS = {calls + NO_CALLS if calls else []!r}\nCONDITIONS = {conditions!r}\n{INSIDE}"
        done = self.run(*(["--explain"] if explain else []), *flags, "--", "/usr/bin/python3", "-c",
                        script)
        assert done.returncode == 0, done.stderr
        self.said = done.stderr
        self.lines = self.take("explained").splitlines()
        self.found = json.loads(self.take("found"))

    def take(self, name):
        """What is in a file of the workspace, which then is gone."""
        path = os.path.join(self.workspace, name)
        with open(path) as file:
            text = file.read()
        os.unlink(path)
        return text

    def run(self, *words):
        with open(os.path.join(self.workspace, "explained"), "w") as out:
            os.chmod(out.name, 0o644)
            done = subprocess.run([*self.account.wrap, self.account.program("nairid"), "sandbox",
                                   "--workspace", self.workspace, *words], text=True,
                                  env=self.account.environ(), cwd=self.account.folder,
                                  stdin=subprocess.DEVNULL, timeout=120, stdout=out,
                                  stderr=subprocess.PIPE)
        for report in REPORTS:
            assert report not in done.stderr, done.stderr
        return done

    def of(self, *kinds):
        """(what follows the kind, without its origin) of each such line."""
        for line in self.lines:
            kind, rest = line[:11].strip(), line[11:]
            if kind in kinds:
                yield re.sub(r" \[[^][]*\]$", "", rest)

    def paths(self):
        """{path: what is told of it} of all that is shown."""
        told = {}
        for rest in self.of("root", "read-only", "writable", "device", "file", "private"):
            path, words = rest.split(": ", 1)
            told[path] = words
        for rest in self.of("link"):
            path, to = rest.split(" -> ")
            told[path] = "-> " + to
        return told

    def calls(self):
        """(names that are allowed, names that give EPERM, {condition: error})."""
        allowed = [name for rest in self.of("calls") for name in rest.split(": ")[1].split()]
        eperm = [name for rest in self.of("refused") if rest.startswith("EPERM: ")
                 for name in rest.split(": ")[1].split()]
        conditions = {}
        for rest in self.of("condition"):
            words, error = rest.split(": ")
            parts = words.split()
            names = [part for part in parts if part in allowed]
            for name in names:
                conditions[" ".join([name, *parts[len(names):]])] = error
        return set(allowed), set(eperm), conditions

    def named(self):
        """{words: error} of what was named as refused at the end."""
        return {words: error for words, error in
                re.findall(r"^refused (.*?): ([\w, ]+?), \d+ times?, by ", self.said, re.M)}


def rights(words):
    return set(re.findall(r"list|read(?!-)|execute|write|make, rename, remove",
                          words.split(";")[0]))


def check_paths(telling):
    """Each path has the rights that are told, and is mounted as is told; and nothing else is."""
    told, found = telling.paths(), telling.found
    shown = {path for path in told if path in found["may"] or path in found["links"]}
    for path, words in told.items():
        if path not in shown:
            assert "where the host has it" in words and not os.path.lexists(path), path
        elif words.startswith("-> "):
            assert found["links"][path] == words[3:]
        elif path not in found["links"]:
            have, may = set(found["may"][path]), rights(words)
            directory = "list" in have
            # Whether files can be read or executed is seen where one can be made or is the path.
            must = may - ({"read", "execute"} if directory and "write" not in may else {"execute"})
            must -= {"read", "write"} if path == "/proc" else set()
            must -= {"list"} if not directory else set()
            must -= {"write"} if path == "/dev/tty" or path == "/dev/pts" else set()
            must -= {"read"} if path in ("/dev/tty", "/dev/pts") else set()
            assert must <= have <= may, (path, have, words)
    mounts = {fields[4]: set(fields[5].split(",")) for fields in found["mounts"]}
    for path, words in told.items():
        walls = re.search(r"mount: ([^;]*);", words)
        if not walls or path not in shown or path in found["links"]:
            continue
        must = {"read-only": "ro", "writable": "rw"}
        assert {must.get(word, word) for word in walls.group(1).split(", ")} <= mounts[path], path
    beneath = tuple(f"{path}/" for path in told if path != "/")
    assert all(path in told or path.startswith(beneath) for path in mounts), mounts.keys()
    tops = {path.split("/")[1] for path in shown} - {""}
    assert set(found["root"]) == tops
    nodes = {path.split("/")[2] for path in shown if path.startswith("/dev/")}
    assert set(found["dev"]) == nodes


def check_identity(telling):
    found = telling.found
    user = next(telling.of("user"))
    inside, outside = re.fullmatch(r"(\d+) inside, (\d+) on the host", user).groups()
    assert found["uid_map"] == [inside, outside, "1"] and outside == str(telling.uid)
    assert found["gid_map"][0] == inside and found["gid_map"][2] == "1"
    told = set(next(telling.of("namespaces")).split(", "))
    names = {"user": "user", "mount": "mnt", "pid": "pid", "ipc": "ipc", "uts": "uts",
             "cgroup": "cgroup", "network": "net"}
    own = {name for name, short in names.items()
           if found["namespaces"][short] != os.readlink(f"/proc/self/ns/{short}")}
    assert told == own
    assert found["status"]["CapEff"] == found["status"]["CapBnd"] == "0" * 16
    assert found["status"]["NoNewPrivs"] == "1" and found["status"]["Seccomp"] == "2"
    assert found["fds"] == ["0", "1", "2", "3"]  # the last one is the listing's own
    assert found["processes"][0] == 1 and len(found["processes"]) == 2


def check_limits(telling):
    told = dict(rest.split(": ", 1) for rest in telling.of("limit"))
    limits = telling.found["limits"]

    def number(name):
        return int(told[name].split()[0])

    assert limits["DATA"] == number("memory") << 20
    assert limits["FSIZE"] == number("size of a file") << 20
    assert limits["NPROC"] == number("processes") + 1  # process 1 is ours
    assert limits["NOFILE"] == number("open files")
    assert limits["CORE"] <= 1 and "none" in told["core dumps"]
    assert set(telling.found["environ"]) == set(telling.of("variable"))


def check_calls(telling, numbers):
    """Every number gives what its name is told to give, and all that is refused is named."""
    allowed, eperm, conditions = telling.calls()
    named, names = telling.named(), {number: name for name, number in numbers.items()}
    assert allowed & eperm == set()
    for number, got in telling.found["calls"].items():
        number = int(number)
        name = names.get(number, f"call {number}")
        if name in allowed:
            refused = [words for words in named if words.split(" ")[0] == name]
            assert all(words in conditions for words in refused), refused
            continue
        want = "EPERM" if name in eperm else "ENOSYS"
        assert got == want, (name, got)
        # libseccomp may not know the newest names
        assert named.get(name, named.get(f"call {number}")) == want, (name, named)
    assert conditions
    for words, error in conditions.items():
        told = error.replace("nothing is done, and the answer is success",
                             "success, though nothing is done")
        assert named[words] == told, words
        assert telling.found["conditions"][words] == (error if error.isupper() else "ok"), words


@pytest.mark.parametrize("profile, network", [
    ("strict", "none"), ("agent", "allowlist"), ("host", "host"),
])
def test_what_is_explained_is_what_is_found(account, numbers, profile, network):
    tried = "agent" if account.is_root else "strict"
    telling = Telling(account, "--profile", profile, "--network", network,
                      numbers=numbers if profile == tried else None)
    check_paths(telling)
    check_identity(telling)
    check_limits(telling)
    if profile == tried:
        check_calls(telling, numbers)
    without = [line for line in telling.lines if not line.endswith("]")]
    assert [line[:10].strip() for line in without] == ["program"], without


def test_without_a_witness_the_same_calls_give_the_same_errors(me, numbers):
    watched = Telling(me, "--network", "none", numbers=numbers)
    usual = Telling(me, "--network", "none", numbers=numbers, explain=False)
    assert usual.said == "" and watched.said != ""
    allowed, _, _ = watched.calls()
    names = {number: name for name, number in numbers.items()}
    for number, got in usual.found["calls"].items():
        if names.get(int(number)) not in allowed:
            assert watched.found["calls"][number] == got, number
    assert usual.found["conditions"] == watched.found["conditions"]


def test_without_a_command_a_tasks_plan_is_told_and_nothing_starts(account):
    folder = account.mkdir("state")
    config = account.write(os.path.join(account.folder, "nairid.yaml"), (
        "agent: {id: a}\n"
        "runner: {name: command, argv: [work, now], env: {COLOUR: red},\n"
        "         secrets: {TOKEN: {file: /nowhere}}}\n"
        "sandbox:\n  read: [/srv]\n  network: {mode: none}\n  limits: {pids: 77}\n"))
    done = subprocess.run([*account.wrap, account.program("nairid"), "sandbox", "-c", config,
                           "--state", folder, "--explain"], env=account.environ(), text=True,
                          cwd=account.folder, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for words in ("program    work now\n", "variable   COLOUR [runner.env, ",
                  "variable   TOKEN [runner.secrets, ", f"{config}:5:3]", "read-only  /srv: ",
                  "limit      processes: 77 [sandbox.limits.pids, " + config + ":7:12]\n",
                  f"/workspace: list, read, execute, write, make, rename, remove; the host's "
                  f"{folder}/jobs/JOB/workspace;"):
        assert words in done.stdout, (words, done.stdout)
    assert "red" not in re.sub(r"refused|shared", "", done.stdout)
    assert os.listdir(folder) == []


def test_what_is_refused_is_named_once_with_how_often_and_by_whom(account):
    workspace = account.mkdir("work")
    os.chown(workspace, *[TASK_UID if account.is_root else account.uid] * 2)
    script = ("import socket, ctypes\n"
              "for _ in range(3):\n"
              "    try: socket.socket(40, 1)\n"
              "    except OSError as e: print(e.errno)\n"
              "print(ctypes.CDLL(None).unshare(0))\n")
    done = subprocess.run([*account.wrap, account.program("nairid"), "sandbox", "--workspace",
                           workspace, "--network", "none", "--explain", "--", "/usr/bin/python3",
                           "-c", script], env=account.environ(), text=True, capture_output=True,
                          cwd=account.folder, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0
    assert done.stdout.endswith("]\n97\n97\n97\n-1\n"), done.stdout[-200:]
    named = [line for line in done.stderr.splitlines() if "clone3" not in line]
    assert named == ["refused socket of a family other than unix, inet, inet6 and netlink: "
                     "EAFNOSUPPORT, 3 times, by python3",
                     "refused unshare: EPERM, 1 time, by python3"]
