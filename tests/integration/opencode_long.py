"""What takes long of OpenCode itself, in the sandbox, against a model of ours on loopback: APIs,
permissions, failures, ends, and what the control plane provides."""

import json
import os
import shutil
import time

import pytest

import agentkit

from agentkit import SECRET, ends, wrap
from claude_provided import RULE, furnish, offered, server_program  # noqa: F401: a fixture
from daemonkit import ERROR, assert_nothing_left
from hubkit import wait_until
from opencodekit import make_opencode, model, program  # noqa: F401: fixtures
from test_provisions import ready

TURN_S = 120  # one takes three seconds where nothing else runs


def answer(daemon, prompt):
    return daemon.answer(prompt, TURN_S)["content"]


def workspace(daemon, job):
    return os.path.join(daemon.state, "jobs", job, "workspace")


# APIs


def test_openai_is_asked_by_its_own_api(make_opencode, model):  # noqa: F811
    daemon = make_opencode(key="OPENAI_API_KEY", runner={"model": "openai/gpt-test-1"})
    assert answer(daemon, "TOOL: echo made >f; cat f") == "OUTPUT:\nmade\n"
    assert {(e["path"], e["body"]["model"]) for e in model.entries()} == \
        {("/v1/responses", "gpt-test-1")}


def test_a_provider_of_the_brokers_is_asked_as_compatible_with_openai(make_opencode,  # noqa: F811
                                                                      model, me):
    key = me.write(os.path.join(me.mkdir("keys", 0o700), "zai.key"), SECRET + "\n")
    daemon = make_opencode(
        key=None, runner={"model": "zai/glm-test-1"}, sandbox={"network": {"mode": "none"}},
        broker=[{"name": "zai", "upstream": model.url + "/v1", "key": {"file": key},
                 "methods": ["POST"], "paths": ["/chat/completions"]}])
    assert answer(daemon, "TOOL: env | grep -c stub-key; echo made >f; cat f") == \
        "OUTPUT:\n0\nmade\n"
    assert {(e["path"], e["body"]["model"]) for e in model.entries()} == \
        {("/v1/chat/completions", "glm-test-1")}


# what it may do


def test_text_of_every_kind_comes_back_as_it_went(make_opencode):  # noqa: F811
    daemon = make_opencode()
    for prompt in ("caf\u00e9 \u4e16\u754c \U0001f680 \"quoted\" back\\slash\nsecond line",
                   "--help -p\n--version"):  # looks like options, and is none
        assert answer(daemon, prompt) == "ECHO: " + prompt


def test_in_ask_mode_no_tool_can_write_the_workspace(account, make_opencode):  # noqa: F811
    daemon = make_opencode()
    job, message = daemon.hub.start(
        'CALL write {"filePath":"/workspace/by-tool","content":"x"}\n'
        "TOOL: python3 -c 'open(\"/workspace/by-program\", \"w\")' 2>&1 | tail -1\n"
        "TOOL: echo scratch > /tmp/scratch && cat /tmp/scratch\n"
        'TOOL: echo "$NAIRID_OUTBOX"', ask_mode=True)
    content = daemon.reply(job, message, TURN_S)["content"]
    assert "specified a rule which prevents you" in content
    assert "Read-only file system: '/workspace/by-program'" in content
    assert "\n---\nscratch\n\n---\n/home/agent/" in content
    assert "[OpenCode was not allowed to do all that it wanted (write)]" in content
    assert os.listdir(workspace(daemon, job)) == []


def test_without_bypass_edits_are_made_and_the_shell_is_not_offered(make_opencode,  # noqa: F811
                                                                    model):
    daemon = make_opencode(runner={"permissions": "edits"})
    job, message = daemon.hub.start('CALL write {"filePath":"/workspace/new","content":"one"}')
    assert "Wrote file" in daemon.reply(job, message, TURN_S)["content"]
    assert os.listdir(workspace(daemon, job)) == ["new"]
    tools = offered(model.requests()[-1])
    assert "write" in tools and not tools & {"bash", "webfetch", "question"}


def test_what_a_task_leaves_in_files_does_not_change_what_it_is_told(make_opencode,  # noqa: F811
                                                                     model):
    daemon = make_opencode()
    evil = {"permission": {"bash": "ask"}, "agent": {"build": {"permission": {"bash": "ask"}}},
            "provider": {"anthropic": {"options": {"baseURL": "http://127.0.0.1:9/v1"}}},
            "model": "openai/gpt-5"}
    job, first = daemon.hub.start(
        f"TOOL: echo '{json.dumps(evil)}' | tee opencode.json >~/.config/opencode/opencode.json; "
        'echo \'{"anthropic":{"type":"api","key":"planted"}}\' >~/.local/share/opencode/auth.json; '
        "git init -q .")
    assert daemon.reply(job, first, TURN_S)["role"] == "assistant"
    second = daemon.hub.resume(job, "TOOL: echo still here")
    assert daemon.reply(job, second, TURN_S)["content"].startswith("OUTPUT:\nstill here\n")


# failures


FAILURES = [
    ("FAIL 429", "limits how much", "Rate limit reached"),
    ("FAIL 400", "refused the request", "Stub error 400"),
    ("REFUSE 404 not_found_error model: claude-nope", "runner.model", "claude-nope"),
    ("REFUSE 403 permission_error no", "doesn't let this key use the model", "no"),
    ("REFUSE 400 invalid_request_error prompt is too long: 250000 tokens > 200000 maximum",
     "longer than the model can read", "prompt is too long"),
    ("REFUSE 400 invalid_request_error Your credit balance is too low to access the API.",
     "no credit left", "credit balance is too low"),
]


def test_each_failure_has_words_that_a_chat_user_can_act_on(make_opencode):  # noqa: F811
    daemon = make_opencode(max_concurrency=agentkit.how_many(3, 700 << 20))
    agentkit.check_failures(daemon, FAILURES, 3 * TURN_S)


def test_a_model_out_of_reach_is_told_and_the_conversation_can_go_on(make_opencode,  # noqa: F811
                                                                     model):
    daemon = make_opencode(runner={"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1/v1"}})
    job, first = daemon.hub.start("hello nobody")
    text = daemon.reply(job, first, 3 * TURN_S)["content"]
    assert text.startswith(ERROR) and "could not reach its model" in text, text
    daemon.configure(runner={"env": {"ANTHROPIC_BASE_URL": model.url + "/v1"}})
    daemon.restart()
    second = daemon.hub.resume(job, "RECALL")
    content = daemon.reply(job, second, TURN_S)["content"]
    assert "hello nobody" in content and content.endswith("RECALL")


def test_a_session_that_is_gone_is_begun_anew_with_a_word_about_it(make_opencode):  # noqa: F811
    daemon = make_opencode()
    job, first = daemon.hub.start("my number is 4711")
    daemon.reply(job, first, TURN_S)
    shutil.rmtree(os.path.join(daemon.state, "jobs", job, "home", ".local/share/opencode"))
    second = daemon.hub.resume(job, "RECALL")
    reply = daemon.reply(job, second, TURN_S)
    assert reply["role"] == "assistant", reply["content"]
    assert reply["content"].endswith("RECALLED 1:\nRECALL")
    assert "the earlier conversation could not be found" in reply["content"]
    third = daemon.hub.resume(job, "RECALL again")
    assert daemon.reply(job, third, TURN_S)["content"] == "RECALLED 2:\nRECALL\nRECALL again"


# ends


def test_progress_is_told_and_a_turn_is_cancelled_in_the_middle_of_a_tool(  # noqa: F811
        account, make_opencode, model):
    daemon = make_opencode()
    job, message = daemon.hub.start("TOOL: echo first\nTOOL: echo begun > begun; sleep 1000")
    wait_until(lambda: os.path.exists(os.path.join(workspace(daemon, job), "begun")), TURN_S,
               "the tool to begin")
    told = wait_until(lambda: [m for m in daemon.hub.messages(job) if m["role"] == "progress"],
                      30, "progress")  # the newest of each second
    assert {m["progress_type"] for m in told} <= {"step", "text", "tool_use"}
    assert daemon.hub.api("POST", f"/conversations/{job}/stop").status == 202
    assert daemon.reply(job, message)["content"] == ERROR + "stopped by the user"
    wait_until(lambda: not daemon.tasks(), 5, "the sandbox to be empty")
    again = daemon.hub.resume(job, "and now?")  # what was said before the stop is not lost
    assert daemon.reply(job, again, TURN_S)["role"] == "assistant"
    seen = json.dumps(model.requests()[-1])
    assert "sleep 1000" in seen and "was interrupted" in seen and "and now?" in seen


def test_a_daemon_that_is_killed_goes_on_in_the_session(account, make_opencode, model):  # noqa: F811
    daemon = make_opencode()
    job, first = daemon.hub.start("my number is 4711")
    daemon.reply(job, first, TURN_S)
    second = daemon.hub.resume(job, "SLOW 3 and RECALL")
    model.wait_asked("SLOW 3", TURN_S)
    daemon.program.kill()
    daemon.program = None
    assert_nothing_left(but=[daemon.hub.proc.pid, model.proc.pid])
    daemon.boot()
    reply = daemon.reply(job, second, TURN_S)
    assert reply["role"] == "assistant" and "my number is 4711" in reply["content"]


def test_what_outlives_the_answer_does_not_hold_it(me, make_opencode, program):  # noqa: F811
    program = agentkit.for_account(program, me, "opencode")
    daemon = wrap(make_opencode, program, me, before="setsid sleep 1000 &",
                  after="exec sleep 1000")
    began = time.monotonic()
    assert answer(daemon, "hello") == "ECHO: hello"
    assert time.monotonic() - began > 9 and ends(daemon) == ["signal=SIGTERM"]
    wait_until(lambda: not daemon.tasks(), 5, "the sandbox to be empty")


# the control plane and the operator


def test_rules_skills_servers_and_the_system_prompt_reach_the_model(
        account, make_opencode, model, server_program):  # noqa: F811
    daemon = make_opencode(start=False, sandbox={"read": [os.path.dirname(server_program)]})
    furnish(daemon.hub, ["/usr/bin/python3", server_program, "the sum is "])
    assert daemon.hub.api("PATCH", f"/agents/{daemon.hub.slug}",
                          {"system_prompt": "Open sesame."}).status == 200
    daemon.boot()
    assert (ready(daemon)["rules"], ready(daemon)["skills"], ready(daemon)["mcp_servers"]) == \
        (1, 1, 1)
    content = answer(daemon, 'CALL tools_add {"a": 2, "b": 40}\nTOOL: printf %s "$GIVEN" | rev; '
                             "cat ~/.config/opencode/skill/*/notes/how.txt")
    assert content == "OUTPUT:\nthe sum is 42\n---\nbuh-eht-fo-elbairav-afold twice\n"
    seen = json.dumps(model.requests()[-1])
    for words in (RULE, "Open sesame.", "Folds PDF files into paper planes.", "tools_add"):
        assert words in seen, words


def test_check_names_the_version_and_a_login_that_cannot_be_brokered(account,  # noqa: F811
                                                                     make_opencode):
    daemon = make_opencode(start=False)
    done = daemon.run("check", "-c", daemon.config, "--state", daemon.state)
    assert "1.18.33" in done.stdout and done.returncode == 0, done.stdout + done.stderr
    login = account.write(os.path.join(account.mkdir("login", 0o700), "auth.json"), "{}\n")
    daemon.configure(runner={"secrets": {"OPENCODE_AUTH_CONTENT": {"file": login}}},
                     sandbox={"network": {"mode": "allowlist"}})
    done = daemon.run("check", "-c", daemon.config, "--state", daemon.state)
    assert "can't be brokered" in done.stdout and "use an API key instead" in done.stdout, \
        done.stdout


def test_check_names_a_login_of_a_persons_own(me, make_opencode):  # noqa: F811
    daemon = make_opencode(start=False, key=None)
    home = me.mkdir("somebody")
    os.makedirs(os.path.join(home, ".local/share/opencode"))
    login = me.write(os.path.join(home, ".local/share/opencode/auth.json"), "{}")
    daemon.env["HOME"] = home
    done = daemon.run("check", "-c", daemon.config, "--state", daemon.state)
    assert f"the login in '{login}' is refreshed by the program itself" in done.stdout, done.stdout
    assert "ANTHROPIC_API_KEY: {file:" in done.stdout  # what to use instead


@pytest.mark.parametrize("model_name", ["gpt-5", None])
def test_a_model_without_its_provider_stops_the_start(make_opencode, model_name):  # noqa: F811
    daemon = make_opencode(start=False, runner={"model": model_name or ""})
    done = daemon.run("check", "-c", daemon.config, "--state", daemon.state)
    assert done.returncode == 78 and "PROVIDER/MODEL" in done.stdout + done.stderr, done
