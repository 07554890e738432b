"""A model of the journal: what is written late, in order, and what of it is there after a crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jupyter_dist.core.scheduler.ledger import Change
from jupyter_dist.messages.journal import FUNCTION, HOST, NAMES, RESULTS, SESSION, SUBMISSION
from tests.simulator.durable import SHARE
from tests.simulator.world import World

LATE_S = (0.0005, 0.0005, 0.01, 0.5)


class Journal:
    """The one journal of a world. ``on_written`` is told of the newest batch that is on the disk.

    ``on_sample`` is given all there is, now and then when nothing is behind it.
    """

    def __init__(
        self, world: World, on_written: Callable[[int], None], on_sample: Callable[[dict[int, dict[str, Any]]], None]
    ) -> None:
        self.world = world
        self._on_written = on_written
        self._on_sample = on_sample
        self._records: dict[tuple[int, str], Any] = {}
        self._pending: list[tuple[int, Sequence[Change]]] = []
        self._is_due = False
        self._life = 0
        self._flushes = 0

    def write(self, changes: Sequence[Change], number: int) -> None:
        """Take a batch."""
        for change in changes:
            if change.is_new and (change.kind, change.key) in self._all_keys():
                self.world.fail(f"{change} is there already")
            if change.kind in {SUBMISSION, RESULTS} and change.record is not None and not change.is_new:
                self.world.happened["record written again"] += 1
        self._pending.append((number, tuple(changes)))
        if not self._is_due:
            self._is_due = True
            life = self._life
            self.world.clock.after(self.world.rng.choice(LATE_S) * self.world.rng.random(), lambda: self._flush(life))

    def _all_keys(self) -> set[tuple[int, str]]:
        keys = set(self._records)
        for _number, changes in self._pending:
            for change in changes:
                (keys.discard if change.record is None else keys.add)((change.kind, change.key))
        return keys

    def _flush(self, life: int) -> None:
        if life != self._life:
            return
        self._is_due = False
        last = self._apply(len(self._pending))
        self._on_written(last)
        self._flushes += 1
        if not self._flushes % SHARE:
            self._on_sample(self._by_kind())

    def _apply(self, count: int) -> int:
        last = 0
        for number, changes in self._pending[:count]:
            for change in changes:
                if change.record is None:
                    self._records.pop((change.kind, change.key), None)
                else:
                    self._records[change.kind, change.key] = change.record
            last = number
        del self._pending[:count]
        return last

    def crash(self) -> dict[int, dict[str, Any]]:
        """Lose some tail of what was not written; return what the next scheduler finds."""
        self._apply(self.world.rng.randint(0, len(self._pending)))
        self._pending.clear()
        self._life += 1
        self._is_due = False
        return self._by_kind()

    def _by_kind(self) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        for (kind, key), record in self._records.items():
            found.setdefault(kind, {})[key] = record
        return found

    def keys(self) -> list[tuple[int, str]]:
        """Return the records that are of tasks: the others stay for a while, or as long as who they are of."""
        return sorted(key for key in self._all_keys() if key[0] not in {FUNCTION, SESSION, HOST, NAMES})
