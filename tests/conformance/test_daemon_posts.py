"""The daemon's posts: every case below daemon/reply, ack, processing and progress."""

import pytest

import casefile

from player import DaemonStage as make_stage

KINDS = ("daemon/reply", "daemon/ack", "daemon/processing", "daemon/progress")


@pytest.mark.parametrize("case", casefile.find(*KINDS), ids=str)
def test_case(case, pool):
    pool.result(case)
