"""Fixtures of the server's tests: a fake host of clusters, a manager on it, and a Jupyter server with that manager."""

import asyncio

import pytest

from jupyter_dist.server.handlers import MANAGER
from jupyter_dist.server.hub import Hub
from jupyter_dist.server.inside import Inside
from jupyter_dist.server.manager import ClusterManager
from jupyter_dist.server.part_handlers import INSIDE
from jupyter_dist.server.websocket import HUB, LIMITS
from jupyter_dist.settings import Settings
from tests import leaks
from tests.server.fakes import Clock, FakeHost


@pytest.fixture(autouse=True)
def test_leaves_nothing(request, tmp_path_factory):
    """Check that tests with processes leave nothing of them."""
    if request.node.get_closest_marker("process") is None:
        yield
        return
    with leaks.own_places(tmp_path_factory), leaks.none_left():
        yield


@pytest.fixture
def jp_server_config():
    # Terminals are off because their routes warn when strangers are to be kept out, and warnings are errors here.
    extensions = {"jupyter_dist.server": True, "jupyter_server_terminals": False}
    return {"ServerApp": {"jpserver_extensions": extensions, "allow_unauthenticated_access": False}}


@pytest.fixture
def host():
    host = FakeHost()
    yield host
    host.let_go()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_manager(host, clock, jp_asyncio_loop):
    made = []

    def make(limits=None, **changes):
        ports = {
            "start": host.start,
            "stop": host.stop,
            "read": host.read,
            "tail": host.tail,
            "observe": host.observe,
            "clock": clock,
            "on_event": host.note,
        }
        made.append(ClusterManager(Settings(**{"starts_max": 2, **(limits or {})}), **{**ports, **changes}))
        return made[-1]

    yield make
    host.let_go()
    for manager in made:
        jp_asyncio_loop.run_until_complete(manager.close())


@pytest.fixture
def manager(make_manager):
    return make_manager()


@pytest.fixture
def served(jp_serverapp, jp_asyncio_loop, manager, host):
    """A Jupyter server whose clusters are those of the fake host."""
    inside = Inside(manager, "/notebooks", tail=host.tail_process)
    hub = Hub(manager)
    jp_serverapp.web_app.settings.update({MANAGER: manager, INSIDE: inside, HUB: hub, LIMITS: manager.settings})
    yield manager
    jp_asyncio_loop.run_until_complete(hub.stop())


@pytest.fixture
def settle():
    """Wait until what a manager does by itself is done."""

    async def wait(manager):
        while manager._tasks:
            await asyncio.wait(manager._tasks)

    return wait
