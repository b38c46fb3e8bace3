"""The daemon's posts and downloads: every case below daemon/reply, ack, processing, progress and
download."""

import pytest

import casefile

from player import DaemonStage as make_stage

KINDS = ("daemon/reply", "daemon/ack", "daemon/processing", "daemon/progress", "daemon/download")


@pytest.mark.parametrize("case", casefile.find(*KINDS), ids=str)
def test_case(case, pool):
    pool.result(case)
