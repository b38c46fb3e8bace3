"""The figures that say what the daemon costs, as a table. Wants a release build:

    NAIRID_BUILD=build/release /usr/bin/python3 tests/bench/figures.py [--idle-s 60] [--rounds 200]

One machine for everything: hub, daemon, tasks and this client share its processors.
"""

import argparse
import collections
import datetime
import os
import re
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from daemonkit import Account, Daemon  # noqa: E402
from hubkit import Hub, wait_until  # noqa: E402

SLOTS = 8
STAMP = re.compile(r"^(?:time=)?(\d{4}-\d\d-\d\dT[0-9:.]+)(Z|[+-]\d\d:\d\d)")


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.MULTILINE)[1])


def switches(pid):
    """Times that a thread of the process gave up or lost its processor, so at least its wake-ups."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as file:
            total += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", file.read()))
    return total


class Bench:
    def __init__(self, name, **settings):
        self.account = Account("root" if os.getuid() == 0 else "user")
        self.hub = Hub(os.path.join(self.account.folder, "hub")).boot()
        self.daemon = Daemon(self.account, self.hub, name, max_concurrency=SLOTS,
                             max_queued=20000, runner={"argv": ["/bin/true"]}, **settings)
        self.seen = 0
        self.rest = b""

    def __enter__(self):
        self.daemon.boot()
        self.log = open(self.daemon.program.stderr_path, "rb")
        return self

    def __exit__(self, *unused):
        self.log.close()
        self.daemon.program.kill()
        self.hub.end()
        self.account.done()

    def lines(self):
        """New whole lines of the daemon's log."""
        *whole, self.rest = (self.rest + self.log.read()).split(b"\n")
        return [line.decode() for line in whole]


def idle(seconds):
    """PSS and wake-ups with nothing to do, after some messages."""
    with Bench("idle") as bench:
        for _ in range(10):
            job, message = bench.hub.start("x")
            bench.hub.wait_status(message)
        status = bench.daemon.status()
        pids = {"daemon": status["pid"], "spawner": status["spawner_pid"],
                "hub": bench.hub.proc.pid}
        time.sleep(5)  # what the last message set off has come to rest
        before = {name: switches(pid) for name, pid in pids.items()}
        time.sleep(seconds)
        for name, pid in pids.items():
            rate = (switches(pid) - before[name]) * 60 / seconds
            yield f"idle {name}: PSS", f"{pss_kib(pid) / 1024:.1f} MiB"
            yield f"idle {name}: wake-ups a minute", f"{rate:.0f}"


def stamp(line):
    found = STAMP.match(line)
    assert found, f"no time in {line!r}"
    return datetime.datetime.fromisoformat(found[1].ljust(23, "0")[:26] + "+00:00").timestamp()


def latency(rounds):
    """From POST start to the stored reply of /bin/true (which is an error: it prints nothing)."""
    parts = collections.defaultdict(list)
    with Bench("latency") as bench:
        for i in range(rounds + 5):
            bench.lines()
            began, clock = time.time(), time.perf_counter()
            _, message = bench.hub.start("x")
            posted = time.perf_counter() - clock
            while bench.hub.message(message)["status"] not in ("completed", "failed"):
                time.sleep(0.0005)
            total = time.perf_counter() - clock
            events = {}

            def logged():
                for line in bench.lines():
                    for name in ("task_started", "task_ended", "reply_delivered"):
                        if name in line:
                            events[name] = stamp(line) - began
                return len(events) == 3

            wait_until(logged, 5, lambda: f"three log lines, not {events}")
            if i < 5:
                continue  # warming up
            parts["total"].append(total)
            parts["a"].append(posted)
            parts["b"].append(events["task_started"] - posted)
            parts["c"].append(events["task_ended"] - events["task_started"])
            parts["d"].append(events["reply_delivered"] - events["task_ended"])
    ms = {name: [value * 1000 for value in values] for name, values in parts.items()}
    yield f"POST start to stored reply, median of {rounds}", f"{statistics.median(ms['total']):.1f} ms"
    yield "  95 of 100 within", f"{statistics.quantiles(ms['total'], n=20)[-1]:.1f} ms"
    for name, words in (("a", "POST start answered, message durable in the hub"),
                        ("b", "handed over, durable in the journal, program started"),
                        ("c", "program ended, everything of it reaped"),
                        ("d", "reply durable in the journal, sent, durable in the hub")):
        yield f"  of which: {words}", f"{statistics.median(ms[name]):.1f} ms"


def rate(waiting, count):
    """Messages a second while SLOTS run and `waiting` wait; each a job of its own."""
    with Bench("rate") as bench:
        bench.daemon.end()
        for _ in range(SLOTS + waiting):
            bench.hub.start("x")
        bench.log.close()
        bench.daemon.boot()
        bench.log = open(bench.daemon.program.stderr_path, "rb")
        bench.log.seek(bench.daemon.program.began)
        done, began = 0, None
        deadline = time.monotonic() + 300
        while done < count + 50:
            fresh = sum("reply_delivered" in line for line in bench.lines())
            for _ in range(fresh):
                bench.hub.start("x")  # as many wait as before
            done += fresh
            if began is None and done >= 50:  # warmed up
                began, first = time.monotonic(), done
            assert time.monotonic() < deadline, f"only {done} replies"
            time.sleep(0.002)
        took = time.monotonic() - began
    yield f"messages a second, {SLOTS} at a time, {waiting} waiting", f"{(done - first) / took:.0f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--idle-s", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--messages", type=int, default=1000)
    args = parser.parse_args()
    runs = [idle(args.idle_s), latency(args.rounds)]
    runs += [rate(waiting, args.messages) for waiting in (0, 10, 10_000)]
    for run in runs:
        for name, figure in run:
            print(f"{name:<70} {figure:>10}", flush=True)


if __name__ == "__main__":
    main()
