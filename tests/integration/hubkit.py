"""A real hub for tests: its own database and keys, a port chosen by the kernel, ended by its pid.

    def test_something(hub):
        job, message = hub.start("hello")
        status, body = hub.api("GET", f"/messages/{message}")

The programs come from $NAIRID_BUILD/daemon/.
"""

import http.client
import json
import os
import signal
import subprocess
import threading
import time
import urllib.parse

REPORTS = ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:", "Assertion")


def program(name):
    """The path of a built program."""
    build = os.environ.get("NAIRID_BUILD")
    assert build, "NAIRID_BUILD names no build directory; run the tests with ctest"
    return os.path.join(build, "daemon", name)


def preload(library, **variables):
    """What a program's environment needs for support/LIBRARY.c to go before the C library."""
    return {"LD_PRELOAD": os.path.join(os.environ["NAIRID_BUILD"], "tests", f"lib{library}.so"),
            "ASAN_OPTIONS": "exitcode=99:verify_asan_link_order=0", **variables}


def wait_until(condition, timeout_s=20, what="the condition"):
    """Polls condition() until it gives something true, which is returned."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s for {what() if callable(what) else what}")
        time.sleep(0.01)  # poll


class Answer:
    """Status, headers and body of an HTTP answer; unpacks as (status, json)."""

    def __init__(self, response, raw):
        self.status = response.status
        self.headers = response.headers
        self.raw = raw
        self.elapsed_s = 0.0

    @property
    def json(self):
        return json.loads(self.raw)

    def __iter__(self):
        return iter((self.status, self.json))

    def __repr__(self):
        return f"<{self.status} {self.raw[:300]!r}>"


def on_small_disk(folder, cls, size="8m", **kwargs):
    """A running hub whose database and attachments lie on a disk of that size of their own."""
    disk = folder / "disk"
    disk.mkdir()
    hub = cls(folder / "made", **kwargs)
    hub.wrap = ["unshare", "-m", "bash", "-c",
                f'mount -t tmpfs -o size={size} none "$0" && cp "$1"/* "$0"/ && shift && exec "$@"',
                str(disk), hub.state]
    hub.db = str(disk / "hub.db")
    hub.boot()
    hub.disk = f"/proc/{hub.proc.pid}/root{disk}"  # as others see it
    return hub


class Hub:
    """A hub program with its database, an organisation key, and one agent with its key."""

    def __init__(self, state, slug="test-agent", listen="127.0.0.1:0", wrap=(), extra=(),
                 env=None):
        self.env = env
        self.state = os.fspath(state)
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        self.db = os.path.join(self.state, "hub.db")
        self.slug = slug
        self.listen = listen
        self.wrap = list(wrap)
        self.extra = list(extra)  # more options of `serve`
        self.org_key = self.key_create("--org", "test")
        self.agent_key = self.key_create("--agent", slug)
        self.proc = None
        self.url = None
        self.stderr = b""

    # the program

    def command(self, *args, **kwargs):
        """Runs `nairi-hub ARGS --db DB` to its end."""
        return subprocess.run([program("nairi-hub"), *args, "--db", self.db], timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=self.env, **kwargs)

    def key_create(self, *args):
        done = self.command("key", "create", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def boot(self):
        """Starts the program and waits until it can serve."""
        self.proc = subprocess.Popen(
            [*self.wrap, program("nairi-hub"), "serve", "--listen", self.listen, "--db", self.db,
             *self.extra],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
        self._reader = threading.Thread(target=self._read_stderr, args=(self.proc,), daemon=True)
        self._reader.start()
        line = self.proc.stdout.readline().decode()
        if not line.startswith("ready http://"):
            self.proc.wait(20)
            self._reader.join(20)
            raise AssertionError(f"the hub said {line!r}, exit {self.proc.returncode}: "
                                 f"{self.stderr.decode()}")
        self.url = line.split()[1]
        self.host = urllib.parse.urlsplit(self.url)
        self.listen = f"{self.host.hostname}:{self.host.port}"  # the same one after a restart
        return self

    def _read_stderr(self, proc):
        for line in proc.stderr:
            self.stderr += line

    @property
    def log(self):
        return self.stderr.decode(errors="replace")

    def end(self, signo=signal.SIGTERM):
        """Stops the program; returns its exit code. No sanitizer may have complained."""
        if self.proc is None:
            return None
        before = len(self.log)
        if self.proc.poll() is None:
            self.proc.send_signal(signo)
        try:
            wait_until(lambda: self.proc.poll() is not None or "lingering" in self.log[before:],
                       30, "the hub to end")
            if self.proc.poll() is None:  # an answer was not looked at, and nobody will
                self.proc.send_signal(signo)
            code = self.proc.wait(30)
        except (subprocess.TimeoutExpired, AssertionError):
            self.proc.kill()
            self.proc.wait(10)
            raise
        self._reader.join(10)
        self.proc.stdout.close()
        self.proc = None
        for report in REPORTS:
            assert report not in self.log, self.log
        return code

    def restart(self, signo=signal.SIGTERM):
        self.end(signo)
        return self.boot()

    # its API

    def request(self, method, path, body=None, key=None, headers=None, timeout=60):
        """One request on a connection of its own. body: bytes as they are, the rest as JSON."""
        headers = dict(headers or {})
        if key:
            headers.setdefault("Authorization", f"Bearer {key}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.host.hostname, self.host.port,
                                                timeout=timeout)
        began = time.monotonic()
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            answer = Answer(response, response.read())
        finally:
            connection.close()
        answer.elapsed_s = time.monotonic() - began
        return answer

    def api(self, method, path, body=None, **kwargs):
        """A call of the public API with the organisation key: hub.api("GET", "/agents")."""
        kwargs.setdefault("key", self.org_key)
        return self.request(method, "/api/public/v1" + path, body, **kwargs)

    def agents(self, method, path, body=None, instance=None, wait_s=None, fence=None, **kwargs):
        """A call of the agents API with the agent's key: hub.agents("GET", "/jobs", wait_s=5)."""
        headers = dict(kwargs.pop("headers", None) or {})
        if instance:
            headers["X-CCAGENT-ID"] = instance
        if wait_s is not None:
            headers["Prefer"] = f"wait={wait_s}"
        if fence is not None:
            headers["X-Nairi-Fence"] = str(fence)
        kwargs.setdefault("key", self.agent_key)
        kwargs.setdefault("timeout", 60 + (wait_s or 0))
        return self.request(method, "/api/agents" + path, body, headers=headers, **kwargs)

    # what most tests do

    def start(self, prompt, **fields):
        """Starts a conversation; returns (job_id, message_id)."""
        answer = self.api("POST", "/conversations/start",
                          {"agent_id": self.slug, "prompt": prompt, **fields})
        assert answer.status == 201, answer
        return answer.json["job_id"], answer.json["message_id"]

    def resume(self, job_id, prompt, **fields):
        """Continues a conversation; returns the message's id."""
        answer = self.api("POST", f"/conversations/{job_id}/continue", {"prompt": prompt, **fields})
        assert answer.status == 201, answer
        return answer.json["message_id"]

    def message(self, message_id):
        answer = self.api("GET", f"/messages/{message_id}")
        assert answer.status == 200, answer
        return answer.json

    def messages(self, job_id):
        answer = self.api("GET", f"/conversations/{job_id}/messages")
        assert answer.status == 200, answer
        return answer.json["messages"]

    def poll(self, **kwargs):
        """One poll as a daemon makes it; returns the list of jobs."""
        answer = self.agents("GET", "/jobs", **kwargs)
        assert answer.status == 200, answer
        return answer.json["jobs"]

    def wait_status(self, message_id, *statuses, timeout_s=30):
        """Waits until the message has one of the statuses; returns the message."""
        statuses = statuses or ("completed", "failed")

        def look():
            message = self.message(message_id)
            return message if message["status"] in statuses else None

        return wait_until(look, timeout_s, f"{message_id} to become {' or '.join(statuses)}")
