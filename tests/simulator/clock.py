"""Virtual time: a heap of what is to happen, with ties broken by the seed."""

import heapq
import random
from collections.abc import Callable


class Clock:
    """Runs actions in the order of their times. Nothing else moves time."""

    def __init__(self, rng: random.Random) -> None:
        self.now = 100.0
        self.events = 0
        self._rng = rng
        self._serial = 0
        self._heap: list[tuple[float, float, int, Callable[[], None]]] = []

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have something done at a time; a time in the past means now."""
        self._serial += 1
        heapq.heappush(self._heap, (max(when, self.now), self._rng.random(), self._serial, action))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Have something done after a while."""
        self.at(self.now + delay_s, action)

    def step(self) -> bool:
        """Do the next thing; False when there is none."""
        if not self._heap:
            return False
        self.now, _, _, action = heapq.heappop(self._heap)
        self.events += 1
        action()
        return True
