"""OpenAI's Codex itself, the one that npm gives, in the sandbox, against a model of ours."""

import json
import os
import shutil

from agentkit import SECRET
from codexkit import make_codex, model, program  # noqa: F401: fixtures

WANTED = SECRET[:-1] + f"[{SECRET[-1]}]"  # an expression for it that isn't it
# Where a task could look for the key; what was found, a count a line.
LOOK = (f"env | grep -c {WANTED}; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | "
        f"tr '\\0' '\\n' | grep -c {WANTED}; grep -rl {WANTED} /home/agent /workspace /tmp /etc "
        "2>/dev/null | wc -l; env | grep OPENAI_API_KEY; true")


def test_one_conversation_with_tools_a_restart_and_a_lost_thread(account, make_codex, model):  # noqa: F811
    daemon = make_codex()
    job, first = daemon.hub.start("TOOL: echo one > made; sleep 1.5; id -u; pwd")
    reply = daemon.reply(job, first)
    assert reply["role"] == "assistant", reply
    assert "1000\n/workspace" in reply["content"] and reply["model"] == "gpt-5.5"
    used = reply["input_tokens"], reply["output_tokens"]
    assert used[0] > 0 and used[1] > 0
    with open(os.path.join(daemon.state, "jobs", job, "workspace", "made"), encoding="ascii") as made:
        assert made.read() == "one\n"
    told = [m for m in daemon.hub.messages(job)
            if m["role"] == "progress" and m.get("tool_name") == "command_execution"]
    assert {m["tool_status"] for m in told} <= {"running", "completed"} and told
    daemon.restart()
    reply = daemon.reply(job, daemon.hub.resume(job, "RECALL"))
    assert reply["content"] == "RECALLED 2:\nTOOL: echo one > made; sleep 1.5; id -u; pwd\nRECALL"
    assert reply["output_tokens"] < 60  # of this turn: Codex itself counts all of the thread's
    shutil.rmtree(os.path.join(daemon.state, "jobs", job, "home", ".codex"))
    content = daemon.reply(job, daemon.hub.resume(job, "RECALL"))["content"]
    assert "the earlier conversation could not be found" in content
    assert content.endswith("RECALLED 1:\nRECALL")
    assert {entry["path"] for entry in model.entries()} == {"/v1/responses"}


def test_the_key_is_nowhere_in_the_task_and_the_broker_adds_it(account, make_codex, model):  # noqa: F811
    daemon = make_codex()
    content = daemon.answer("TOOL: " + LOOK)["content"]
    assert "\n0\n0\n0\nOPENAI_API_KEY=the-broker-has-it" in content, content
    assert "authorization" in model.entries()[0]["headers"]  # or it would have got a 401


def test_in_ask_mode_the_workspace_is_not_written(make_codex, model):  # noqa: F811
    daemon = make_codex()
    job, message = daemon.hub.start("TOOL: echo x > /workspace/made\nTOOL: echo y > /tmp/y; cat /tmp/y",
                                    ask_mode=True)
    content = daemon.reply(job, message)["content"]
    assert "Read-only file system" in content and "y" in content
    assert os.listdir(os.path.join(daemon.state, "jobs", job, "workspace")) == []
    assert "This is ask mode" in json.dumps(model.requests("/v1/responses")[0]["input"])


def test_check_names_the_program_and_the_broker(me, make_codex):  # noqa: F811
    daemon = make_codex(start=False)
    done = daemon.run("check", "-c", daemon.config, "--state", daemon.state)
    assert "codex-cli 0.169.0" in done.stdout, done.stdout + done.stderr
    assert "tasks ask http://127.0.0.1:808/openai" in done.stdout
    assert done.returncode == 0, done.stdout


def test_check_names_a_login_that_can_not_be_brokered(me, make_codex):  # noqa: F811
    daemon = make_codex(start=False, key=None)
    home = me.mkdir("somebody")
    os.makedirs(os.path.join(home, ".codex"))
    login = me.write(os.path.join(home, ".codex", "auth.json"), "{}")
    daemon.env["HOME"] = home
    done = daemon.run("check", "-c", daemon.config, "--state", daemon.state)
    assert f"the login in '{login}' is refreshed by the program itself" in done.stdout, done.stdout
    assert "OPENAI_API_KEY: {file:" in done.stdout  # what to use instead
