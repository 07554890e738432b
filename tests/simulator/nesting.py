"""Tasks of a world that use the cluster themselves: what they submit and wait for, what they join and what they hold.

Its chance is its own: a world without it is the same as it was before there was any, so old stories keep their meaning.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from tests.simulator.plans import Plan

DEPTH_MAX = 4
HELD_SHARE = 0.15


class Nesting:
    """What tasks do beside computing, in one world. ``is_used`` False: nothing."""

    def __init__(self, seed: int, *, is_used: bool) -> None:
        self.rng = random.Random(f"nesting {seed}")
        self.is_used = is_used and self.rng.random() < 0.6
        self._share = self.rng.choice((0.1, 0.3, 0.6))
        self._depth: dict[str, int] = {}
        self._parent: dict[str, str] = {}

    def waits(self, plan: Plan) -> float:
        """Draw after which share of its time a task waits; 0 when it does not."""
        if not self.is_used or self._depth.get(plan.key, 0) >= DEPTH_MAX or self.rng.random() > self._share:
            return 0.0
        return self.rng.uniform(0.05, 0.95)

    def bear(self, parent: Plan, child: Plan) -> None:
        """Note that a task submits another."""
        self._depth[child.key] = self._depth.get(parent.key, 0) + 1
        self._parent[child.key] = parent.key

    def descends(self, key: str, ancestor: str) -> bool:
        """Whether a task was submitted by another, or by one that was."""
        while key and key != ancestor:
            key = self._parent.get(key, "")
        return bool(key)

    def waits_for_time(self) -> float:
        """Draw how long a task waits for something that comes by itself; 0 when it waits for a child."""
        return self.rng.uniform(0.002, 0.5) if self.rng.random() < 0.4 else 0.0

    def held(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Draw which keys travel inside a call as futures."""
        if not self.is_used:
            return ()
        return tuple(key for key in keys if self.rng.random() < HELD_SHARE)[:3]

    def joins(self) -> bool:
        """Draw whether a client joins what others made known, now that it acts."""
        return self.is_used and self.rng.random() < 0.3
