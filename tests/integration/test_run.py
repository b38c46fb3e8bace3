"""The way of a message through the real programs: from the hub to a sandboxed shell and back.

Every test runs once as root and once as an ordinary user.
"""

import os
import signal

import pytest

from daemonkit import ERROR, Meeting, replies
from hubkit import wait_until


@pytest.fixture(autouse=True)
def as_each(account):
    """Root, then an ordinary user."""


@pytest.fixture
def meeting(account):
    return Meeting(account.shared())


# answers


def test_a_prompt_is_executed_and_answered(daemon):
    reply = daemon.answer("echo hello")
    assert (reply["role"], reply["content"]) == ("assistant", "hello")


def test_the_message_is_pending_while_it_runs(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    daemon.hub.wait_status(message, "pending")
    meeting.release("a")
    assert daemon.reply(job, message)["content"] == "done"


def test_the_prompt_reaches_the_program_byte_by_byte(make_daemon):
    daemon = make_daemon(runner={"argv": ["cat"]})
    prompt = "ünïcode ✓ \t tabs\n\nand 'quotes' \"of\" $kinds\n" + "x" * 100_000
    assert daemon.answer(prompt)["content"] == prompt


def test_the_prompt_is_not_on_a_command_line(daemon):
    reply = daemon.answer("cat /proc/*/cmdline | tr '\\0' ' ' # sesame")
    assert "sesame" not in reply["content"]


def test_output_that_is_no_text_becomes_valid_text(daemon):
    reply = daemon.answer(r"printf 'a\377b\000c\033[1md'")
    assert reply["content"].startswith("a\N{REPLACEMENT CHARACTER}b")
    assert reply["content"].endswith("d") and "\0" not in reply["content"]


def test_a_long_answer_is_cut_with_a_note(make_daemon):
    daemon = make_daemon(task={"reply_limit": "4K"})
    content = daemon.answer("yes 0123456789 | head -c 10000")["content"]
    assert content.startswith("0123456789") and len(content) < 4500
    assert "left out" in content and "task.reply_limit" in content


def test_an_answer_does_not_wait_for_a_grandchild_that_holds_the_pipe(daemon):
    reply = daemon.answer("sleep 1000 & echo quick", timeout_s=10)
    assert reply["content"] == "quick"


# order, parallelism


def test_messages_of_a_job_run_in_order(daemon):
    job, first = daemon.hub.start("echo 0 >> log; cat log")
    messages = [first] + [daemon.hub.resume(job, f"echo {i} >> log; cat log") for i in range(1, 6)]
    for i, message in enumerate(messages):
        daemon.hub.wait_status(message)
    contents = [message["content"] for message in daemon.hub.messages(job)
                if message["role"] == "assistant"]
    assert contents == ["\n".join(str(k) for k in range(i + 1)) for i in range(6)]


def test_jobs_run_in_parallel(make_daemon, meeting):
    daemon = make_daemon(max_concurrency=3, **meeting.settings())
    started = [daemon.hub.start(meeting.hold(f"job{i}")) for i in range(3)]
    for i in range(3):
        meeting.wait(f"job{i}")  # none ends before all are here
    for i in range(3):
        meeting.release(f"job{i}")
    for job, message in started:
        assert daemon.reply(job, message)["content"] == "done"


def test_no_more_than_max_concurrency_run_at_once(make_daemon, meeting):
    daemon = make_daemon(max_concurrency=2, **meeting.settings())
    started = [daemon.hub.start(meeting.hold(f"job{i}")) for i in range(4)]
    meeting.wait("job0")
    meeting.wait("job1")
    wait_until(lambda: daemon.status()["queue"]["waiting"] == 2, what="two to wait")
    assert daemon.status()["queue"]["running"] == 2
    assert not meeting.is_here("job2") and not meeting.is_here("job3")
    meeting.release("job0")
    meeting.wait("job2")  # the oldest first
    assert not meeting.is_here("job3")
    for i in range(1, 4):
        meeting.release(f"job{i}")
    for job, message in started:
        daemon.reply(job, message)


# a job's files


def test_a_conversation_goes_on_in_its_own_files(daemon):
    job, message = daemon.hub.start("pwd; echo kept > file; echo mine > ~/note")
    assert daemon.reply(job, message)["content"] == "/workspace"
    message = daemon.hub.resume(job, "cat file ~/note")
    assert daemon.reply(job, message)["content"] == "kept\nmine"
    assert "No such file" in daemon.failure("cat file")  # another job


def test_tmp_is_fresh_for_each_message(daemon):
    job, message = daemon.hub.start("echo x > /tmp/file; cat /tmp/file")
    assert daemon.reply(job, message)["content"] == "x"
    message = daemon.hub.resume(job, "ls -A /tmp; echo end")
    assert daemon.reply(job, message)["content"] == "end"


def test_ask_mode_cannot_write_to_the_workspace(daemon):
    job, message = daemon.hub.start("echo x > file || echo read-only", ask_mode=True)
    assert daemon.reply(job, message)["content"] == "read-only"


# errors: each kind has its own words


def test_a_non_zero_exit_is_named_with_its_last_words(daemon):
    text = daemon.failure("echo some output; echo it broke >&2; exit 3")
    assert "exit status 3" in text and "it broke" in text and text.startswith("sh ")


def test_a_signal_is_named(daemon):
    assert "SIGSEGV" in daemon.failure("kill -SEGV $$")
    assert "SIGKILL" in daemon.failure("kill -KILL $$")


def test_a_task_past_its_time_is_ended_and_says_so(make_daemon):
    daemon = make_daemon(task={"timeout": "1s"})
    text = daemon.failure("trap '' TERM; while :; do echo tick; sleep 0.1; done", timeout_s=30)
    assert "task.timeout" in text and "1s" in text
    wait_until(lambda: not daemon.tasks(), 5, lambda: f"{daemon.tasks()} to end")


def test_a_silent_task_is_ended_and_says_so(make_daemon):
    daemon = make_daemon(task={"idle_timeout": "1s"})
    text = daemon.failure("sleep 1000", timeout_s=30)
    assert "task.idle_timeout" in text
    assert daemon.answer("for i in 1 2 3 4; do sleep 0.4; echo $i; done")["role"] == "assistant"


def test_a_program_that_vanishes_is_named_with_what_to_do(make_daemon, account):
    folder = account.shared()
    tool = account.write(os.path.join(folder, "tool"), "#!/bin/sh\nexec sh\n", mode=0o755)
    daemon = make_daemon(runner={"argv": [tool]}, sandbox={"read": [folder]})
    assert daemon.answer("echo here")["content"] == "here"
    os.unlink(tool)
    text = daemon.failure("hello")
    assert tool in text and "missing" in text and "runner.argv" in text


def test_an_empty_answer_is_an_error(daemon):
    assert "printed nothing" in daemon.failure("true")
    assert "printed nothing" in daemon.failure("printf ' \\n\\n'")


def test_output_over_the_limit_is_an_error(make_daemon):
    daemon = make_daemon(task={"output_limit": "64K"})
    text = daemon.failure("yes", timeout_s=30)
    assert "task.output_limit" in text and "64 KiB" in text


def test_an_error_leaves_the_conversation_usable(daemon):
    job, message = daemon.hub.start("echo kept > file; exit 1")
    assert daemon.reply(job, message)["role"] == "system"
    message = daemon.hub.resume(job, "cat file")
    assert daemon.reply(job, message)["content"] == "kept"


# stopping


def test_the_stop_call_ends_the_task(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    assert daemon.hub.api("POST", f"/conversations/{job}/stop", {}).status == 202
    reply = daemon.reply(job, message, timeout_s=20)
    assert reply["content"] == ERROR + "stopped by the user"
    wait_until(lambda: not daemon.tasks(), 5, lambda: f"{daemon.tasks()} to end")


def test_the_cancel_verb_ends_the_task(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    done = daemon.run("cancel", "--state", daemon.state, job)
    assert done.returncode == 0, done.stderr
    assert daemon.reply(job, message, timeout_s=20)["content"] == ERROR + "stopped by the user"
    done = daemon.run("cancel", "--state", daemon.state, job)
    assert done.returncode == 1 and job in done.stderr


def test_stopping_a_waiting_message_never_starts_it(make_daemon, meeting):
    daemon = make_daemon(max_concurrency=1, **meeting.settings())
    first_job, first = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    job, message = daemon.hub.start(f"touch '{meeting.path('ran')}'; echo ran")
    wait_until(lambda: daemon.status()["queue"]["waiting"] == 1, what="the second to wait")
    assert daemon.hub.api("POST", f"/conversations/{job}/stop", {}).status == 202
    assert daemon.reply(job, message, timeout_s=20)["content"] == ERROR + "stopped by the user"
    meeting.release("a")
    assert daemon.reply(first_job, first)["content"] == "done"
    assert not os.path.exists(meeting.path("ran"))


def test_drain_finishes_what_runs_and_takes_nothing_new(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    assert daemon.run("drain", "--state", daemon.state).returncode == 0
    wait_until(lambda: daemon.status()["draining"], what="the drain to begin")
    later_job, later = daemon.hub.start("echo later")
    meeting.release("a")
    assert daemon.program.wait(20) == 0
    assert daemon.reply(job, message)["content"] == "done"
    assert daemon.hub.message(later)["status"] == "queued"
    daemon.boot()
    assert daemon.reply(later_job, later)["content"] == "later"


def test_term_drains(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    daemon.program.send(signal.SIGTERM)
    wait_until(lambda: daemon.status()["draining"], what="the drain to begin")
    meeting.release("a")
    assert daemon.program.wait(20) == 0
    assert daemon.reply(job, message)["content"] == "done"


def test_a_second_term_leaves_the_message_to_the_next_start(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    meeting.wait("a")
    daemon.program.send(signal.SIGTERM)
    wait_until(lambda: daemon.status()["draining"], what="the drain to begin")
    daemon.program.send(signal.SIGTERM)
    assert daemon.program.wait(20) in (0, 75)
    assert daemon.hub.message(message)["status"] == "pending"
    meeting.release("a")
    daemon.boot()
    assert daemon.reply(job, message)["content"] == "done"


def test_a_stop_of_ours_costs_no_attempt(make_daemon, meeting):
    daemon = make_daemon(task={"max_attempts": 1}, drain_timeout="0s", **meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a"))
    for _ in range(3):
        meeting.wait("a")
        os.unlink(meeting.path("a") + ".here")
        daemon.program.send(signal.SIGTERM)
        assert daemon.program.wait(20) in (0, 75)
        daemon.boot()
    meeting.release("a")
    assert daemon.reply(job, message)["content"] == "done"


def test_hup_takes_new_settings_and_keeps_tasks(make_daemon, meeting):
    daemon = make_daemon(max_concurrency=1, **meeting.settings())
    started = [daemon.hub.start(meeting.hold(f"job{i}")) for i in range(2)]
    meeting.wait("job0")
    daemon.configure(max_concurrency=2)
    daemon.program.send(signal.SIGHUP)
    meeting.wait("job1")
    for i in range(2):
        meeting.release(f"job{i}")
    for job, message in started:
        assert daemon.reply(job, message)["content"] == "done"


def test_hup_with_broken_settings_keeps_the_old_ones(daemon):
    daemon.account.write(daemon.config, "max_concurency: 2\n")
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: "reload_failed" in daemon.log, what="the log to say so")
    failed = next(line for line in daemon.log.splitlines() if "reload_failed" in line)
    assert "max_concurrency" in failed  # the nearest name, in the line itself: logs get filtered
    assert daemon.answer("echo still here")["content"] == "still here"


@pytest.mark.parametrize("settings, words", [
    ({"runner": {"argv": ["no-such-program"]}}, "no-such-program"),
    ({"runner": {"argv": ["/opt/no-such-program"]}}, "sandbox.read"),
    ({"sandbox": {"read": ["/no-such-folder"]}}, "/no-such-folder"),
    ({"sandbox": {"write": ["/no-such-folder"]}}, "sandbox.write"),
])
def test_hup_with_what_the_machine_lacks_changes_nothing(make_daemon, settings, words):
    daemon = make_daemon()
    daemon.configure(**settings)
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: "reload_failed" in daemon.log, what="the log to say so")
    assert words in next(line for line in daemon.log.splitlines() if "reload_failed" in line)
    assert daemon.answer("echo still here")["content"] == "still here"


def test_quit_stops_at_once(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    daemon.hub.start(meeting.hold("a", "trap '' TERM"))
    meeting.wait("a")
    daemon.program.send(signal.SIGQUIT)
    assert daemon.program.wait(5) in (0, 75)


# nothing survives


@pytest.mark.parametrize("escape", [
    "setsid sleep 1000 &",
    "(setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1; done' >/dev/null 2>&1 &) &",
    "(exec >/dev/null 2>&1; sleep 1000 & sleep 1000 & sleep 1000) & ",
])
def test_no_process_of_a_task_is_left(daemon, escape):
    assert daemon.answer(f"{escape}\necho done")["content"] == "done"
    wait_until(lambda: not daemon.tasks(), 2, lambda: f"{daemon.tasks()} to end")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")  # nobody else may look into them
def test_daemon_and_spawner_have_no_files_of_a_task_open(daemon):
    before = [sorted(os.listdir(f"/proc/{pid}/fd"))
              for pid in (daemon.pid, daemon.status()["spawner_pid"])]
    for i in range(5):
        daemon.answer(f"echo {i}")
    wait_until(lambda: not daemon.tasks(), 2, "tasks to end")

    def counts():
        return [len(os.listdir(f"/proc/{pid}/fd"))
                for pid in (daemon.pid, daemon.status()["spawner_pid"])]

    wait_until(lambda: all(now <= len(then) + 2 for now, then in zip(counts(), before)), 10,
               lambda: f"descriptors to be closed: {before}, {counts()}")


# secrets


@pytest.fixture
def secretive(make_daemon, account):
    secret = account.write(os.path.join(account.folder, "token"), "s3cr3t-value-0123456789\n")
    return make_daemon(runner={"secrets": {"TOKEN": {"file": secret}}, "env": {"PLAIN": "shown"}})


def test_a_task_gets_its_secrets_and_settings(secretive):
    assert secretive.answer('echo "${#TOKEN} $PLAIN"')["content"] == "23 shown"


@pytest.mark.parametrize("command", [
    'echo "<$TOKEN>"',
    'printf %s "$TOKEN" | base64',
    'printf x%s "$TOKEN" | base64',
    'printf %s "$TOKEN" | od -An -tx1 | tr -d " \\n"',
    'echo "<$TOKEN>" >&2; exit 1',
])
def test_secrets_are_masked_in_what_is_sent_and_logged(secretive, command):
    content = secretive.answer(command)["content"]
    assert "[secret]" in content and "s3cr3t" not in content
    assert "s3cr3t" not in secretive.log


def test_a_secret_that_changes_is_masked_old_and_new(make_daemon, account, meeting):
    path = account.write(os.path.join(account.folder, "token"), "s3cr3t-first-0123456789\n")
    daemon = make_daemon(runner={"secrets": {"TOKEN": {"file": path}}}, **meeting.settings())
    job, message = daemon.hub.start(meeting.hold("a", 'echo "<$TOKEN>"'))
    meeting.wait("a")
    account.write(path, "s3cr3t-second-0123456789\n")  # a task gets it without HUP
    assert daemon.answer('echo "<$TOKEN>"')["content"] == "<[secret]>"
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: "reloaded" in daemon.log, what="the log to say so")
    meeting.release("a")  # and the older one still has the old value
    assert daemon.reply(job, message)["content"] == "<[secret]>"


def test_a_secret_that_the_limit_cuts_is_masked(make_daemon, account):
    path = account.write(os.path.join(account.folder, "token"), "s3cr3t-value-0123456789\n")
    daemon = make_daemon(runner={"secrets": {"TOKEN": {"file": path}}}, task={"reply_limit": "1K"})
    content = daemon.answer('printf "%01010d" 0; echo "$TOKEN and more"')["content"]
    assert content.startswith("0" * 1010 + "[secret]") and "s3cr3t" not in content


def test_the_agent_key_is_nowhere_to_be_seen(make_daemon, account):
    daemon = make_daemon()
    key = daemon.hub.agent_key
    reply = daemon.answer(
        f"cat {daemon.key_file}; cat {daemon.state}/*; cat /proc/*/environ /proc/*/cmdline | "
        "tr '\\0' '\\n'; env; cat /proc/1/mem; ls -a / /proc; echo end")
    assert reply["content"].endswith("end") and key not in reply["content"]
    assert key not in daemon.log
    with open(f"/proc/{daemon.pid}/cmdline", "rb") as file:
        assert key.encode() not in file.read()
    for parent, _, files in os.walk(daemon.state):
        for name in files:
            if name != "control.sock":
                with open(os.path.join(parent, name), "rb") as file:
                    assert key.encode() not in file.read(), name


def regions(pid):
    """The readable pieces of a process's memory."""
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            if line.split()[1].startswith("r"):
                yield tuple(int(part, 16) for part in line.split()[0].split("-"))


def memory_holds(pid, text):
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for start, end in regions(pid):
            try:
                memory.seek(start)
                if text in memory.read(end - start):
                    return True
            except (OSError, OverflowError):
                pass  # the kernel's own pages
    return False


def test_a_key_from_the_environment_is_the_daemons_alone(make_daemon, me):
    daemon = make_daemon(start=False)
    key = daemon.hub.agent_key
    del daemon.settings["api_key_file"]
    daemon.configure()
    daemon.env = {"NAIRI_API_KEY": key, "EKSEC_API_KEY": key}
    daemon.boot()
    assert key not in daemon.answer("env; echo end")["content"]
    if not me.is_root:
        return  # the rest is hidden even from ourselves
    pids = [daemon.pid, daemon.status()["spawner_pid"]]
    for pid in pids:
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert key.encode() not in file.read()
    if max(end - start for start, end in regions(daemon.pid)) < 1 << 32:
        # a sanitizer maps much, and keeps a copy of the environment
        assert [memory_holds(pid, key.encode()) for pid in pids] == [True, False]


def test_the_network_is_not_there(daemon):
    host = daemon.hub.host
    reply = daemon.answer(f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{host.port}' 2>/dev/null && "
                          "echo reached || echo closed; cat /proc/net/dev | tail -n +3 | wc -l")
    assert reply["content"] == "closed\n1"


# progress


def test_what_the_task_prints_is_shown_as_progress(make_daemon, meeting):
    daemon = make_daemon(**meeting.settings())
    job, message = daemon.hub.start("echo step one\n" + meeting.hold("a"))
    wait_until(lambda: any("step one" in row["content"] for row in daemon.hub.messages(job)
                           if row["role"] == "progress"), what="the progress message")
    meeting.release("a")
    daemon.hub.wait_status(message)
    terminal = replies(daemon.hub.messages(job), message)
    assert [row["content"] for row in terminal] == ["step one\ndone"]
