"""Futures in nested containers: finding them, and putting their results in their places."""

from __future__ import annotations

from typing import Any, Protocol

from jupyter_dist.client.future import Future
from jupyter_dist.client.session import Session
from jupyter_dist.errors import UsageError

SEQUENCES = (list, tuple, set, frozenset)
SKIPPED = object()


class Owner(Protocol):
    """An executor, or a part of one."""

    @property
    def session(self) -> Session:
        """Where the wishes of its futures are kept."""


def futures_in(value: Any) -> list[Future]:
    """Return the futures in a nesting of list, tuple, set and dict, in order."""
    if isinstance(value, Future):
        return [value]
    if type(value) is list and all(type(item) is Future for item in value):
        return list(value)
    if isinstance(value, SEQUENCES):
        return [future for item in value for future in futures_in(item)]
    if isinstance(value, dict):
        return [future for item in value.values() for future in futures_in(item)]
    return []


def futures_of(executor: Owner, value: Any) -> list[Future]:
    """Return the futures in a nesting, all of which must be an executor's own.

    Raises
    ------
    UsageError
        One is not.
    """
    found = futures_in(value)
    for future in found:
        if future.executor.session is not executor.session:
            raise UsageError(f"{future!r} belongs to another executor")
    return found


def replace(value: Any, *, skip_failed: bool) -> Any:
    """Return the value with each future replaced by its result, which is here; with ``skip_failed`` less the failed.

    Raises
    ------
    UsageError
        One single future failed and was to be skipped: there is no place to leave it out of.
    """
    __tracebackhide__ = True
    result = _replace(value, skip_failed)
    if result is SKIPPED:
        raise UsageError(f"{value!r} failed, and errors='skip' leaves failed futures out of a list; give a list")
    return result


def _replace(value: Any, skip_failed: bool) -> Any:
    __tracebackhide__ = True
    if isinstance(value, Future):
        if skip_failed and value.status in ("error", "cancelled"):
            return SKIPPED
        return value.result_here()
    if isinstance(value, SEQUENCES):
        items = [_replace(item, skip_failed) for item in value]
        kept = [item for item in items if item is not SKIPPED] if skip_failed else items
        return type(value)(*kept) if hasattr(value, "_fields") else type(value)(kept)
    if isinstance(value, dict):
        pairs = {name: _replace(item, skip_failed) for name, item in value.items()}
        return {name: item for name, item in pairs.items() if item is not SKIPPED}
    return value
