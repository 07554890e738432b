"""What every core is: a machine that is told what happened and answers what to do.

A machine holds all state of one party and does nothing itself. Whoever runs it (a driver in `processes`, a simulator
in the tests) feeds it events in the order they happened, performs the effects it returns in the order the effects'
own documentation gives, and comes back when `deadline` is due.

Rules: a machine never reads a clock, makes up an id, blocks, logs or raises for what a peer did. Time is ``now``, in
seconds of one monotonic clock. An event about something it no longer knows (a stale attempt, a closed connection) is
ignored. The only exceptions it raises are `jupyter_dist.errors.InternalError`: bugs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

EventT_contra = TypeVar("EventT_contra", contravariant=True)
EffectsT_co = TypeVar("EffectsT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection an event's ``source`` names is closed; nothing more comes from it."""

    reason: str


class Machine(Protocol[EventT_contra, EffectsT_co]):
    """A core, as its driver and its simulator see it."""

    def handle(self, source: int, events: Sequence[EventT_contra], now: float) -> EffectsT_co:
        """Take what came from one source, in order, as one batch."""

    def deadline(self) -> float | None:
        """Return when `tick` must be called at the latest; None: not before something else happens."""

    def tick(self, now: float) -> EffectsT_co:
        """Do what is due by now. Calling it too early or twice changes nothing."""

    def check(self) -> None:
        """Raise `jupyter_dist.errors.InvariantError` when the machine's tables contradict each other."""
