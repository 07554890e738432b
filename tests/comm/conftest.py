from collections.abc import Iterator

import pytest

from tests import leaks


@pytest.fixture(scope="module", autouse=True)
def file_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with leaks.own_places(tmp_path_factory), leaks.none_left():
        yield
