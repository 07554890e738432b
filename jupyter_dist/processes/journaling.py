"""Between the scheduler's machine, which says what must survive, and the journal, which keeps bytes.

Records become bytes here and come back. What cannot be read back is told in the log, never guessed. When the journal
cannot be kept any more the cluster works on: everything then counts as written, because nothing better will come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from jupyter_dist.core.scheduler import ledger
from jupyter_dist.errors import JournalError
from jupyter_dist.messages.journal import RECORDS
from jupyter_dist.settings import Settings
from jupyter_dist.storage.journal import Change, Journal, Recovered, open_journal

LOG = logging.getLogger("jupyter_dist.scheduler")

NAME = "journal.sqlite"
VERSION = 1


class SchedulerJournal:
    """The journal of one scheduler.

    Parameters
    ----------
    folder : Path
        Where it is.
    epoch : int
        Of this scheduler.
    settings : Settings
        The limits.
    on_written : callable
        Called in the loop with the number of a batch when it and all before are on the disk.
    on_trouble : callable
        Called in the loop, once, with why nothing is written down any more.

    Attributes
    ----------
    records : dict
        What the scheduler before wrote down, by kind and key.
    trouble : str
        Why nothing is written down any more; empty as a rule.
    """

    def __init__(
        self,
        folder: Path,
        epoch: int,
        settings: Settings,
        on_written: Callable[[int], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self.records: dict[int, dict[str, Any]] = {}
        self.trouble = ""
        self._loop = asyncio.get_running_loop()
        self._encode = msgspec.msgpack.Encoder().encode
        self._on_written = on_written
        self._on_trouble = on_trouble
        self._number = 0
        self._journal: Journal | None = None
        self._is_hurrying = False
        try:
            self._journal, recovered = open_journal(
                folder / NAME,
                epoch=epoch,
                version=VERSION,
                on_written=self._tell_written,
                on_trouble=self._tell_trouble,
                settings=settings,
            )
        except JournalError as error:
            self._note_trouble(str(error))
        else:
            self.records = _decode(recovered)

    def write(self, changes: Sequence[ledger.Change], number: int, is_awaited: bool) -> None:
        """Have changes written: later, or soon if somebody waits for it."""
        self._number = number
        if self._journal is None:
            self._loop.call_soon(self._on_written, number)
            return
        encode = self._encode
        self._journal.write(
            [
                Change(kind, key, None if record is None else encode(record), is_new)
                for kind, key, record, is_new in changes
            ],
            number,
            is_awaited=is_awaited,
        )
        if is_awaited and not self._is_hurrying:  # once for all that is handled in this turn of the loop
            self._is_hurrying = True
            self._loop.call_soon(self._hurry)

    def _hurry(self) -> None:
        self._is_hurrying = False
        if self._journal is not None:
            self._journal.hurry()

    def close(self) -> None:
        """Write what is queued, and let go of the file."""
        if self._journal is not None:
            self._journal.close()

    def _tell_written(self, number: int) -> None:
        self._loop.call_soon_threadsafe(self._on_written, number)

    def _tell_trouble(self, words: str) -> None:
        self._loop.call_soon_threadsafe(self._note_trouble, words)

    def _note_trouble(self, words: str) -> None:
        LOG.error("%s. The cluster works on; if its scheduler dies, tasks are lost", words)
        self.trouble, self._journal = words, None
        self._on_trouble(words)
        self._on_written(self._number)


def _decode(recovered: Recovered) -> dict[int, dict[str, Any]]:
    for words in recovered.damage:
        LOG.error("the journal of the scheduler before was damaged: %s", words)
    for kind, keys in recovered.lost.items():
        LOG.error("records of kind %d are lost: %s", kind, ", ".join(keys[:20]))
    found: dict[int, dict[str, Any]] = {}
    for kind, records in recovered.records.items():
        if kind in RECORDS:
            found[kind] = _decode_kind(kind, records)
        else:
            LOG.error("the journal has records of an unknown kind, %d", kind)
    return found


def _decode_kind(kind: int, records: Mapping[str, bytes]) -> dict[str, Any]:
    decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(RECORDS[kind])
    found = {}
    for key, data in records.items():
        try:
            found[key] = decoder.decode(data)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so is text that is no UTF-8
            LOG.exception("the record %s of kind %d cannot be read", key, kind)
    return found
