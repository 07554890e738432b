"""Many calls of one function: from lists, from iterators as they are read, from queues as they are filled.

The function is packed once; the arguments of each call are packed alone. An iterator, as a queue, is read no further
ahead than its reader's place and so many items more, so an endless one is as good as any; and not for long while its reader
waits, so a slow one is too. Each call is sent before the next item is read, which may wait for what that call does. So are
iterators of keys, or of sets of workers: one of them is read with each call.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from jupyter_dist.client import feeding, future
from jupyter_dist.client.calls import PackedCall, check_key, pack_call
from jupyter_dist.client.frames import hide_frames
from jupyter_dist.client.future import Future
from jupyter_dist.client.orphans import failed_wish
from jupyter_dist.errors import UsageError
from jupyter_dist.messages import FunctionBody, TaskOptions
from jupyter_dist.settings import Settings

READ_S = 0.1  # how long an iterator is read ahead while its reader could have a future
AHEAD_MAX = 1000  # futures a `map` of iterators or queues makes ahead of their reader, if nothing else is said


class Owner(future.Owner, feeding.Owner, Protocol):
    """What a map needs of its executor."""

    settings: Settings


class Item(NamedTuple):
    """One call: its arguments, its key if it has one of its own, and its options."""

    row: tuple[Any, ...]
    key: str | None
    options: TaskOptions


class Mapper:
    """The calls of one `map`.

    Parameters
    ----------
    owner
        The executor.
    function, kwargs
        What is called, and the arguments all calls share.
    options
        The options of the calls: one for all, or one for each.
    keys
        The keys of the calls, or what they begin with, if these are given.
    """

    def __init__(
        self,
        owner: Owner,
        function: FunctionBody,
        kwargs: dict[str, Any],
        options: TaskOptions | list[TaskOptions] | Iterator[TaskOptions],
        keys: str | Iterable[str] | None,
    ) -> None:
        self._owner = owner
        self._function = function
        self._kwargs = kwargs
        self._options = options
        self._keys = _keys_of_each(keys)

    def map(self, iterables: tuple[Any, ...], ahead_max: int) -> Any:
        """Return the futures: a list, for iterators an iterator, for queues a queue."""
        if feeding.are_queues(iterables):
            items = self._items(itertools.repeat(()))
            feeder = feeding.Feeder(
                self._owner, lambda *row: self._submit([next(items)._replace(row=row)]), self._excuse
            )
            return feeder.start(iterables, ahead_max)
        if all(isinstance(iterable, Iterator) for iterable in iterables):
            return self._map_lazily(self._items(zip(*iterables, strict=False)), ahead_max)
        rows = list(zip(*iterables, strict=False))
        self._check_lengths(len(rows))
        return self._submit(self._items(rows))

    def _items(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[Item]:
        options = self._options
        each = itertools.repeat(options) if isinstance(options, TaskOptions) else _one_each(options, "sets of workers")
        return itertools.starmap(Item, zip(rows, self._name(), each, strict=False))

    def _name(self) -> Iterable[str | None]:
        if isinstance(self._keys, str):
            return (f"{self._keys}-{index}" for index in itertools.count())
        return itertools.repeat(None) if self._keys is None else _one_each(self._keys, "keys")

    def _check_lengths(self, count: int) -> None:
        for name, given in (("keys", self._keys), ("sets of workers", self._options)):
            if isinstance(given, list) and len(given) != count:
                raise UsageError(f"{len(given)} {name} for {count} calls: give one for each, or one for all")

    def _submit(self, items: Iterable[Item]) -> list[Future]:
        return self._send([self._pack(item) for item in items])

    def _pack(self, item: Item) -> tuple[TaskOptions, PackedCall]:
        call = pack_call(
            self._owner,
            self._function,
            item.row,
            self._kwargs,
            key=item.key,
            pure=item.options.pure,
            settings=self._owner.settings,
        )
        return item.options, call

    def _send(self, packed: Iterable[tuple[TaskOptions, PackedCall]]) -> list[Future]:
        session = self._owner.session
        made: list[Future] = []
        with session.lock:
            session.check_open()
            for options, group in itertools.groupby(packed, key=lambda pair: pair[0]):
                wishes = session.submit(self._function, options, [call.spec for _, call in group])
                made.extend(Future(self._owner, wish) for wish in wishes)
        return made

    def _map_lazily(self, items: Iterator[Item], ahead_max: int) -> Iterator[Future]:
        __tracebackhide__ = True
        ahead: deque[Future] = deque()
        failure: Exception | None = None
        is_over = False
        while True:
            if not is_over:
                failure, is_over = self._read(items, ahead, ahead_max)
            if not ahead:
                break
            yield ahead.popleft()
        if failure is not None:
            try:
                raise failure
            except Exception as error:
                hide_frames(error)
                raise

    def _read(self, items: Iterator[Item], ahead: deque[Future], ahead_max: int) -> tuple[Exception | None, bool]:
        """Read calls as far ahead as it may be, and say whether there are no more.

        Each is sent before the next is read: what that waits for may be what this one does. An error ends the reading,
        and is kept until its place has come.
        """
        until = time.monotonic() + READ_S
        try:
            while len(ahead) < ahead_max:
                item = next(items, None)
                if item is None:
                    return None, True
                ahead.extend(self._submit([item]))
                if time.monotonic() >= until:
                    break
        except Exception as error:  # noqa: BLE001 - raised by `_map_lazily`, after the futures of what came before
            return error, True
        return None, False

    def _excuse(self, error: BaseException) -> Future:
        return Future(self._owner, failed_wish(self._function.label, error))


def _one_each(given: Iterable[Any], name: str) -> Iterator[Any]:
    """Yield what was given for each call; it must last for as many as there are."""
    count = 0
    for one in given:
        yield one
        count += 1
    raise UsageError(f"{count} {name} for more calls than that: give one for each, or one for all")


def _keys_of_each(keys: str | Iterable[str] | None) -> str | list[str] | Iterator[str] | None:
    if keys is None or isinstance(keys, str):
        return keys if keys is None else check_key(keys)
    checked = map(check_key, keys)
    return checked if isinstance(keys, Iterator) else list(checked)


def options_of_each(
    workers: Any, make: Callable[[Any], TaskOptions]
) -> TaskOptions | list[TaskOptions] | Iterator[TaskOptions]:
    """Return the options of calls that share what they may run on, or of each, if ``workers`` has a set for each."""
    if isinstance(workers, Iterator):
        return map(make, workers)
    if isinstance(workers, list | tuple) and any(not isinstance(item, str) for item in workers):
        return [make(item) for item in workers]
    return make(workers)
