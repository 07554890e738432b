"""How Futures travel inside calls, and values that a cluster keeps: who packs one notes it, who loads one says for whom.

Futures are found by the pickler itself, so they may be anywhere in a value. Both notes are of one thread, and of the time
in which it packs or loads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Travel(threading.local):
    noted: list[Any] | None = None
    reader: Any = None


_travel = _Travel()


def note(future: Any) -> None:
    """Note that a Future is being pickled. Called by the Future."""
    if _travel.noted is not None:
        _travel.noted.append(future)


def readers() -> tuple[Any, ...]:
    """Return the executor that loads a value just now, if one does."""
    return () if _travel.reader is None else (_travel.reader,)


def note_in(noted: list[Any] | None) -> list[Any] | None:
    """Note the Futures that are pickled from now on there, or nowhere; return where they were noted before."""
    before, _travel.noted = _travel.noted, noted
    return before


@contextmanager
def noting() -> Iterator[list[Any]]:
    """Note the Futures that are pickled inside; one may be noted more than once."""
    noted: list[Any] = []
    before = note_in(noted)
    try:
        yield noted
    finally:
        note_in(before)


@contextmanager
def reading_for(executor: Any) -> Iterator[None]:
    """Bind the Futures that are loaded inside to an executor."""
    before, _travel.reader = _travel.reader, executor
    try:
        yield
    finally:
        _travel.reader = before
