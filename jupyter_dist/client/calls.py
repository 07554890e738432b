"""From a user's call to what the session sends: checks, options, packing. Everything that can be wrong is found here.

Nothing is registered anywhere before all of a call is packed, so a call that fails leaves nothing behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from jupyter_dist.client.future import Future
from jupyter_dist.client.grouping import current_group
from jupyter_dist.client.packing import make_key, pack_arguments
from jupyter_dist.client.shipping import Shipping
from jupyter_dist.errors import PackingError, UsageError
from jupyter_dist.messages import FunctionBody, TaskOptions
from jupyter_dist.settings import Settings


class Coded(Protocol):
    """A session, as far as packing needs one."""

    code: Shipping


class Owner(Protocol):
    """What packing needs of an executor."""

    @property
    def session(self) -> Coded:
        """Through which it speaks with the scheduler."""


class PackedCall(NamedTuple):
    """A call ready to be sent. ``futures`` are its inputs; keep it until it is sent, so that they are not released."""

    key: str
    arguments: bytes
    futures: tuple[Future, ...]

    @property
    def spec(self) -> tuple[str, bytes, tuple[str, ...]]:
        """The call as the session takes it."""
        return self.key, self.arguments, tuple(future.key for future in self.futures)


def pack_call(
    owner: Owner,
    function: FunctionBody,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    key: str | None,
    pure: bool,
    settings: Settings,
) -> PackedCall:
    """Return a call of an executor as it is sent.

    Raises
    ------
    PackingError
        An argument cannot be pickled, or all together are too large for a call.
    UsageError
        A future is of another executor, or the local modules the arguments reach are too large.
    CancelledError
        A future was cancelled.
    """
    arguments, futures = pack_arguments(args, kwargs)
    if len(arguments) > settings.argument_bytes_max:
        raise PackingError(
            f"the arguments of {function.label} are {len(arguments):,} bytes packed, more than the "
            f"{settings.argument_bytes_max:,} a call may carry: put the large ones into shared memory once with "
            "`[data] = executor.scatter([data])` and pass that future instead"
        )
    for future in futures.values():
        if future.cancelled() or not future.wish.number:
            future.raise_failure()  # says by what; a wish without a number is no task's
        if future.executor is not owner:
            raise UsageError(f"{future!r} belongs to another executor: gather it there and pass its value")
    version = owner.session.code.cover(arguments)
    key = make_key(function, arguments, pure=pure, version=version) if key is None else check_key(key)
    return PackedCall(key, arguments, tuple(futures.values()))


def make_options(workers: str | Iterable[str] | None, allow_other_workers: bool = False, **others: Any) -> TaskOptions:
    """Return the options of a submission.

    Raises
    ------
    UsageError
        ``allow_other_workers`` without ``workers``.
    TypeError
        It is neither True nor False.
    """
    names = () if workers is None else (workers,) if isinstance(workers, str) else tuple(sorted(workers))
    if type(allow_other_workers) is not bool:
        raise TypeError(f"allow_other_workers is True or False, not {allow_other_workers!r}")
    if allow_other_workers and not names:
        raise UsageError("allow_other_workers says what may happen beside `workers`: give these as well")
    group = others.pop("group", "") or current_group()
    return TaskOptions(workers=names, loose=allow_other_workers, group=group, **others)


def check_callable(function: object) -> None:
    """Raise TypeError for what cannot be called."""
    if not callable(function):
        raise TypeError(f"submit and map call a function; a {type(function).__name__} cannot be called")


def check_count(name: str, value: object, *, least: int = 0) -> None:
    """Raise UsageError for what is not a whole number from ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name}={value!r}: give a whole number from {least}")


def check_timeout(value: object) -> float:
    """Return the seconds a task may run, 0 for any time; UsageError for what is no time."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UsageError(f"timeout={value!r}: give the seconds a task may run, more than 0")
    return float(value)


def check_key(key: object) -> str:
    """Return a key that may be used.

    Raises
    ------
    TypeError
        It is not a text, or empty.
    UsageError
        It has characters that cannot be sent.
    """
    if not isinstance(key, str) or not key:
        raise TypeError(f"a key is a text that is not empty, not {key!r}")
    if not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError:
            raise UsageError(f"the key {key!r} has characters that are no text (lone surrogates)") from None
    return key
