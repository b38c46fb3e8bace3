"""The hub as its clients see it: every case below hub/."""

import pytest

import casefile

from hubplayer import HubStage as make_stage


@pytest.mark.parametrize("case", casefile.find("hub"), ids=str)
def test_case(case, pool):
    pool.result(case)
