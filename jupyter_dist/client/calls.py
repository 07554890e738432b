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
from jupyter_dist.client.session import CallSpec
from jupyter_dist.client.shipping import Shipping
from jupyter_dist.core.resources import check_resources
from jupyter_dist.errors import PackingError, UsageError
from jupyter_dist.messages import FunctionBody, TaskOptions
from jupyter_dist.settings import Settings

WAIT_S_MAX = 1e8  # whoever waits for three years waits for ever
NAME_CHARS_MAX = 1000
COUNT_MAX = 2**53  # so large a number is still one wherever it is read


class Coded(Protocol):
    """A session, as far as packing needs one."""

    code: Shipping


class Owner(Protocol):
    """What packing needs of an executor."""

    @property
    def session(self) -> Coded:
        """Through which it speaks with the scheduler."""


class PackedCall(NamedTuple):
    """A call ready to be sent. ``futures`` are its inputs, ``held`` those that travel in it as futures.

    Keep it until it is sent, so that they are not released.
    """

    key: str
    arguments: bytes
    futures: tuple[Future, ...]
    held: tuple[Future, ...] = ()

    @property
    def spec(self) -> CallSpec:
        """The call as the session takes it."""
        inputs = tuple(future.key for future in self.futures)
        if self.held:
            return self.key, self.arguments, inputs, tuple(future.key for future in self.held)
        return self.key, self.arguments, inputs


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
    arguments, futures, held = pack_arguments(args, kwargs, function)
    if len(arguments) > settings.argument_bytes_max:
        raise PackingError(
            f"the arguments of {function.label} are {len(arguments):,} bytes packed, more than the "
            f"{settings.argument_bytes_max:,} a call may carry: put the large ones into shared memory once with "
            "`[data] = executor.scatter([data])` and pass that future instead"
        )
    check_own(owner, futures.values())
    version = owner.session.code.cover(arguments)
    key = make_key(function, arguments, pure=pure, version=version) if key is None else check_key(key)
    return PackedCall(key, arguments, tuple(futures.values()), held)


def check_own(owner: object, futures: Iterable[Future]) -> None:
    """Raise for futures that cannot be passed on: UsageError for another executor's, CancelledError for the cancelled."""
    for future in futures:
        if future.cancelled() or not future.wish.number:
            future.raise_failure()  # says by what; a wish without a number is no task's
        if future.executor is not owner:
            raise UsageError(f"{future!r} belongs to another executor: gather it there and pass its value")


def make_options(
    workers: str | Iterable[str] | None,
    allow_other_workers: bool = False,
    resources: Mapping[str, float] | None = None,
    rerun: str = "always",
    **others: Any,
) -> TaskOptions:
    """Return the options of a submission.

    Raises
    ------
    UsageError
        ``allow_other_workers`` without ``workers``, no name among these, a resource that is none, a number out of its
        range, or a ``rerun`` that is neither or contradicts ``retries``.
    TypeError
        ``allow_other_workers`` or ``pure`` is neither True nor False, a worker's name no text, or ``resources`` no dict
        of numbers.
    """
    names = check_workers(workers)
    if type(allow_other_workers) is not bool:
        raise TypeError(f"allow_other_workers is True or False, not {allow_other_workers!r}")
    if allow_other_workers and not names:
        raise UsageError("allow_other_workers says what may happen beside `workers`: give these as well")
    _check_numbers(others)
    once = is_once(rerun, others.get("retries", 0))
    group = others.pop("group", "") or current_group()
    amounts = check_resources(resources)
    return TaskOptions(workers=names, loose=allow_other_workers, group=group, resources=amounts, once=once, **others)


def is_once(rerun: object, retries: int) -> bool:
    """Return whether a task must not run twice.

    Raises
    ------
    UsageError
        ``rerun`` is neither always nor never, or never and ``retries`` says that it shall run again.
    """
    if not isinstance(rerun, str) or rerun not in ("always", "never"):
        raise UsageError(f"rerun={rerun!r}: choose 'always' or 'never'")
    if rerun == "never" and retries:
        raise UsageError(
            f"rerun='never' with retries={retries}: one says not to run it again, one to do so: leave out one"
        )
    return rerun == "never"


def check_workers(workers: object) -> tuple[str, ...]:
    """Return the names of the workers that may run a task, sorted; none for None, which means any.

    Raises
    ------
    TypeError
        A name is no text.
    UsageError
        There is no name, or one that cannot be sent.
    """
    names = named_workers(workers)
    if names is None:
        return ()
    for name in names:
        if not name.strip() or not name.isprintable():
            raise UsageError(f"{name!r} is no name of a worker")
    if not names:
        raise UsageError("workers has no name in it, so nobody could run the task: leave it out for any worker")
    return tuple(sorted(set(names)))


def named_workers(workers: object) -> tuple[str, ...] | None:
    """Return by what workers are named, in order; None for None, which means all.

    Raises
    ------
    TypeError
        A name is no text.
    """
    if workers is None:
        return None
    if not isinstance(workers, Iterable):
        raise TypeError(f"workers={workers!r}: give names, hosts or addresses of workers")
    names = (workers,) if isinstance(workers, str) else tuple(workers)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a worker is named by a text, not by {name!r}")
    return names


def _check_numbers(options: Mapping[str, Any]) -> None:
    """Check what a message has only one type for: a wrong one would end the connection."""
    check_count("retries", options.get("retries", 0))
    check_count("priority", options.get("priority", 0), least=-COUNT_MAX)
    check_flag("pure", options.get("pure", True))


def check_keys(keys: object) -> tuple[str, ...]:
    """Return keys, of one or of several. TypeError for what is none."""
    if isinstance(keys, str):
        return (check_key(keys),)
    if not isinstance(keys, Iterable):
        raise TypeError(f"give keys, not {keys!r}")
    return tuple(map(check_key, keys))


def check_flag(name: str, value: object) -> None:
    """Raise TypeError for what is neither True nor False."""
    if type(value) is not bool:
        raise TypeError(f"{name} is True or False, not {value!r}")


def check_callable(function: object) -> None:
    """Raise TypeError for what cannot be called."""
    if not callable(function):
        raise TypeError(f"submit and map call a function; a {type(function).__name__} cannot be called")


def check_count(name: str, value: object, *, least: int = 0) -> None:
    """Raise UsageError for what is not a whole number from ``least``, or is larger than any that can be meant."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= COUNT_MAX:
        raise UsageError(f"{name}={value!r}: give a whole number from {least} to {COUNT_MAX}")


def check_timeout(value: object, name: str = "timeout") -> float:
    """Return the seconds a task may run, 0 for any time; UsageError for what is no time."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UsageError(f"{name}={value!r}: give seconds, more than 0")
    return float(value)


def wait_limit(timeout: object) -> float | None:
    """Return the seconds a call may wait, None for any time; UsageError for what is no time."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise UsageError(f"timeout={timeout!r}: give the seconds to wait at most, from 0, or None for any time")
    return float(timeout) if timeout < WAIT_S_MAX else None


def check_name(name: object) -> str:
    """Return a name that things can be shared by; as `check_key` for what is none."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"a name is a text that is not empty, not {name!r}")
    if len(name) > NAME_CHARS_MAX:
        raise UsageError(f"the name {name[:20]!r}… has {len(name):,} characters, more than {NAME_CHARS_MAX:,}")
    return check_key(name)


def check_key(key: object, what: str = "key") -> str:
    """Return a key, or another name, that may be used.

    Raises
    ------
    TypeError
        It is not a text, or empty.
    UsageError
        It has characters that cannot be sent.
    """
    if not isinstance(key, str) or not key:
        raise TypeError(f"a {what} is a text that is not empty, not {key!r}")
    if not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError:
            raise UsageError(f"the {what} {key!r} has characters that are no text (lone surrogates)") from None
    return key
