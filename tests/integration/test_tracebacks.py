"""What a user sees of an error: the call, then the task's own frames with their source lines, and nothing of ours."""

from __future__ import annotations

import asyncio
import contextlib
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core import ultratb

import jupyter_dist
from jupyter_dist import Executor, as_completed, get_executor

PACKAGE = str(Path(jupyter_dist.__file__).parent)


def inner(number: int) -> int:
    raise LookupError(f"no {number}")  # the line to be shown


def outer(number: int) -> int:
    return inner(number)


def same(value: Any) -> Any:
    return value


def late(_before: object, number: int) -> int:
    return outer(number)


async def _await(executor: Executor, make: Callable[[Executor], Any]) -> Any:
    async with Executor(executor.info, asynchronous=True, set_as_default=False) as asynchronous:
        return await make(asynchronous)


async def _walk(completed: Any) -> None:
    async for _ in completed:
        pass


WAYS: dict[str, Callable[[Executor], Any]] = {
    "result": lambda e: e.submit(outer, 1).result(10),
    "result of a dependent": lambda e: e.submit(same, e.submit(outer, 2)).result(10),
    "result of a distant dependent": lambda e: e.submit(late, e.submit(same, e.submit(outer, 3)), 9).result(10),
    "result once more": lambda e: [(f := e.submit(outer, 4)).exception(10), f.result()],
    "gather": lambda e: e.gather([e.submit(outer, 5)]),
    "gather of a map": lambda e: e.gather(e.map(outer, range(6, 9))),
    "gather of an iterator": lambda e: list(e.gather(e.map(outer, iter([10, 11])))),
    "as_completed": lambda e: list(as_completed(e.map(outer, [12]), with_results=True)),
    "batches": lambda e: list(as_completed(e.map(outer, [13]), with_results=True).batches()),
    "await": lambda e: asyncio.run(_await(e, lambda a: a.submit(outer, 14).result())),
    "await a future": lambda e: asyncio.run(_await(e, lambda a: a.submit(outer, 15))),
    "await gather": lambda e: asyncio.run(_await(e, lambda a: a.gather([a.submit(outer, 16)]))),
    "async for": lambda e: asyncio.run(
        _await(e, lambda a: _walk(as_completed([a.submit(outer, 17)], with_results=True)))
    ),
    "dask": lambda e: e.get({"x": (outer, 18)}, "x"),
    "run": lambda e: e.run(outer, 20),
    "submitted by a task": lambda e: e.submit(begin, 21).result(10),
    "gathered by a task": lambda e: e.submit(collect, 22).result(10),
    "coroutine": lambda e: e.submit(awaits, 23).result(10),
    "generator": lambda e: e.submit(walks, 24).result(10),
    "concurrent": lambda e: e.as_concurrent().submit(outer, 25).result(10),
    "concurrent once more": lambda e: _twice(e.as_concurrent().submit(outer, 26)),
    "concurrent map": lambda e: list(e.as_concurrent().map(outer, [27])),
    "concurrent chunks": lambda e: list(e.as_concurrent().map(outer, [28, 29], chunksize=2)),
    "exception": lambda e: _raise(e.submit(outer, 19).exception(10)),
}


def begin(number: int) -> int:
    found: int = get_executor().submit(outer, number).result()
    return found


def collect(number: int) -> list[int]:
    executor = get_executor()
    found: list[int] = executor.gather(executor.map(outer, [number]))
    return found


async def awaits(number: int) -> int:
    await asyncio.sleep(0)
    return outer(number)


def walks(number: int) -> list[int]:
    def one() -> Iterator[int]:
        yield outer(number)

    return list(one())


def _twice(future: Any) -> None:
    with contextlib.suppress(LookupError):
        future.result(10)
    future.result(10)


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("way", WAYS)
def test_error_shows_the_users_frames_with_their_lines_and_none_of_ours(executor, way):
    with pytest.raises(LookupError, match="no ") as caught:
        WAYS[way](executor)
    error = caught.value
    text = "".join(traceback.format_exception(error))
    assert PACKAGE not in text
    assert "in outer\n    return inner(number)" in text
    assert '    raise LookupError(f"no {number}")  # the line to be shown' in text
    entries = traceback.extract_tb(error.__traceback__)
    assert [entry.name for entry in entries[-2:]] == ["outer", "inner"]
    shown = ultratb.VerboseTB(include_vars=False).text(type(error), error, error.__traceback__)
    shown = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert PACKAGE not in shown
    assert 'raise LookupError(f"no {number}")' in shown


def test_error_of_a_function_packed_by_value_knows_where_it_was_written(executor):
    def local(number: int) -> float:
        return 1 / number  # nowhere to be imported from

    with pytest.raises(ZeroDivisionError) as caught:
        executor.submit(local, 0).result(10)
    text = "".join(traceback.format_exception(caught.value))
    assert f'File "{__file__}"' in text
    assert "nowhere to be imported from" in text
    assert PACKAGE not in text


def test_class_packed_by_value_and_returned_knows_where_it_was_written(executor):
    class Local:
        def fail(self) -> None:
            raise LookupError

    returned = executor.submit(same, Local()).result(10)
    with pytest.raises(LookupError) as caught:
        returned.fail()
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename == __file__
