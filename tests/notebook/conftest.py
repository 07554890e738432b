from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from jupyter_dist.notebook.magics import DistributedMagics
from jupyter_dist.notebook.views import Views
from jupyter_dist.settings import Settings
from tests.notebook.fakes import FakeClusters, FakeExecutor


def pytest_configure(config):
    config.addinivalue_line("markers", "kernel: starts a real kernel")


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
