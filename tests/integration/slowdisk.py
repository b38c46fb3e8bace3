"""A daemon's disk that takes its time; see support/slowdisk.c."""

import os

from hubkit import preload

SYNC, KNOWN = 1, 2  # what can be held: the journal's commits; what is known of a job's files


class SlowDisk:
    """For a daemon that is still to be started."""

    def __init__(self, daemon):
        self.path = os.path.join(daemon.folder, "slowdisk")
        with open(self.path, "wb") as file:
            file.write(bytes(4096))
        os.chown(self.path, daemon.account.uid, -1)
        daemon.env = preload("slowdisk", SLOWDISK=self.path)

    def hold(self, what):
        with open(self.path, "r+b") as file:
            file.write(bytes([what, 0]))

    def release(self):
        self.hold(0)

    def somebody_waits(self):
        with open(self.path, "rb") as file:
            return file.read(2)[1] == 1
