"""Fixtures that tests of several programs share."""

import pytest

from hubkit import Hub


@pytest.fixture
def make_hub(tmp_path):
    """A factory of running hubs: make_hub(), make_hub(listen="[::1]:0"). All end with exit 0."""
    hubs = []

    def make(**kwargs):
        hub = Hub(tmp_path / f"hub{len(hubs)}", **kwargs)
        hubs.append(hub)
        return hub.boot()

    yield make
    codes = [hub.end() for hub in hubs]
    assert all(code in (0, None) for code in codes), codes


@pytest.fixture
def hub(make_hub):
    """A running hub with keys and one agent; see hubkit.py."""
    return make_hub()
