"""The units, checked without a running systemd; boot_systemd.py starts them in a real one."""

import os
import re
import subprocess

import pytest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNITS = os.path.join(SOURCE, "systemd")
# Ten times what `systemd-analyze security` may say; a user's manager can take little away.
EXPOSURE = {"nairid": 36, "nairi-hub": 13, "user/nairid": 78}
DAEMONS = ["nairid", "user/nairid"]


def read(*parts):
    with open(os.path.join(SOURCE, *parts)) as file:
        return file.read()


def settings_of(unit):
    """The lines KEY=VALUE, as a list of pairs."""
    lines = [line for line in read("systemd", f"{unit}.service").splitlines()
             if line and line[0] not in "#["]
    return [tuple(line.split("=", 1)) for line in lines]


def value_of(unit, key):
    values = [value for name, value in settings_of(unit) if name == key]
    assert len(values) == 1, f"{key} is there {len(values)} times"
    return values[0]


def seconds(text):
    worth = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"(\d+)(min|[smhd])", text)
    assert "".join(number + unit for number, unit in parts) == text, text
    return sum(int(number) * worth[unit] for number, unit in parts)


@pytest.fixture(params=sorted(EXPOSURE))
def unit(request, tmp_path):
    """A copy of the unit whose program is there whatever is installed."""
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true",
                  read("systemd", f"{request.param}.service"), flags=re.M)
    path = tmp_path / f"{os.path.basename(request.param)}.service"
    path.write_text(text)
    return request.param, path


def analyze(*args):
    return subprocess.run(["systemd-analyze", *args], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)


def test_systemd_understands_every_line(unit):
    # An unknown key only makes a line of output: the exit code is 0 all the same.
    done = analyze("verify", "--man=no", str(unit[1]))
    assert (done.returncode, done.stdout) == (0, "")


def test_an_unknown_line_would_be_noticed(unit):
    unit[1].write_text(unit[1].read_text() + "RestartStepsOfANewerSystemd=3\n")
    assert "Unknown key" in analyze("verify", "--man=no", str(unit[1])).stdout


def test_the_exposure_is_no_greater_than_it_has_to_be(unit):
    name, path = unit
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE[name]}", "--no-pager",
                   str(path))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", DAEMONS)
def test_nothing_forbids_the_sandbox(name):
    text = "\n".join(f"{key}={value}" for key, value in settings_of(name))
    for key in ("RestrictNamespaces", "ProtectKernelTunables", "ProtectKernelLogs",
                "ProtectHostname", "ProtectControlGroups", "MemoryDenyWriteExecute",
                "RestrictSUIDSGID"):
        assert not re.search(rf"^{key}=", text, re.M), key
    for group in ("@mount", "@sandbox", "@process", "@system-service"):
        assert not re.search(rf"^SystemCallFilter=~.*{group}\b", text, re.M), group
    # An allow list of 252 lacks the calls of Landlock, which is younger than its groups.
    assert re.search(r"^SystemCallFilter=~", text, re.M)
    assert not re.search(r"^SystemCallFilter=[^~]", text, re.M)
    assert value_of(name, "Delegate") == "yes"


@pytest.mark.parametrize("name", DAEMONS)
def test_the_exit_codes_that_restart_are_those_of_the_program(name):
    header = read("daemon", "main", "exitcode.h")
    codes = {int(n) for n in re.findall(r"^ \*   \w+ (\d+) ", header, re.M)} - {0, 1}
    transient = re.search(r"restarts on ([\d, and]+);", header).group(1)
    again = {int(n) for n in re.findall(r"\d+", transient)}
    assert codes == {64, 69, 70, 73, 74, 75, 77, 78}
    assert {int(n) for n in value_of(name, "RestartForceExitStatus").split()} == again
    assert {int(n) for n in value_of(name, "RestartPreventExitStatus").split()} == codes - again


@pytest.mark.parametrize("name", DAEMONS)
def test_systemd_waits_longer_than_a_drain_takes(name):
    drain = re.search(r"^#drain_timeout: (\S+)$", read("config", "nairid.yaml"), re.M).group(1)
    # what a drain leaves over is killed within the grace of a task, and answered
    assert seconds(value_of(name, "TimeoutStopSec")) >= seconds(drain) + 30
    assert value_of(name, "KillMode") == "mixed"


def test_a_users_unit_says_that_its_cgroup_was_given_to_it():
    variable, value = value_of("user/nairid", "Environment").split("=")
    assert value == "yes" and f'getenv("{variable}")' in read("daemon", "sandbox", "cgroup.c")


def test_every_account_is_made_and_the_credential_is_the_one_that_is_looked_for():
    for name in ("nairid", "nairi-hub"):
        user = value_of(name, "User")
        assert value_of(name, "Group") == user
        assert re.search(rf"^u\s+{user}\s", read("systemd", f"{user}.sysusers"), re.M)
    credential = value_of("nairid", "LoadCredential").split(":")[0]
    assert f'#define CREDENTIAL "{credential}"' in read("daemon", "settings", "agentkey.c")
