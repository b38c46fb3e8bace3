"""The daemon's link: every case below daemon/link, key, tls and proxy."""

import pytest

import casefile

from player import DaemonStage as make_stage

KINDS = ("daemon/link", "daemon/key", "daemon/tls", "daemon/proxy")


@pytest.mark.parametrize("case", casefile.find(*KINDS), ids=str)
def test_case(case, pool):
    pool.result(case)
