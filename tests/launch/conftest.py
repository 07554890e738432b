from collections.abc import Iterator

import pytest

from tests import leaks
from tests.launch.runtime import own_runtime


@pytest.fixture(autouse=True)
def test_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with leaks.own_places(tmp_path_factory), leaks.none_left():
        yield


@pytest.fixture
def runtime(monkeypatch):
    with own_runtime(monkeypatch) as folder:
        yield folder
