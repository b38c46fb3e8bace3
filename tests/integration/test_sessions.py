"""Conversations that the runner's program keeps, its results, what they cost, its progress.

The program speaks Claude Code's language of lines, but is a shell that does what the prompt says.
"""

import contextlib
import os
import signal
import sqlite3
import time

import pytest

from daemonkit import Meeting, assert_nothing_left
from hubkit import wait_until

# What prompts can say: `turn` begins one (in the session that was asked for, or a new one),
# `result TEXT` and `failure TEXT` end it, `tool` and `line` say what is done.
PROGRAM = r"""#!/bin/sh
for word; do case $word in --resume=*) session=${word#--resume=} ;; esac; done
line() { printf '%s\n' "$1"; }
failure() {
    line '{"type":"result","subtype":"error_during_execution","is_error":true,
"session_id":"'"$id"'","errors":["'"$1"'"]}' | tr -d '\n'; echo
}
turn() {
    id=${session:-$(cat /proc/sys/kernel/random/uuid)}
    if [ -n "$session" ] && [ ! -e ~/session-"$session" ]; then
        failure "No conversation found with session ID: $session"
        exit 1
    fi
    echo >> ~/session-"$id"
    line '{"type":"system","subtype":"init","session_id":"'"$id"'","model":"m"}'
}
result() {
    line '{"type":"result","subtype":"success","is_error":false,"session_id":"'"$id"'",
"result":"'"$1"'","total_cost_usd":0.012345678,"usage":{"input_tokens":12,"output_tokens":3,
"cache_read_input_tokens":400,"cache_creation_input_tokens":50},
"modelUsage":{"model-x":{"costUSD":0.012345678}}}' | tr -d '\n'; echo
}
tool() {
    line '{"type":"assistant","session_id":"'"$id"'","message":{"content":[{"type":"tool_use",
"id":"toolu_1","name":"Bash","input":{"command":"'"$1"'"}}]}}' | tr -d '\n'; echo
}
eval "$(cat)"
"""
ANEW = "[the earlier conversation could not be found"
COST = {"cost_usd": "0.0123456780", "input_tokens": 12, "output_tokens": 3,
        "cache_read_tokens": 400, "cache_write_tokens": 50, "model": "model-x"}


@pytest.fixture
def meeting(me):
    return Meeting(me.shared())


@pytest.fixture
def make(me, make_daemon, meeting):
    """A factory of daemons with that program as their runner claude."""

    def make(**settings):
        program = me.write(os.path.join(me.shared(), "claude"), PROGRAM, 0o755)
        base = {"runner": {"name": "claude", "argv": [], "program": program},
                "sandbox": {"network": {"mode": "host"}, "read": [os.path.dirname(program)],
                            "write": [meeting.folder]}}
        for key, value in settings.items():
            base[key] = {**base.get(key, {}), **value} if isinstance(value, dict) else value
        return make_daemon(**base)

    return make


def crash(daemon):
    """Kills the daemon, waits until its tasks are gone too, and starts again."""
    daemon.program.kill()
    daemon.program = None
    assert_nothing_left(but=[daemon.hub.proc.pid], timeout_s=20)
    daemon.boot()


def sessions(daemon):
    """The table of the journal, which has to be closed."""
    with contextlib.closing(sqlite3.connect(os.path.join(daemon.state, "journal.db"))) as db:
        return db.execute("SELECT job_id, runner, session FROM sessions").fetchall()


# sessions


def test_a_conversation_goes_on_in_its_session_also_after_a_restart(make):
    daemon = make()
    job, message = daemon.hub.start('turn; result "$id"')
    first = daemon.reply(job, message)["content"]
    again = daemon.reply(job, daemon.hub.resume(job, 'turn; result "$session"'))["content"]
    assert len(first) == 36 and again == first
    other = daemon.answer('turn; result "$session $id"')["content"]
    assert first not in other and other.startswith(" ")
    daemon.end()
    assert (job, "claude", first) in sessions(daemon) and len(sessions(daemon)) == 2
    daemon.boot()
    assert daemon.reply(job, daemon.hub.resume(job, 'turn; result "$session"'))["content"] == first


def test_an_attempt_after_a_crash_goes_on_in_the_session(make, meeting):
    daemon = make()
    job, message = daemon.hub.start("turn; tool x\n" + meeting.hold("a", 'result "$session"'))
    meeting.wait("a")
    # posts go out once what came before is stored, so the session is
    wait_until(lambda: [m for m in daemon.hub.messages(job) if m["role"] == "progress"])
    os.unlink(meeting.path("a.here"))
    crash(daemon)
    meeting.wait("a")
    meeting.release("a")
    assert len(daemon.reply(job, message)["content"]) == 36


def test_a_session_that_is_gone_is_begun_anew_with_a_word_about_it(make):
    daemon = make(task={"max_attempts": 1})
    job, message = daemon.hub.start("turn; rm ~/session-*; result first")
    assert daemon.reply(job, message)["content"] == "first"
    prompt = 'turn; result "${session:-none}"'
    reply = daemon.reply(job, daemon.hub.resume(job, prompt))
    assert reply["role"] == "assistant"
    assert reply["content"].startswith(ANEW) and reply["content"].endswith("\n\nnone")
    assert daemon.log.count("session_gone") == 1
    later = daemon.reply(job, daemon.hub.resume(job, prompt))["content"]
    assert len(later) == 36 and ANEW not in later


def test_that_it_began_anew_survives_a_crash(make, meeting):
    daemon = make()
    job, message = daemon.hub.start("turn; rm ~/session-*; result first")
    daemon.reply(job, message)
    message = daemon.hub.resume(job, "turn\n" + meeting.hold("a", "result second"))
    meeting.wait("a")
    os.unlink(meeting.path("a.here"))
    crash(daemon)
    meeting.wait("a")
    meeting.release("a")
    content = daemon.reply(job, message)["content"]
    assert content.startswith(ANEW) and content.endswith("second")


def test_a_hostile_session_is_no_session(make, me):
    secret = me.write(os.path.join(me.mkdir("secrets"), "token"), "correct-horse-battery\n")
    daemon = make(runner={"secrets": {"TOKEN": {"file": secret}}})
    job, message = daemon.hub.start('id="$TOKEN"; line "{\\"type\\":\\"system\\",'
                                    '\\"session_id\\":\\"$id\\"}"; id=-p; result done')
    assert daemon.reply(job, message)["content"] == "done"
    assert daemon.log.count("session_ignored") == 1
    daemon.end()
    assert sessions(daemon) == []


# results


def test_a_result_is_the_answer_though_the_program_goes_on(make, meeting):
    daemon = make(task={"idle_timeout": "2s"})
    began = time.monotonic()
    reply = daemon.answer("turn; result done; sleep 1000 & trap '' TERM; sleep 1000; sleep 1000")
    assert (reply["role"], reply["content"]) == ("assistant", "done")
    assert 10 <= time.monotonic() - began < 60  # grace, TERM, 5 s, KILL, on a slow machine
    wait_until(lambda: not daemon.tasks(), 2, "the program to be ended")


def test_a_result_stands_when_the_daemon_is_stopped(make, meeting):
    daemon = make()
    job, message = daemon.hub.start(f"echo >> {meeting.path('runs')}; turn; result done; "
                                    "tool later; sleep 1000")
    # what was printed after the result is read, so the result is
    wait_until(lambda: any("later" in entry.get("progress", "")
                           for entry in daemon.status()["jobs"]), what="the result to be read")
    assert daemon.end(signal.SIGQUIT) == 0
    daemon.boot()
    assert daemon.reply(job, message)["content"] == "done"
    with open(meeting.path("runs")) as file:
        assert file.read() == "\n"


@pytest.mark.parametrize("ending", ["exit 1", "exit 143", "kill -9 $$", "kill $$"])
def test_a_result_counts_whatever_the_exit_status(make, ending):
    daemon = make()
    assert daemon.answer(f"turn; result fine; {ending}")["content"] == "fine"
    assert "rate limit" in daemon.failure("turn; failure 'a rate limit'; exit 0")


def test_without_a_result_the_exit_status_counts(make):
    daemon = make()
    assert "exit status 3" in daemon.failure("turn; echo why >&2; exit 3")
    assert "SIGKILL" in daemon.failure("turn; kill -9 $$")


# what it cost


def test_what_it_cost_is_shown_with_the_answer(make):
    daemon = make()
    reply = daemon.answer("turn; result done")
    assert {key: reply.get(key) for key in COST} == COST
    line = next(line for line in daemon.log.splitlines() if "task_usage" in line)
    assert "cost_usd=0.0123456780" in line and "model=model-x" in line
    assert "input_tokens=12" in line and "cache_write_tokens=50" in line


def test_only_a_server_of_ours_is_told_what_it_cost(make, peer):
    daemon = make(hub=peer)
    message = peer.give("turn; result done")
    assert "usage" not in peer.wait_reply(message)["payload"]
    peer.jobs["job_7"] = {"id": "job_7", "fence": 3, "messages": []}
    message = peer.give("turn; result done", job="job_7")
    assert peer.wait_reply(message)["payload"]["usage"] == COST
    assert daemon.log.count("task_usage") == 2


# progress


def test_progress_names_the_tool_and_masks_secrets(make, me, meeting):
    secret = me.write(os.path.join(me.mkdir("secrets"), "token"), "correct-horse-battery\n")
    daemon = make(runner={"secrets": {"TOKEN": {"file": secret}}})
    job, message = daemon.hub.start('turn; tool "make test $TOKEN"\n' +
                                    meeting.hold("a", "result done"))
    meeting.wait("a")

    def look():
        entry = next(entry for entry in daemon.status()["jobs"] if entry["id"] == job)
        return entry.get("progress") == "Bash: make test [secret]"

    wait_until(look, what="the status to tell")
    said = wait_until(lambda: [m for m in daemon.hub.messages(job) if m["role"] == "progress"])
    assert (said[-1]["tool_name"], said[-1]["tool_status"]) == ("Bash", "running")
    assert said[-1]["tool_use_id"] == "toolu_1"
    assert "make test [secret]" in said[-1]["content"]
    assert "correct-horse" not in said[-1]["content"]
    meeting.release("a")
    assert daemon.reply(job, message)["content"] == "done"
    assert "correct-horse" not in daemon.log
