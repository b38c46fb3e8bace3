"""A file of 200 MB each way: what takes too long for each check."""

import test_outbox

from test_attachments import check_memory, make  # noqa: F401: a fixture


def test_a_file_of_200_mb_takes_no_memory(make, peer):  # noqa: F811
    check_memory(make, peer, 200)


def test_a_file_of_200_mb_that_is_sent_takes_no_memory(make, peer):  # noqa: F811
    test_outbox.check_memory(make, peer, 200)
