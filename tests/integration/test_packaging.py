"""The two commands of the README, as far as a machine that has every package can tell."""

import os
import re
import signal
import subprocess
import time

import pytest

from daemonkit import Account, assert_nothing_left
from hubkit import wait_until

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def environment(tmp_path):
    """Its own build directory, kept between runs, and a temporary folder that has to end empty."""
    (tmp_path / "tmp").mkdir()
    return {**os.environ, "CI": "true", "TMPDIR": str(tmp_path / "tmp"),
            "NAIRID_BUILD": os.path.join(os.environ["NAIRID_BUILD"], "quickstart")}


def command(name, *args):
    return [os.path.join(SOURCE, "packaging", name), *args]


def test_the_quickstart_prints_a_reply_and_leaves_nothing(environment):
    done = subprocess.run(command("quickstart"), env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nreply:   hello from " in done.stdout
    assert_nothing_left()
    assert os.listdir(environment["TMPDIR"]) == []


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_quickstart_leaves_nothing(environment, tmp_path, signo):
    path = tmp_path / "output"
    with open(path, "wb") as output:
        quickstart = subprocess.Popen(command("quickstart"), env=environment, stdout=output,
                                      stderr=output, stdin=subprocess.DEVNULL,
                                      preexec_fn=lambda: signal.signal(signo, signal.SIG_DFL))
    wait_until(lambda: "== start hub" in path.read_text(), 400, "the start of the programs")
    began = time.monotonic()
    quickstart.send_signal(signo)
    assert quickstart.wait(30) == 128 + signo, path.read_text()
    assert time.monotonic() - began < 25
    assert_nothing_left()
    assert os.listdir(environment["TMPDIR"]) == []


def test_a_quickstart_that_cannot_start_says_why(environment, tmp_path):
    bare = subprocess.run(command("quickstart"), env={**environment, "TMPDIR": "/nowhere"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400)
    assert bare.returncode != 0 and "/nowhere" in bare.stderr


def test_deps_has_nothing_to_do_here():
    done = subprocess.run(command("deps", "test"), capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_deps_gives_an_ordinary_user_the_line_to_type(tmp_path):
    account = Account("user")
    try:
        shims = account.mkdir("shims", 0o755)
        account.write(os.path.join(shims, "dpkg-query"), "#!/bin/sh\nexit 1\n", 0o755)
        account.write(os.path.join(shims, "sudo"), "#!/bin/sh\nexit 1\n", 0o755)
        deps = account.write(os.path.join(account.folder, "deps"),
                             open(command("deps")[0]).read(), 0o755)
        env = account.environ(PATH=f"{shims}:/usr/bin:/bin", CI="true")
        done = subprocess.run([*account.wrap, deps, "build"], env=env, capture_output=True,
                              text=True, timeout=30, stdin=subprocess.DEVNULL)
    finally:
        account.done()
    assert done.returncode == 69
    assert re.search(r"^  sudo apt-get update && sudo apt-get install -y .* libev-dev ",
                     done.stderr, re.MULTILINE), done.stderr


@pytest.mark.parametrize("name, args", [("deps", []), ("deps", ["everything"]),
                                        ("check", ["--fast"]), ("check", ["--full", "x"])])
def test_wrong_arguments_are_a_usage_error(name, args):
    done = subprocess.run(command(name, *args), capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 64 and done.stderr.startswith("usage: ")


def test_the_readme_gives_the_two_commands_that_are_there():
    with open(os.path.join(SOURCE, "README.md")) as file:
        blocks = re.findall(r"^```\w*\n(.*?)^```", file.read(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines[:2] == ["packaging/quickstart", "packaging/check"]
    for line in lines[:2]:
        assert os.access(os.path.join(SOURCE, line), os.X_OK)
