"""`cmake --install` puts everything where a package would have it, and it works from there."""

import glob
import os
import re
import subprocess

import pytest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def install(folder, prefix):
    done = subprocess.run(["cmake", "--install", os.environ["NAIRID_BUILD"], "--prefix", prefix],
                          env={**os.environ, "DESTDIR": str(folder)}, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A DESTDIR that everything was installed into, prefix /usr."""
    return install(tmp_path_factory.mktemp("destdir"), "/usr")


def sources(pattern):
    found = glob.glob(os.path.join(SOURCE, pattern))
    assert found, f"the source has no {pattern}"
    return found


def test_the_programs_are_there_and_run(tree):
    for name in ("nairid", "nairi-hub"):
        path = tree / "usr/bin" / name
        done = subprocess.run([path, "--help"], capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
    done = subprocess.run([tree / "usr/bin/nairid", "version"], capture_output=True, text=True,
                          timeout=60)
    assert done.stdout.startswith("nairid ")


def test_every_manual_page_is_there_and_man_reads_it(tree):
    pages = [os.path.basename(path) for path in sources("packaging/man/*.[157]")]
    assert {"nairid.1", "nairi-hub.1", "nairid.yaml.5", "nairid-container.7"} <= set(pages)
    for page in pages:
        path = tree / "usr/share/man" / f"man{page[-1]}" / page
        done = subprocess.run(["man", "--warnings", "-Tutf8", "-l", path], capture_output=True,
                              text=True, timeout=60, env={**os.environ, "MANROFFSEQ": "",
                                                          "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
        assert done.returncode == 0 and done.stderr == "", done.stderr
        text = re.sub(".\b", "", done.stdout)  # bold is a letter printed twice
        for section in ("NAME", "EXAMPLES", "FILES"):
            assert f"\n{section}\n" in text, f"{page} has no {section}"


def units(prefix):
    """Where each is installed."""
    return [prefix / "lib/systemd" / manager / os.path.basename(path)
            for pattern, manager in (("systemd/*.service", "system"),
                                     ("systemd/user/*.service", "user"))
            for path in sources(pattern)]


def test_the_units_name_the_installed_programs(tree):
    for path in units(tree / "usr"):
        text = path.read_text()
        starts = [line for line in text.splitlines() if line.startswith("ExecStart=")]
        assert starts
        for line in starts:
            program = line.removeprefix("ExecStart=").split()[0]
            assert os.access(f"{tree}{program}", os.X_OK), line


def test_the_account_of_the_unit_is_made(tree):
    text = (tree / "usr/lib/sysusers.d/nairid.conf").read_text()
    assert "u nairid " in " ".join(text.split()) + " "


def test_the_example_settings_are_documentation_and_not_in_etc(tree):
    names = [os.path.relpath(path, os.path.join(SOURCE, "config"))
             for path in sources("config/*.yaml") + sources("config/profiles/*.yaml")]
    assert {"nairid.yaml", "profiles/agent.yaml"} <= set(names)
    for name in names:
        assert (tree / "usr/share/doc/nairid" / name).is_file()
    assert not (tree / "etc").exists()


def test_another_prefix_reaches_the_units(tmp_path):
    install(tmp_path, "/opt/nairid")
    for path in units(tmp_path / "opt/nairid"):
        text = path.read_text()
        assert "=/opt/nairid/bin/" in text and "=/usr/bin/" not in text
