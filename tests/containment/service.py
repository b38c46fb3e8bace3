"""The suite as tasks of the daemon that systemd runs here, from nairid.service.

    service.py

Runs as root in a guest of boot_systemd.py, which has booted for this. What there is to be reached
belongs to the service's own user, lies where the unit hides nothing, and is reached by that user
outside the unit. Replaces the service's settings and key.
"""

import contextlib
import os
import pwd
import subprocess
import sys

from containment import ALL_WALLS, Campaign, Judge
from daemonkit import Account, Daemon
from hubkit import Hub, wait_until

UNIT = "nairid.service"
BASE = "/srv"


def systemctl(*words):
    done = subprocess.run(["systemctl", *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=150)
    return done.stdout.strip() if done.returncode == 0 else None


class Service(Daemon):
    """nairid.service, on settings of ours."""

    def __init__(self, hub, sandbox):
        self.hub = hub
        self.account = Account("root")
        self.state_seen, self.state = None, "/var/lib/nairid"
        self.key_file = self.account.write("/etc/nairid/agent.key", hub.agent_key + "\n")
        self.config = "/etc/nairid/nairid.yaml"
        settings = {"server": {"url": hub.url}, "agent": {"id": hub.slug},
                    "runner": {"name": "command", "argv": ["sh"]}, "sandbox": sandbox}
        self.settings = settings
        self.configure()
        os.chmod(self.config, 0o644)
        self.env = {}

    def boot(self):
        assert systemctl("restart", UNIT) is not None, self.log  # it notifies when it is connected
        wait_until(self.status, 30, "the admin socket")
        return self

    @property
    def log(self):
        done = subprocess.run(["journalctl", "--no-pager", "--lines=200", f"--unit={UNIT}"],
                              capture_output=True, text=True, timeout=60)
        return done.stdout

    @property
    def pid(self):
        return int(systemctl("show", "--property=MainPID", "--value", UNIT))

    def end(self):
        assert systemctl("stop", UNIT) is not None, self.log
        self.account.done()


class Guest(Campaign):
    how = "a task of nairid.service"

    @contextlib.contextmanager
    def daemon(self, profile, network, rung, warm=0):
        hub = Hub(os.path.join(self.scenery.account.folder, f"hub-{profile}-{network}")).boot()
        daemon = Service(hub, self.policy(profile, network, rung, warm))
        try:
            yield hub, daemon.boot()
        finally:
            daemon.end()
            hub.end()


def main():
    judge = Judge()
    user = pwd.getpwnam("nairid")
    campaign = Guest(Account("user", uid=user.pw_uid, base=BASE), judge)
    try:
        for profile, network in (("agent", "allowlist"), ("agent", "none"), ("strict", "none")):
            campaign.task(profile, network, ALL_WALLS)
    finally:
        campaign.done()
    return judge.end()


if __name__ == "__main__":
    sys.exit(main())
