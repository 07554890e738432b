from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.quiet import QuietCluster


@pytest.fixture
def quiet() -> Iterator[QuietCluster]:
    cluster = QuietCluster()
    yield cluster
    cluster.end()
