"""One daemon and its misbehaving peer, for tests that play many faults to the same pair."""

import os

import daemonkit
from peer import Peer


class Link:
    """One daemon and its peer, through many faults."""

    def __init__(self, **settings):
        self.peer = Peer()
        self.account = daemonkit.Account("root" if os.getuid() == 0 else "user")
        self.daemon = daemonkit.Daemon(self.account, self.peer, **settings)
        self.daemon.boot()
        self.count = 0

    def done(self):
        try:
            assert self.daemon.end() == 0
            assert self.peer.agent_key not in self.daemon.last_log
        finally:
            self.peer.end()
            self.account.done()

    def lines(self, name):
        return [line for line in self.daemon.log.splitlines() if name in line]

    def exchange(self):
        """One message goes the whole way."""
        self.count += 1
        text = f"nonce {self.count}"
        message = self.peer.give(f"echo {text}")
        reply = self.peer.wait_reply(message)
        assert reply["type"] == "assistant_message_v1" and reply["payload"]["message"] == text
        return message
