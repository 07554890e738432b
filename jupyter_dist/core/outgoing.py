"""What a client says to the scheduler, in order, and says again to one that has forgotten it.

The scheduler counts what it takes of a session over all its connections, and writes that number down together with what
it made of it. What changes its tables is kept here until it says that it will not be forgotten (`Kept`). When a
connection was made anew, it says in its welcome how much it has: what came after that is said again, nothing twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from jupyter_dist.messages import (
    AcquireLease,
    Cancel,
    ClaimParcels,
    GiveUpRequest,
    KeepTasks,
    Message,
    NameKeys,
    PutCode,
    PutItem,
    PutValue,
    Release,
    ReleaseLease,
    RetryKeys,
    SetValues,
    Submit,
    TakeItems,
    TakeOver,
    UnsetValue,
    WantKeys,
)

KEPT = (
    Submit,
    PutValue,
    Release,
    Cancel,
    RetryKeys,
    NameKeys,
    TakeOver,
    KeepTasks,
    WantKeys,
    PutCode,
    AcquireLease,
    ReleaseLease,
    SetValues,
    UnsetValue,
    PutItem,
    TakeItems,
    GiveUpRequest,
    ClaimParcels,
)


class Outgoing:
    """The queue of one session."""

    def __init__(self) -> None:
        self._queue: deque[Message] = deque()
        self._said = 0  # messages the scheduler has, or will have when it has all that was sent
        self._unkept: deque[tuple[int, Message]] = deque()  # which of them it may still forget

    def add(self, message: Message) -> None:
        """Add a message at the end."""
        self._queue.append(message)

    def is_waiting(self, message: Message) -> bool:
        """Whether a message that was added is still to be taken."""
        return any(queued is message for queued in self._queue)

    def queued(self) -> list[Message]:
        """Return what is still to be taken."""
        return list(self._queue)

    def take(self) -> list[Message]:
        """Return what is to be sent now."""
        messages = list(self._queue)
        self._queue.clear()
        for message in messages:
            self._said += 1
            if isinstance(message, KEPT):
                self._unkept.append((self._said, message))
        return messages

    def on_kept(self, received: int) -> None:
        """Forget what the scheduler will not forget."""
        while self._unkept and self._unkept[0][0] <= received:
            self._unkept.popleft()

    def resume(self, received: int, after: Iterable[Message]) -> None:
        """Begin on a new connection, whose scheduler has so many messages: what it lacks comes first, then the queue.

        ``after`` is what is to be said at the end of that.
        """
        again = [message for number, message in self._unkept if number > received]
        self._unkept = deque(kept for kept in self._unkept if kept[0] <= received)
        self._said = received
        self._queue.extendleft(reversed(again))
        self._queue.extend(after)
