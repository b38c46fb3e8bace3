"""The daemon in the place of the one that it replaces: its flags, variables, .env, state and names."""

import json
import os
import re
import subprocess

import pytest

from clikit import environment, nairid
from daemonkit import Daemon, Program, files_below
from hubkit import wait_until
from socketiokit import ControlPlane

INSTANCE = "ccaid_01JQ8ZK5T8R0B7T5N3X9W2V4M6"


class Before(Daemon):
    """As people run the present daemon: no verb, no settings file, in some directory."""

    def __init__(self, account, hub, name="before", **env):
        super().__init__(account, hub, name)
        self.place = account.mkdir(f"{name}-place")
        self.old = account.mkdir(f"{name}-eksecd")
        self.base = account.mkdir(f"{name}-state")
        self.wrap = ["env", "-C", self.place]
        self.env = {"XDG_STATE_HOME": self.base, "NAIRI_CONFIG_DIR": self.old,
                    "NAIRI_API_KEY": hub.agent_key, "NAIRI_AGENT_ID": hub.slug,
                    "NAIRI_WS_API_URL": hub.url + "/socketio/",
                    "NAIRID_RUNNER_ARGV": "[sh]", "NAIRID_SANDBOX_NETWORK_MODE": "none"}
        self.env.update(env)
        self.env = {name: value for name, value in self.env.items() if value is not None}
        self.state = os.path.join(self.base, "nairid/instances", hub.slug)

    def start(self):
        self.program = Program(self.account, [self.account.program("nairid"), "--agent",
                                              "command"], self.folder, "nairid",
                               self.account.environ(**self.env), self.wrap)
        return self

    def put_env(self, text, mode=0o600):
        return self.account.write(os.path.join(self.old, ".env"), text, mode)

    def put_repository(self):
        git = os.path.join(self.place, ".git")
        subprocess.run([*self.account.wrap, "mkdir", git], check=True)
        self.account.write(os.path.join(git, "config"),
                           "[core]\n\tfsmonitor = touch /tmp/ran\n[remote \"origin\"]\n"
                           "\turl = https://x-access-token:ghp_token@github.com/owner/name.git\n")
        self.state = os.path.join(self.base, "nairid/instances/github.com__owner__name")

    def put_state(self, state, where="instances/{slug}"):
        folder = os.path.join(self.old, where.format(slug=self.hub.slug))
        subprocess.run([*self.account.wrap, "mkdir", "-p", folder], check=True)
        text = state if isinstance(state, str) else json.dumps(state)
        return self.account.write(os.path.join(folder, "state.json"), text)


@pytest.fixture
def make_before(me, hub):
    made = []

    def make(**kwargs):
        made.append(Before(me, hub, f"before{len(made)}", **kwargs))
        return made[-1]

    yield make
    assert all(before.end() in (0, None) for before in made)


def test_an_existing_deployment_goes_on(make_before, hub):
    """Variables, .env over them, its secrets masked, none of the daemon's own in tasks."""
    before = make_before(MAX_CONCURRENCY="1")
    before.put_env("MAX_CONCURRENCY=2\nTOKEN='hunter2 is no word'\nwhat?\n")
    before.boot()
    assert before.answer('echo "$TOKEN${NAIRI_API_KEY-}${NAIRI_CONFIG_DIR-}"')["content"] == "[secret]"
    assert len(re.findall(r"\.env:3:1: want a = after the name", before.log)) == 1
    assert "hunter2" not in before.log and "what?" not in before.log
    config = before.run("config").stdout
    assert re.search(r"^max_concurrency: 2  # .*\.env:1:1$", config, re.M)
    assert "hunter2" not in config


def test_a_change_of_env_is_noticed_and_a_bad_one_changes_nothing(make_before):
    before = make_before()
    before.put_env("GREETING=good morning\n")
    before.boot()
    assert before.answer("echo $GREETING-")["content"] == "[secret]-"
    before.put_env("GREETING=hi\n")
    wait_until(lambda: before.log.count("reloaded") == 1, 30, "the change to be noticed")
    assert before.answer("echo $GREETING-")["content"] == "hi-"  # too short to be masked
    before.put_env("GREETING=evil\n", 0o666)
    wait_until(lambda: "reload_failed" in before.log, 30, "the file to be refused")
    assert before.answer("echo $GREETING-")["content"] == "hi-"


def test_a_key_in_env_counts_and_can_be_changed(make_before, hub):
    before = make_before(NAIRI_API_KEY="nairid_that_nobody_knows")
    before.put_env(f"EKSEC_API_KEY={hub.agent_key}\n")
    before.boot()
    assert "EKSEC_API_KEY in .env" in before.log and hub.agent_key not in before.log
    before.put_env(f"NAIRI_API_KEY={hub.agent_key}\n")
    wait_until(lambda: "reloaded" in before.log, 30, "the change to be noticed")
    assert before.answer("echo on")["content"] == "on"


def test_each_agent_has_its_own_state_and_the_second_daemon_is_refused(make_before):
    before = make_before()
    before.boot()
    assert json.loads(before.run("status", "--json").stdout)["pid"] == before.pid
    done = before.run("--agent", "command")
    assert done.returncode == 75
    assert f"process {before.pid}" in done.stderr
    another = before.run("check", "--agent", "command", "--set", "agent.id=team/other")
    assert os.path.join(before.base, "nairid/instances/team__other") in another.stdout


def test_a_repository_says_which_agent_this_is(make_before):
    """Its file is read as data: no program named there is run, and the token in the URL is not told."""
    before = make_before(NAIRI_AGENT_ID=None)
    before.put_repository()
    before.boot()
    assert before.answer("echo on")["content"] == "on"
    assert "github.com/owner/name" in before.log and "ghp_token" not in before.log
    assert "git isn't in this version" in before.log
    assert files_below(before.place) == [".git", ".git/config"]
    before.put_env("GREETING=hi\n")
    wait_until(lambda: "reloaded" in before.log, 30, "the change to be noticed")
    assert before.answer("echo $GREETING")["content"] == "hi"


def test_the_realtime_channel_is_told_of_the_repository(me):
    plane = ControlPlane()
    before = Before(me, plane, NAIRI_AGENT_ID=None, NAIRID_SERVER_POLL_INTERVAL="1h")
    before.put_repository()
    try:
        before.boot()
        plane.wait_joined(before)
        headers = plane.seen()["handshakes"][0]
        assert headers["x-ccagent-repo"] == "github.com/owner/name"
        assert headers["x-agent-id"] == "github.com/owner/name"
    finally:
        code = before.end()
        plane.end()
    assert code == 0


def test_what_waited_is_answered_and_what_was_seen_is_not_run_again(make_before, hub):
    """W3, W5: a restart costs nobody an answer; W32: a session called unknown is none."""
    before = make_before()
    job, waiting = hub.start("echo hello")
    _, seen = hub.start("echo again")
    path = before.put_state({
        "agent_id": INSTANCE,
        "jobs": {"job_x": {"claude_session_id": "unknown", "status": "completed"}},
        "queued_messages": {waiting: {"processed_message_id": waiting, "job_id": job,
                                      "message_type": "start_conversation_v1",
                                      "message": "echo hello", "queued_at": "2020-01-01T00:00:00Z"}},
        "seen_messages": {seen: "2026-01-01T00:00:00Z", waiting: "2026-01-01T00:00:00Z"}})
    with open(path) as file:
        text = file.read()
    before.boot()
    reply = before.reply(job, waiting)
    assert "waited for more than a day" in reply["content"]  # since 2020: it is not run any more
    assert "old_state_taken" in before.log and INSTANCE in before.log
    wait_until(lambda: not hub.poll(instance=INSTANCE), 30, "what was seen to be acknowledged")
    with open(path) as file:
        assert file.read() == text
    with open(path + ".taken-by-nairid") as mark:
        assert INSTANCE in mark.read()
    assert before.restart() and "old_state" not in before.log


def test_a_fresh_message_that_waited_is_run_once(make_before, hub):
    before = make_before()
    job, waiting = hub.start("echo hello")
    before.put_state({"queued_messages": {waiting: {
        "processed_message_id": waiting, "job_id": job, "message_type": "user_message_v1",
        "message": "echo x >>n; cat n", "queued_at": "9999-01-01T00:00:00Z"}}}, where="")
    before.boot()
    reply = before.reply(job, waiting)
    # nobody knows its mode any more, so it changes nothing
    assert "Read-only" in reply["content"] and reply["content"].count("x") == 1, reply


@pytest.mark.parametrize("text", ["{", '{"jobs": 1, "queued_messages": [1]}', "\0" * 100])
def test_a_corrupt_state_is_left_alone_and_stops_nothing(make_before, text):
    """W7: no crash loop."""
    before = make_before()
    path = before.put_state(text)
    before.boot()
    assert before.answer("echo on")["content"] == "on"
    before.restart()
    with open(path) as file:
        assert file.read() == text


def test_two_states_are_not_made_of_one(make_before, hub):
    before = make_before()
    before.put_state({"agent_id": INSTANCE})
    before.boot()
    assert INSTANCE in before.log
    before.end()
    before.env["XDG_STATE_HOME"] = before.account.mkdir("elsewhere")
    before.state = os.path.join(before.env["XDG_STATE_HOME"], "nairid/instances", hub.slug)
    before.boot()
    assert "old_state_left" in before.log


def test_check_says_what_each_old_setting_means(make_before):
    before = make_before(WORKTREE_POOL_SIZE="3", AGENT_EXEC_USER="agent", EKSEC_AGENT_ID="older",
                         AGENT_MCP_PROXY="http://127.0.0.1:9",
                         MAX_CONCURRENCY="2", AGENT_HTTP_PROXY="http://proxy.test:3128",
                         GH_TOKEN="ghp_secret_token")
    before.put_env("FOO=bar baz secret\n", 0o644)
    state = before.put_state({})
    done = before.run("check", "--agent", "command", "--claude-bypass-permissions")
    assert done.returncode == 0, done.stdout
    for grade, words in [
            ("WARN", "WORKTREE_POOL_SIZE: no effect"), ("WARN", "AGENT_EXEC_USER: no effect"),
            ("OK", "AGENT_MCP_PROXY: runner.mcp_gateway"),
            ("WARN", "EKSEC_AGENT_ID: no effect: NAIRI_AGENT_ID is set, too"),
            ("OK", "MAX_CONCURRENCY: max_concurrency"), ("OK", "NAIRI_WS_API_URL: server.url"),
            ("OK", "NAIRI_CONFIG_DIR: where .env is read"), ("OK", "NAIRI_API_KEY: the agent key"),
            ("OK", "AGENT_HTTP_PROXY: sandbox.network.proxy"), ("OK", "GH_TOKEN: tasks get it"),
            ("OK", "--agent: runner.name"), ("OK", "FOO in "),
            ("OK", "--claude-bypass-permissions: runner.permissions: bypass"),
            ("OK", f"'{state}' is taken over by the first start")]:
        assert re.search(rf"^{grade} +before +{re.escape(words)}", done.stdout, re.M), done.stdout
    assert re.search(r"^WARN +settings +.*\.env: others may read .*chmod 600", done.stdout, re.M)
    for secret in ("bar baz", "ghp_secret", before.hub.agent_key):
        assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize("agent", ["cursor"])
def test_an_agent_that_is_not_here_yet_is_refused_by_name(tmp_path, agent):
    env = environment(tmp_path, XDG_STATE_HOME=str(tmp_path), NAIRI_AGENT_ID="x")
    done = nairid("--agent", agent, "--model", "m", env=env)
    assert done.returncode == 78
    assert re.search(rf"option --agent: .*{agent}", done.stderr)
