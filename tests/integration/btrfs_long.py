"""A workspace on btrfs, where everybody may make subvolumes, and only root remove those that are
marked read-only: no task makes one.
"""

import json
import shutil
import subprocess

import pytest

import boxkit
from boxkit import TASK_UID

# btrfs(5) and linux/btrfs.h: each call, and what it is given
PROBE = """
import fcntl, json, os, struct
here = os.open(".", os.O_RDONLY)
calls = {
    "create": (0x5000940e, struct.pack("=q4088s", 0, b"one")),
    "create, version 2": (0x50009418, struct.pack("=qQQQQ16s4040s", 0, 0, 0, 0, 0, b"", b"two")),
    "snapshot": (0x50009401, struct.pack("=q4088s", here, b"three")),
    "snapshot, version 2": (0x50009417,
                            struct.pack("=qQQQQ16s4040s", here, 0, 0, 0, 0, b"", b"four")),
    "mark": (0x4008941a, struct.pack("=Q", 2)),
}
said = {}
for name, (call, given) in calls.items():
    try:
        fcntl.ioctl(here, call, bytearray(given))
        said[name] = "reached"
    except OSError as error:
        said[name] = error.strerror
print(json.dumps([said, sorted(os.listdir("."))]))
"""


class Box(boxkit.Box):
    """Its workspace is a file system of its own, made when a command begins."""

    def __init__(self, account, image):
        super().__init__(account)
        self.before = ["unshare", "-m", "sh", "-ec", f"truncate -s 256M '{image}';"
                       f"mkfs.btrfs -qf '{image}' >'{image}.log' 2>&1;"
                       f"mount -o loop '{image}' '{self.workspace}';"
                       f"chown {TASK_UID}:{TASK_UID} '{self.workspace}'; cd '{self.workspace}';"
                       "exec \"$@\"", "sh"]

    def probe(self, command):
        with subprocess.Popen([*self.before, *command], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            done = boxkit.Done(process)
        assert done.code == 0, done.err
        return json.loads(done.out)

    def popen(self, *command):
        return self.start(["--network", "none"], command)


@pytest.fixture
def box(me, tmp_path):
    if not me.is_root:
        pytest.skip("needs root")  # to mount
    if not shutil.which("mkfs.btrfs"):
        pytest.skip("mkfs.btrfs is not installed here")
    return Box(me, tmp_path / "disk")


def test_no_subvolume_is_made_or_marked_by_a_task(box):
    control, names = box.probe(["setpriv", f"--reuid={TASK_UID}", f"--regid={TASK_UID}",
                                "--clear-groups", "/usr/bin/python3", "-c", PROBE])
    assert set(control.values()) == {"reached"} and names == ["four", "one", "three", "two"]
    done = box.python(PROBE)
    assert done.code == 0, done.err
    sandbox, names = json.loads(done.out)
    assert set(sandbox.values()) == {"Operation not permitted"} and names == [], sandbox
