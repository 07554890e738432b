"""From settled wishes to values: unpickled where they are here, fetched from their holders where they are not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from jupyter_dist.client.reading import HolderLostError, Readers
from jupyter_dist.client.session import Session
from jupyter_dist.client.waiting import AsyncWatcher
from jupyter_dist.core.futures import UNLOADED, Wish
from jupyter_dist.errors import FutureCancelledError, ResultError
from jupyter_dist.messages import MissingValue
from jupyter_dist.protocol import travel
from jupyter_dist.protocol.exceptions import load_exception
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.protocol.payload import unpack_value


def load_value(wish: Wish, buffers: list[Buffer], reader: Any = None) -> Any:
    """Return a wish's value from its bytes. Futures in it are of the executor that reads it, if one is given.

    Raises
    ------
    ResultError
        The value cannot be loaded in this process.
    """
    try:
        with travel.reading_for(reader):
            return unpack_value(buffers)
    except Exception as error:
        raise ResultError(
            f"the result of {wish.key} (a {wish.type_name}) was made but cannot be loaded here: "
            f"{type(error).__name__}: {error}. Is what defines it importable in this process?"
        ) from error


def unpack(wish: Wish, buffers: list[Buffer], reader: Any = None) -> Any:
    """Return a wish's value from its bytes, and keep it: every later ask gets the same object. Raises as `load_value`."""
    value = load_value(wish, buffers, reader)
    if wish.loaded is UNLOADED:
        wish.loaded = value
        wish.value = None
    return wish.loaded


async def fetch(session: Session, readers: Readers, wish: Wish) -> list[Buffer]:
    """Return a wish's bytes, from the message it came in or from a holder; when that fails, from where it is made again.

    Raises
    ------
    CancelledError
        It was cancelled meanwhile.
    Exception
        What making it again raised.
    """
    watcher = AsyncWatcher(asyncio.get_running_loop())
    while True:
        while session.watch(wish, watcher):
            await watcher.changed.wait()
            watcher.changed.clear()
        if wish.status == "cancelled":
            raise FutureCancelledError(f"{wish.key} was cancelled: {wish.reason}")
        if wish.error is not None:
            raise load_exception(wish.error)
        value, holders = wish.value, wish.holders
        if value is not None:
            return [value]
        if holders:
            try:
                return list(await readers.fetch(holders[0], wish.key))
            except HolderLostError as error:
                _report_missing(session, wish, holders[0], str(error))


def _report_missing(session: Session, wish: Wish, holder: str, reason: str) -> None:
    """Ask the scheduler where else the value is; until it answers, the value counts as lost."""
    with session.lock:
        if wish.status == "finished" and holder in wish.holders:
            wish.status = "lost"
            wish.holders = ()
    session.say(MissingValue(wish.key, holder, reason))


async def fetch_all(session: Session, readers: Readers, wishes: Iterable[Wish]) -> dict[Wish, list[Buffer]]:
    """Return the bytes of many wishes, those of different holders at the same time."""
    wanted = list(dict.fromkeys(wishes))
    found = await asyncio.gather(*(fetch(session, readers, wish) for wish in wanted))
    return dict(zip(wanted, found, strict=True))
