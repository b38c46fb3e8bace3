"""What a turn of Claude Code costs more through nairid than by hand: time and memory, side by side.

    NAIRID_BUILD=build/release /usr/bin/python3 tests/bench/claude_overhead.py [--rounds 20]

Both run the same program with the same arguments, settings and prompt, each time in a fresh home,
in turn, against the same model of ours on loopback. By hand: from fork to reaped. Through nairid:
from the request to the hub until the reply is there for who asked. Wants a release build.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import claudekit  # noqa: E402
from daemonkit import Account, Daemon  # noqa: E402
from hubkit import Hub, wait_until  # noqa: E402

ARGUMENTS = ["--verbose", "--output-format=stream-json", "--dangerously-skip-permissions", "-p"]
SWITCHES = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_MAX_RETRIES": "0"}
PROMPT = "hello"


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.MULTILINE)[1])


def cpu_ms(pid):
    """Processor time that the process itself has used, in milliseconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


class ByHand:
    def __init__(self, account, program, url):
        self.account, self.program = account, program
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "IS_SANDBOX": "1",
                    "TMPDIR": "/tmp", "TERM": "dumb", "ANTHROPIC_BASE_URL": url,
                    "ANTHROPIC_API_KEY": claudekit.SECRET, **SWITCHES}

    def turn(self):
        """Milliseconds, those of a processor, and the peak of resident memory in MiB."""
        folder = tempfile.mkdtemp(dir=self.account.folder)
        os.chown(folder, self.account.uid, -1)
        with open(os.path.join(folder, "out"), "wb") as out:
            began = time.monotonic()
            proc = subprocess.Popen([*self.account.wrap, self.program, *ARGUMENTS], cwd=folder,
                                    env={**self.env, "HOME": folder}, stdin=subprocess.PIPE,
                                    stdout=out)
            proc.stdin.write(PROMPT.encode())
            proc.stdin.close()
            _, status, usage = os.wait4(proc.pid, 0)
            spent_ms = (time.monotonic() - began) * 1000
            proc.returncode = status
        assert status == 0, status
        shutil.rmtree(folder)
        return spent_ms, (usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss / 1024


class ThroughNairid:
    def __init__(self, account, program, url):
        self.hub = Hub(os.path.join(account.folder, "hub")).boot()
        self.daemon = Daemon(account, self.hub)
        key = account.write(os.path.join(self.daemon.folder, "anthropic.key"),
                            claudekit.SECRET + "\n")
        self.daemon.configure(
            runner={"name": "claude", "argv": [], "program": program, "permissions": "bypass",
                    "secrets": {"ANTHROPIC_API_KEY": {"file": key}},
                    "env": {"ANTHROPIC_BASE_URL": url, "CLAUDE_CODE_MAX_RETRIES": "0"}},
            sandbox={"network": {"mode": "none"}})
        self.daemon.boot()

    def turn(self):
        """Milliseconds, the task's own, those of a processor, and the peak of memory in MiB."""
        before = self.daemon.log.count("task_ended")
        began = time.monotonic()
        _, message = self.hub.start(PROMPT)
        assert self.hub.wait_status(message)["status"] == "completed"
        spent_ms = (time.monotonic() - began) * 1000
        wait_until(lambda: self.daemon.log.count("task_ended") > before)
        line = [line for line in self.daemon.log.splitlines() if "task_ended" in line][-1]
        wall, cpu, peak = (int(re.search(rf"{name}=(\d+)", line)[1])
                           for name in ("wall_ms", "cpu_ms", "peak_rss"))
        return spent_ms, wall, cpu, peak / (1 << 20)

    def own_cpu_ms(self):
        return cpu_ms(self.daemon.pid) + cpu_ms(self.daemon.status()["spawner_pid"])

    def own_kib(self):
        return pss_kib(self.daemon.pid) + pss_kib(self.daemon.status()["spawner_pid"])

    def end(self):
        self.daemon.end()
        self.hub.end()


def show(name, values, unit):
    ordered = sorted(values)
    print(f"{name:<42} {statistics.median(ordered):8.1f} {unit}  "
          f"(lowest {ordered[0]:.1f}, highest {ordered[-1]:.1f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    account = Account("root" if os.getuid() == 0 else "user")
    model = claudekit.Model(account.folder)
    program = claudekit.for_account(claudekit.install(), account)
    by_hand = ByHand(account, program, model.url)
    nairid = ThroughNairid(account, program, model.url)
    by_hand.turn()  # the program comes from the disk but once
    nairid.turn()
    idle_kib, own_ms = nairid.own_kib(), nairid.own_cpu_ms()
    hand, ours = [], []
    for _ in range(rounds):
        hand.append(by_hand.turn())
        ours.append(nairid.turn())
    own_ms = (nairid.own_cpu_ms() - own_ms) / rounds
    print(f"medians of {rounds} turns each, in turn; load {os.getloadavg()[0]:.1f}")
    show("by hand, fork to reaped", [turn[0] for turn in hand], "ms")
    show("through nairid, request to reply", [turn[0] for turn in ours], "ms")
    show("  of that the task, sandbox included", [turn[1] for turn in ours], "ms")
    show("  of that nairid, hub and asking", [turn[0] - turn[1] for turn in ours], "ms")
    show("by hand, processor time", [turn[1] for turn in hand], "ms")
    show("through nairid, the task's processor time", [turn[2] for turn in ours], "ms")
    print(f"{'daemon and spawner, processor time a turn':<42} {own_ms:8.1f} ms")
    show("by hand, peak memory", [turn[2] for turn in hand], "MiB")
    show("through nairid, peak memory of the task", [turn[3] for turn in ours], "MiB")
    print(f"{'daemon and spawner (Pss), before / after':<42} {idle_kib} / {nairid.own_kib()} KiB")
    nairid.end()
    model.end()
    account.done()


if __name__ == "__main__":
    main()
