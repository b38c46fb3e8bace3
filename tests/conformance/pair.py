"""A daemon and the peer that plays its control plane."""

import json
import os
import threading

import daemonkit

from casefile import expand
from peer import Peer
from stage import Certificates


def make_certificates():
    if not hasattr(make_certificates, "made"):
        make_certificates.made = Certificates()
    return make_certificates.made


_certificates_lock = threading.Lock()


def certificates():
    with _certificates_lock:
        return make_certificates()


class Pair:
    """A daemon and its peer."""

    def __init__(self, settings, long_poll=True, tls=None, offline=False, channel=None,
                 managed=False):
        self.account = daemonkit.Account("root" if os.getuid() == 0 else "user")
        self.peer = Peer(long_poll=long_poll, tls=tls)
        self.peer.certificate = lambda name: certificates().context(name)
        if managed:
            self.peer.agent_key = self.peer.valid_key = "ek_" + "0123456789abcdef" * 3
        if channel:
            self.peer.channel.serve(*channel)
        self.count = 0
        try:
            settings = json.loads(expand(json.dumps(settings), self._name))
            self.daemon = daemonkit.Daemon(self.account, self.peer, **settings)
            if not offline:
                self.daemon.boot()
        except BaseException:
            self.peer.end()
            self.account.done()
            raise

    def _name(self, name):
        if name == "proxy":
            return self.peer.proxy_url
        if name == "port":
            return self.peer.port
        if name == "ca":
            with open(certificates().path("ca.pem"), encoding="ascii") as file:
                return self.account.write(os.path.join(self.account.folder, "ca.pem"),
                                          file.read(), 0o644)
        return None

    def end(self):
        try:
            code = self.daemon.end()
            assert code in (0, None), f"exit {code}:\n{self.daemon.last_log}"
        finally:
            self.abort()

    def abort(self):
        if self.daemon.program:
            self.daemon.program.kill()
        self.peer.end()
        self.account.done()
