"""The executors of this process: which is meant when none is named, and which are open.

An executor that is entered with `with`, or made current, is the default for what runs inside: the innermost wins, in
its own thread or asyncio task alone. Else, in a worker of a cluster, the one its tasks have on that cluster. Else the
one made last that is open.

At the end of the process they are told, so that what the end drops is not released: a kernel that is restarted in order
lets go of its namespace first, and its results are to be there for the next one.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

from jupyter_dist.errors import NoClusterError
from jupyter_dist.processes import inside


class Closable(Protocol):
    """What the registry needs of an executor."""

    @property
    def is_closed(self) -> bool:
        """Whether it can be used no more."""


_known: list[weakref.ref[Any]] = []  # the newest last
_defaults: weakref.WeakSet[Any] = weakref.WeakSet()  # those that may be meant when none is named
_entered: contextvars.ContextVar[tuple[Any, ...]] = contextvars.ContextVar("jupyter_dist_executors", default=())


def add(executor: Closable, *, as_default: bool) -> None:
    """Note a new executor; ``as_default`` whether it may be meant when none is named."""
    _known.append(weakref.ref(executor, _forget))
    if as_default:
        _defaults.add(executor)


def _forget(known: weakref.ref[Any]) -> None:
    with contextlib.suppress(ValueError):  # it was closed, and seen to be
        _known.remove(known)


def enter(executor: Closable) -> None:
    """Make an executor the innermost here."""
    _entered.set((*_entered.get(), executor))


def leave(executor: Closable) -> None:
    """Take an executor back out, wherever it stands: a notebook may enter in one cell and leave in another."""
    within = list(_entered.get())
    for index in range(len(within) - 1, -1, -1):
        if within[index] is executor:
            del within[index]
            break
    _entered.set(tuple(within))


@contextlib.contextmanager
def entered(executor: Closable) -> Iterator[None]:
    """Make an executor the innermost for the body of a `with`."""
    enter(executor)
    try:
        yield
    finally:
        leave(executor)


def open_executors() -> list[Any]:
    """Return the executors of this process that are open, the newest first."""
    found = [executor for known in reversed(tuple(_known)) if (executor := known()) is not None]
    for known in tuple(_known):
        executor = known()
        if executor is None or executor.is_closed:
            _forget(known)
    return [executor for executor in found if not executor.is_closed]


@atexit.register
def keep_results() -> None:
    """Have no executor release what is dropped from now on. Whoever was registered earlier ends after this."""
    for executor in open_executors():
        executor.session.keep_dropped()


def find() -> Any:
    """Return the executor that is meant when none is named.

    Raises
    ------
    NoClusterError
        There is none; the text says how to make one.
    ClusterClosedError
        There is none, and this process was forked from a worker.
    """
    for executor in reversed(_entered.get()):
        if not executor.is_closed:
            return executor
    if inside.is_worker():
        return inside.call_client()
    for executor in open_executors():
        if executor in _defaults:
            return executor
    inside.host()  # raises, with a better reason, in a process that was forked from a worker
    raise NoClusterError(
        "there is no Executor yet: `Executor()` connects to the running cluster or starts one; in a notebook "
        "`%distributed start` does"
    )
