"""How many workers a cluster that scales itself should have: a pure function of its load, and patience.

The rule: as many workers as do the expected work within a target time, but no more than there are tasks for, and
within the bounds a user gave. More are had at once; fewer only when fewer were enough so many looks in a row. *Which* workers
end is not decided here, see `jupyter_dist.core.scheduler.adapting`.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Bounds(NamedTuple):
    """What a user asked for."""

    minimum: int
    maximum: int
    interval_s: float  # from one look at the load to the next
    wait_count: int  # looks in a row that must find a worker too many before it is ended


class Load(NamedTuple):
    """What there is to do."""

    tasks: int  # that run, or could if there were more workers
    work_s: float  # expected seconds of one worker
    useful: int  # more workers than this would have nothing to do


def desired(load: Load, bounds: Bounds, target_s: float) -> int:
    """Return how many workers the load is worth."""
    wanted = min(math.ceil(load.work_s / target_s), load.useful)
    if load.tasks:
        wanted = max(wanted, 1)
    return max(bounds.minimum, min(wanted, bounds.maximum))


class Adaptation:
    """A cluster that scales itself: its bounds, what was found last, and when to look again."""

    __slots__ = ("below", "bounds", "due_s", "slots", "target")

    def __init__(self, bounds: Bounds, now: float) -> None:
        self.bounds = bounds
        self.due_s = now
        self.target = bounds.minimum  # as of the last look
        self.below = 0  # looks in a row that found workers too many
        self.slots = 1  # of a worker, as last seen

    def look(self, current: int, load: Load, target_s: float, now: float) -> int:
        """Return how many workers to start (more than 0), or how many may be ended (less)."""
        self.due_s = now + self.bounds.interval_s
        self.target = desired(load, self.bounds, target_s)
        if self.target >= current:
            self.below = 0
            return self.target - current
        self.below += 1
        return self.target - current if self.below >= self.bounds.wait_count else 0
