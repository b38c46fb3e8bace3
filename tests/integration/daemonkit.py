"""The real daemon for tests, on a state directory of its own, against the hub of hubkit.

    def test_something(make_daemon):
        daemon = make_daemon(task={"timeout": "2s"})
        reply = daemon.hub.answer("echo hello")

Programs run as the account of the test: root, or an ordinary user (see accounts()).
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import hubkit
import pytest

from hubkit import REPORTS, wait_until
from processes import descendants, reap_orphans

ORDINARY_UID = 61357  # no account has it; programs must do without one
ERROR = "nairid encountered error: "


class Account:
    """Who runs the programs: root, or an ordinary user, that with the uid if root starts it. wrap is
    put before a command, folder is the user's, and made in base."""

    def __init__(self, name, uid=ORDINARY_UID, base="/tmp"):
        self.name = name
        self.is_root = name == "root"
        self.folder = tempfile.mkdtemp(prefix="nairid-test-", dir=base)
        self.more = []
        self.wrap = []
        self.uid = os.getuid()
        os.chmod(self.folder, 0o755)
        if name == "user" and os.getuid() == 0:
            self.uid = uid
            os.chown(self.folder, self.uid, self.uid)
            self.wrap = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups",
                         "--"]
        self.programs = self._find_programs()

    def _find_programs(self):
        """Where the programs are for this account: a build beneath /root is closed to others."""
        origin = os.path.dirname(hubkit.program("nairid"))
        probe = subprocess.run([*self.wrap, "test", "-x", os.path.join(origin, "nairid")])
        if probe.returncode == 0:
            return origin
        copy = os.path.join(self.folder, "bin")
        os.mkdir(copy)
        for name in ("nairid", "nairi-hub"):
            shutil.copy(os.path.join(origin, name), copy)
        return copy

    def program(self, name):
        return os.path.join(self.programs, name)

    def mkdir(self, name, mode=0o700):
        path = os.path.join(self.folder, name)
        os.mkdir(path, mode)
        os.chown(path, self.uid, self.uid if self.uid else -1)
        return path

    def write(self, path, text, mode=0o600):
        """Over the old file in one step, as a person's editor or a secret store does it."""
        with open(path + ".new", "w") as file:
            file.write(text)
        os.chmod(path + ".new", mode)
        os.chown(path + ".new", self.uid, self.uid if self.uid else -1)
        os.rename(path + ".new", path)
        return path

    def environ(self, **more):
        """An environment made from nothing: no proxies, no variables of ours from outside."""
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8",
               "HOME": self.folder, "ASAN_OPTIONS": "exitcode=99",
               "UBSAN_OPTIONS": "print_stacktrace=1"}
        env.update(more)
        return env

    def shared(self):
        """A folder that tasks may be shown, too, and that programs can be run from: the sandbox has
        a /tmp of its own, and a machine's /run lets nothing be run."""
        base = "/var/local" if os.getuid() == 0 else os.environ["NAIRID_BUILD"]
        self.more.append(tempfile.mkdtemp(prefix="nairid-test-", dir=base))
        os.chmod(self.more[-1], 0o1777)
        return self.more[-1]

    def done(self):
        for folder in [self.folder, *self.more]:
            shutil.rmtree(folder, ignore_errors=True)


NO_USERS = "a chroot gives an ordinary user no user namespaces"


def in_chroot():
    """Whether even root is refused a user namespace, as the kernel does in a chroot only."""
    return os.getuid() == 0 and subprocess.run(["unshare", "-U", "true"],
                                               stderr=subprocess.DEVNULL).returncode != 0


def accounts():
    """The accounts that programs can run as here."""
    if os.getuid() != 0:
        return ["user"]
    marks = [pytest.mark.skip(reason=NO_USERS)] if in_chroot() else []
    return ["root", pytest.param("user", marks=marks)]


def merge(base, over):
    """Settings, section by section."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


class Program:
    """A program that runs in the background, its output in files."""

    def __init__(self, account, argv, folder, name, env=None, wrap=()):
        self.account = account
        self.stdout_path = os.path.join(folder, f"{name}.stdout")
        self.stderr_path = os.path.join(folder, f"{name}.stderr")
        with open(self.stdout_path, "ab") as out, open(self.stderr_path, "ab") as err:
            self.began = err.tell()
            self.proc = subprocess.Popen([*account.wrap, *wrap, *argv], stdin=subprocess.DEVNULL,
                                         stdout=out, stderr=err, cwd=account.folder,
                                         env=env or account.environ())
        self.pid = self.proc.pid

    @property
    def stdout(self):
        with open(self.stdout_path, errors="replace") as file:
            return file.read()

    @property
    def log(self):
        """Standard error since this start."""
        with open(self.stderr_path, "rb") as file:
            file.seek(self.began)
            return file.read().decode(errors="replace")

    def send(self, signo):
        self.proc.send_signal(signo)

    def is_running(self):
        return self.proc.poll() is None

    def wait(self, timeout_s=30):
        """Its exit code; negative for a signal. No sanitizer may have complained."""
        try:
            code = self.proc.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.proc.args} did not end within {timeout_s} s:\n{self.log}")
        self.check_reports()
        return code

    def check_reports(self):
        with open(self.stderr_path, errors="replace") as file:
            text = file.read()
        for report in REPORTS:
            assert report not in text, text

    def end(self, signo=signal.SIGTERM, timeout_s=30):
        if self.is_running():
            self.send(signo)
        return self.wait(timeout_s)

    def kill(self):
        if self.is_running():
            self.proc.kill()
        self.proc.wait(10)


class Daemon:
    """`nairid run` with a settings file, a key file and a state directory."""

    BASE = {"max_concurrency": 4, "drain_timeout": "20s",
            "runner": {"name": "command", "argv": ["sh"]},
            "sandbox": {"network": {"mode": "none"}}}

    def __init__(self, account, hub, name="daemon", **settings):
        self.account = account
        self.hub = hub
        self.folder = account.mkdir(name)
        self.state = os.path.join(self.folder, "state")
        self.key_file = account.write(os.path.join(self.folder, "agent.key"),
                                      (hub.agent_key if hub else "nairid_none") + "\n")
        self.config = os.path.join(self.folder, "nairid.yaml")
        base = {"server": {"url": hub.url if hub else "http://127.0.0.1:1"},
                "agent": {"id": hub.slug if hub else "nobody"}, "api_key_file": self.key_file}
        self.settings = merge(merge(self.BASE, base), settings)
        self.configure()
        self.program = None
        self.last_log = ""
        self.state_seen = None  # where we see the state directory, if not at its own path
        self.wrap = []
        self.env = {}

    def configure(self, **settings):
        """Writes the settings file; JSON is YAML."""
        self.settings = merge(self.settings, settings)
        self.account.write(self.config, json.dumps(self.settings, indent=1) + "\n")

    def start(self):
        """Starts it; doesn't wait."""
        self.program = Program(self.account, [self.account.program("nairid"), "run", "-c",
                                              self.config, "--state", self.state],
                               self.folder, "nairid", self.account.environ(**self.env), self.wrap)
        return self

    def boot(self):
        """Starts it, once nothing of an earlier life holds its state, and waits until it has the
        server's word."""
        wait_until(self._is_free, 20, lambda: f"the lock of {self.state}")
        self.start()
        wait_until(self._is_ready, 30, lambda: f"the daemon to connect:\n{self.log}")
        return self

    def _is_free(self):
        try:
            with open(os.path.join(self.state, "nairid.lock"), "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            pass
        except BlockingIOError:
            return False
        return True

    def _is_ready(self):
        assert self.program.is_running(), f"exit {self.program.wait()}:\n{self.log}"
        status = self.status()
        return status and status["connection"]["state"] == "connected"

    @property
    def log(self):
        return self.program.log

    @property
    def pid(self):
        return self.program.pid

    def control(self, **request):
        """One request on the admin socket; None if nobody answers there."""
        try:
            folder = os.open(self.state_seen or self.state, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return None
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                # by the descriptor: the path of a test may be longer than a socket's may be
                client.connect(f"/proc/self/fd/{folder}/control.sock")
                client.sendall(json.dumps(request).encode() + b"\n")
                with client.makefile("rb") as file:
                    line = file.readline()
            return json.loads(line) if line else None
        except (FileNotFoundError, ConnectionError):
            return None
        finally:
            os.close(folder)

    def status(self):
        return self.control(verb="status")

    def tasks(self):
        """Processes of tasks: everything below the spawner."""
        spawner = self.status()["spawner_pid"]
        return descendants(spawner)

    def run(self, *argv, **kwargs):
        """Runs `nairid ARGV` to its end, as the same account."""
        return subprocess.run([*self.account.wrap, self.account.program("nairid"), *argv],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              env=self.account.environ(**self.env), **kwargs)

    def end(self, signo=signal.SIGTERM, timeout_s=40):
        """Stops it; returns the exit code."""
        if self.program is None:
            return None
        try:
            code = self.program.end(signo, timeout_s)
        except AssertionError:
            self.program.kill()
            raise
        finally:
            self.last_log = self.log
            self.program = None
        return code

    def restart(self, signo=signal.SIGTERM):
        self.end(signo)
        return self.boot()

    # what most tests do

    def answer(self, prompt, timeout_s=60):
        """Sends a prompt as a new conversation; returns the terminal message that came back."""
        job, message = self.hub.start(prompt)
        return self.reply(job, message, timeout_s)

    def reply(self, job, message, timeout_s=60):
        """Waits for the end of a message; returns what ended it."""
        self.hub.wait_status(message, timeout_s=timeout_s)
        terminal = replies(self.hub.messages(job), message)
        assert len(terminal) == 1, terminal
        return terminal[0]

    def failure(self, prompt, timeout_s=60):
        """The text of the error that a prompt ends in, without the prefix."""
        reply = self.answer(prompt, timeout_s)
        assert reply["role"] == "system", reply
        assert reply["content"].startswith(ERROR), reply
        return reply["content"][len(ERROR):]

    def wait_running(self, message, timeout_s=30):
        """Waits until the message's program runs."""

        def look():
            jobs = self.status()["jobs"]
            return any(job["message"] == message and job["state"] == "running" for job in jobs)

        wait_until(look, timeout_s, f"{message} to run")

    def wait_durable(self, condition, what, timeout_s=30):
        """Waits until a condition of the status holds and is on disk, too."""

        def look():
            status = self.status()
            return status["durable"] and condition(status)

        wait_until(look, timeout_s, what)


class Meeting:
    """A folder that tasks and the test share, so that a task can say where it is and be held."""

    def __init__(self, folder):
        self.folder = folder

    def settings(self):
        return {"sandbox": {"write": [self.folder]}}

    def path(self, name):
        return os.path.join(self.folder, name)

    def hold(self, name, then="echo done"):
        """Shell text: says that it is here, waits for release(name), goes on."""
        return (f"touch '{self.path(name)}.here'\n"
                f"while [ ! -e '{self.path(name)}.go' ]; do sleep 0.02; done\n{then}")

    def wait(self, name):
        wait_for_file(self.path(name) + ".here")

    def is_here(self, name):
        return os.path.exists(self.path(name) + ".here")

    def release(self, name):
        with open(self.path(name) + ".go", "w"):
            pass


def replies(messages, message_id):
    """The assistant and system messages between this user message and the next."""
    ids = [message["id"] for message in messages]
    found = []
    for message in messages[ids.index(message_id) + 1:]:
        if message["role"] == "user":
            break
        if message["role"] in ("assistant", "system"):
            found.append(message)
    return found


def assert_nothing_left(but=(), timeout_s=5):
    """No process of the test is alive any more."""

    def is_clean():
        reap_orphans()
        return not descendants(but=but)

    wait_until(is_clean, timeout_s, lambda: f"these to end: {descendants(but=but)}")


def files_below(folder):
    """Every file and folder below, relative, sorted."""
    found = []
    for parent, folders, files in os.walk(folder):
        found += [os.path.relpath(os.path.join(parent, name), folder) for name in folders + files]
    return sorted(found)


def wait_for_file(path, timeout_s=20):
    wait_until(lambda: os.path.exists(path), timeout_s, f"{path} to appear")
