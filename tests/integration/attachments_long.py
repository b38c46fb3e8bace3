"""A file of 200 MB that comes with a message: what takes too long for each check."""

from test_attachments import check_memory, make  # noqa: F401: a fixture


def test_a_file_of_200_mb_takes_no_memory(make, peer):  # noqa: F811
    check_memory(make, peer, 200)
