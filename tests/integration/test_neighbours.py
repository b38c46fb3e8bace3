"""Two daemons that run as root on one machine: no uid is given to jobs of both."""

import os

import pytest

from hubkit import Hub

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root")
BLOCK = 65536  # what one daemon gives its new jobs uids out of
FIRST = 0x78800000


def owners(daemon):
    """The uids of its jobs, by their directories."""
    jobs = os.path.join(daemon.state, "jobs")
    return {name: os.stat(os.path.join(jobs, name, "workspace")).st_uid
            for name in os.listdir(jobs) if not name.startswith(".")}


@pytest.fixture
def other_hub(tmp_path):
    hub = Hub(tmp_path / "other-hub").boot()
    yield hub
    assert hub.end() in (0, None)


def test_jobs_of_two_daemons_are_never_of_one_uid(make_daemon, other_hub):
    one, two = make_daemon(), make_daemon(hub=other_hub)
    for daemon in (one, two):
        for _ in range(3):
            assert daemon.answer("echo hello")["content"] == "hello"
    blocks = [{(uid - FIRST) // BLOCK for uid in owners(daemon).values()} for daemon in (one, two)]
    assert len(blocks[0]) == len(blocks[1]) == 1 and blocks[0] != blocks[1]
    assert all(block >= 0 for block in blocks[0] | blocks[1])


def test_a_job_whose_uid_another_daemon_has_waits_for_that_ones_end(make_daemon, other_hub):
    one, two = make_daemon(), make_daemon(hub=other_hub)
    job, message = one.hub.start("echo hello")
    assert one.reply(job, message)["content"] == "hello"
    message = two.hub.start("echo hello")[1]
    two.hub.wait_status(message)
    taken, = owners(two).values()
    one.end()
    for name in ("workspace", "home"):  # as if it had been given away while this one was down
        os.chown(os.path.join(one.state, "jobs", job, name), taken, taken)
    one.boot()
    told = one.reply(job, one.hub.resume(job, "echo again"))
    assert told["role"] == "system" and f"user {taken}, which another nairid" in told["content"]
    two.end()
    assert one.reply(job, one.hub.resume(job, "echo again"))["content"] == "again"
