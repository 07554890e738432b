import pytest

from tests.launch.runtime import own_runtime


@pytest.fixture
def runtime(monkeypatch):
    with own_runtime(monkeypatch) as folder:
        yield folder
