"""SIGKILL of daemon, spawner and hub at random moments while messages pass.

    kill_test.py [--messages N] [--seed S]

Passes if every message got exactly one assistant reply with its own nonce, no reply came twice, no
error was sent, each death took the other half and all tasks along in time, and nothing is left: no
process, no mount, no file but the journal and the jobs' own. At least a tenth as many kills as
messages must hit while tasks run. The counts are in the last line of the output.
"""

import argparse
import collections
import os
import random
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from daemonkit import Account, Daemon, assert_nothing_left, files_below  # noqa: E402
from hubkit import Hub, wait_until  # noqa: E402
from processes import Process, descendants, reap_orphans  # noqa: E402

PER_JOB = 4  # messages of a conversation
STALL_S = 120  # without a new reply: something is stuck
TICK_S = 0.02
OUTLIVE_S = 30  # a kill, by what should go with it: 2 s on a machine that isn't busy
MINE = {"journal.db", "journal.db-wal", "journal.db-shm", "nairid.lock", "reserve"}
# .known.new: a daemon was killed while it wrote it; the job's next reply writes it anew
OF_A_JOB = {"workspace", "home", "home/outbox", ".used", ".known", ".known.new"}


class Message:
    def __init__(self, number, dice):
        self.nonce = f"nonce-{number}-{dice.getrandbits(64):016x}"
        stray = "(setsid sleep 600 >/dev/null 2>&1 &)\n" if dice.random() < 0.2 else ""
        self.prompt = f"{stray}sleep {dice.uniform(0.05, 0.6):.2f}\necho {self.nonce}"
        self.id = None
        self.job = None


class Run:
    def __init__(self, messages, seed):
        self.dice = random.Random(seed)
        self.messages = [Message(i, self.dice) for i in range(messages)]
        self.wanted = max(messages // 10, 1)
        self.account = Account("root" if os.getuid() == 0 else "user")
        self.hub = Hub(os.path.join(self.account.folder, "hub")).boot()
        self.daemon = Daemon(self.account, self.hub, max_concurrency=8, max_queued=messages + 100,
                             task={"max_attempts": 1000})
        self.kills = collections.Counter()
        self.hits = collections.Counter()
        self.exits = collections.Counter()
        self.slowest_s = 0.0
        self.not_before = 0.0

    # the supervisor

    def start_daemon(self):
        self.is_ready = False
        self.daemon.start()

    def keep_up(self):
        """Starts again what has died."""
        if self.hub.proc.poll() is not None:
            self.hub.end()
            self.hub.boot()
        if not self.daemon.program.is_running():
            code = self.daemon.program.wait()
            self.exits[code] += 1
            assert code in (-signal.SIGKILL, 75), f"exit {code}:\n{self.daemon.log}"
            self.start_daemon()
        reap_orphans(known=[self.hub.proc.pid, self.daemon.pid])

    # the killer

    def spawner(self):
        """None before the daemon is ready: until then the spawner that it has may be the one that
        only tries the walls of a sandbox, and its end is nobody else's."""
        self.is_ready = self.is_ready or " ready " in self.daemon.log
        if not self.is_ready:
            return None
        children = [process for process in descendants(self.daemon.pid)
                    if process.parent == self.daemon.pid and process.name == "nairid-spawner"]
        return children[0].pid if children else None

    def tasks(self):
        spawner = self.spawner()
        return [process for process in descendants(spawner) if process.name == "sh"] \
            if spawner else []

    def kill(self):
        spawner = self.spawner()
        targets = ["daemon", "spawner", "hub"]  # whichever, but none is left out for long
        self.dice.shuffle(targets)
        target = min(targets, key=lambda name: self.kills[name] // 3)
        pid = {"daemon": self.daemon.pid, "spawner": spawner, "hub": self.hub.proc.pid}[target]
        busy = bool(self.tasks())
        if not pid:
            return
        doomed = [process.pid for process in descendants(self.daemon.pid)] + [self.daemon.pid]
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.kills[target] += 1
        self.hits[target] += busy
        if target != "hub":
            self.await_end(doomed)

    def await_end(self, doomed):
        """Half a daemon takes the other half and every task along."""
        began = time.monotonic()

        def alive():
            found = []
            for pid in doomed:
                try:
                    process = Process(pid)
                except OSError:
                    continue
                if process.state not in "ZX":
                    found.append(process)
            return found

        while alive():
            self.daemon.program.proc.poll()
            took = time.monotonic() - began
            assert took < OUTLIVE_S, f"these outlived a kill by {took:.0f} s: {alive()}"
            time.sleep(0.005)  # poll
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def maybe_kill(self, answered):
        """At a random moment, and more often while fewer tasks were hit than should have been."""
        now = time.monotonic()
        if now < self.not_before:
            return
        behind = sum(self.hits.values()) <= 1.1 * self.wanted * answered / len(self.messages)
        if behind and self.dice.random() < 0.8 and not self.tasks():
            return  # wait for a moment when it hurts; but now and then also in between
        self.kill()
        self.not_before = now + self.dice.uniform(0.0, 0.8 if behind else 3.0)

    # the messages

    def send(self, messages):
        job = None
        for i, message in enumerate(messages):
            if i % PER_JOB == 0:
                job, message.id = self.hub.start(message.prompt)
            else:
                message.id = self.hub.resume(job, message.prompt)
            message.job = job

    def send_more(self, outstanding):
        """One more conversation, as chance let too few kills hit so far. Returns its messages."""
        more = [Message(len(self.messages) + i, self.dice) for i in range(PER_JOB)]
        try:
            self.send(more)
        except OSError:
            pass  # the hub has just been killed: what it has not confirmed is nobody's message
        sent = [message for message in more if message.id]
        self.messages += sent
        outstanding.extend(sent)
        return len(sent)

    def look(self, outstanding):
        """Drops what has an end from the front of the list; a bounded number of requests."""
        for _ in range(min(len(outstanding), 20)):
            try:
                status = self.hub.message(outstanding[0].id)["status"]
            except OSError:
                return  # the hub has just been killed
            if status in ("completed", "failed"):
                outstanding.popleft()
            else:
                outstanding.rotate(-1)

    def pass_messages(self):
        outstanding = collections.deque(self.messages)
        count, moved = len(outstanding), time.monotonic()
        while outstanding:
            self.keep_up()
            self.look(outstanding)
            if len(outstanding) != count:
                count, moved = len(outstanding), time.monotonic()
            assert time.monotonic() - moved < STALL_S, \
                f"nothing moves; {count} messages wait\n{self.daemon.log[-4000:]}"
            if count <= PER_JOB and sum(self.hits.values()) < self.wanted:
                count += self.send_more(outstanding)
            if outstanding:
                self.maybe_kill(len(self.messages) - count)
            time.sleep(TICK_S)  # poll

    # the judgement

    def check_replies(self):
        """Each conversation holds its nonces in order, and nothing else came back."""
        jobs = {}
        for message in self.messages:
            jobs.setdefault(message.job, []).append(message)
            assert self.hub.message(message.id)["status"] == "completed", message.nonce
        for job, messages in jobs.items():
            rows = [(row["role"], row["content"]) for row in self.hub.messages(job)
                    if row["role"] in ("assistant", "system")]
            assert rows == [("assistant", message.nonce) for message in messages], (job, rows)
        return sum(len(messages) for messages in jobs.values())

    def check_leavings(self):
        left = set(os.listdir(self.daemon.state)) - MINE - {"artifacts", "jobs"}
        assert not left, left
        jobs = {message.job for message in self.messages}
        for name in files_below(os.path.join(self.daemon.state, "jobs")):
            parts = name.split("/")
            assert parts[0] in jobs, name
            assert len(parts) < 2 or name.partition("/")[2] in OF_A_JOB, f"a task left {name}"

    def report(self, assistant, seed, took_s):
        kills, hits = sum(self.kills.values()), sum(self.hits.values())
        each = ", ".join(f"{name} {self.kills[name]}" for name in ("daemon", "spawner", "hub"))
        print(f"report: kill test: {len(self.messages)} messages, {assistant} assistant replies "
              f"with their own nonce, 0 twice; {kills} kills ({each}), {hits} while tasks ran; "
              f"all ended within {self.slowest_s * 1000:.0f} ms of a kill; nothing left; "
              f"{took_s:.0f} s, seed {seed}")
        assert hits >= self.wanted, f"only {hits} kills hit while tasks ran"
        assert all(self.kills[name] for name in ("daemon", "spawner", "hub")), self.kills

    def done(self):
        self.daemon.program.kill()
        if self.hub.proc and self.hub.proc.poll() is None:
            self.hub.proc.kill()
            self.hub.proc.wait()
        self.account.done()


def mounts_below(folder):
    with open("/proc/self/mountinfo") as file:
        return [line for line in file if folder in line]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    began = time.monotonic()

    run = Run(args.messages, args.seed)
    try:
        run.start_daemon()
        run.send(run.messages)
        run.pass_messages()
        run.keep_up()
        wait_until(lambda: run.daemon.status() and run.daemon.status()["queue"]["outbox"] == 0, 30,
                   "the last acknowledgements")
        assert run.daemon.program.end() == 0, run.daemon.log
        assistant = run.check_replies()
        run.check_leavings()
        assert run.hub.end() == 0
        assert_nothing_left()
        assert not mounts_below(run.account.folder)
    finally:
        run.done()
    run.report(assistant, args.seed, time.monotonic() - began)


if __name__ == "__main__":
    main()
