"""How far futures are, counted by function: pure, told of each future that is done and of the time.

Time left is estimated from what was done while somebody looked, and not before a few were: a guess from one future is
no guess.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from jupyter_dist.core.futures import FutureStatus

SAMPLES_MIN = 5  # futures that were seen to be done before the time left is told
ALL = "all"


@dataclasses.dataclass(slots=True)
class Line:
    """The futures of one function, or of all, counted.

    Attributes
    ----------
    finished, erred, cancelled
        How many were done in this way, of ``total``.
    samples, since_s
        How many were done while somebody looked, and when the first of them was.
    ended_s
        When the last was done; None before.
    """

    label: str
    total: int = 0
    finished: int = 0
    erred: int = 0
    cancelled: int = 0
    samples: int = 0
    since_s: float = 0.0
    ended_s: float | None = None

    @property
    def done(self) -> int:
        """How many are done, in any way."""
        return self.finished + self.erred + self.cancelled

    @property
    def is_over(self) -> bool:
        """Whether all are."""
        return self.done >= self.total

    def note(self, status: FutureStatus, now: float, *, is_sample: bool) -> None:
        """Count a future that is done."""
        if status == "error":
            self.erred += 1
        elif status == "cancelled":
            self.cancelled += 1
        else:
            self.finished += 1
        if is_sample:
            self.samples += 1
            self.since_s = self.since_s or now
        if self.is_over:
            self.ended_s = now

    def left_s(self, now: float) -> float | None:
        """Return how many seconds are left at the pace until now; None while nothing can be said."""
        if self.is_over or self.samples < SAMPLES_MIN or now <= self.since_s:
            return None
        return (self.total - self.done) * (now - self.since_s) / (self.samples - 1)


class Tally:
    """All lines of one progress.

    Parameters
    ----------
    labels
        The function of each future.
    now
        When the looking began.
    multi
        Whether each function has a line of its own; else there is one for all.
    """

    def __init__(self, labels: Iterable[str], now: float, *, multi: bool) -> None:
        self.started_s = now
        self._multi = multi
        self._lines: dict[str, Line] = {}
        for label in labels:
            name = self._name(label)
            self._lines.setdefault(name, Line(name)).total += 1

    def _name(self, label: str) -> str:
        return label if self._multi else ALL

    def note(self, label: str, status: FutureStatus, now: float, *, is_sample: bool = True) -> None:
        """Count a future that is done; ``is_sample`` whether that was just now."""
        self._lines[self._name(label)].note(status, now, is_sample=is_sample)

    def lines(self) -> list[Line]:
        """Return the lines as they are now, in the order their functions were given."""
        return [dataclasses.replace(line) for line in self._lines.values()]

    def elapsed_s(self, line: Line, now: float) -> float:
        """Return how long a line has been looked at, until its end."""
        return (now if line.ended_s is None else line.ended_s) - self.started_s


def sum_lines(lines: Iterable[Line], label: str) -> Line:
    """Return one line for many. It tells no time left: functions that wait for others have no common pace."""
    parts = list(lines)
    ends = [line.ended_s for line in parts if line.ended_s is not None]
    whole = Line(label)
    for line in parts:
        whole.total += line.total
        whole.finished += line.finished
        whole.erred += line.erred
        whole.cancelled += line.cancelled
    whole.ended_s = max(ends, default=None) if len(ends) == len(parts) else None
    return whole


def fold(lines: list[Line], count_max: int) -> list[Line]:
    """Return at most so many lines: what is too much is summed in the last, those that go on are kept before others."""
    if len(lines) <= count_max:
        return lines
    kept = {id(line) for line in sorted(lines, key=lambda line: line.is_over)[: count_max - 1]}
    rest = [line for line in lines if id(line) not in kept]
    return [*(line for line in lines if id(line) in kept), sum_lines(rest, f"{len(rest):,} more")]
