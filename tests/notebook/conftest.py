from __future__ import annotations

import asyncio

import pytest
from IPython.core.interactiveshell import InteractiveShell
from jupyter_core.utils import run_sync
from traitlets.config import Config

from jupyter_dist.notebook.magics import DistributedMagics
from jupyter_dist.notebook.views import Views
from jupyter_dist.settings import Settings
from tests import leaks
from tests.notebook.fakes import FakeClusters, FakeExecutor


def pytest_configure(config):
    config.addinivalue_line("markers", "kernel: starts a real kernel")


@pytest.fixture(scope="module", autouse=True)
def file_leaves_nothing(request, tmp_path_factory):
    """Check that files with a real kernel leave nothing of it and its cluster."""
    if request.node.get_closest_marker("kernel") is None:
        yield
        return
    run_sync(asyncio.sleep)(0)  # jupyter_client keeps an event loop for each thread
    with leaks.own_places(tmp_path_factory), leaks.none_left():
        yield


@pytest.fixture
def executor():
    executor = FakeExecutor()
    yield executor
    executor.hold.set()
    executor.shutdown()


@pytest.fixture
def clusters():
    clusters = FakeClusters()
    yield clusters
    for executor in clusters.running.values():
        executor.hold.set()
        executor.shutdown()


@pytest.fixture
def shell():
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def magics(shell, clusters):
    magics = DistributedMagics(shell, clusters, Views(), Settings())
    shell.register_magics(magics)
    return magics


@pytest.fixture
def shown(monkeypatch):
    """Bundles as they are displayed; a display id is replaced in place."""
    bundles: list[dict[str, str]] = []

    class Handle:
        def __init__(self, place):
            self.place = place

        def update(self, bundle, raw):
            bundles[self.place] = bundle

    def display(bundle, **options):
        bundles.append(bundle)
        return Handle(len(bundles) - 1)

    monkeypatch.setattr("jupyter_dist.notebook.progress.display", display)
    monkeypatch.setattr("jupyter_dist.notebook.running.display", display)
    return bundles
