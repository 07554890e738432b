from datetime import UTC, datetime

import pytest

from jupyter_dist.server import JupyterDist, _jupyter_server_extension_points
from jupyter_dist.server.extension import LAST_ACTIVITY
from jupyter_dist.server.handlers import MANAGER
from jupyter_dist.server.manager import ClusterManager
from tests.server.fakes import make_snapshot


@pytest.fixture
def extension(jp_serverapp):
    (extension,) = jp_serverapp.extension_manager.extension_apps["jupyter_dist.server"]
    assert isinstance(extension, JupyterDist)
    return extension


def test_extension_points_name_the_application():
    assert _jupyter_server_extension_points() == [{"module": "jupyter_dist.server", "app": JupyterDist}]


def test_load_extension_its_manager_is_in_the_settings_and_knows_no_cluster(jp_serverapp, extension):
    manager = jp_serverapp.web_app.settings[MANAGER]
    assert isinstance(manager, ClusterManager)
    assert manager is extension.manager
    assert extension.current_activity() == []


async def test_start_extension_clusters_are_looked_for(jp_serverapp, extension):
    await jp_serverapp.extension_manager.start_all_extensions()
    assert [task.get_coro().__name__ for task in extension.manager._tasks] == ["_survey"]
    await extension.stop_extension()
    assert not extension.manager._tasks


async def test_stop_extension_connections_are_closed_and_clusters_are_not(extension, manager, host):
    extension.manager = manager
    host.add("mine")
    await manager.models()
    await extension.stop_extension()
    assert host.observers[0].is_closed
    assert (host.stopped, host.asked_to_stop) == ([], [])


async def test_busy_cluster_server_counts_as_active(jp_serverapp, extension, make_manager, host):
    extension.manager = manager = make_manager(on_busy=extension.on_busy)
    info = host.add("mine")
    await manager.models()
    assert not jp_serverapp.extension_manager.any_activity()
    assert LAST_ACTIVITY not in jp_serverapp.web_app.settings
    before = datetime.now(UTC)
    host.tell("mine", make_snapshot(info, counts={"processing": 1}))
    assert jp_serverapp.extension_manager.any_activity()
    assert jp_serverapp.web_app.last_activity() >= before
