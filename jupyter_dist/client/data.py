"""Data a client brings to the cluster: small pieces inside a message, large ones into the host's object store.

A large piece is written once, from where it is, into memory that every process of the host maps; the scheduler hears
its name and size. Whatever goes wrong after it was written, it is removed again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jupyter_dist.client.session import Session
from jupyter_dist.core.futures import Wish
from jupyter_dist.errors import PackingError, UsageError
from jupyter_dist.ids import new_token
from jupyter_dist.protocol import travel
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.protocol.payload import pack_inline, pack_value
from jupyter_dist.storage.store import ObjectStore


def scatter_one(session: Session, store: ObjectStore, value: Any, key: str | None) -> Wish:
    """Make one piece of data known to the cluster, under a key of its own if none is given.

    Raises
    ------
    PackingError
        It cannot be pickled, or is larger than ``object_bytes_max``.
    StorageFullError
        The host has no room for it.
    UsageError
        There is a future of another executor in it.
    ClusterClosedError
        The session is over.
    """
    kind = type(value).__name__
    if key is None:
        key = f"{kind}-{new_token()}"
    elif (known := session.join(key)) is not None:
        return known
    session.check_open()
    with travel.noting() as futures:
        buffers = pack_value(value)
    _check_own(session, futures)
    speaks_of = tuple(dict.fromkeys(future.key for future in futures))
    nbytes = sum(map(len, buffers))
    if nbytes > session.settings.inline_bytes_max:
        return _store(session, store, buffers, key, kind, speaks_of)
    packed = bytes(buffers[0]) if len(buffers) == 1 else pack_inline(value)
    return session.put(key, packed, kind, speaks_of)


def _store(
    session: Session, store: ObjectStore, buffers: list[Buffer], key: str, kind: str, speaks_of: tuple[str, ...]
) -> Wish:
    nbytes = sum(map(len, buffers))
    limit = session.settings.object_bytes_max
    if nbytes > limit:
        raise PackingError(
            f"{key} (a {kind}) is {nbytes:,} bytes packed, more than the {limit:,} one piece of data may have: "
            "scatter it in pieces, or raise JUPYTER_DIST_OBJECT_BYTES_MAX"
        )
    name, _size = store.write(buffers)
    is_used = False
    try:
        wish, is_used = session.put_stored(key, name, nbytes, kind, speaks_of)
    finally:
        if not is_used:
            store.remove([name])
    return wish


def _check_own(session: Session, futures: Iterable[Any]) -> None:
    for future in futures:
        if future.executor.session is not session:
            raise UsageError(f"{future!r} belongs to another executor: gather it there and scatter its value")


def check_broadcast(broadcast: object) -> None:
    """Raise UsageError for what says nothing about how many workers shall have a copy."""
    if not isinstance(broadcast, int) or (broadcast < 1 and broadcast is not False):
        raise UsageError(f"broadcast={broadcast!r}: give True, False, or how many workers shall have the data")
