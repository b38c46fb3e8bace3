"""What errno_test.py has the hub do: keys, a conversation from both sides, a long poll, a stop.

Whoever calls it here tries again what was refused with 5xx or not answered, as daemons do, and
starts the hub again if it has ended. What the hub has confirmed must be there in the end, once.
"""

import http.client
import os
import shutil
import signal
import threading
import time

import skillkit
from errnokit import Scenario, fds_of
from hubkit import REPORTS, Hub

TRIES = 4
STEP_S = 90
ARCHIVE = skillkit.archive()
MINE = {"hub.db", "hub.db-wal", "hub.db-shm", "hub.db.lock", "hub.db.key", "hub.db-lock", "lock"}
STOPPED = "nairid encountered error: stopped by the user"


class Refused(Exception):
    """A call was answered with 5xx."""


class Shift(Hub, Scenario):
    """One hub from its first key on, an asking person and an answering daemon."""

    EXITS = {0, 70, 73, 74, 75}
    FAILURES = (OSError, http.client.HTTPException, Refused)

    def __init__(self, account, name):
        # without the keys that a Hub makes at once: that is part of what is tried here
        self.account = account
        self.state = account.mkdir(name)
        self.db = os.path.join(self.state, "hub.db")
        self.slug = "test-agent"
        self.listen, self.wrap, self.extra = "127.0.0.1:0", [], []
        self.proc = self.url = self.env = None
        self.stderr = b""
        self.texts = []    # of programs that have ended
        self.codes = []
        self.refused = 0
        self.answers = {}  # message -> the text of its answer
        self.jobs = {}     # message -> its conversation
        self.configured = False

    @property
    def log(self):
        return "".join(self.texts) + self.stderr.decode(errors="replace")

    def done(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait(10)
        shutil.rmtree(self.state, ignore_errors=True)

    # the program

    def key(self, *args):
        """A key, or None where the program has failed."""
        done = self.command("key", "create", *args)
        self.texts.append(done.stderr)
        self.codes.append(done.returncode)
        assert not any(report in done.stderr for report in REPORTS), done.stderr
        return done.stdout.strip() if done.returncode == 0 else None

    def up(self):
        """Has the hub run, whatever it takes."""
        if self.proc and self.proc.poll() is None:
            return
        self.collect()
        for _ in range(TRIES):
            try:
                self.boot()
                return
            except AssertionError:  # it has ended before it was ready
                self.collect()
        raise AssertionError(f"the hub doesn't start any more\n{self.log}")

    def collect(self):
        """What is known of a hub that has ended."""
        if not self.proc:
            return
        self.codes.append(self.proc.wait(STEP_S))
        self._reader.join(STEP_S)
        self.proc.stdout.close()
        self.proc.stderr.close()
        self.proc = None
        self.texts.append(self.stderr.decode(errors="replace"))
        self.stderr = b""
        for report in REPORTS:
            assert report not in self.log, self.log

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.collect()

    def until(self, call, *args, **kwargs):
        """The result of a call that may have to be made more than once."""
        for i in range(TRIES):
            self.up()
            try:
                answer = call(*args, timeout=STEP_S, **kwargs)
                if answer.status < 500:
                    return answer
                self.refused += 1
            except self.FAILURES:
                pass
            time.sleep(0.02 * 4 ** i)  # nap: between tries; it may be about to end
        raise AssertionError(f"{args} fails again and again\n{self.log}")

    # the calls

    def ask(self, prompt, job=None):
        """A message to a new conversation, or a further one; its id."""
        path = f"/conversations/{job}/continue" if job else "/conversations/start"
        answer = self.until(self.api, "POST", path, {"agent_id": self.slug, "prompt": prompt}
                            if not job else {"prompt": prompt})
        assert answer.status == 201, answer
        message = answer.json["message_id"]
        self.jobs[message] = job or answer.json["job_id"]
        return message

    def listed(self, **kwargs):
        answer = self.until(self.agents, "GET", "/jobs", instance="ccaid_1", **kwargs)
        assert answer.status == 200, answer
        return {message["id"]: job for job in answer.json["jobs"] for message in job["messages"]}

    def submit(self, message, kind, text, number):
        """As a daemon does it: once more under the same id until it is taken."""
        answer = self.until(self.agents, "POST", "/messages",
                            {"id": f"{number}_{message}", "type": kind,
                             "payload": {"processed_message_id": message, "message": text,
                                         "job_id": self.jobs.get(message)}}, instance="ccaid_1")
        assert answer.status == 200, answer

    def answer(self, message, text):
        kind = "system_message_v1" if text == STOPPED else "assistant_message_v1"
        self.submit(message, kind, text, "msg_a")
        self.answers[message] = text
        answer = self.until(self.agents, "POST", f"/messages/{message}/ack", instance="ccaid_1")
        assert answer.status == 200, answer

    def configure(self):
        """An env var and a skill for the agent; each is there once, whatever it took."""
        path = f"/agents/{self.slug}/env-vars"
        answer = self.until(self.api, "POST", path, {"key": "A", "value": "secret"})
        assert answer.status == 201 or "already" in answer.json["error"], answer
        answer = self.until(self.api, "POST", "/artifacts/skills", **skillkit.form(ARCHIVE))
        assert answer.status == 201 or "already" in answer.json["error"], answer
        self.configured = True

    def check_configuration(self):
        answer = self.agents("GET", "/env")
        assert answer.json == {"env_vars": [{"key": "A", "value": "secret"}]}, answer
        [skill] = self.api("GET", "/artifacts/skills").json
        assert (skill["name"], skill["size"]) == ("pdf-tools", len(ARCHIVE)), skill

    def wait_in_poll(self, message_of):
        """A long poll that is under way when the message comes, which is returned."""
        seen, began = {}, threading.Event()

        def poll():
            began.set()
            for _ in range(TRIES):
                try:
                    answer = self.agents("GET", "/jobs", instance="ccaid_1", wait_s=5)
                    if answer.status == 200:
                        seen.update((m["id"], j) for j in answer.json["jobs"]
                                    for m in j["messages"])
                        return
                except self.FAILURES:
                    pass
                time.sleep(0.05)  # nap: between tries

        thread = threading.Thread(target=poll)
        thread.start()
        began.wait()
        message = message_of()
        thread.join(STEP_S)
        if message not in seen:  # its poll was cut: a daemon begins anew with a plain one
            seen.update(self.listed())
        assert message in seen, f"{message} isn't listed\n{self.log}"
        return message

    # the whole

    def play(self, env, usual=None):
        self.env = {"PATH": "/usr/bin:/bin", "HOME": self.state, **env}
        self.org_key = self.key("--org", "test") or self.key("--org", "test")
        self.agent_key = self.key("--agent", self.slug) or self.key("--agent", self.slug)
        assert self.org_key and self.agent_key, self.log
        self.up()
        first = self.proc.pid
        message = self.ask("one")
        assert message in self.listed()
        self.submit(message, "processing_message_v1", "", "msg_p")
        self.answer(message, "first")
        job = self.jobs[message]
        message = self.wait_in_poll(lambda: self.ask("two", job))
        self.submit(message, "agent_progress_v1", "working", "msg_q")
        self.answer(message, "second")
        message = self.ask("three")
        assert message in self.listed()
        answer = self.until(self.api, "POST", f"/conversations/{self.jobs[message]}/stop")
        assert answer.status == 202, answer
        assert self.listed()[message].get("cancel_requested"), self.log
        self.answer(message, STOPPED)
        self.configure()
        self.until(self.api, "GET", f"/messages/{message}")
        self.until(self.api, "GET", f"/conversations/{job}/messages")
        self.up()
        went_on = self.proc.pid == first
        if went_on:
            self.more_fds = self.leaked(usual)
        self.stop()
        return went_on

    def is_running(self):
        return self.proc.poll() is None

    def count_fds(self):
        return fds_of(self.proc.pid)

    def is_done(self):
        return not self.refused

    def mend(self):
        """Without the fault: what was confirmed is there."""
        self.env = None
        self.up()
        for message, text in self.answers.items():
            found = self.message(message)
            assert found["status"] == ("failed" if text == STOPPED else "completed"), found
        for job in set(self.jobs.values()):
            rows = [(row["role"], row["content"]) for row in self.messages(job)
                    if row["role"] in ("assistant", "system")]
            wanted = [("system" if text == STOPPED else "assistant", text)
                      for message, text in self.answers.items() if self.jobs[message] == job]
            assert rows == wanted, (rows, wanted)
        if self.configured:
            self.check_configuration()
        left = [message for message in self.listed() if message in self.jobs]
        assert not left, f"{left} are listed though they were acknowledged"
        self.stop()
        assert self.codes[-1] == 0, f"exit {self.codes} of the hub that mends\n{self.log}"
        return True

    def check(self):
        left = {name for name in os.listdir(self.state) if not name.startswith("hub.db")}
        assert not left, f"left beside the database: {left}"
        return []


class Keys(Scenario):
    """Keys are made, listed and revoked, while no hub runs."""

    EXITS = {0, 70, 73, 74, 75}
    refused = 0

    def __init__(self, account, name):
        self.hub = Shift(account, name)
        self.codes = self.hub.codes
        self.made = []

    @property
    def log(self):
        return self.hub.log

    def done(self):
        self.hub.done()

    def command(self, *args):
        """Standard output of a program that went well; else None."""
        done = self.hub.command(*args)
        self.hub.texts.append(done.stderr)
        self.codes.append(done.returncode)
        assert not any(report in done.stderr for report in REPORTS), done.stderr
        return done.stdout if done.returncode == 0 else None

    def insist(self, *args):
        """Once more where it has failed."""
        said = self.command(*args)
        return said if said is not None else self.command(*args)

    def listed(self):
        """{name: (id, whether it is valid)} of the keys."""
        return {line.split()[2]: (line.split()[0], "revoked" not in line)
                for line in self.insist("key", "list").splitlines()}

    def play(self, env, usual=None):
        self.hub.env = {"PATH": "/usr/bin:/bin", "HOME": self.hub.state, **env}
        assert self.insist("key", "create", "--org", "first").startswith("nr_"), self.log
        assert self.insist("key", "create", "--agent", "second").startswith("nairid_"), self.log
        found = self.listed()
        revoked = self.command("key", "revoke", found["first"][0])
        if revoked is None:
            self.command("key", "revoke", found["first"][0])  # 64 if it is done already
        return not any(self.codes)

    def is_done(self):
        return True

    def mend(self):
        self.hub.env = None
        found = self.listed()
        assert not found["first"][1] and found["second"][1], found
        return True

    def check(self):
        return self.hub.check()
