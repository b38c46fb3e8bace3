"""nairid up: hub and daemon together, for one person, whatever dies."""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.request

import pytest

from clikit import Terminal, check_reports, environment, nairid
from daemonkit import NO_USERS, Account, in_chroot
from hubkit import preload, program, wait_until

CONFIG = """
runner: {name: command, argv: [sh]}
sandbox: {network: {mode: none}}
drain_timeout: 20s
"""


def parent_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def children(pid):
    """{name of the program and its verb: pid} of the direct children."""
    found = {}
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and parent_of(entry) == pid:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
                found[" ".join([os.path.basename(words[0]), *words[1:2]])] = int(entry)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def descendants(pid):
    found = []
    for child in children(pid).values():
        found += [child, *descendants(child)]
    return found


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Up:
    """A running `nairid up`, its output in files."""

    def __init__(self, folder, config=CONFIG, state=None, listen="127.0.0.1:0", env=None,
                 account=None):
        self.folder = folder
        self.wrap = account.wrap if account else []
        self.program = account.program("nairid") if account else program("nairid")
        self.state = os.fspath(state or folder / "state")
        self.config = folder / "up.yaml"
        self.config.write_text(config)
        self.env = env or environment(folder)
        self.out, self.err = folder / "up.out", folder / "up.err"
        with open(self.out, "ab") as out, open(self.err, "ab") as err:
            self.proc = subprocess.Popen(
                [*self.wrap, self.program, "up", "-c", self.config, "--state", self.state,
                 "--listen", listen], env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.pid = self.proc.pid

    @property
    def log(self):
        return self.err.read_text(errors="replace")

    @property
    def output(self):
        return self.out.read_text()

    def ready(self, timeout_s=60):
        def look():
            assert self.proc.poll() is None, f"exit {self.proc.returncode}: {self.log}"
            return "\n" in self.output

        wait_until(look, timeout_s, "the first line")
        line = self.output.splitlines()[0]
        self.url = re.fullmatch(r"ready (http://127\.0\.0\.1:\d+)", line).group(1)
        return self

    def ask(self, *args, timeout=60):
        return nairid("ask", "--state", self.state, *args, env=self.env, timeout=timeout)

    def client(self):
        """The variables of client.env."""
        with open(os.path.join(self.state, "client.env"), encoding="ascii") as file:
            return dict(line.split("=", 1) for line in file.read().splitlines() if "=" in line)

    def api(self, method, path, body=None):
        client = self.client()
        request = urllib.request.Request(
            f"{client['NAIRI_API_URL']}/api/public/v1{path}", method=method,
            data=json.dumps(body).encode() if body else None,
            headers={"Authorization": f"Bearer {client['NAIRI_PUBLIC_API_KEY']}",
                     "Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)

    def start(self, prompt):
        """Starts a conversation; returns the job's id."""
        return self.api("POST", "/conversations/start", {
            "agent_id": self.client()["NAIRI_AGENT_ID"], "prompt": prompt})["job_id"]

    def messages(self, job):
        return self.api("GET", f"/conversations/{job}/messages")["messages"]

    def child(self, name):
        return children(self.pid).get(name)

    def wait(self, timeout_s=60):
        code = self.proc.wait(timeout_s)
        check_reports(self.log)
        return code

    def end(self, signo=signal.SIGTERM, timeout_s=60):
        everything = descendants(self.pid)
        if self.proc.poll() is None:
            self.proc.send_signal(signo)
        code = self.wait(timeout_s)
        wait_until(lambda: not [pid for pid in everything if is_alive(pid)], 10,
                   "the end of what it had started")
        return code

    def discard(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait(10)


@pytest.fixture
def make_up(tmp_path):
    started = []

    def make(**kwargs):
        folder = tmp_path / f"up{len(started)}"
        folder.mkdir()
        started.append(Up(folder, **kwargs))
        return started[-1]

    yield make
    for up in started:
        up.discard()


@pytest.fixture
def up(make_up):
    return make_up().ready()


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_ready_is_said_when_both_serve_and_the_first_question_is_answered(up):
    done = up.ask("echo hello from $(hostname)")
    assert (done.returncode, done.stdout) == (0, "hello from sandbox\n"), up.log
    assert up.end() == 0
    assert "nairid up: " not in up.log.replace("nairid up: ending after", "")


def test_it_says_what_to_type_next_and_that_works(up):
    text = up.output
    assert f" ask --state '{up.state}' 'PROMPT'" in text
    status = re.search(r"^  (.* status --state .*)$", text, re.M).group(1)
    done = subprocess.run(["sh", "-ec", status], env=up.env, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0 and "connected" in done.stdout, done
    block = text[text.index("  . '"):text.index("What it does")]
    done = subprocess.run(["sh", "-ec", block.replace("curl ", "curl -sS --noproxy '*' ")],
                          env=up.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["job_id"].startswith("job_") and answer["message_id"].startswith("cmsg_")
    # the task is `sh` with "hello" as its script: not found, which is an answer too
    assert nairid("ask", "--state", up.state, "--job", answer["job_id"],
                  env=up.env).returncode == 1


def test_the_files_are_private_and_fit_for_a_shell(up):
    assert mode(up.state) == 0o700
    for name in ("client.env", "agent.key", "hub.db"):
        assert mode(os.path.join(up.state, name)) == 0o600
    done = subprocess.run(
        ["sh", "-c", f". '{up.state}/client.env' && env"], env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True, timeout=30)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert found["NAIRI_API_URL"] == up.url
    assert found["NAIRI_PUBLIC_API_KEY"].startswith("nr_")
    assert found["NAIRI_AGENT_ID"]
    with open(os.path.join(up.state, "agent.key"), encoding="ascii") as file:
        assert file.read().startswith("nairid_")


def test_keys_are_in_no_command_line_or_environment(up):
    with open(os.path.join(up.state, "agent.key"), encoding="ascii") as file:
        agent_key = file.read().strip()
    org_key = up.client()["NAIRI_PUBLIC_API_KEY"]
    for pid in [up.pid, *descendants(up.pid)]:
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as file:
                text = file.read().decode(errors="replace")
            assert agent_key not in text and org_key not in text
    assert agent_key not in up.log and org_key not in up.log


def test_a_restart_keeps_keys_and_conversations(make_up):
    up = make_up().ready()
    before = up.client()
    job = up.start("echo x > kept")
    assert up.ask("--job", job).returncode == 1  # an empty answer is none
    assert up.end() == 0
    again = make_up(state=up.state).ready()
    after = again.client()
    assert after["NAIRI_PUBLIC_API_KEY"] == before["NAIRI_PUBLIC_API_KEY"]
    assert after["NAIRI_API_URL"] == again.url
    assert again.ask("--job", job, "cat kept").stdout == "x\n"


@pytest.mark.parametrize("victim", ["nairi-hub serve", "nairid run"])
def test_whichever_is_killed_is_started_again_on_the_same_port(up, victim):
    pid = wait_until(lambda: up.child(victim), what=victim)
    other = {name: pid for name, pid in children(up.pid).items() if name != victim}
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: up.child(victim) not in (None, pid), what="a new one")
    done = up.ask("echo again", timeout=90)
    if done.returncode == 69:  # asked before the new hub listened
        done = up.ask("echo again", timeout=90)
    assert (done.returncode, done.stdout) == (0, "again\n"), up.log
    assert "signal 9 (Killed); starting it again in" in up.log
    assert {name: pid for name, pid in children(up.pid).items() if name != victim} == other
    assert up.output.count("ready http") == 1
    assert up.end() == 0


def test_its_own_death_takes_all_with_it(up):
    everything = descendants(up.pid)
    assert len(everything) >= 3  # hub, daemon, spawner
    up.proc.kill()
    up.proc.wait(10)
    wait_until(lambda: not [pid for pid in everything if is_alive(pid)], 10, "their end")


def task_runs(up, marker):
    for pid in descendants(up.pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if marker.encode() in file.read():
                    return True
        except (FileNotFoundError, ProcessLookupError):
            pass
    return False


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_the_running_task_end_and_its_reply_arrive(make_up, signo):
    up = make_up().ready()
    job = up.start("sleep 2.71; echo done")
    wait_until(lambda: task_runs(up, "2.71"), what="the task")
    assert up.end(signo) == 0
    again = make_up(state=up.state).ready()
    [reply] = [row for row in again.messages(job) if row["role"] == "assistant"]
    assert reply["content"] == "done"


def test_who_asks_gets_his_answer_though_all_ends_meanwhile(up):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(up.ask, "sleep 2.72; echo done")
        wait_until(lambda: task_runs(up, "2.72"), what="the task")
        assert up.end() == 0
        done = asked.result(60)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.parametrize("signals", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGQUIT]])
def test_a_second_signal_ends_all_at_once(up, signals):
    up.start("sleep 61.8; echo done")
    wait_until(lambda: task_runs(up, "61.8"), what="the task")
    began = time.monotonic()
    up.proc.send_signal(signals[0])
    if len(signals) > 1:
        wait_until(lambda: "ending after the running tasks" in up.log, what="its word")
    up.end(signals[-1])
    assert time.monotonic() - began < 30


def test_drain_of_the_daemon_ends_it_all(up):
    done = nairid("drain", "--state", os.path.join(up.state, "daemon"), env=up.env)
    assert done.returncode == 0, done.stderr
    assert up.wait() == 0


def test_two_on_one_state_directory_are_refused(make_up):
    first = make_up().ready()
    second = make_up(state=first.state)
    assert second.wait() == 75
    assert str(first.pid) in second.log


def test_a_taken_port_is_named(make_up):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = make_up(listen=f"127.0.0.1:{port}")
        assert up.wait() == 75
    assert f"127.0.0.1:{port}" in up.log and "in use" in up.log


@pytest.mark.parametrize("config, words", [
    ("runner: {name: cursor}\nsandbox: {network: {mode: host}}\n", ["runner.name", "command"]),
    ("runner: {name: command, argv: [sh]}\nmax_concurency: 1\n", ["up.yaml:2:1", "max_concurrency"]),
])
def test_settings_that_no_daemon_could_run_with_end_it_with_78(make_up, config, words):
    up = make_up(config=config)
    assert up.wait() == 78
    for word in words:
        assert word in up.log
    assert "listening" not in up.log  # nothing was started


def test_server_and_key_of_settings_and_environment_do_not_count(make_up, tmp_path):
    env = environment(tmp_path, NAIRI_API_KEY="nairid_1111111111111111",
                      NAIRI_WS_API_URL="http://127.0.0.1:1/socketio/",
                      NAIRID_SERVER_URL="http://127.0.0.1:1", NAIRI_AGENT_ID="somebody",
                      http_proxy="http://127.0.0.1:1")
    up = make_up(config='server: {url: "http://127.0.0.1:1"}\napi_key_file: /nonexistent\n' + CONFIG,
                 env=env).ready()
    assert up.ask("echo ok").stdout == "ok\n"
    assert up.end() == 0


def test_what_another_daemon_left_is_not_taken(make_up, tmp_path):
    old = tmp_path / ".config/eksecd"
    old.mkdir(parents=True)
    (old / ".env").write_text("NAIRID_SERVER_URL=http://127.0.0.1:1\nGREETING=hello\n")
    (old / "state.json").write_text('{"agent_id": "ccaid_01JQ8ZK5T8R0B7T5N3X9W2V4M6"}')
    up = make_up().ready()
    assert up.ask("echo ok$GREETING").stdout == "ok\n"
    assert up.end() == 0
    assert sorted(path.name for path in old.iterdir()) == [".env", "state.json"]


def test_the_agent_of_the_settings_is_the_one_that_is_made(make_up):
    up = make_up(config="agent: {id: team/one}\n" + CONFIG).ready()
    assert up.client()["NAIRI_AGENT_ID"] == "team/one"
    assert up.ask("echo ok").stdout == "ok\n"


def test_a_database_that_was_removed_gets_new_keys(make_up):
    up = make_up().ready()
    assert up.end() == 0
    for name in os.listdir(up.state):
        path = os.path.join(up.state, name)
        if name.startswith("hub.db"):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    again = make_up(state=up.state).ready()
    assert again.ask("echo ok").stdout == "ok\n"


def test_a_long_state_directory_works(make_up):
    def links():
        return {name for name in os.listdir("/tmp") if name.startswith("nairid-up-")}

    before = links()
    with tempfile.TemporaryDirectory() as folder:
        up = make_up(state=os.path.join(folder, "a" * 120, "b" * 120)).ready()
        assert up.ask("echo ok").stdout == "ok\n"
        assert up.end() == 0
    assert links() <= before


def test_a_hub_that_is_missing_is_named(tmp_path):
    lonely = tmp_path / "nairid"
    shutil.copy(program("nairid"), lonely)
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    done = subprocess.run([lonely, "up", "-c", config, "--state", tmp_path / "s"],
                          env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert done.returncode == 73
    assert "nairi-hub" in done.stderr


def test_a_hub_that_never_gets_ready_is_given_up(tmp_path):
    shutil.copy(program("nairid"), tmp_path / "nairid")
    hub = tmp_path / "nairi-hub"
    hub.write_text(f"#!/bin/sh\n[ $1 = serve ] || exec {program('nairi-hub')} \"$@\"\n"
                   "exec sleep 1000\n")
    hub.chmod(0o755)
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    done = subprocess.run([tmp_path / "nairid", "up", "-c", config, "--state", tmp_path / "s"],
                          env={**environment(tmp_path), **preload("fastclock", FASTCLOCK="8")},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 69
    assert "the hub isn't ready after 20 s" in done.stderr


def test_ask_follows_an_up_that_comes_back_on_another_port(make_up):
    up = make_up().ready()
    job = up.start("until [ -e go ]; do sleep 0.05; done; echo found")
    asking = subprocess.Popen([program("nairid"), "ask", "--state", up.state, "--job", job],
                              env=up.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    up.proc.send_signal(signal.SIGQUIT)  # the task runs again at the next start
    up.proc.wait(30)
    with socket.socket() as taken:  # so that the kernel can't choose the old port again
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(up.url.rpartition(":")[2])))
        again = make_up(state=up.state).ready()
        assert again.url != up.url
        workspace = os.path.join(up.state, "daemon", "jobs", job, "workspace")
        wait_until(lambda: os.path.isdir(workspace), 30, "the task to run again")
        pathlib.Path(workspace, "go").touch()
        out, err = asking.communicate(timeout=60)
    assert (asking.returncode, out) == (0, "found\n"), err


def test_a_terminal_shows_the_lines_that_the_task_prints(up):
    ask = Terminal("ask", "--state", up.state,
                   "echo first step; until [ -e go ]; do sleep 0.05; done; echo the end",
                   env={**up.env, "TERM": "xterm"}, stdout_pipe=True)
    ask.expect("working: first step")
    ask.interrupt()
    assert ask.end() == 130
    job = re.search(r"--job (job_\w+)", ask.text).group(1)
    curl = re.search(r"curl -X POST .*/stop", ask.text).group().replace("curl", "curl -sSf -m 20", 1)
    subprocess.run(["sh", "-ec", f". '{up.state}/client.env'; {curl}"], env=up.env, check=True,
                   stdout=subprocess.DEVNULL, timeout=60)
    done = up.ask("--job", job)
    assert done.returncode == 1 and "stopped by the user" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
@pytest.mark.skipif(in_chroot(), reason=NO_USERS)
def test_an_ordinary_user_can_do_the_same():
    account = Account("user")
    up = Up(pathlib.Path(account.folder), account=account)
    try:
        up.ready()
        assert up.ask("id -un; hostname").stdout == "agent\nsandbox\n"
        assert up.end() == 0
    finally:
        up.discard()
        account.done()
