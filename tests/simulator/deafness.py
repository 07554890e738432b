"""Attempts that cannot be interrupted: they end with their process, and never before.

Their chance is their own: a world without them is the same as it was before there were any, so old stories keep their
meaning.
"""

import random


class Deafness:
    """One seed's attempts that do not hear."""

    def __init__(self, seed: int, *, is_used: bool) -> None:
        self.rng = random.Random(f"deaf {seed}")
        self.is_used = is_used and self.rng.random() < 0.4

    def strikes(self) -> bool:
        """Draw whether an attempt that is interrupted now does not hear of it."""
        return self.is_used and self.rng.random() < 0.4
