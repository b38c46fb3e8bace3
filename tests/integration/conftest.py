"""Fixtures that tests of several programs share."""

import os

import pytest

import daemonkit
from hubkit import Hub
from peer import Peer


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


@pytest.fixture(scope="module")
def shared_hub(tmp_path_factory):
    """A hub for all tests of a file that don't disturb each other."""
    hub = Hub(tmp_path_factory.mktemp("shared-hub")).boot()
    yield hub
    assert hub.end() in (0, None)


@pytest.fixture
def peer():
    """A control plane in the test's own process, in place of a hub; see conformance/peer.py."""
    peer = Peer()
    yield peer
    peer.end()


def pytest_generate_tests(metafunc):
    """A test that takes `account` runs once as root and once as an ordinary user."""
    if "account" in metafunc.fixturenames:
        metafunc.parametrize("account", daemonkit.accounts(), indirect=True)


@pytest.fixture
def account(request):
    """Who runs the programs; nothing that ran as it may be left at the end."""
    account = daemonkit.Account(request.param)
    yield account
    account.done()


@pytest.fixture
def me(request):
    """As account, but only whoever runs the tests."""
    account = daemonkit.Account("root" if os.getuid() == 0 else "user")
    yield account
    account.done()


@pytest.fixture
def make_daemon(request, make_hub):
    """A factory of running daemons: make_daemon(max_concurrency=1, task={"timeout": "2s"}).

    They share one hub unless hub=... is given. start=False only prepares. At the end each is
    stopped with exit 0 unless it was stopped before, and no process of theirs is left.
    """
    name = "account" if "account" in request.fixturenames else "me"
    account = request.getfixturevalue(name)
    daemons = []
    hubs = []

    def make(hub=None, start=True, **settings):
        if hub is None:
            hubs.append(hubs[0] if hubs else make_hub())
            hub = hubs[0]
        daemon = daemonkit.Daemon(account, hub, f"daemon{len(daemons)}", **settings)
        daemons.append(daemon)
        return daemon.boot() if start else daemon

    yield make
    codes = [daemon.end() for daemon in daemons]
    logs = "".join(daemon.last_log for daemon in daemons)
    alive = [daemon.hub.proc.pid for daemon in daemons if daemon.hub.proc]
    daemonkit.assert_nothing_left(but=alive)
    assert all(code in (0, None) for code in codes), f"{codes}\n{logs}"


@pytest.fixture
def daemon(make_daemon):
    """A running daemon whose runner is sh, with its hub in daemon.hub."""
    return make_daemon()
