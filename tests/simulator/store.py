"""A world's object store: what is in it outlives every process, unless it is freed or damaged.

Its chance is its own: a world without it is the same as it was before there was one, so old stories keep their meaning.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from jupyter_dist.messages import STORE


class Store:
    """The objects of one world, by name. ``is_used`` False: clients put small values only."""

    def __init__(self, seed: int, *, is_used: bool) -> None:
        self.rng = random.Random(f"store {seed}")
        self.is_used = is_used and self.rng.random() < 0.7
        self.is_hurt = self.is_used and self.rng.random() < 0.4
        self.objects: dict[str, str] = {}
        self.keys: dict[str, str] = {}  # of all objects there ever were
        self.may_leak = False  # a client ended before it could say what it had written
        self.hurt_keys: set[str] = set()  # of those that were damaged

    def takes_next(self) -> bool:
        """Draw whether the next value a client brings is a large one."""
        return self.is_used and self.rng.random() < 0.6

    def write(self, key: str, value: str, name: str = "") -> str:
        """Keep a value and return its name, a fresh one unless it is given."""
        name = name or f"{len(self.keys):016x}"
        self.keys[name] = key
        self.objects[name] = value
        return name

    def read(self, name: str) -> str | None:
        """Return a value as whoever maps it sees it."""
        return self.objects.get(name.removeprefix(STORE))

    def free(self, names: Iterable[str]) -> None:
        """Remove values."""
        for name in names:
            self.objects.pop(name, None)

    def hurt(self) -> None:
        """Damage a value."""
        if self.objects:
            name = self.rng.choice(sorted(self.objects))
            del self.objects[name]
            self.hurt_keys.add(self.keys[name])
