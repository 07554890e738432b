"""Futures in nested containers: finding them, and putting their results in their places."""

from __future__ import annotations

import copy
import queue
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from jupyter_dist.client.future import Future
from jupyter_dist.client.session import Session
from jupyter_dist.errors import UsageError

SEQUENCES = (list, tuple, set, frozenset)
KNOWN = (Future, dict, *SEQUENCES)
SKIPPED = object()
SHOWN_CHARS_MAX = 100  # of a wrong value, in an error


class Owner(Protocol):
    """An executor, or a part of one."""

    @property
    def session(self) -> Session:
        """Where the wishes of its futures are kept."""


def futures_in(value: Any) -> list[Future]:
    """Return the futures in a nesting of list, tuple, set and dict, in order.

    Raises
    ------
    TypeError
        There are some in another container, where they would be overlooked.
    """
    if isinstance(value, Future):
        return [value]
    if type(value) is list and all(type(item) is Future for item in value):
        return list(value)
    if isinstance(value, SEQUENCES):
        return [future for item in value for future in futures_in(item)]
    if isinstance(value, dict):
        return [future for item in value.values() for future in futures_in(item)]
    if isinstance(value, deque) or _is_array_of_objects(value):
        _refuse_hidden(value)
    return []


def _is_array_of_objects(value: object) -> bool:
    return type(value).__name__ == "ndarray" and getattr(getattr(value, "dtype", None), "hasobject", False) is True


def _refuse_hidden(value: Any) -> None:
    if any(isinstance(item, Future) for item in getattr(value, "flat", value)):
        raise TypeError(
            f"futures are looked for in list, tuple, set and dict, and these are in a {type(value).__name__}: give a list"
        )


def check_gathered(value: object) -> None:
    """Raise TypeError for what is neither a future nor a container that `gather` looks into."""
    if not isinstance(value, (*KNOWN, Iterator, queue.Queue)):
        raise TypeError(f"give a future, or a list, tuple, set, dict, iterator or queue of futures, not {brief(value)}")


def futures_given(value: Any) -> list[Future]:
    """Return the futures that a call is about: one, those in containers or any iterable, those of dask collections.

    Raises
    ------
    TypeError
        There is something, and no future in it: keys, say.
    """
    if isinstance(value, str | bytes) or (not isinstance(value, Future | Iterable) and not is_collection(value)):
        raise TypeError(f"give futures, or containers of them, not {brief(value)}")
    items = [value] if is_collection(value) else value if isinstance(value, KNOWN) else list(value)
    found = futures_in(items)
    if isinstance(items, SEQUENCES):
        found += [future for item in items if is_collection(item) for future in futures_in_collection(item)]
    if not found and _has_leaf(items):
        raise TypeError(f"there is no future in {brief(value)}")
    return found


def _has_leaf(value: object) -> bool:
    """Whether there is something else than containers."""
    if isinstance(value, SEQUENCES):
        return any(map(_has_leaf, value))
    return any(map(_has_leaf, value.values())) if isinstance(value, dict) else True


def is_collection(value: object) -> bool:
    """Whether it is a dask collection."""
    return hasattr(value, "__dask_graph__")


def futures_in_collection(collection: Any) -> list[Future]:
    """Return the futures in a dask collection's graph, as `persist` leaves them there."""
    found: dict[Future, None] = {}
    for node in dict(collection.__dask_graph__() or {}).values():
        parts = [getattr(node, "value", node), getattr(node, "args", ()), getattr(node, "kwargs", {})]
        found.update(dict.fromkeys(futures_in(parts)))
    return list(found)


def brief(value: object) -> str:
    """Return a wrong value as an error shows it."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS_MAX else f"a {type(value).__name__}"


def check_only_futures(value: Any) -> None:
    """Raise TypeError for what is no future, and no nesting of containers of futures."""
    if isinstance(value, Future):
        return
    if not isinstance(value, (*SEQUENCES, dict)):
        raise TypeError(f"give a future, or a list, tuple, set or dict of futures, not {value!r}")
    for item in value.values() if isinstance(value, dict) else value:
        check_only_futures(item)


def futures_of(executor: Owner, value: Any) -> list[Future]:
    """Return the futures that a call is about, all of which must be an executor's own.

    Raises
    ------
    UsageError
        One is not.
    TypeError
        There is something, and no future in it.
    """
    found = futures_given(value)
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
        results = {name: item for name, item in pairs.items() if item is not SKIPPED}
        return results if type(value) is dict else _of_the_same_kind(value, results)
    return value


def _of_the_same_kind(value: dict[Any, Any], items: dict[Any, Any]) -> dict[Any, Any]:
    new = copy.copy(value)  # with its default factory, or whatever else it has
    new.clear()
    new.update(items)
    return new
