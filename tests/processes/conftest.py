from collections.abc import Iterator

import pytest

from tests import leaks


@pytest.fixture(autouse=True)
def test_leaves_nothing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Check that tests with processes leave nothing of them."""
    if request.node.get_closest_marker("process") is None:
        yield
        return
    with leaks.own_places(tmp_path_factory), leaks.none_left():
        yield
