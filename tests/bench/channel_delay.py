"""How long a message takes from the hub to its program, and what it costs to wait for one: by the
realtime channel, by long polls, and by plain polls. Wants a release build and a C compiler:

    NAIRID_BUILD=build/release /usr/bin/python3 tests/bench/channel_delay.py [--rounds 50]
        [--poll-interval 2] [--idle-s 60]

Three daemons, each with an agent of its own, share one hub. Rounds are paired: in each, every way
gets one message while nothing else goes on, and who is first changes. From: the answer to the start
call, which the hub gives once its commit is on disk; as a program may start before the answer is
read, the time from before the call is shown, too. To: the program's first instruction of its own,
which prints CLOCK_MONOTONIC; making its sandbox is part of it. A relay between each daemon and the
hub counts requests, and takes the wish for long polls away from the one that is to do without.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from daemonkit import Account, Daemon  # noqa: E402
from hubkit import Hub, wait_until  # noqa: E402

PROGRAM = r"""
#include <stdio.h>
#include <time.h>
int main(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return printf("%lld.%09ld\n", (long long)t.tv_sec, t.tv_nsec) < 0;
}
"""
METHODS = (b"GET /", b"POST /")
WISH = b"Prefer: "


class Relay:
    """Hands on what a daemon and the hub say to each other."""

    def __init__(self, hub, long_polls):
        self.hub = hub
        self.long_polls = long_polls
        self.requests = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection((self.hub.host.hostname, self.hub.host.port))
            for one, other, change in ((client, server, self._ask), (server, client, bytes)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._carry, args=(one, other, change), daemon=True).start()

    def _ask(self, data):
        """Of the daemon, which sends a request's head in one piece."""
        if data.startswith(METHODS):
            self.requests += 1
            if not self.long_polls:
                lines = data.split(b"\r\n")
                data = b"\r\n".join(line for line in lines if not line.startswith(WISH))
        return data

    @staticmethod
    def _carry(one, other, change):
        try:
            while data := one.recv(1 << 16):
                other.sendall(change(data))
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Way:
    """One of the three: a daemon, its agent, its relay."""

    def __init__(self, account, hub, name, realtime, long_polls, interval_s, program):
        self.hub = hub
        self.name = name
        self.slug = name.replace(" ", "-")
        self.relay = Relay(hub, long_polls)
        # what a daemon needs to know of its hub
        seen = argparse.Namespace(slug=self.slug, url=self.relay.url,
                                  agent_key=hub.key_create("--agent", self.slug))
        self.daemon = Daemon(account, seen, self.slug, runner={"argv": [program]},
                             server={"realtime": realtime, "poll_interval": f"{interval_s * 1000:.0f}ms"},
                             sandbox={"read": [os.path.dirname(program)]})
        self.since_answer, self.since_call = [], []

    def boot(self):
        self.daemon.boot()
        if self.name == "realtime":
            wait_until(lambda: "realtime_up" in self.daemon.log, 30, "the channel")

    def turn(self):
        """One message, in milliseconds."""
        began = time.monotonic()
        answer = self.hub.api("POST", "/conversations/start",
                              {"agent_id": self.slug, "prompt": "when"})
        committed = time.monotonic()
        assert answer.status == 201, answer
        self.hub.wait_status(answer.json["message_id"], timeout_s=120)
        rows = self.hub.messages(answer.json["job_id"])
        (reply,) = [row["content"] for row in rows if row["role"] == "assistant"]
        started = float(reply)
        self.since_answer.append((started - committed) * 1000)
        self.since_call.append((started - began) * 1000)


def compiled(account):
    folder = account.shared()
    program = os.path.join(folder, "when")
    subprocess.run(["cc", "-O2", "-static", "-x", "c", "-", "-o", program], check=True,
                   input=PROGRAM.encode())
    os.chmod(program, 0o755)
    return program


def show(name, values):
    ordered = sorted(values)
    tenth = len(ordered) // 10
    print(f"{name:<58} {statistics.median(ordered):9.1f} ms  ({ordered[tenth]:.1f} to "
          f"{ordered[-1 - tenth]:.1f} for 8 in 10)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--poll-interval", type=float, default=2, help="of the plain polls, s")
    parser.add_argument("--idle-s", type=int, default=60)
    args = parser.parse_args()
    account = Account("root" if os.getuid() == 0 else "user")
    hub = Hub(os.path.join(account.folder, "hub")).boot()
    program = compiled(account)
    make = lambda *way: Way(account, hub, *way, program)  # noqa: E731
    ways = [make("realtime", "on", True, 30), make("long polls", "off", True, 30),
            make("plain polls", "off", False, args.poll_interval)]
    try:
        for way in ways:
            way.boot()
        for i in range(args.rounds + 1):
            for way in ways[i % 3:] + ways[:i % 3]:
                way.turn()
            if i == 0:  # everything comes from the disk but once
                for way in ways:
                    way.since_answer.clear()
                    way.since_call.clear()
        print(f"medians of {args.rounds} rounds, in turn; load {os.getloadavg()[0]:.1f}; plain "
              f"polls every {args.poll_interval:g} s")
        for way in ways:
            show(f"{way.name}: hub's commit answered to program's start", way.since_answer)
            show("  from before the call", way.since_call)
        paired = [b - a for a, b in zip(ways[0].since_answer, ways[1].since_answer)]
        show("long polls more than realtime, of each round", paired)
        ways[2].daemon.configure(server={"poll_interval": "30s"})
        ways[2].daemon.restart()
        time.sleep(5)  # what the last message set off has come to rest
        before = [way.relay.requests for way in ways]
        time.sleep(args.idle_s)
        for way, count in zip(ways, before):
            rate = (way.relay.requests - count) * 60 / args.idle_s
            print(f"{way.name + ', idle: requests a minute':<58} {rate:9.1f}")
    finally:
        for way in ways:
            if way.daemon.program:
                way.daemon.program.kill()
        hub.end()
        account.done()


if __name__ == "__main__":
    main()
