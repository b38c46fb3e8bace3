"""The command line as a whole: verbs, help, versions, exit codes, and the manual page about them."""

import json
import os
import re
import subprocess

import pytest

from clikit import environment, nairid
from hubkit import program

MANUAL = os.path.join(os.path.dirname(__file__), "../../packaging/man/nairid.1")
EVERYWHERE = {"-h", "--help"}


@pytest.fixture
def env(tmp_path):
    return environment(tmp_path)


def verbs(env):
    text = nairid("--help", env=env).stdout
    found = re.findall(r"^  (\S+) +\S", text.split("Verbs:\n")[1].split("\n\n")[0], re.M)
    assert len(found) > 4
    return found


def flags_of_help(text):
    """The flags of the list in a verb's --help."""
    listed = text.split("\nFlags:\n")[1].split("\n\n")[0]
    return {flag for line in listed.splitlines()
            for flag in re.findall(r"(?:^ +|, )(--?[a-z][a-z-]*)", line)}


def manual_sections():
    """{"nairid ask": {"--job", ...}, ...}: the flags that each subsection of the page explains."""
    with open(MANUAL, encoding="utf-8") as file:
        text = file.read()
    sections = {}
    for part in re.split(r"^\.S[sh] ", text, flags=re.M)[1:]:
        title, _, body = part.partition("\n")
        name = " ".join(title.split()[:2]) if title.startswith("nairid ") else title
        items = re.findall(r"^\.It (Fl .*)$", body, re.M)
        sections[name] = {"-" + flag for item in items
                          for flag in re.findall(r"Fl (-?[a-z][a-z-]*)", item)}
    return sections


def test_the_manual_page_explains_exactly_the_flags_of_each_verb(env):
    manual = manual_sections()
    shared = manual["Flags that set the daemon"]
    names = verbs(env)
    for verb in names:
        flags = flags_of_help(nairid(verb, "--help", env=env).stdout) - EVERYWHERE
        explained = manual[f"nairid {verb}"]
        if shared & flags == shared:  # a verb that reads the daemon's settings
            explained = explained | shared
        assert flags == explained, verb
    explained = {name.split()[1] for name in manual if name.startswith("nairid ")}
    assert explained >= set(names)


def test_help_is_on_standard_output_and_says_how_to_use_each_verb(env):
    for verb in verbs(env):
        done = nairid(verb, "--help", env=env)
        assert (done.returncode, done.stderr) == (0, ""), verb
        assert done.stdout.startswith(f"Usage: nairid {verb}")
        assert [line for line in done.stdout.splitlines() if len(line) > 120] == []


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["help"]])
def test_help_names_every_verb(env, args):
    done = nairid(*args, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ask" in done.stdout and "check" in done.stdout


def test_the_version_is_said_in_words_and_in_json(env):
    words = nairid("version", env=env).stdout
    assert re.fullmatch(r"nairid \d+\.\d+\.\d+\n", words)
    assert json.loads(nairid("version", "--json", env=env).stdout) == {
        "name": "nairid", "version": words.split()[1]}


@pytest.mark.parametrize("args", [["-v"], ["--version"], ["--agent", "codex", "--version"]])
def test_the_flags_of_the_daemon_that_we_replace_work_without_a_verb(env, args):
    assert nairid(*args, env=env).stdout == nairid("version", env=env).stdout


@pytest.mark.parametrize("args, says", [
    (["chek"], "unknown verb 'chek', did you mean 'check'?"),
    (["qqqqqq"], "unknown verb 'qqqqqq'. See 'nairid --help'."),
    (["version", "--jsn"], "unknown flag '--jsn', did you mean '--json'?"),
    (["check", "--confg=x"], "did you mean '--config'?"),
    (["check", "-c"], "'--config' needs an argument: FILE"),
    (["check", "--set", "x"], "want KEY=VALUE"),
    (["version", "x"], "'x' is one argument too many"),
])
def test_wrong_usage_gives_64_and_the_nearest_name(env, args, says):
    done = nairid(*args, env=env)
    assert (done.returncode, done.stdout) == (64, "")
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_output_that_cannot_be_written_is_an_error(env):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([program("nairid"), "--help"], env=env, stdout=full,
                              stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 74


def test_closed_standard_descriptors_are_survived(env):
    done = subprocess.run(["sh", "-c", 'exec "$0" version <&- 2>&-', program("nairid")], env=env,
                          stdout=subprocess.PIPE, timeout=30)
    assert done.returncode == 0 and done.stdout.startswith(b"nairid ")
