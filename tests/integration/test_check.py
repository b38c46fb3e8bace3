"""nairid check: what it finds, what it advises, and that its code is the one that run would give."""

import fcntl
import http.server
import os
import pathlib
import re
import subprocess
import tempfile
import threading

import pytest

from clikit import check_reports, environment, nairid
from daemonkit import Account, in_chroot
from hubkit import program


class Setup:
    """Settings for a daemon of the hub's agent, and the environment to check them in."""

    def __init__(self, hub, folder):
        self.hub = hub
        self.folder = folder
        self.state = folder / "state"
        self.key = folder / "agent.key"
        self.config = folder / "nairid.yaml"
        self.env = environment(folder)
        self.write_key(hub.agent_key)
        self.write()

    def write_key(self, key, mode=0o600):
        self.key.write_text(key + "\n")
        self.key.chmod(mode)

    def write(self, url=None, argv="[sh]", extra=""):
        self.config.write_text(
            f'server: {{url: "{url or self.hub.url}"}}\n'
            f"agent: {{id: {self.hub.slug}}}\n"
            f"api_key_file: {self.key}\n"
            f"runner: {{name: command, argv: {argv}}}\n"
            f"sandbox: {{network: {{mode: none}}}}\n{extra}")

    def check(self, *args):
        return nairid("check", "-c", self.config, "--state", self.state, *args, env=self.env)


@pytest.fixture
def setup(hub, tmp_path):
    return Setup(hub, tmp_path)


def lines(done):
    """{"sandbox": ("OK", "profile agent, ..."), ...}; the worst of each name."""
    found = {}
    for line in done.stdout.splitlines():
        grade, name, text = re.fullmatch(r"(OK|WARN|FAIL) +(\w+) +(.*)", line).groups()
        if name not in found or grade != "OK":
            found[name] = (grade, text)
    return found


def grades(done):
    return {name: grade for name, (grade, _) in lines(done).items()}


def test_all_is_well(setup):
    done = setup.check()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    found = grades(done)
    assert found.pop("walls") in ("OK", "WARN")  # weaker ones are the machine's
    assert found == dict.fromkeys(
        ["settings", "state", "sandbox", "runner", "key", "server", "clock"], "OK")
    assert not setup.state.exists()  # it makes nothing
    assert setup.hub.agent_key not in done.stdout


def test_it_takes_no_lease(setup):
    job, message = setup.hub.start("hello")
    assert setup.check().returncode == 0
    assert setup.hub.message(message)["status"] == "queued"
    [held] = setup.hub.poll(instance="another")
    assert held["id"] == job


def test_wrong_settings_give_78_and_the_place(setup):
    setup.write(extra="max_concurency: 2\n")
    done = setup.check()
    assert done.returncode == 78
    assert grades(done) == {"settings": "FAIL"}
    assert re.search(r"nairid\.yaml:6:1: .*max_concurrency", done.stdout)


def test_what_this_version_cannot_do_gives_78(setup):
    done = setup.check("--set", "metrics.listen=127.0.0.1:9")
    assert done.returncode == 78
    assert "metrics.listen" in done.stdout


def test_a_missing_program_gives_78(setup):
    setup.write(argv="[no-such-program-here]")
    done = setup.check()
    assert done.returncode == 78
    assert lines(done)["runner"][0] == "FAIL"
    assert "no-such-program-here" in done.stdout and "sandbox.read" in done.stdout


@pytest.mark.parametrize("key", ["sandbox.read", "sandbox.write"])
def test_a_missing_path_gives_78(setup, key):
    done = setup.check("--set", f"{key}=[/no-such-folder]")
    assert done.returncode == 78
    assert grades(done) == {"settings": "FAIL"} and f"{key}: '/no-such-folder'" in done.stdout


def test_a_program_outside_of_what_the_sandbox_shows_gives_78_until_it_is_shown(setup):
    home = "/opt" if os.getuid() == 0 else os.path.expanduser("~")  # no place that a sandbox has
    with tempfile.TemporaryDirectory(dir=home) as folder:
        os.chmod(folder, 0o755)
        tool = os.path.join(folder, "tool")
        with open(tool, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n")
        os.chmod(tool, 0o755)
        setup.write(argv=f"[{tool}]")
        assert setup.check().returncode == 78
        done = setup.check("--set", f"sandbox.read=[{folder}]")
    assert lines(done)["runner"][0] == "OK", done.stdout


@pytest.fixture
def home():
    """A folder in a place that no sandbox has."""
    base = "/opt" if os.getuid() == 0 else os.path.expanduser("~")
    with tempfile.TemporaryDirectory(dir=base) as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


def claude(setup, program):
    return setup.check("--set", "runner.name=claude", "--set", "runner.argv=[]",
                       "--set", f"runner.program={program}",
                       "--set", "sandbox.network.mode=host")


def script(path, text):
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def test_a_program_in_somebodys_home_is_shown_with_its_package_and_nothing_else(setup, home):
    package = home / "lib/node_modules/@owner/tool"
    script(package / "bin/tool", f'echo "$(cat {package}/note), $(ls {home} {home}/lib/*)"\n')
    (package / "note").write_text("version 7")
    (home / "private").write_text("x")
    (home / "lib/node_modules/other").mkdir()
    (home / "bin").mkdir()
    (home / "bin/tool").symlink_to("../lib/node_modules/@owner/tool/bin/tool")
    done = claude(setup, home / "bin/tool")
    assert done.returncode == 0, done.stdout
    assert f"'{home}/bin/tool' is there, seen from the sandbox: version 7, {home}:" in done.stdout
    assert "private" not in done.stdout and "other" not in done.stdout


def test_a_program_outside_of_a_package_is_shown_alone(setup, home):
    script(home / "share/versions/7", f'echo "version 7 $(ls {home} | tr "\\n" " ")"\n')
    (home / "private").write_text("x")
    (home / "tool").symlink_to("share/versions/7")
    done = claude(setup, home / "tool")
    assert "seen from the sandbox: version 7 share \n" in done.stdout
    assert "no key" in done.stdout  # which nobody gave it


def test_a_program_that_does_not_run_in_the_sandbox_gives_78_and_its_words(setup, home):
    script(home / "bin/tool", "echo 'cannot find libnothing.so'; exit 127\n")
    done = claude(setup, home / "bin/tool")
    assert done.returncode == 78
    assert "doesn't run: cannot find libnothing.so" in done.stdout


def test_a_package_that_would_show_the_daemons_state_is_refused(setup, home):
    setup.state = home / "node_modules/tool/state"
    script(home / "node_modules/tool/bin/tool", "true\n")
    setup.state.mkdir()
    done = claude(setup, home / "node_modules/tool/bin/tool")
    assert done.returncode == 78
    assert f"runner.program: '{home}/node_modules/tool' would show every task" in done.stdout


def test_settings_with_a_brokers_key_in_them_are_shown_to_no_task(setup):
    says = f"the settings' file, with a broker's key in it, '{setup.config}', lies where every task"
    setup.config.write_text(
        f"agent: {{id: {setup.hub.slug}}}\napi_key_file: {setup.key}\n"
        "runner: {name: claude, env: {ANTHROPIC_API_KEY: sk-0123456789abcdef}}\n"
        f"sandbox: {{network: {{mode: none}}, read: [{setup.config}]}}\n")
    setup.config.chmod(0o644)
    done = setup.check()
    assert done.returncode == 78 and says in done.stdout, done.stdout
    setup.config.chmod(0o600)
    assert (says in setup.check().stdout) == (os.getuid() != 0)  # root's tasks are other users


def test_a_program_that_is_in_our_path_only_is_named(setup, home):
    script(home / "bin/claude", "true\n")
    setup.env["PATH"] += f":{home}/bin"
    done = claude(setup, "")
    assert done.returncode == 78
    assert f"name its path in runner.program: {home}/bin/claude" in done.stdout
    assert "npm install -g @anthropic-ai/claude-code" in done.stdout


@pytest.mark.parametrize("key, mode, code, says", [
    ("nairid_0000000000000000000000000000000000000000000", 0o600, 77, "refuses the key"),
    ("nr_000000000000000000000000000000000", 0o600, 78, "organisation"),
    ("nairid_0000000000000000000000000000000000000000000", 0o644, 78, "chmod 600"),
])
def test_wrong_keys_are_told_apart(setup, key, mode, code, says):
    setup.write_key(key, mode)
    done = setup.check()
    assert done.returncode == code
    assert says in done.stdout and key not in done.stdout


def test_no_key_at_all_gives_78(setup):
    setup.key.unlink()
    done = setup.check()
    assert done.returncode == 78
    assert lines(done)["key"][0] == "FAIL"


def test_a_server_that_is_not_there_gives_69(setup):
    setup.hub.end()
    done = setup.check()
    assert done.returncode == 69
    grade, text = lines(done)["server"]
    assert grade == "FAIL" and "refused the connection" in text
    assert "clock" not in lines(done)


def test_the_first_thing_that_run_would_stumble_over_decides_the_code(setup):
    setup.hub.end()
    setup.write(argv="[no-such-program-here]")
    done = setup.check()
    assert done.returncode == 78
    assert grades(done)["server"] == "FAIL"  # and all else is still told


def test_a_state_directory_that_is_in_use_gives_75(setup):
    setup.state.mkdir(mode=0o700)
    lock = setup.state / "nairid.lock"
    with open(lock, "w", encoding="ascii") as file:
        os.chmod(lock, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{os.getpid()}\n")
        file.flush()
        done = setup.check()
    assert done.returncode == 75
    assert str(os.getpid()) in lines(done)["state"][1]
    assert setup.check().returncode == 0


def test_a_state_directory_that_others_may_write_gives_73(setup):
    setup.state.mkdir(mode=0o700)
    setup.state.chmod(0o777)
    done = setup.check()
    assert done.returncode == 73
    assert "chmod 0700" in done.stdout


def test_a_journal_that_is_none_gives_78(setup):
    setup.state.mkdir(mode=0o700)
    journal = setup.state / "journal.db"
    journal.write_bytes(b"this is no database" * 1000)
    journal.chmod(0o600)
    done = setup.check()
    assert done.returncode == 78
    assert "aside" in lines(done)["state"][1]
    assert journal.read_bytes().startswith(b"this is no database")


class Strange:
    """A server whose clock is wrong, or that is none."""

    def __init__(self, status, body, date):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response_only(status)
                self.send_header("Date", date or self.date_time_string())
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.mark.parametrize("status, body, date, code, name, grade, says", [
    (200, b'{"env_vars":[]}', "Mon, 01 Jan 2001 00:00:00 GMT", 0, "clock", "WARN", "ahead of"),
    (200, b'{"env_vars":[]}', "Fri, 01 Jan 2100 00:00:00 GMT", 0, "clock", "WARN", "behind"),
    (200, b"<html>welcome</html>", None, 69, "server", "FAIL", "without JSON"),
    (403, b"<html>denied</html>", None, 69, "server", "FAIL", "without JSON"),
    (404, b'{"error":"not found"}', None, 0, "server", "WARN", "could not be tried"),
    (503, b"busy", None, 0, "server", "WARN", "later"),
    (500, b'{"error":"x"}', None, 69, "server", "FAIL", "HTTP 500"),
])
def test_strange_servers_are_described(setup, status, body, date, code, name, grade, says):
    server = Strange(status, body, date)
    try:
        setup.write(url=server.url)
        done = setup.check()
    finally:
        server.http.shutdown()
        server.http.server_close()
    assert done.returncode == code, done.stdout
    assert lines(done)[name][0] == grade
    assert says in lines(done)[name][1]


@pytest.mark.parametrize("setting", ["read", "write"])
@pytest.mark.parametrize("shown", [".", "state", "state/jobs", "agent.key", "link/state"])
def test_no_task_may_see_what_is_the_daemons(setup, setting, shown):
    (setup.folder / "link").symlink_to(".")
    setup.config.write_text(setup.config.read_text().replace(
        "mode: none}", f"mode: none}}, {setting}: [{os.path.normpath(setup.folder / shown)}]"))
    done = setup.check()
    assert done.returncode == 78
    grade, words = lines(done)["settings"]
    assert grade == "FAIL" and f"sandbox.{setting}" in words
    for verb, more in (("run", []), ("sandbox", ["--workspace", "/usr", "--", "true"])):
        ran = nairid(verb, "-c", setup.config, "--state", setup.state, *more, env=setup.env)
        assert ran.returncode == 78 and f"sandbox.{setting}" in ran.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_state_on_a_full_disk_that_is_yet_to_be_made_is_74(setup, verb):
    disk = setup.folder / "disk"
    disk.mkdir()
    fill = f"mount -t tmpfs -o size=64k none '{disk}'\ncat /dev/zero >'{disk}/ballast' || true\n"
    done = subprocess.run(["unshare", "-m", "sh", "-ec", fill + 'exec "$@"', "sh",
                           program("nairid"), verb, "-c", setup.config, "--state", disk / "state"],
                          env=setup.env, capture_output=True, text=True, timeout=60)
    check_reports(done.stderr)
    assert done.returncode == 74
    assert "make room" in (done.stdout if verb == "check" else done.stderr)


@pytest.mark.parametrize("login, shown", [
    (".claude/.credentials.json", "."), (".claude/.credentials.json", ".claude"),
    (".codex/auth.json", ".codex/auth.json"), (".local/share/opencode/auth.json", ".local"),
])
def test_a_login_that_every_task_sees_is_named(setup, login, shown):
    home = setup.folder / "somebody"
    file = home / login
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    file.chmod(0o644)
    words = f"sandbox.read=[{os.path.normpath(home / shown)}]"
    done = setup.check("--set", words)
    assert done.returncode == 0, done.stdout
    grade, text = lines(done)["login"]
    assert grade == "WARN" and f"'{os.path.realpath(file)}'" in text and "API key" in text
    if os.getuid() == 0:  # a root's tasks are other users
        file.chmod(0o600)
        assert "login" not in lines(setup.check("--set", words))
    file.unlink()
    assert "login" not in lines(setup.check("--set", words))


def with_file_over(setup, path, text, verb, keep=True):
    """Runs the verb where the machine's file has those lines besides its own, if it keeps them."""
    copy = setup.folder / "over"
    with open(path) as file:
        copy.write_text((file.read() if keep else "") + text)
    return subprocess.run(["unshare", "-m", "sh", "-ec",
                           f"mount --bind '{copy}' {path}\n" + 'exec "$@"', "sh",
                           program("nairid"), verb, "-c", setup.config, "--state", setup.state],
                          env=setup.env, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_service_that_gets_the_cores_of_tasks_is_named(setup):
    for pattern, weaker in (("core", False), ("|/bin/false", False), ("@/run/cores", True),
                            ("@@/run/cores", True)):
        setup.write()  # what is over a part of /proc hides that
        setup.config.write_text(setup.config.read_text().replace("mode: none}",
                                                                 "mode: none}, accept: [proc]"))
        done = with_file_over(setup, "/proc/sys/kernel/core_pattern", pattern + "\n", "check",
                              keep=False)
        check_reports(done.stderr)
        assert done.returncode == 0, done.stdout
        weaker = weaker and not in_chroot()  # out of which it looks at the machine
        assert ("filter is weaker: the core of a program" in done.stdout) is weaker, done.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
@pytest.mark.parametrize("verb", ["check", "run"])
def test_an_account_with_a_uid_that_is_for_tasks_gives_78(setup, verb):
    line = "mallory:x:2100000000:2100000000::/:/bin/sh\n"
    done = with_file_over(setup, "/etc/passwd", line, verb)
    check_reports(done.stderr)
    assert done.returncode == 78
    assert ("the account 'mallory' in /etc/passwd has the uid 2100000000" in
            (lines(done)["uids"][1] if verb == "check" else done.stderr))


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
@pytest.mark.parametrize("has_range", [True, False])
def test_an_ordinary_users_groups_and_unused_ids_are_named(setup, has_range):
    account = Account("user")
    line = f"{account.uid}:300000:65536\n" if has_range else ""
    copy = account.write(os.path.join(account.folder, "subuid"), line, 0o644)
    become = ["setpriv", f"--reuid={account.uid}", f"--regid={account.uid}", "--groups=4,61399"]
    done = subprocess.run(["unshare", "-m", "sh", "-ec",
                           f"mount --bind '{copy}' /etc/subuid\n" + 'exec "$@"', "sh", *become,
                           account.program("nairid"), "check", "--set", "agent.id=x"],
                          env=account.environ(), cwd=account.folder, capture_output=True, text=True,
                          timeout=60)
    account.done()
    check_reports(done.stderr)
    assert re.search(r"^WARN +walls +groups is weaker: a task keeps what the daemon's user may as a "
                     r"member of adm, 61399;", done.stdout, re.M), done.stdout
    grade, words = lines(done)["uids"]
    assert grade == "OK" and f"tasks are user {account.uid}, as the daemon is" in words
    assert ("65536 that /etc/subuid gives" in words and "newuidmap" in words) is has_range
    assert ("subuid" in words) is has_range


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_containers_that_have_uids_for_tasks_are_warned_of(setup):
    assert os.path.exists("/etc/subuid")  # of Debian's package passwd
    done = with_file_over(setup, "/etc/subuid", "alice:2100000000:65536\n", "check")
    check_reports(done.stderr)
    assert done.returncode == 0, done.stdout
    grade, words = lines(done)["uids"]
    assert grade == "WARN" and "/etc/subuid gives 65536 ids from 2100000000" in words


def test_a_neighbour_of_the_state_may_be_seen(setup):
    (setup.folder / "state-of-others").mkdir()
    setup.config.write_text(setup.config.read_text().replace(
        "mode: none}", f"mode: none}}, write: [{setup.folder / 'state-of-others'}]"))
    assert setup.check().returncode == 0


def test_the_settings_file_is_not_for_a_task_to_write(setup):
    folder = setup.folder / "conf"
    folder.mkdir()
    setup.config = folder / "nairid.yaml"
    setup.write()
    text = setup.config.read_text()
    setup.config.write_text(text.replace("mode: none}", f"mode: none}}, write: [{folder}]"))
    done = setup.check()
    assert done.returncode == 78 and "settings" in lines(done)["settings"][1]
    setup.config.write_text(text.replace("mode: none}", f"mode: none}}, read: [{folder}]"))
    assert setup.check().returncode == 0


def test_the_servers_own_words_say_why_a_key_is_refused(setup):
    setup.config.write_text(setup.config.read_text().replace(setup.hub.slug, "another-agent"))
    done = setup.check()
    assert done.returncode == 77
    assert "belongs to the agent" in lines(done)["server"][1]
