"""The daemon's posts, downloads and uploads: every case below the folders that KINDS names."""

import pytest

import casefile

from player import DaemonStage as make_stage

KINDS = ("daemon/reply", "daemon/ack", "daemon/processing", "daemon/progress", "daemon/download",
         "daemon/upload", "daemon/provision")


@pytest.mark.parametrize("case", casefile.find(*KINDS), ids=str)
def test_case(case, pool):
    pool.result(case)
