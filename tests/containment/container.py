"""The suite inside a container of an ordinary user's: podman without any rights on the machine.

The user and its range of ids exist in a mount namespace of ours only; of the container's files
/usr is the machine's, read-only, the tests and the programs are copies, and the rest is almost
empty. podman's own filter and masks are on. Needs root (to become that user), podman and runc.
Nothing is fetched.
"""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TESTS, "integration"))

from daemonkit import NO_USERS, in_chroot  # noqa: E402

BUILD = os.environ["NAIRID_BUILD"]
SKIP = 77
UID, FIRST_ID, IDS = 61357, 61358000, 65536  # no account of the machine has them
NAME = "nairid-test"
PROGRAMS = ("daemon/nairid", "daemon/nairi-hub", "tests/lessen", "tests/containment/probe")
# Lays the accounts over the machine's, then runs podman as the user. What it leaves ends with the
# namespaces that this runs in.
ENTER = f"""
set -e
cd "$1"; shift
cp /etc/passwd passwd; cp /etc/group group
echo {NAME}:x:{UID}:{UID}::/nonexistent:/bin/sh >>passwd
echo {NAME}:x:{UID}: >>group
echo {NAME}:{FIRST_ID}:{IDS} >subuid; cp subuid subgid
for name in passwd group subuid subgid; do
    [ -e /etc/$name ] || touch /etc/$name
    mount --bind $name /etc/$name
done
mount --make-rshared /
cd home
exec setpriv --reuid={UID} --regid={UID} --clear-groups env -i HOME="$PWD" XDG_RUNTIME_DIR="$PWD" \\
    PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 "$@"
"""


def make_tree(folder):
    """The container's files; and where they and podman's own are."""
    tree = os.path.join(folder, "tree")
    for name in ("usr", "etc", "proc", "sys", "dev", "run", "tmp", "root", "var/tmp", "srv"):
        os.makedirs(os.path.join(tree, name))
    for name in ("tmp", "var/tmp", "run"):
        os.chmod(os.path.join(tree, name), 0o1777)
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        if os.path.islink(f"/{name}"):
            os.symlink(f"usr/{name}", os.path.join(tree, name))
    for name in ("containment", "integration"):
        shutil.copytree(os.path.join(TESTS, name), os.path.join(tree, "srv", "tests", name),
                        ignore=shutil.ignore_patterns("__pycache__"))
    for program in PROGRAMS:
        path = os.path.join(tree, "srv", "build", program)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(os.path.join(BUILD, program), path)
    os.makedirs(os.path.join(folder, "home", "xdg"))
    subprocess.run(["chown", "-R", f"{UID}:{UID}", tree, os.path.join(folder, "home")], check=True)
    return tree


def podman(folder, tree):
    mounts = [f"--volume={path}:{path}:ro" for path in
              ("/usr", "/etc/ssl", "/etc/alternatives", "/etc/ld.so.cache")]
    return ["podman", "--root", f"{folder}/home/root", "--runroot", f"{folder}/home/run",
            "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs",
            "run", "--pull", "never", "--rm", "--network", "none", "--ulimit", "nofile=4096:8192",
            "--ulimit", "nproc=4096:4096", "--userns", "keep-id", *mounts,
            "--env", "NAIRID_BUILD=/srv/build", "--env", "PYTHONDONTWRITEBYTECODE=1",
            "--workdir", "/srv", "--rootfs", tree,
            "/usr/bin/python3", "/srv/tests/containment/containment.py", "container"]


def main():
    if os.getuid() != 0 or in_chroot():
        print("skip: needs root" if os.getuid() != 0 else f"skip: {NO_USERS}")
        return SKIP
    folder = tempfile.mkdtemp(prefix="nairid-rootless-", dir="/tmp")
    os.chmod(folder, 0o755)
    try:
        tree = make_tree(folder)
        done = subprocess.run(["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child",
                               "--propagation", "private", "bash", "-c", ENTER, "enter", folder,
                               *podman(folder, tree)], stdin=subprocess.DEVNULL)
        return done.returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
