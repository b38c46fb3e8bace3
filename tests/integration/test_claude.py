"""Claude Code itself, the one that npm gives, in the sandbox, against a model of ours on loopback."""

import os
import shutil
import time

import pytest

import agentkit
import claudekit
from agentkit import ends, wrap
from claudekit import make_claude, model, program  # noqa: F401: fixtures
from daemonkit import ERROR, assert_nothing_left, replies
from hubkit import wait_until


def progress_of(daemon, job):
    return [message for message in daemon.hub.messages(job) if message["role"] == "progress"]


# answers


def test_a_prompt_is_answered_with_its_cost(account, make_claude, model):
    daemon = make_claude(runner={"model": "claude-test-1"})
    reply = daemon.answer("hello there")
    assert (reply["role"], reply["content"]) == ("assistant", "ECHO: hello there")
    assert reply["model"] == "claude-test-1"
    assert reply["input_tokens"] > 0 and reply["output_tokens"] > 0
    assert float(reply["cost_usd"]) > 0
    assert {body["model"] for body in model.requests()} == {"claude-test-1"}


def test_tools_run_in_the_sandbox_as_its_user_and_are_told_as_progress(account, make_claude):
    daemon = make_claude()
    job, message = daemon.hub.start("TOOL: echo first > made; id -u; pwd\n"
                                    "TOOL: sleep 1.5; cat made; ls /home; ls /run 2>&1; true\n"
                                    "TOOL: exit 3")
    reply = daemon.reply(job, message)
    assert reply["content"] == ("OUTPUT:\n1000\n/workspace\n---\nfirst\nagent\n"
                                "ls: cannot access '/run': No such file or directory\n"
                                "---\nExit code 3")
    told = [p for p in progress_of(daemon, job) if p.get("tool_name") == "Bash"]
    assert told and all(p["progress_type"] == "tool_use" for p in told)
    assert {p["tool_status"] for p in told} <= {"running", "completed", "error"}


def test_several_tools_at_once_and_a_subagent(make_claude):
    daemon = make_claude()
    both = daemon.answer("PAR: echo one ;; echo two")["content"]
    assert both in ("OUTPUT:\none\n---\ntwo", "OUTPUT:\ntwo\n---\none")
    content = daemon.answer('CALL Agent {"description":"small job","prompt":"hello from the parent",'
                            '"subagent_type":"general-purpose"}')["content"]
    assert "ECHO: hello from the parent" in content


def test_text_of_every_kind_comes_back_as_it_went_but_for_the_key(make_claude):
    daemon = make_claude(runner={"broker": "off"}, sandbox={"network": {"mode": "host"}})
    for prompt in ("caf\u00e9 \u4e16\u754c \U0001f680 \"quoted\" back\\slash\nsecond line",
                   "--help -p\n--version"):  # looks like options, and is none
        assert daemon.answer(prompt)["content"] == "ECHO: " + prompt
    said = daemon.answer("TOOL: printf 'a\\0b'; echo $ANTHROPIC_API_KEY; env | grep -c nairid; true")
    assert said["content"] == "OUTPUT:\na\N{REPLACEMENT CHARACTER}b[secret]\n0"


def test_the_system_prompt_reaches_the_model_and_no_command_line(make_claude, model):
    daemon = make_claude()
    sesame = "Open sesame. " + "You are brief. " * 4000  # longer than is wise on a command line
    answer = daemon.hub.api("PATCH", f"/agents/{daemon.hub.slug}", {"system_prompt": sesame})
    assert answer.status == 200, answer
    reply = daemon.answer("TOOL: cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c sesam[e]; true")
    assert reply["content"] == "OUTPUT:\n0"
    assert any("Open sesame" in str(body.get("system")) for body in model.requests())


# one conversation


def test_a_conversation_goes_on_in_the_same_session(account, make_claude, model):
    daemon = make_claude()
    job, first = daemon.hub.start("my number is 4711")
    daemon.reply(job, first)
    second = daemon.hub.resume(job, "TOOL: echo kept > note")
    daemon.reply(job, second)
    daemon.restart()
    third = daemon.hub.resume(job, "RECALL")
    assert daemon.reply(job, third)["content"] == (
        "RECALLED 3:\nmy number is 4711\nTOOL: echo kept > note\nRECALL")
    other_job, other = daemon.hub.start("RECALL")
    assert daemon.reply(other_job, other)["content"] == "RECALLED 1:\nRECALL"


def test_a_session_that_is_gone_is_begun_anew_with_a_word_about_it(make_claude):
    daemon = make_claude()
    job, first = daemon.hub.start("my number is 4711")
    daemon.reply(job, first)
    shutil.rmtree(os.path.join(daemon.state, "jobs", job, "home", ".claude"))
    second = daemon.hub.resume(job, "RECALL")
    reply = daemon.reply(job, second)
    assert reply["role"] == "assistant", reply["content"]
    assert reply["content"].endswith("RECALLED 1:\nRECALL")
    assert "the earlier conversation could not be found" in reply["content"]
    third = daemon.hub.resume(job, "RECALL again")
    assert daemon.reply(job, third)["content"] == "RECALLED 2:\nRECALL\nRECALL again"


# ask mode


def test_in_ask_mode_no_tool_can_write_the_workspace(account, make_claude):
    daemon = make_claude()
    job, message = daemon.hub.start(
        'CALL Write {"file_path":"/workspace/by-tool","content":"x"}\n'
        "TOOL: echo x > /workspace/by-shell\n"
        "TOOL: python3 -c 'open(\"/workspace/by-program\", \"w\")'\n"
        "TOOL: echo scratch > /tmp/scratch && cat /tmp/scratch", ask_mode=True)
    content = daemon.reply(job, message)["content"]
    assert "File is in a directory that is denied by your permission settings" in content
    assert "/workspace/by-shell has been denied" in content
    assert "Read-only file system: '/workspace/by-program'" in content
    assert "\n---\nscratch\n\n[Claude Code was not allowed to do all that it wanted (Bash" in content
    assert os.listdir(os.path.join(daemon.state, "jobs", job, "workspace")) == []


def test_without_bypass_edits_are_made_and_other_things_denied(make_claude):
    daemon = make_claude(runner={"permissions": "edits"})
    job, message = daemon.hub.start('CALL Write {"file_path":"/workspace/new","content":"one"}\n'
                                    "TOOL: touch /home/agent/denied")
    content = daemon.reply(job, message)["content"]
    assert "not allowed to do all that it wanted (Bash); runner.permissions is edits" in content
    assert os.listdir(os.path.join(daemon.state, "jobs", job, "workspace")) == ["new"]


# failures

FAILURES = [
    ("FAIL 401", "refused the key", "Invalid API key"),
    ("FAIL 429", "limits how much", "Rate limit reached (stub)"),
    ("FAIL 500", "has a problem", "500 Stub error"),
    ("OVERLOADED", "overloaded", "529"),
    ("FAIL 400", "refused the request", "400 Stub error"),
    ("DROP", "could not reach its model", "it ended the connection without an answer"),
    ("REFUSE 400 invalid_request_error prompt is too long: 250000 tokens > 200000 maximum",
     "longer than the model can read", "Prompt is too long"),
    ("REFUSE 400 invalid_request_error Your credit balance is too low to access the API.",
     "no credit left", "Credit balance is too low"),
    ("REFUSE 404 not_found_error model: claude-nope", "runner.model", "selected model"),
    ("REFUSE 403 permission_error no", "refused the key", "403 no"),
]


def test_each_failure_has_words_that_a_chat_user_can_act_on(make_claude):
    daemon = make_claude(max_concurrency=claudekit.how_many(5))
    agentkit.check_failures(daemon, FAILURES)


def test_a_failed_conversation_can_go_on(make_claude):
    daemon = make_claude()
    job, first = daemon.hub.start("FAIL 500 x1 of mine")
    assert daemon.reply(job, first)["role"] == "system"
    second = daemon.hub.resume(job, "RECALL")
    content = daemon.reply(job, second)["content"]
    assert "FAIL 500 x1 of mine" in content and content.endswith("RECALL")


def test_a_retry_is_told_as_progress_and_then_answered(make_claude):
    daemon = make_claude(runner={"env": {"CLAUDE_CODE_MAX_RETRIES": "3"}})
    job, message = daemon.hub.start("FAIL 429 x1 and then answer")
    assert daemon.reply(job, message)["content"].startswith("ECHO: FAIL 429")
    told = "".join(p["content"] for p in progress_of(daemon, job))
    assert "Retrying: rate limited, attempt 1 of 3" in told


def test_without_a_key_the_operator_is_named(make_claude):
    daemon = make_claude(key=None)
    assert "no key" in daemon.log  # it is said at the start, too
    assert "not logged in" in daemon.failure("hello")


def test_a_model_out_of_reach_is_told(make_claude):
    daemon = make_claude(runner={"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}})
    text = daemon.failure("hello")
    assert "could not reach its model" in text and "Connection refused" in text


# ends


def test_a_turn_is_cancelled_in_the_middle_of_a_tool(account, make_claude, model):
    daemon = make_claude()
    job, message = daemon.hub.start("TOOL: echo begun > begun; sleep 1000")
    begun = os.path.join(daemon.state, "jobs", job, "workspace", "begun")
    wait_until(lambda: os.path.exists(begun), 30, "the tool to begin")
    assert daemon.hub.api("POST", f"/conversations/{job}/stop").status == 202
    assert daemon.reply(job, message)["content"] == ERROR + "stopped by the user"
    wait_until(lambda: not daemon.tasks(), 5, "the sandbox to be empty")
    again = daemon.hub.resume(job, "RECALL")  # what was said before the stop is not lost
    content = daemon.reply(job, again)["content"]
    assert "sleep 1000" in content and content.endswith("RECALL")


def test_a_daemon_that_is_killed_goes_on_in_the_session(account, make_claude, model):
    daemon = make_claude()
    job, first = daemon.hub.start("my number is 4711")
    daemon.reply(job, first)
    second = daemon.hub.resume(job, "SLOW 3 and RECALL")
    model.wait_asked("SLOW 3")
    daemon.program.kill()
    daemon.program = None
    assert_nothing_left(but=[daemon.hub.proc.pid, model.proc.pid])
    daemon.boot()
    reply = daemon.reply(job, second)
    assert reply["role"] == "assistant" and "my number is 4711" in reply["content"]
    assert len(replies(daemon.hub.messages(job), second)) == 1


def test_a_program_that_hangs_after_its_result_is_ended(me, make_claude, program):
    program = claudekit.for_account(program, me)
    daemon = wrap(make_claude, program, me, after="exec sleep 1000")
    began = time.monotonic()
    reply = daemon.answer("hello")
    assert (reply["role"], reply["content"]) == ("assistant", "ECHO: hello")
    assert time.monotonic() - began > 9 and ends(daemon) == ["signal=SIGTERM"]
    wait_until(lambda: not daemon.tasks(), 5, "the sandbox to be empty")


def test_a_grandchild_that_holds_the_pipes_holds_up_nothing(me, make_claude, program):
    program = claudekit.for_account(program, me)
    daemon = wrap(make_claude, program, me, before="setsid sleep 1000 &")
    assert daemon.answer("hello")["content"] == "ECHO: hello"
    assert ends(daemon) == ["status=0"]  # by itself, not after the grace
    wait_until(lambda: not daemon.tasks(), 5, "the sandbox to be empty")


# sizes


def test_a_reply_of_a_megabyte_is_cut_or_whole_as_the_limit_says(make_claude):
    daemon = make_claude()
    cut = daemon.answer("LONG 1024")["content"]
    assert cut.startswith("00000000 the quick") and 256 << 10 <= len(cut) < (256 << 10) + 200
    assert "left out" in cut and "task.reply_limit" in cut
    daemon.configure(task={"reply_limit": "2M"})
    daemon.restart()
    whole = daemon.answer("LONG 1024")["content"]
    assert len(whole) >= (1 << 20) - 1 and "left out" not in whole
    assert whole.splitlines()[9999].startswith("00009999 the quick")


def test_check_names_the_program_and_its_version(account, make_claude):
    daemon = make_claude(start=False)
    done = daemon.run("check", "-c", daemon.config, "--state", daemon.state)
    assert "2.1.197 (Claude Code)" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
