"""Inside a plain chroot, where the kernel refuses user namespaces: root leaves it with its files."""

import os
import shutil
import subprocess
import tempfile

import pytest

BUILD = os.environ["NAIRID_BUILD"]
ENTER = """
set -e
mount --make-rprivate /
mount --rbind / "$1"
mount -t proc proc "$1/proc"
shift
exec chroot "$@"
"""


def inside(tree, *command):
    return subprocess.run(["unshare", "-m", "-p", "-f", "bash", "-c", ENTER, "enter", tree, tree,
                           *command], capture_output=True, text=True, timeout=120)


@pytest.fixture
def tree(tmp_path):
    if os.getuid() != 0:
        pytest.skip("needs root")
    folder = tmp_path / "tree"
    folder.mkdir()
    done = inside(folder, "unshare", "-U", "true")
    assert done.returncode != 0, "a chroot that gives user namespaces proves nothing"
    return folder


def test_a_task_runs_as_root_in_a_chroot(tree, tmp_path):
    workspace = tmp_path / "work"
    workspace.mkdir()
    os.chown(workspace, 54321, 54321)
    done = inside(tree, f"{BUILD}/daemon/nairid", "sandbox", "--network", "none", "--workspace",
                  workspace, "--", "sh", "-c", "id -u; hostname; echo kept >file")
    assert (done.returncode, done.stdout) == (0, "1000\nsandbox\n"), done.stderr
    assert (workspace / "file").read_text() == "kept\n"
    assert (workspace / "file").stat().st_uid == 54321


@pytest.fixture
def public_program():
    """The program where any account can reach it, wherever the build stands."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield shutil.copy(f"{BUILD}/daemon/nairid", folder)


def test_an_ordinary_user_in_a_chroot_is_told_why(tree, public_program):
    done = inside(tree, "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups",
                  "env", "HOME=/nonexistent", public_program, "sandbox",
                  "--network", "none", "--workspace", "/usr", "--", "true")
    assert done.returncode == 78, done.stderr
    assert "chroot" in done.stderr
