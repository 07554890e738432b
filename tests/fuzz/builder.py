"""Messages from bytes, by the types of their fields: every input is a sequence of messages a codec lets through.

Names are few, so that what one message says is about what another one said. Numbers are small ones, those of the
limits, or ones the other side has told (`known`): an attempt has a number that nobody guesses.
"""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import Any

import msgspec

from tests.fuzz.feeds import Feed

NAMES = ("", "a", "b", "c", "d", "w0", "w1", "h0", "h1", "lock", "event", "dataset", "store/a", "é", "x" * 300)
INTEGERS = (0, 0, 1, 1, 2, 3, 4, 7, -1, 255, 10_000, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64 - 1)
FLOATS = (0.0, 0.0, 0.5, 1.0, 2.0, -1.0, 100.0, 1e300, float("inf"), float("-inf"), float("nan"))
LENGTHS = (0, 0, 1, 1, 1, 1, 2, 2, 3)


@cache
def _fields(record: type) -> tuple[tuple[str, Any], ...]:
    return tuple(typing.get_type_hints(record).items())  # without what their numbers may be: that is for the decoder


def build(kind: Any, feed: Feed, known: list[int]) -> Any:
    """Return a value of a type, as a feed says."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: build(of, feed, known) for name, of in _fields(kind)})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        return build(arguments[feed.byte() % len(arguments)], feed, known)
    if origin is tuple and arguments[-1] is Ellipsis:
        return tuple(build(arguments[0], feed, known) for _ in range(LENGTHS[feed.byte() % len(LENGTHS)]))
    if origin is tuple:
        return tuple(build(of, feed, known) for of in arguments)
    if origin is dict:
        count = LENGTHS[feed.byte() % len(LENGTHS)]
        return {build(arguments[0], feed, known): build(arguments[1], feed, known) for _ in range(count)}
    if origin is typing.Literal:
        return arguments[feed.byte() % len(arguments)]
    return _plain(kind, feed, known)


def _plain(kind: Any, feed: Feed, known: list[int]) -> Any:
    byte = feed.byte()
    if kind is str:
        return NAMES[byte % len(NAMES)]
    if kind is bool:
        return bool(byte & 1)
    if kind is int:
        is_known = byte >= 128 and known
        return known[byte % len(known)] if is_known else INTEGERS[byte % len(INTEGERS)]
    if kind is float:
        return FLOATS[byte % len(FLOATS)]
    if kind is bytes:
        return bytes(byte % 8)
    if kind is types.NoneType:
        return None
    raise TypeError(f"{kind} has no builder")
