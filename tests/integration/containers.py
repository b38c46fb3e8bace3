"""Which rung containers give: podman's own filter and capabilities, and with the options that
nairid-container(7) names. Docker's filter is podman's with the calls forbidden that lessen forbids.

The container's files are the machine's /usr, read-only, and an almost empty rest. Needs root, podman
and runc. Nothing is fetched.
"""

import json
import os
import shutil
import subprocess
import tempfile

import pytest

from rungprobe import PROBE
from test_rungs import BARE

BUILD = os.environ["NAIRID_BUILD"]
SETTINGS = """\
server: {url: "http://127.0.0.1:1"}
agent: {id: x}
runner: {name: command, argv: [sh]}
sandbox: {network: {mode: none}}
"""
UNMASK = "--security-opt=unmask=ALL"
NO_FILTER = "--security-opt=seccomp=unconfined"
USER = "--user=1000:1000"
NARROW = ["--cap-drop=all", "--security-opt=no-new-privileges", "--read-only", "--tmpfs=/tmp"]
FEW_IDS = ["--uidmap=0:100000:65536", "--gidmap=0:100000:65536"]
LESS = "/nairid/lessen --no-namespaces"


@pytest.fixture(scope="module")
def podman():
    if os.getuid() != 0:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory(prefix="nairid-podman-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run",
               "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs",
               "run", "--rm", "--network", "none", "--ulimit", "nofile=1024:4096",
               "--ulimit", "nproc=1024:1024"]


@pytest.fixture
def tree():
    with tempfile.TemporaryDirectory(prefix="nairid-tree-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        for name in ("usr", "etc", "proc", "sys", "dev", "run", "tmp", "root", "var", "nairid",
                     "job"):
            os.mkdir(f"{folder}/{name}")
        for name in ("bin", "sbin", "lib", "lib32", "lib64"):
            if os.path.islink(f"/{name}"):
                os.symlink(f"usr/{name}", f"{folder}/{name}")
        for program in ("daemon/nairid", "tests/lessen"):
            shutil.copy(os.path.join(BUILD, program), f"{folder}/nairid")
        with open(f"{folder}/nairid/nairid.yaml", "w") as file:
            file.write(SETTINGS)
        os.chmod(f"{folder}/tmp", 0o1777)
        yield folder


def run(podman, tree, options, script):
    """Its output; for the user that the container has."""
    few = any(option.startswith("--uidmap") for option in options)
    owner = 0x70000000 + 5 if USER not in options else 1000
    subprocess.run(["chown", "-R", "100000:100000" if few else "0:0", tree], check=True)
    os.chown(f"{tree}/job", owner + (100000 if few else 0), -1)
    mounts = [f"-v={path}:{path}:ro" for path in ("/usr", "/etc/ssl", "/etc/alternatives",
                                                  "/etc/ld.so.cache")]
    mounts.append(f"-v={tree}/job:/job")
    return subprocess.run([*podman, *mounts, "--env=TMPDIR=/tmp", *options, "--rootfs", tree,
                           "/bin/sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120)


def missing(output):
    """What has to be accepted: the walls that check calls missing."""
    return [line.split()[2] for line in output.splitlines()
            if line.startswith("WARN  walls ") and " is missing (" in line]


@pytest.mark.parametrize("options, less, accept", [
    ([], "", ["proc"]),
    ([USER], "", ["proc"]),
    ([USER, *NARROW], "", ["proc"]),
    ([UNMASK], "", []),
    ([USER, UNMASK], "", []),
    ([NO_FILTER, UNMASK], "", []),
    (["--cap-add=SYS_ADMIN"], "", ["proc"]),
    ([USER, *FEW_IDS], "", ["proc"]),
    ([], LESS, BARE),
    ([USER], LESS, [*BARE, "ids"]),
    ([USER, *NARROW], LESS, [*BARE, "ids"]),
], ids=str)
def test_a_container_gives_what_the_manual_says(podman, tree, options, less, accept):
    check = f"{less} /nairid/nairid check -c /nairid/nairid.yaml --state /tmp/state"
    found = run(podman, tree, options, check)
    assert sorted(missing(found.stdout)) == sorted(accept), found.stdout + found.stderr
    words = f"--set 'sandbox.accept={json.dumps(accept)}'"
    found = run(podman, tree, options, f"{check} {words}")
    assert "OK    sandbox " in found.stdout, found.stdout + found.stderr
    target = {name: "/nairid/nairid.yaml" for name in ("canary", "key", "other", "state")}
    target |= {"tmp": "/nairid/probe", "unix": "/none", "notify": "/none", "abstract": "none",
               "port": 1, "udp": 1, "shm": 1}
    with open(f"{tree}/nairid/probe.py", "w") as file:
        file.write(PROBE)
    shutil.copy(f"{tree}/nairid/probe.py", f"{tree}/job/probe.py")
    found = run(podman, tree, options,
                f"export SECRET=hunter2; exec {less} /nairid/nairid sandbox --network none --workspace /job "
                f"{words} -- python3 probe.py '{json.dumps(target)}'")
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    assert (said["secrets"], said["looked into"], said["listed"]) == ([], [], [])
    assert said["echo"] == "ok\n"
    assert [name for name, result in said.items()
            if name.startswith(("read ", "write ", "make ")) and result == "reached"] == []
    assert [said[name] for name in ("mount", "unshare", "setuid", "ptrace", "tcp", "unix")
            if said[name] == "reached"] == []
    assert int(said["status"]["CapEff"], 16) == 0 and said["uid"] != 0


def test_as_user_0_with_few_ids_no_task_can_run(podman, tree):
    check = "/nairid/nairid check -c /nairid/nairid.yaml --state /tmp/state"
    found = run(podman, tree, FEW_IDS, check)
    assert "FAIL  walls     ids: " in found.stdout and "ordinary user" in found.stdout, found.stdout
