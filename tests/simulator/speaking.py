"""Values of a world that speak of other results: what a task submits and returns a future of, what is put with futures.

Its chance is its own, as that of `nesting`. What a task's value speaks of is the same with each of its runs.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from tests.simulator.plans import Plan, Plans
from tests.simulator.swarm import Swarm

DEPTH_MAX = 3
SHARE = 0.3


class Speaking:
    """Which values speak of what, in one world. ``is_used`` False: none."""

    def __init__(self, seed: int, *, is_used: bool) -> None:
        self._rng = random.Random(f"speaking {seed}")
        self.is_used = is_used and self._rng.random() < 0.6
        self.of: dict[str, tuple[str, ...]] = {}  # key -> what its value speaks of
        self._depth: dict[str, int] = {}

    def child(self, plan: Plan, plans: Plans, swarm: Swarm) -> Plan | None:
        """Return the task that a task submits and returns a future of, or None."""
        if not self.is_used or plan.kind not in {"value", "flaky"}:
            return None
        if plan.key not in self.of:
            depth = self._depth.get(plan.key, 0)
            self.of[plan.key] = ()
            if depth < DEPTH_MAX and self._rng.random() < SHARE:
                child = plans.make((), swarm.poison, swarm.raising)
                self._depth[child.key] = depth + 1
                self.of[plan.key] = (child.key,)
        return plans[self.of[plan.key][0]] if self.of[plan.key] else None

    def put(self, plan: Plan, keys: Iterable[str]) -> tuple[str, ...]:
        """Draw of which results data speaks that a client brings. Brought again, it speaks of nothing from then on."""
        if not self.is_used:
            return ()
        is_new = plan.key not in self.of
        self.of[plan.key] = tuple(key for key in keys if self._rng.random() < SHARE)[:3] if is_new else ()
        return self.of[plan.key]
