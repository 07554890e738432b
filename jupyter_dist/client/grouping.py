"""Which cell a call belongs to: what the panel and the task stream show beside a task.

The client does not know notebooks. Whoever does says how to find out; until then calls belong to none.
"""

from __future__ import annotations

from collections.abc import Callable

_source: list[Callable[[], str]] = []


def set_group_source(source: Callable[[], str]) -> None:
    """Have a function asked at each submission, in the submitting thread, which cell it is for."""
    _source[:] = [source]


def current_group() -> str:
    """Return the cell that submits now; empty where there are none."""
    return _source[0]() if _source else ""
