"""The real Socket.IO for tests, as npm gives it: a control plane whose realtime channel is its
server (tests/support/socketio/control-plane.cjs)."""

import json
import os
import subprocess
import threading
import urllib.request

from hubkit import wait_until
from npmkit import SUPPORT, install

NO_NPM = "the npm registry can't be reached, so there is no Socket.IO to talk to"


class ControlPlane:
    """In place of a hub: ControlPlane(pingInterval=300), then make_daemon(hub=plane)."""

    slug = "test-agent"
    agent_key = "nairid_" + "0123456789" * 4

    def __init__(self, **options):
        self.folder = install("socketio", NO_NPM)
        self.options = options
        self.proc = None
        self.port = 0
        self.count = 0
        self.boot()

    def boot(self):
        """Starts it, on the port that it had before."""
        self.proc = subprocess.Popen(
            ["node", os.path.join(SUPPORT, "socketio/control-plane.cjs"), self.folder,
             json.dumps({**self.options, "port": self.port})],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        line = self.proc.stdout.readline()
        assert line, f"node ended with {self.proc.wait(10)}"
        self.port = int(line)
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self):
        if self.proc:
            self.proc.kill()
            self.proc.wait(10)
            self.proc.stdout.close()
        self.proc = None

    def restart(self):
        self.end()
        self.boot()

    def order(self, what, **order):
        request = urllib.request.Request(f"{self.url}/test/{what}", json.dumps(order).encode())
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def seen(self):
        with urllib.request.urlopen(f"{self.url}/test/seen", timeout=30) as response:
            return json.load(response)

    def write(self, text, job=None, kind="start_conversation_v1", pushes=1, listed=True,
              mode="execute"):
        """A user writes something; returns the message's id."""
        self.count += 1
        message = f"cmsg_{self.count}"
        self.order("add", pushes=pushes, message={
            "id": message, "job": job or f"job_{self.count}", "type": kind, "text": text,
            "mode": mode, "listed": listed, "acked": False})
        return message

    def replies(self, message):
        """The terminal replies to a message, in the order in which they came."""
        return [envelope["payload"]["message"] for envelope in self.seen()["replies"]
                if envelope["payload"].get("processed_message_id") == message and
                envelope["type"] in ("assistant_message_v1", "system_message_v1")]

    def wait_acked(self, *messages, timeout_s=30):
        wait_until(lambda: set(messages) <= set(self.seen()["acks"]), timeout_s,
                   lambda: f"{messages} to be acknowledged: {self.seen()}")

    def wait_joined(self, daemon, times=1, timeout_s=30):
        """Waits until the daemon has joined that often, and has reconciled since."""
        wait_until(lambda: daemon.log.count("realtime_up") >= times, timeout_s,
                   lambda: f"the daemon to join:\n{daemon.log}")


class Agent:
    """An agent of a hub, by the real socket.io-client (tests/support/socketio/agent.cjs)."""

    def __init__(self, hub, instance="ccaid_test", **options):
        options = {"url": hub.url, "key": hub.agent_key, "agent": hub.slug, "instance": instance,
                   **options}
        self.proc = subprocess.Popen(
            ["node", os.path.join(SUPPORT, "socketio/agent.cjs"), install("socketio", NO_NPM),
             json.dumps(options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.proc.stdout:
            self.events.append(json.loads(line))

    def named(self, name):
        return [event for event in list(self.events) if event[0] == name]

    def wait(self, name, times=1, timeout_s=30):
        """Waits for so many events of that name; returns the last of them."""
        wait_until(lambda: len(self.named(name)) >= times, timeout_s,
                   lambda: f"{times} times {name}: {self.events}")
        return self.named(name)[times - 1]

    def emit(self, *event):
        self.proc.stdin.write(json.dumps(event) + "\n")
        self.proc.stdin.flush()

    def end(self):
        self.proc.kill()
        self.proc.wait(10)
        self._reader.join(10)
        self.proc.stdin.close()
        self.proc.stdout.close()
