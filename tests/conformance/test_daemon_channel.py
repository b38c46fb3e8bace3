"""The daemon's end of the realtime channel, and its messages of each type: every case below the
folders that KINDS names."""

import pytest

import casefile

from player import DaemonStage as make_stage

KINDS = ("daemon/channel", "daemon/messages")


@pytest.mark.parametrize("case", casefile.find(*KINDS), ids=str)
def test_case(case, pool):
    pool.result(case)
