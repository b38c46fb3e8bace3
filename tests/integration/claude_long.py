"""What takes long of Claude Code's tests; see test_claude.py."""

import claudekit
from claudekit import make_claude, model, program  # noqa: F401: fixtures
from hubkit import wait_until

REFUSED_BYTES = 16 << 10  # that are left of a reply that the server doesn't take


def test_twenty_conversations_at_once(account, make_claude):  # noqa: F811
    at_once = claudekit.how_many(20)
    daemon = make_claude(max_concurrency=at_once)
    jobs = [daemon.hub.start(f"SLOW 2 number {n} of the twenty") for n in range(20)]

    def running():
        return sum(job["state"] == "running" for job in daemon.status()["jobs"])

    wait_until(lambda: running() == at_once, 60, "all places to be taken")
    for n, (job, message) in enumerate(jobs):
        assert daemon.reply(job, message, 120)["content"] == f"ECHO: SLOW 2 number {n} of the twenty"
    again = [daemon.hub.resume(job, "RECALL") for job, _ in jobs]
    for n, ((job, _), message) in enumerate(zip(jobs, again)):
        assert daemon.reply(job, message, 120)["content"] == (
            f"RECALLED 2:\nSLOW 2 number {n} of the twenty\nRECALL")


def test_replies_from_small_to_six_megabytes_are_read_whole(make_claude):  # noqa: F811
    daemon = make_claude(task={"reply_limit": "16M"})
    for kilobytes in (1, 63, 64, 65, 200, 500, 1000):
        content = daemon.answer(f"LONG {kilobytes}", 120)["content"]
        assert len(content) >= (kilobytes << 10) - 1 and "left out" not in content, kilobytes
    for kilobytes in (2000, 6000):  # more than the hub takes, which learns how much there is
        content = daemon.answer(f"LONG {kilobytes}", 120)["content"]
        left_out = (kilobytes << 10) - REFUSED_BYTES
        assert content.endswith(f"[{left_out} more bytes are left out: the server refused the whole "
                                "reply]"), content[-200:]
