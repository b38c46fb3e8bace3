"""What errno_test.py has the daemon do: everything that a daemon does in its life, in a second.

A scenario is played with one call failing. Whatever that does, the daemon is then started without
the fault, if it has ended or owes an answer, and must make good what it owes.
"""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import time

import skillkit

from daemonkit import ERROR, Daemon, assert_nothing_left, files_below
from errnokit import Scenario, fds_of
from peer import Peer
from wire import answer
from processes import Process, descendants
from webkit import Server as WebServer

STEP_S = 90  # nothing may take longer, on a busy machine either
MINE = {"journal.db", "journal.db-wal", "journal.db-shm", "nairid.lock", "reserve"}
UNSURVEYED = re.compile(r"\n\n\[nairid (could not look|looked|could not send)")  # a whole answer
KEPT = ("workspace", "home", "attachments", ".used", ".known")  # of a job
EXITS = {0, 69, 70, 73, 74, 75}  # not 77 and 78: no key, no setting is wrong

HELD = "[ ! -e held ] || exit 0\ntouch held\nexec sleep 600"


class Ended(Exception):
    """The program has ended, unasked."""


class Server(Peer):
    """A control plane that may be told to take no replies for now."""

    refuses = False

    def carry_out(self, request, talk):
        if self.refuses and request.endpoint == "reply":
            return answer(503, {"error": "later"})
        return super().carry_out(request, talk)


class Life(Scenario):
    """One daemon, its peer, and the messages that it owes answers to."""

    EXITS = EXITS
    SPARE = {"nairid socket:": 16}  # connections that the daemon may keep to its server

    def __init__(self, account, name):
        self.account = account
        self.peer = Server()
        self.daemon = Daemon(account, self.peer, name, drain_timeout="10s")
        self.with_file = None  # the message whose task leaves one
        self.owed = {}  # message -> the text of its answer; None: it is stopped
        self.codes = []  # with which it ended
        self.log = ""
        self.refused = 0

    def done(self):
        if self.daemon.program:
            self.daemon.program.kill()
            self.daemon.program = None
        self.peer.end()
        shutil.rmtree(self.daemon.folder, ignore_errors=True)

    # steps

    def give(self, prompt, text, job=None, mode="execute", file=None):
        with self.peer.lock:
            payload = {"attachments": [self.peer.attach(file)]} if file else None
            message = self.peer.give(prompt, job, payload=payload, fields={"mode": mode})
        self.owed[message] = text
        return message, self.peer.job_of[message]

    def is_running(self):
        return self.daemon.program.is_running()

    def until(self, condition, what):
        deadline = time.monotonic() + STEP_S
        while True:
            with self.peer.lock:
                value = condition()
                if value:
                    return value
                if not self.is_running():
                    raise Ended(what)
                left = deadline - time.monotonic()
                if left < 0:
                    self.daemon.program.send(signal.SIGKILL)
                    raise AssertionError(f"waited {STEP_S} s for {what}\n{self.daemon.log}")
                self.peer.lock.wait(0.02)

    def answered(self, message):
        self.until(lambda: message in self.peer.acked, f"the answer to {message}")

    def logged(self, *words):
        self.until(lambda: any(word in self.daemon.log for word in words), f"{words} in the log")

    def has_made(self, job, name):
        return os.path.exists(os.path.join(self.daemon.state, "jobs", job, "workspace", name))

    def control(self, **request):
        """On the admin socket; a fault may cost the answer, not the next one."""
        try:
            return self.daemon.control(**request) or self.daemon.control(**request)
        except OSError:
            return self.daemon.control(**request)

    def is_idle(self):
        """All is as it is between tasks."""
        return len(descendants(self.daemon.pid)) <= 1

    def stop(self, signo=signal.SIGTERM):
        self.daemon.program.send(signo)
        self.wait()

    def wait(self):
        self.codes.append(self.daemon.program.wait(STEP_S))
        self.log += self.daemon.log
        self.daemon.program = None

    # the whole

    def play(self, env, usual=None):
        """With the fault. What the daemon says is in self.log, its exit code in self.codes."""
        self.prepare()
        self.daemon.env = {**env, "NAIRI_CONFIG_DIR": self.daemon.folder}
        self.daemon.start()
        try:
            self.live()
            self.until(self.is_idle, "the tasks to be reaped")
        except Ended:
            self.wait()
            return False
        self.more_fds = self.leaked(usual)
        try:
            self.stop_midway()
        except Ended:
            self.wait()
        return True

    def mend(self):
        """Without the fault: what is owed is answered."""
        self.daemon.env = {}
        if not self.outstanding():
            return False
        assert_nothing_left(self.kept(), STEP_S)  # until then the spawner holds the lock
        self.daemon.start()
        try:
            for message in self.outstanding():
                if self.owed[message] is None:
                    self.cancel(message)
                self.answered(message)
        except Ended:
            self.wait()
            raise AssertionError(f"exit {self.codes}, the last without a fault\n{self.log}")
        self.stop()
        assert self.codes[-1] == 0, f"exit {self.codes} of the daemon that mends\n{self.log}"
        return True

    def cancel(self, message):
        with self.peer.lock:
            if message not in self.peer.acked:
                self.peer.change(message, {"cancel_requested": True})

    def is_done(self):
        return not self.outstanding()

    def outstanding(self):
        return [message for message in self.owed if message not in self.peer.acked]

    def count_fds(self):
        """Of the daemon and its spawner."""
        found = {}
        for process in descendants(self.daemon.pid) + [Process(self.daemon.pid)]:
            if process.name in ("nairid", "nairid-spawner"):
                for kind, n in fds_of(process.pid).items():
                    kind = f"{process.name} {kind}"
                    found[kind] = found.get(kind, 0) + n
        return found

    # judgement

    def left(self):
        return set(os.listdir(self.daemon.state)) - MINE - {"artifacts", "jobs"}

    def check_file(self, message, payload):
        """It came with the answer, or the answer says that it didn't."""
        files = [self.peer.uploads[i] for i in payload.get("attachment_ids", [])]
        if message == self.with_file and "[nairid could not send" not in payload["message"]:
            assert files == [("name", b"file\n")], (files, payload)
        else:
            assert not files, (files, payload)

    def check(self):
        """The invariants; returns the texts of the errors that messages ended in."""
        errors = []
        for message, text in self.owed.items():
            replies = self.peer.replies.get(message, [])
            assert len(replies) == 1, f"{len(replies)} replies to {message}: {replies}"
            said, kind = replies[0]["payload"]["message"], replies[0]["type"]
            if text is None:
                # unless it began twice: then it ends by itself, and has nothing to say
                assert said.startswith(ERROR), said
            elif kind == "system_message_v1":
                assert said.startswith(ERROR), said
                errors.append(said)
            else:
                assert UNSURVEYED.split(said)[0] == text, (said, text)
                self.check_file(message, replies[0]["payload"])
            assert message in self.peer.acked, f"no ack of {message}"
        if self.left():  # where the removal failed, or it had no time for it
            self.daemon.start()
            self.logged("notice ready")
            self.stop()
        assert not self.left(), f"left in the state directory: {self.left()}"
        jobs = os.path.join(self.daemon.state, "jobs")

        def is_swept():
            return not any(name.startswith(".gone.") for name in os.listdir(jobs))

        if os.path.exists(jobs) and not is_swept():  # the next sweep has it, soon after a start
            self.daemon.env = {}
            self.daemon.start()
            self.until(is_swept, "the sweep")
            self.stop()
        half = (".known.new",) if any(self.codes) else ()  # the next survey writes over it
        for name in files_below(jobs):
            parts = name.split("/")
            assert len(parts) < 2 or parts[1] in KEPT + half or \
                (parts[1].startswith(".out.") and "sent_files_stay" in self.log), f"left: {name}"
        return errors


class Day(Life):
    """From an empty state directory: messages, reload, cancel, drain."""

    def prepare(self):
        self.account.write(os.path.join(self.daemon.folder, ".env"), "GREETING=good morning\n")
        self.first, self.job = self.give("echo one", "one")

    def live(self):
        self.answered(self.first)
        self.control(verb="status")
        message, _ = self.give("echo two; echo words >&2; echo file > $NAIRID_OUTBOX/name", "two",
                               self.job)
        self.with_file = message
        self.answered(message)
        self.daemon.program.send(signal.SIGHUP)
        self.until(lambda: "reload" in self.daemon.log or self.has_failed(), "the reload")
        message, _ = self.give("cat /attachments/*/*; exit", "three", mode="ask", file=b"three\n")
        self.answered(message)
        message, job = self.give(HELD, None)
        self.until(lambda: self.has_made(job, "held") or message in self.peer.acked,
                   "the held task to start")
        self.control(verb="cancel", job=job)
        self.cancel(message)  # should the word on the socket be lost
        self.answered(message)

    def stop_midway(self):
        message, job = self.give("touch here; sleep 0.1; echo last", "last")
        self.until(lambda: self.has_made(job, "here") or message in self.peer.acked,
                   "the last task to start")
        self.stop()


class Morning(Life):
    """From what a daemon left that was killed: a reply to send, a message to run again, and one
    that waits behind it."""

    yesterday = None  # what each of them begins with

    @classmethod
    def make(cls, account, name):
        """Has a daemon killed, and keeps what it left."""
        life = cls(account, name)
        life.daemon.start()
        message, _ = life.give("echo one", "one")
        life.answered(message)
        life.peer.refuses = True
        message, _ = life.give("echo two", "two")
        life.logged("reply_failed", "post_failed")
        message, job = life.give("[ ! -e held ] || { echo three; exit; }\n" + HELD, "three")
        life.until(lambda: life.has_made(job, "held"), "the held task to start")
        message, _ = life.give("echo four", "four", job)
        life.until(lambda: message not in life.peer.fresh, "the last message to be taken")
        life.control(verb="status")  # behind the commit of that message
        life.daemon.program.kill()
        life.peer.end()
        cls.yesterday = life

    def prepare(self):
        then = self.yesterday
        subprocess.run(["cp", "-a", then.daemon.state, self.daemon.state], check=True)
        with self.peer.lock:
            self.peer.jobs = copy.deepcopy(then.peer.jobs)
            self.peer.job_of = dict(then.peer.job_of)
            self.peer.replies = copy.deepcopy(then.peer.replies)
            self.peer.envelopes = set(then.peer.envelopes)
            self.peer.acked = dict(then.peer.acked)
            self.peer.counter = then.peer.counter
        self.owed = dict(then.owed)

    def live(self):
        for message in self.outstanding():
            self.answered(message)

    def stop_midway(self):
        self.stop(signal.SIGQUIT)


class Furnished(Life):
    """With variables, a rule, an MCP config and a skill of the control plane's."""

    PROGRAM = """#!/bin/sh
cat >/dev/null
echo '{"type":"system","subtype":"init","session_id":"s","model":"m"}'
echo '{"type":"result","subtype":"success","is_error":false,"session_id":"s","result":"done"}'
"""
    SERVERS = b'{"mcpServers":{"a":{"command":"true","env":{"KEY":"a-secret-of-a-tool"}}}}'
    SERVER_COUNT = 1

    def prepare(self):
        self.peer.provide("env", {"env_vars": [{"key": "GIVEN", "value": "by the server"}]})
        self.furnish(rules=1)
        folder = self.account.shared()
        program = self.account.write(os.path.join(folder, "claude"), self.PROGRAM, 0o755)
        self.daemon.configure(runner={"name": "claude", "argv": [], "program": program},
                              sandbox={"network": {"mode": "host"}, "read": [folder]})
        self.first, self.job = self.give("hello", "done")

    def furnish(self, rules):
        files = [("rule", f"rule-{i}.md", b"be kind") for i in range(rules)]
        files += [("mcp_config", "tools.json", self.SERVERS),
                  ("skill", "pdf-tools-a1B2c3.zip", skillkit.archive())]
        self.peer.provide("artifacts", [
            {"title": name, "description": "", "type": kind, "files": [
                {"location": name, "attachmentId": self.peer.provide_file(name.split(".")[0], data)}
            ]} for kind, name, data in files])

    def figures(self):
        status = self.control(verb="status")
        found = status["provisioning"] if status else {"state": "unknown"}
        return found["state"], found.get("rules"), found.get("skills"), found.get("mcp_servers")

    def has_all(self, rules):
        return self.figures() == ("ready", rules, 1, self.SERVER_COUNT)

    def is_without(self):
        """Whoever unpacks may die for want of memory, which looks like an archive that wants it."""
        return self.has_failed() and "it takes more than it may to unpack" in self.daemon.log

    def live(self):
        self.answered(self.first)
        self.until(lambda: self.has_all(rules=1) or self.is_without(), "what is provided")
        self.furnish(rules=2)
        self.daemon.program.send(signal.SIGHUP)
        self.until(lambda: self.has_all(rules=2) or self.has_failed(), "what is new")
        message, _ = self.give("hello again", "done", self.job)
        self.answered(message)

    def stop_midway(self):
        self.stop()

    def check(self):
        """And whatever came, the next start has all of it, and nothing that is unused."""
        errors = super().check()
        self.furnish(rules=2)
        self.daemon.env = {}
        self.daemon.start()
        self.until(lambda: self.has_all(rules=2), "all that is provided")
        self.stop()
        shelf = os.path.join(self.daemon.state, "artifacts")
        assert len([name for name in os.listdir(shelf) if name.startswith("set-")]) == 1, \
            os.listdir(shelf)
        return errors


class Switched(Furnished):
    """With the MCP servers of a gateway in their place."""

    SERVER_COUNT = 2

    @classmethod
    def make(cls, account, name):
        cls.gateway = WebServer()
        cls.gateway.answers["/servers"] = (200, json.dumps(
            [{"name": "a", "url": "/a/mcp"}, {"name": "b", "url": "/b?all=1"}]).encode())

    @classmethod
    def unmake(cls):
        cls.gateway.end()

    def prepare(self):
        super().prepare()
        self.daemon.configure(runner={"mcp_gateway": self.gateway.url})
