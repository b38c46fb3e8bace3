"""The seeds of real traffic (fuzz/record): each target has some, and none tells of its machine."""

import glob
import os
import re

import pytest

import telltales

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "corpus")
MOST_BYTES = 1500 * 1000  # of all seeds together


def read(path):
    with open(path, "rb") as file:
        return file.read()


def targets():
    with open(os.path.join(os.path.dirname(HERE), "CMakeLists.txt"), encoding="ascii") as file:
        return re.findall(r"^fuzz_target\((\w+)", file.read(), re.M)


def unrecorded():
    """{target: the reason why it has no seed of real traffic}"""
    with open(os.path.join(HERE, "unrecorded.txt"), encoding="ascii") as file:
        lines = [line for line in file.read().splitlines() if line and not line.startswith("#")]
    return dict(line.split(": ", 1) for line in lines)


def recorded(target):
    return sorted(glob.glob(os.path.join(CORPUS, target, "recorded-*")))


@pytest.mark.parametrize("target", targets())
def test_a_target_has_seeds_of_real_traffic_or_a_reason(target):
    if target in unrecorded():
        assert not recorded(target), "it has some; strike it from unrecorded.txt"
        assert len(unrecorded()[target]) > 10
        return
    paths = recorded(target)
    assert paths, "play fuzz/record, or say in unrecorded.txt why there is no real traffic"
    assert all(read(path) for path in paths)
    assert len({read(path) for path in paths}) == len(paths)


def test_reasons_and_seeds_are_those_of_targets():
    assert set(unrecorded()) <= set(targets())
    assert set(os.listdir(CORPUS)) == set(targets())


def test_seeds_are_few():
    paths = glob.glob(os.path.join(CORPUS, "*", "*"))
    assert sum(map(os.path.getsize, paths)) < MOST_BYTES


def test_no_seed_tells_of_keys_or_of_the_machine_it_was_made_on():
    here = os.path.dirname(os.path.dirname(HERE)).encode()
    for path in glob.glob(os.path.join(CORPUS, "*", "recorded-*")):
        data = read(path)
        assert not telltales.find(data), path
        assert len(here) < 8 or here not in data, path


@pytest.mark.parametrize("text", [
    b"x nairid_" + b"aB3" * 14 + b"x", b"/tmp/nairid-test-abcdefgh/x", b" /wor" + b"k/x",
    b"https://registry.npm" + b"js.org", b"-----BEGIN EC PRIVATE KEY"])
def test_what_tells_is_found(text):
    assert telltales.find(text)
    assert not telltales.find(b"nairid_" + b"Recorded" * 5 + b"Rec /srv/recorded/x")
