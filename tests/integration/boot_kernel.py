"""A machine of its own with Debian's own kernel: the limits that cgroup v2 holds, and the
containment suite on that kernel, whose Landlock is an old one.

    boot_kernel.py SOURCE

The tree of boot_systemd.py with a kernel boots in qemu, which emulates the processor: that works
wherever qemu does, and takes minutes. The guest has no network but its own loopback. What it says
of itself goes to its console, and from there to standard output; it powers itself off. Needs root,
for the tree.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time

from boot_systemd import SKIP, SUITE, call, make_tree, say

IMAGE_SIZE = "3G"  # sparse
GUEST_S = 2700  # a quarter of an hour, most often
# The guest's clock counts instructions, 4 ns each, and the time that it waits: on a machine that
# does much else it is not the guest's deadlines that suffer.
CLOCK = ["-icount", "shift=2,sleep=on", "-rtc", "clock=vm"]
CONSOLE = "ttyS0"
TESTS = ("limits", "suite")
DONE = "== the guest has done its work"
UNIT = f"""\
[Unit]
After=multi-user.target

[Service]
Type=oneshot
Environment=NAIRID_BUILD={SUITE}/build PYTHONPATH={SUITE}/tests/integration
Environment=PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/root
ExecStart=/bin/sh {SUITE}/run
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/{CONSOLE}
ExecStopPost=systemctl --no-block --force poweroff

[Install]
WantedBy=multi-user.target
"""
RUN = f"""\
for test in {' '.join(TESTS)}; do
    python3 {SUITE}/tests/containment/service.py $test || failed="$failed $test"
done
[ -z "$failed" ] || journalctl --no-pager --lines=200 --identifier=nairid --identifier=kernel
echo "$failed{DONE}"
"""


def write(tree, path, text):
    with open(tree + path, "w") as file:
        file.write(text)


def prepare(tree):
    write(tree, "/etc/fstab", "/dev/vda / ext4 defaults 0 1\n")
    write(tree, "/etc/systemd/system/suite.service", UNIT)
    write(tree, f"{SUITE}/run", RUN)
    call("systemctl", f"--root={tree}", "enable", "suite.service")
    call("systemctl", f"--root={tree}", "mask", f"serial-getty@{CONSOLE}.service")


def boot(tree, folder):
    """All that the guest printed."""
    image = os.path.join(folder, "image")
    call("truncate", "--size", IMAGE_SIZE, image)
    call("mkfs.ext4", "-q", "-d", tree, image)
    kernel, = glob.glob(f"{tree}/boot/vmlinuz-*")
    initrd, = glob.glob(f"{tree}/boot/initrd.img-*")
    words = (f"root=/dev/vda rw console={CONSOLE} quiet loglevel=1 no_timer_check "
             "systemd.unified_cgroup_hierarchy=1 systemd.show_status=0")
    # The accelerator by name: there are machines whose /dev/kvm opens and doesn't work.
    argv = ["timeout", "--kill-after=10", str(GUEST_S), "qemu-system-x86_64",
            "-accel", "tcg", *CLOCK, "-cpu", "max", "-m", "1024", "-smp", "1", "-display", "none",
            "-serial", "stdio", "-nic", "none", "-no-reboot", "-kernel", kernel,
            "-initrd", initrd, "-append", words, "-drive",
            f"file={image},format=raw,if=virtio,cache=unsafe"]
    said = []
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as guest:
        for line in guest.stdout:
            print(line.rstrip("\r\n"), flush=True)
            said.append(line.rstrip("\r\n"))
        code = guest.wait(30)
    assert code == 0, f"qemu: exit {code}" if code != 124 else f"not done within {GUEST_S} s"
    return said


def main():
    if os.getuid() != 0:
        print("skip: needs root")
        return SKIP
    began = time.monotonic()
    folder = tempfile.mkdtemp(prefix="nairid-kernel-", dir="/tmp")
    try:
        tree = make_tree(sys.argv[1], folder, ["linux-image-cloud-amd64", "kmod"])
        prepare(tree)
        say("boot")
        said = boot(tree, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert DONE in said, "the guest failed, or did not come to its end"
    print(f"report: a machine with Debian's kernel: {len(TESTS)} tests in "
          f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
