"""More of what can go wrong with the realtime channel, and what takes minutes: every case below
daemon/channel-long and daemon/listing-long."""

import pytest

import casefile

from player import DaemonStage as make_stage


@pytest.mark.parametrize("case", casefile.find("daemon/channel-long", "daemon/listing-long"),
                         ids=str)
def test_case(case, pool):
    pool.result(case)
