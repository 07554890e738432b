"""`wait`: until futures of one or several executors are done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from jupyter_dist.client import containers
from jupyter_dist.client.blocking import Opening, perform
from jupyter_dist.client.future import Future
from jupyter_dist.client.waiting import NONE, Countdown, check_wait
from jupyter_dist.core.futures import FutureStatus
from jupyter_dist.errors import UsageError

ALL_COMPLETED: Final = "ALL_COMPLETED"
FIRST_COMPLETED: Final = "FIRST_COMPLETED"
FIRST_EXCEPTION: Final = "FIRST_EXCEPTION"
STOP_ON_ERROR: frozenset[FutureStatus] = frozenset({"error"})


class DoneAndNotDone(NamedTuple):
    """What `wait` returns."""

    done: set[Future]
    not_done: set[Future]


def wait(fs: Any, timeout: float | None = None, return_when: str = ALL_COMPLETED) -> Any:
    """Wait for futures and return which are done and which are not.

    Parameters
    ----------
    fs
        The futures, of one or several executors; dask collections that were persisted stand for the futures in them.
    timeout
        Seconds to wait at most; what is not done then is in ``not_done``.
    return_when
        ``ALL_COMPLETED``, ``FIRST_COMPLETED`` or ``FIRST_EXCEPTION``, as in `concurrent.futures`: a future that was
        cancelled has not raised.

    Returns
    -------
    DoneAndNotDone
        Two sets; with a future of an asynchronous executor among them an awaitable of it.

    Raises
    ------
    UsageError
        ``return_when`` is none of these.
    TypeError
        Something is not a future, or ``timeout`` no number of seconds.
    """
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
        raise UsageError(f"return_when={return_when!r}: choose ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION")
    check_wait(timeout)
    futures = check_futures(fs)
    is_asynchronous = any(future.executor.asynchronous for future in futures)
    return perform(_wait(futures, timeout, return_when), asynchronous=is_asynchronous)


async def _wait(futures: list[Future], timeout: float | None, return_when: str) -> DoneAndNotDone:
    pending = [future for future in futures if not future.done()]
    is_over = return_when == FIRST_COMPLETED and len(pending) < len(futures)
    is_over |= return_when == FIRST_EXCEPTION and any(future.status == "error" for future in futures)
    if pending and not is_over:
        count = 1 if return_when == FIRST_COMPLETED else len(pending)
        stop_on = STOP_ON_ERROR if return_when == FIRST_EXCEPTION else NONE
        await _count(pending, Countdown(count, stop_on=stop_on), timeout)
    done = {future for future in futures if future.done()}
    return DoneAndNotDone(done, set(futures) - done)


async def _count(pending: list[Future], countdown: Countdown, timeout: float | None) -> None:
    watched = [(future.executor.session, future.wish) for future in pending]
    try:
        for session, wish in watched:
            if not session.watch(wish, countdown):
                countdown.notify(wish)
        await Opening(countdown, timeout)
    finally:
        for session, wish in watched:
            if not wish.is_settled:
                session.unwatch([wish], countdown)


def check_futures(fs: Any) -> list[Future]:
    """Return futures, and those in dask collections, each once, in order.

    Raises
    ------
    TypeError
        Something is not a future, and no collection with futures in it.
    """
    if isinstance(fs, Future):
        return [fs]
    if containers.is_collection(fs):  # before it is iterated: that would compute
        return _futures_of_collection(fs)
    if not isinstance(fs, Iterable):
        raise TypeError(f"give futures, not {fs!r}")
    found: dict[Future, None] = {}
    for item in fs:
        if containers.is_collection(item):
            found.update(dict.fromkeys(_futures_of_collection(item)))
        elif isinstance(item, Future):
            found[item] = None
        else:
            raise TypeError(f"{item!r} is not a Future")
    return list(found)


def _futures_of_collection(collection: Any) -> list[Future]:
    futures = containers.futures_in_collection(collection)
    if not futures:
        raise TypeError(f"there is no future in {containers.brief(collection)}: persist it first")
    return futures
