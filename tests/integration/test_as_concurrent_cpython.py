"""CPython's own tests of `concurrent.futures`, run against `Executor.as_concurrent`.

They are in the package `test` beside the standard library; not every distribution ships all of it. Where it does not,
`CPYTHON_TESTS` may name a folder that has what is missing, of the same Python version: the folder `test` of Debian's
`libpython3.x-testsuite`, or of CPython's sources. Python 3.11 has them in one module, later ones in a package.
"""

import functools
import importlib
import os
import unittest
from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_dist import Executor

UPSTREAM = "test.test_concurrent_futures"
WORKERS = 5  # as many as the tests' own pools have

if folder := os.environ.get("CPYTHON_TESTS"):
    importlib.import_module("test").__path__.append(folder)
try:
    importlib.import_module(UPSTREAM)
except (ImportError, unittest.SkipTest) as error:
    pytest.skip(f"this Python ships no {UPSTREAM}: {error}", allow_module_level=True)

IN_A_PROGRAM = (
    "starts a program that imports the executor by its name from concurrent.futures; "
    "test_as_concurrent.py has the same test with ours"
)
EXCLUDED = {
    "test_interpreter_shutdown": IN_A_PROGRAM,
    "test_submit_after_interpreter_shutdown": IN_A_PROGRAM,
    "test_hang_gh83386": IN_A_PROGRAM,
}
MIXINS = {  # their modules in the package of Python 3.12 and later
    "ExecutorTest": "executor",
    "WaitTests": "test_wait",
    "AsCompletedTests": "test_as_completed",
    "ExecutorShutdownTest": "test_shutdown",
}

cluster: Executor | None = None


@pytest.fixture(scope="module", autouse=True)
def shared_cluster() -> Iterator[None]:
    global cluster  # noqa: PLW0603 - a unittest class cannot ask for a fixture's value
    cluster = Executor(n_workers=WORKERS)
    cluster.wait_for_workers(timeout=30)
    cluster.submit(abs, 1).add_done_callback(
        lambda _: None
    )  # the callbacks' thread is there before threads are counted
    cluster.map(functools.partial(pow, 2), range(10))
    yield
    cluster.shutdown(cancel_futures=True)
    cluster = None


def make_pool(max_workers: int | None = None) -> Any:
    assert cluster is not None
    return cluster.as_concurrent(max_workers)


class ClusterMixin:
    """What CPython's mixins for its own pools give to a test."""

    worker_count = WORKERS
    executor_type = staticmethod(make_pool)
    executor: Any = None

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]  # of the TestCase beside it
        self.executor = make_pool(self.worker_count)

    def tearDown(self) -> None:
        self.executor.shutdown(wait=True)
        self.executor = None
        super().tearDown()  # type: ignore[misc]  # as above


def upstream(name: str, submodule: str) -> Any:
    module = importlib.import_module(UPSTREAM)
    return getattr(module, name, None) or getattr(importlib.import_module(f"{UPSTREAM}.{submodule}"), name)


def make_case(name: str, submodule: str) -> type:
    mixin = upstream(name, submodule)
    skipped = {
        test: unittest.skip(reason)(getattr(mixin, test)) for test, reason in EXCLUDED.items() if hasattr(mixin, test)
    }
    return type(
        f"Cluster{name}", (ClusterMixin, mixin, upstream("BaseTestCase", "util")), {"__module__": __name__, **skipped}
    )


for mixin_name, home in MIXINS.items():
    globals()[f"Cluster{mixin_name}"] = pytest.mark.slow(make_case(mixin_name, home))


class ClusterMapChunksizeTest(ClusterMixin, upstream("BaseTestCase", "util")):  # type: ignore[misc]  # found at run time
    """The one test of the process pool's that is not about its processes."""

    test_map_chunksize = upstream("ProcessPoolExecutorTest", "test_process_pool").test_map_chunksize


def test_every_excluded_test_is_one_of_cpythons():
    homes = [upstream(name, submodule) for name, submodule in MIXINS.items()]
    assert all(any(hasattr(home, test) for home in homes) for test in EXCLUDED)
