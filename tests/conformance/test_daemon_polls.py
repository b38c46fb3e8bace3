"""The daemon's polls: every case below daemon/poll and daemon/listing."""

import pytest

import casefile

from player import DaemonStage as make_stage


@pytest.mark.parametrize("case", casefile.find("daemon/poll", "daemon/listing"), ids=str)
def test_case(case, pool):
    pool.result(case)
