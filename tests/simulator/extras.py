"""What newer worlds have besides: resources of workers and tasks that need them, tasks that are fired and forgotten, a number of workers
that follows the load.

Drawn by a generator of its own, so that the worlds of older stories stay as they were.
"""

import random

WORKERS_MAX = 4  # of a world that scales itself
AMOUNTS: tuple[dict[str, float], ...] = ({"GPU": 1.0}, {"GPU": 2.0, "memory": 1.0}, {})


class Extras:
    """One seed's extras."""

    def __init__(self, seed: int, *, is_used: bool) -> None:
        self.is_used = is_used
        self.is_adapted = False
        self.rng = random.Random(f"extras {seed}")
        self.resources: dict[str, float] = self.rng.choice(AMOUNTS) if is_used else {}  # of every worker

    def bounds(self) -> tuple[int, int] | None:
        """Draw between which numbers of workers the world scales itself, if it does."""
        if not self.is_used or self.rng.random() < 0.6:
            return None
        self.is_adapted = True
        return self.rng.randint(0, 1), self.rng.randint(1, WORKERS_MAX)

    def keeps(self) -> bool:
        """Draw whether a client wants its tasks to run to their end in any case."""
        return self.is_used and self.rng.random() < 0.15

    def needs(self) -> tuple[tuple[str, float], ...]:
        """Draw what a task needs of them."""
        if not self.resources or self.rng.random() < 0.6:
            return ()
        parts = self.rng.sample(sorted(self.resources), self.rng.randint(1, len(self.resources)))
        return tuple((name, self.rng.choice((0.1, 0.3, 1.0))) for name in sorted(parts))
