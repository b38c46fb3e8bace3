"""nairid config, and what every verb says about settings that can't be."""

import pytest

from clikit import environment, nairid

SECRETS = ("nairid_ownsecretkey", "hunter2", "hunter3")


@pytest.fixture
def config(tmp_path):
    """config("TEXT" or None, *flags, **environment) runs it on a file with that text."""
    def run(text, *flags, **env):
        path = tmp_path / "nairid.yaml"
        if text is not None:
            path.write_text(text)
            path.chmod(0o644)
            flags = ("-c", str(path), *flags)
        env = environment(tmp_path, XDG_STATE_HOME=str(tmp_path / "state"), **env)
        return nairid("config", *flags, env=env, cwd=tmp_path)

    run.file = tmp_path / "nairid.yaml"
    return run


def lines_of(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_value_is_shown_with_its_source(config):
    done = config("max_queued: 7\nrunner: {name: command, argv: [sh, -c, 'a b']}\n",
                  "--set", "log.level=debug", NAIRID_MAX_CONCURRENCY="3")
    lines = lines_of(done)
    assert f"max_queued: 7  # {config.file}:1:1" in lines
    assert f'runner.argv: [sh, "-c", "a b"]  # {config.file}:2:25' in lines
    assert "max_concurrency: 3  # environment variable NAIRID_MAX_CONCURRENCY" in lines
    assert "log.level: debug  # option --set" in lines
    assert "drain_timeout: 5m  # default" in lines
    assert f"# file: {config.file}" in lines
    assert f"# state: {config.file.parent}/state/nairid" in lines


def test_no_secret_is_shown(config):
    done = config("server: {proxy: 'http://me:hunter2@proxy:3128'}\n"
                  "runner: {env: {TOKEN: hunter3}}\n", NAIRI_API_KEY="nairid_ownsecretkey")
    lines = lines_of(done)
    assert "# agent key: from NAIRI_API_KEY" in lines
    for secret in SECRETS:
        assert secret not in done.stdout + done.stderr


def test_it_says_why_the_daemon_would_not_start_and_shows_the_settings_all_the_same(config):
    done = config("agent: {id: a}\nrunner: {name: cursor}\n")
    assert f"runner.name: cursor  # {config.file}:2:10" in lines_of(done)
    assert "the daemon would not start with these settings" in done.stderr
    assert "runner.name cursor" in done.stderr


@pytest.mark.parametrize("text, said", [
    ("max_concurency: 2\n", "1:1: unknown key 'max_concurency'; did you mean max_concurrency?"),
    ("max_queued: 1\nmax_queued: 2\n", "2:1: 'max_queued' is here a second time; the first is at"),
    ("max_queued: 0\n", "1:1: max_queued: 0 is out of range: 1 to 1000000"),
    ("api_key: nairid_ownsecretkey\n", "1:1: the agent key doesn't belong in this file"),
    ("api_key_file: nairid_ownsecretkey\n", "1:1: api_key_file: want a path that begins with /"),
    ("server: {url: 'https://me:hunter2@h'}\n", "1:10: server.url: user and password"),
    ("a:\n\tb: 1\n", "2:1: a tab where YAML wants spaces"),
])
def test_what_is_wrong_has_a_place_and_ends_with_78(config, text, said):
    done = config(text)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith(f"nairid: {config.file}:{said}"), done.stderr
    assert done.stderr.count("\n") == 1
    for secret in SECRETS:
        assert secret not in done.stderr


def test_a_file_that_anybody_may_write_is_refused(config):
    config("max_queued: 1\n")
    config.file.chmod(0o666)
    done = config(None, "-c", str(config.file))
    assert done.returncode == 78
    assert "chmod o-w it" in done.stderr


def test_a_missing_file_is_refused_when_it_was_named(config):
    done = config(None, "-c", "/nonexistent/nairid.yaml")
    assert done.returncode == 78
    assert "settings file '/nonexistent/nairid.yaml': No such file or directory" in done.stderr
    assert config(None).returncode == 0


def test_a_variable_without_effect_is_named(config):
    done = config(None, NAIRID_MAX_QUEUE="5")
    assert done.returncode == 0
    assert ("nairid: environment variable NAIRID_MAX_QUEUE has no effect; did you mean "
            "NAIRID_MAX_QUEUED?\n") in done.stderr


def test_the_flags_of_the_daemon_that_it_replaces_are_understood(config):
    done = config(None, "--agent", "codex", "--model", "m", "--claude-bypass-permissions")
    lines = lines_of(done)
    assert "runner.name: codex  # option --agent" in lines
    assert "runner.model: m  # option --model" in lines
    assert "runner.permissions: bypass  # option --claude-bypass-permissions" in lines
    done = config(None, "--repo", "/srv/repo")
    assert done.returncode == 78
    assert "option --repo: workspace.repo is not available in this version" in done.stderr
