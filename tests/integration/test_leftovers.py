"""What a task leaves for others to trip over is named in its reply: no more and no less."""

import os

import pytest

from daemonkit import ERROR
from hubkit import wait_until
from slowdisk import KNOWN, SlowDisk

NOTICED = "nairid noticed that this task left files that programs may run or obey later: "
PLANT = """mkdir -p .git/hooks .claude .vscode
echo 'ref: refs/heads/main' > .git/HEAD
echo evil > .git/hooks/pre-commit
printf '[core]\\n\\tfsmonitor = evil\\n' > .git/config
echo '{}' > .claude/settings.json
echo '{}' > .vscode/tasks.json
ln -s /etc/passwd passwd
touch "$(printf 'two\\nlines\\033[31m')"
"""


@pytest.fixture
def daemon(make_daemon):
    return make_daemon()


def go_on(daemon, job, prompt, **fields):
    return daemon.reply(job, daemon.hub.resume(job, prompt, **fields))["content"]


def known_of(daemon, job):
    with open(os.path.join(daemon.state, "jobs", job, ".known"), "rb") as file:
        return file.read()


def settled(daemon, job, before):
    """Waits until what was found counts as told."""
    wait_until(lambda: known_of(daemon, job) != before, what="the findings to be kept")


def test_a_task_that_plants_nothing_gets_its_answer_as_it_is(daemon):
    assert daemon.answer("echo x > file; mkdir d; ln -s ../file d/link; echo done")[
        "content"] == "done"


def test_what_a_task_plants_is_named_in_its_reply(make_daemon, account):
    content = make_daemon().answer(PLANT + "echo done")["content"]
    assert content.startswith(f"done\n\n[{NOTICED}`.git/hooks/pre-commit` (new; git runs it), "
                              "`.git/config` (new; git runs or obeys what it names), ")
    for part in ("`.claude/settings.json` (new; coding agents obey it)", "`.vscode/tasks.json`",
                 "`passwd` (new; a link that leads out of the workspace)",
                 "`two\\nlines\\x1b[31m` (new; "):
        assert part in content, content
    assert content.endswith(".]") and content.count("\n") == 2


def test_a_reply_names_only_what_is_new_since_the_last(daemon):
    job, message = daemon.hub.start(PLANT + "echo done")
    assert NOTICED in daemon.reply(job, message)["content"]
    settled(daemon, job, b"")
    before = known_of(daemon, job)
    assert go_on(daemon, job, "git --version >/dev/null; echo x > other; echo again") == "again"
    content = go_on(daemon, job, "echo more >> .git/hooks/pre-commit; touch .envrc; echo third")
    assert content == (f"third\n\n[{NOTICED}`.git/hooks/pre-commit` (changed; git runs it), "
                       "`.envrc` (new; shells run it).]")
    settled(daemon, job, before)
    daemon.restart()
    assert go_on(daemon, job, "echo fourth") == "fourth"


def test_what_a_reply_only_counts_is_named_by_the_next_ones(daemon):
    """Nobody can bury a file under others: only what was named counts as told."""
    job, message = daemon.hub.start("for i in $(seq 10 29); do mkdir d$i; touch d$i/.envrc; done; "
                                    "echo done")
    content = daemon.reply(job, message)["content"]
    assert content.endswith("`d17/.envrc` (new; shells run it) and 12 more.]"), content
    known = known_of(daemon, job)
    for first, rest in ((18, " and 4 more"), (26, "")):
        settled(daemon, job, known if first > 18 else b"")
        known = known_of(daemon, job)
        named = [f"`d{i}/.envrc` (from an earlier task; shells run it)"
                 for i in range(first, min(first + 8, 30))]
        assert go_on(daemon, job, "echo again") == (
            "again\n\n[nairid noticed files that programs may run or obey later, which it hasn't "
            f"named yet: {', '.join(named)}{rest}.]")
    settled(daemon, job, known)
    assert go_on(daemon, job, "echo last") == "last"


def test_a_disk_that_hangs_keeps_no_other_answer_waiting(make_daemon):
    """What is known of a job's files isn't read by the event loop; and not waited for for ever."""
    daemon = make_daemon(start=False)
    disk = SlowDisk(daemon)
    daemon.boot()
    disk.hold(KNOWN)
    try:
        job, message = daemon.hub.start("touch .envrc; echo done")
        wait_until(disk.somebody_waits, 30, "the disk to hang")
        other, asked = daemon.hub.start("echo read-only", ask_mode=True)
        assert daemon.reply(other, asked)["content"] == "read-only"
        assert daemon.hub.message(message)["status"] not in ("completed", "failed")
        content = daemon.reply(job, message)["content"]
        assert content.startswith("done\n\n[nairid could not look for files "), content
    finally:
        disk.release()
    assert go_on(daemon, job, "echo again").endswith("`.envrc` (new; shells run it).]")


def test_a_failing_task_is_told_of_too(daemon):
    text = daemon.failure("touch .envrc; echo broken >&2; exit 3")
    assert "exit status 3" in text and text.endswith(f"[{NOTICED}`.envrc` (new; shells run it).]")


def test_a_task_that_may_not_write_is_not_looked_at(daemon):
    job, message = daemon.hub.start("touch .envrc 2>/dev/null || echo read-only", ask_mode=True)
    assert daemon.reply(job, message)["content"] == "read-only"
    assert " surveyed " not in daemon.log
    assert " surveyed " in (daemon.answer("echo done"), daemon.log)[1]


def test_secrets_in_names_are_masked(make_daemon):
    daemon = make_daemon()
    with open(daemon.key_file) as file:
        key = file.read().strip()
    content = daemon.answer(f"mkdir '{key}'; touch '{key}/.envrc'; echo done")["content"]
    assert "`[secret]/.envrc`" in content and key not in content


def test_the_note_stays_within_the_reply_limit(make_daemon):
    daemon = make_daemon(task={"reply_limit": "4K"})
    content = daemon.answer(PLANT + "yes 0123456789 | head -c 4000")["content"]
    assert content.startswith("0123456789") and content.endswith(".]") and NOTICED in content
    assert len(content.encode()) <= 4096


def test_a_workspace_that_looks_like_a_git_directory_hides_nothing(daemon):
    content = daemon.answer("touch HEAD .envrc; mkdir -p objects/a hooks; touch objects/a/.vimrc; "
                            "touch hooks/pre-commit; echo done")["content"]
    for part in ("`hooks/pre-commit` (new; git runs it)", "`.envrc` (new; shells run it)",
                 "`objects/a/.vimrc` (new; "):
        assert part in content, content


def test_a_link_in_place_of_a_directory_that_is_obeyed_is_named(daemon):
    content = daemon.answer("mkdir x; echo '{}' > x/settings.json; ln -s x .claude; "
                            "ln -s x harmless; echo done")["content"]
    assert "`.claude` (new; coding agents obey it)" in content and "harmless" not in content


def test_a_git_directory_among_ci_files_hides_none(daemon):
    content = daemon.answer("mkdir -p .github/.git .github/workflows/.git; "
                            "touch .github/workflows/ci.yml; echo done")["content"]
    assert "`.github/workflows/ci.yml` (new; build servers run it)" in content


def test_a_directory_that_locks_itself_is_named(daemon):
    content = daemon.answer("mkdir -p a/.git/hooks; chmod 000 a; echo done")["content"]
    assert "`a` (new; can't be looked into)" in content


def test_a_workspace_whose_task_closes_it_is_looked_at_all_the_same(daemon):
    content = daemon.answer("touch .envrc; chmod 000 .; echo done")["content"]
    assert "`.envrc` (new; shells run it)" in content


def test_a_job_of_an_earlier_version_has_its_files_named_once(daemon):
    job, message = daemon.hub.start("touch .envrc; echo done")
    daemon.reply(job, message)
    settled(daemon, job, b"")
    os.unlink(os.path.join(daemon.state, "jobs", job, ".known"))
    content = go_on(daemon, job, "echo again")
    assert content == ("again\n\n[nairid noticed files that programs may run or obey later, of "
                       "this task or of an earlier one: `.envrc` (shells run it).]")
    settled(daemon, job, b"")
    assert go_on(daemon, job, "echo third") == "third"


def test_findings_that_are_damaged_cost_no_answer(daemon):
    job, message = daemon.hub.start("touch .envrc; echo done")
    daemon.reply(job, message)
    settled(daemon, job, b"")
    with open(os.path.join(daemon.state, "jobs", job, ".known"), "wb") as file:
        file.write(b"\0" * 100)
    assert "`.envrc` (shells run it)" in go_on(daemon, job, "echo again")
    assert "survey_known_lost" in daemon.log


def test_nothing_that_others_could_run_as_somebody_else_can_be_made(daemon):
    """Set-id files, device nodes and file capabilities aren't looked for so much as impossible."""
    content = daemon.answer(
        "cp /bin/true su; for m in 4755 2755 u+s g+s; do chmod $m su 2>/dev/null && echo $m; done\n"
        "install -m 4755 /bin/true su2 2>/dev/null && echo install\n"
        "mknod node c 1 3 2>/dev/null && echo node; mknod disk b 8 0 2>/dev/null && echo disk\n"
        "python3 -c 'import os; os.setxattr(\"su\", \"security.capability\","
        " bytes.fromhex(\"0100000201000000000000000000000000000000\"))' 2>/dev/null && echo cap\n"
        "python3 -c 'import os; os.open(\"su3\", os.O_CREAT | os.O_WRONLY, 0o4755)' 2>/dev/null"
        " && echo open\n"
        "find . -perm /6000; echo done")["content"]
    assert content == "done"


def test_a_stopped_task_stays_stopped(make_daemon):
    daemon = make_daemon()
    job, message = daemon.hub.start("touch .envrc; exec sleep 1000")
    daemon.wait_running(message)
    assert daemon.run("cancel", job, "--state", daemon.state).returncode == 0
    assert daemon.reply(job, message)["content"] == ERROR + "stopped by the user"
    # what it left is named when somebody goes on there
    content = go_on(daemon, job, "echo on")
    assert "`.envrc`" in content or content == "on"
