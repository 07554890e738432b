"""Inputs of a call, as placeholders inside its pickled arguments.

A client packs a call with an `InputRef` where a future stood. Its pickle is a call of `load_input`, so that unpickling
the arguments on a worker puts the input's value in its place, however deep it is nested: nothing is searched. Which
values there are is a matter of the thread that unpickles: `inputs_available`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from jupyter_dist.errors import UsageError


class _Available(threading.local):
    values: Mapping[str, object] | None = None


_available = _Available()


class InputRef:
    """Stands for the value of a key inside the arguments of a call. It is replaced when the call is unpickled."""

    __slots__ = ("key",)

    def __init__(self, key: str) -> None:
        self.key = key

    def __repr__(self) -> str:
        return f"<InputRef {self.key}>"

    def __reduce__(self) -> tuple[object, ...]:
        return load_input, (self.key,)


@contextmanager
def inputs_available(values: Mapping[str, object]) -> Iterator[None]:
    """Let `load_input` find these values, in this thread."""
    before, _available.values = _available.values, values
    try:
        yield
    finally:
        _available.values = before


def load_input(key: str) -> object:
    """Return the value of an input. Called by the unpickler alone.

    Raises
    ------
    UsageError
        The call is being unpickled where its inputs are not.
    """
    values = _available.values
    if values is None or key not in values:
        raise UsageError(f"input {key!r} is not here: only the worker a call was assigned to can unpickle it")
    return values[key]
