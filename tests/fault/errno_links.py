"""What errno_test.py has the daemon do over other links than plain HTTP to an address: TLS to a
server that has a name, and a task's way out by its egress process."""

import os

from dnskit import Dns
from errno_daemon import Life
from player import certificates
from webkit import Server


class Named(Life):
    """Of servers that have a name and a certificate."""

    HOST = "site.test" if os.getuid() == 0 else "localhost"  # where resolv.conf can't be replaced

    @classmethod
    def make(cls, account, name):
        cls.context = certificates().context("named")
        cls.dns = Dns({cls.HOST: ["127.0.0.1"]}) if account.is_root else None
        cls.wrap = cls.dns.wrap(os.path.join(account.folder, name)) if cls.dns else []

    @classmethod
    def unmake(cls):
        if cls.dns:
            cls.dns.end()

    def __init__(self, *args):
        super().__init__(*args)
        self.daemon.wrap = self.wrap


class Secure(Named):
    """The control plane's authority is a private one."""

    def __init__(self, *args):
        super().__init__(*args)
        self.peer.tls = self.context
        with open(certificates().path("ca.pem"), encoding="ascii") as file:
            ca = self.account.write(os.path.join(self.daemon.folder, "ca.pem"), file.read(), 0o644)
        self.daemon.configure(server={"url": f"https://{self.HOST}:{self.peer.port}",
                                      "ca_file": ca})

    def prepare(self):
        self.first, self.job = self.give("echo one", "one")

    def live(self):
        self.answered(self.first)
        message, _ = self.give("echo two", "two", self.job)
        self.answered(message)

    def stop_midway(self):
        self.stop()


class Outward(Named):
    """Tasks reach servers that have names, with and without TLS, and one that they may not."""

    @classmethod
    def make(cls, account, name):
        super().make(account, name)
        cls.plain, cls.secure = Server(), Server(cls.context)

    @classmethod
    def unmake(cls):
        super().unmake()
        cls.plain.end()
        cls.secure.end()

    def __init__(self, *args):
        super().__init__(*args)
        allow = [f"127.0.0.1:{self.plain.port}", f"{self.HOST}:{self.plain.port} loopback",
                 f"{self.HOST}:{self.secure.port} loopback"]
        self.daemon.configure(sandbox={"network": {"mode": "allowlist", "allow": allow}})

    def prepare(self):
        get = "curl -sS --fail-with-body"
        plain, secure = self.plain.port, self.secure.port
        self.give("set -e\n"
                  f"{get} http://{self.HOST}:{plain}/\n"
                  "head -c 70000 /dev/zero >sent\n"
                  f"{get} -H 'Transfer-Encoding: chunked' -T sent -o got "
                  f"http://127.0.0.1:{plain}/size/70000\nwc -c <got\n"
                  f"{get} -k https://{self.HOST}:{secure}/", "hello70000\nhello")
        self.give("curl -s http://no.test/ >/dev/null\necho refused", "refused")

    def live(self):
        for message in self.outstanding():
            self.answered(message)

    def stop_midway(self):
        self.stop()
