"""What a session asked of locks, queues and values by name: the open questions, and what to say of them to a scheduler.

Pure. What changes something is said once, over all connections (`outgoing`), so on a new one its answer alone may be
missing: it is claimed. What only looks is asked again. A session that the scheduler does not know any more has lost what
it asked before, and is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jupyter_dist.messages import (
    AcquireLease,
    ClaimParcels,
    ClaimRequests,
    Coordinated,
    CountItems,
    CountLeases,
    GetValue,
    GiveUpRequest,
    ListValues,
    Message,
    TakeItems,
)

LOOKS = (CountItems, CountLeases, GetValue, ListValues)  # take nothing away, and need no place in a line
WAITS = (AcquireLease, TakeItems)
FORGOTTEN = "the cluster does not know this session any more, it was without a connection for too long: ask again"


class Asked:
    """One question."""

    __slots__ = ("is_given_up", "is_repeated", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.is_given_up = False
        self.is_repeated = False  # it was asked on two connections, and may be answered on both


class QuestionTable:
    """The open questions of one session."""

    def __init__(self) -> None:
        self._open: dict[int, Asked] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[int]:
        return iter(self._open)

    def ask(self, make: Callable[[int], Message]) -> tuple[int, Message]:
        """Note a new question; return its number, and what is to be said."""
        self._last += 1
        message = make(self._last)
        self._open[self._last] = Asked(message)
        return self._last, message

    def give_up(self, number: int) -> GiveUpRequest:
        """Wait no longer, but for what became of it; return what is to be said."""
        if number in self._open:
            self._open[number].is_given_up = True
        return GiveUpRequest(number)

    def abandon(self, number: int) -> GiveUpRequest:
        """Listen no longer, whatever becomes of it; return what is to be said."""
        self._open.pop(number, None)
        return GiveUpRequest(number, undo=True)

    def hear(self, answer: Coordinated) -> tuple[bool, list[Message]]:
        """Take an answer; return whether somebody waits for it, and what is to be said. It may come twice."""
        asked = self._open.pop(answer.request, None)
        if asked is None:
            return False, []
        if answer.is_kept:
            return True, [ClaimParcels(answer.request)]
        if asked.is_repeated and not answer.parcels:  # the other answer may bring a value, which nobody would claim
            return True, [GiveUpRequest(answer.request, undo=True)]
        return True, []

    def resume(self, queued: list[Message], *, is_known: bool) -> tuple[list[Message], list[Coordinated]]:
        """Begin on a new connection; return what is to be said after all that is queued, and answers that are heard now.

        ``queued`` is what will be said, or said again, anyway; ``is_known`` whether the scheduler has the session.
        """
        sure = {id(message) for message in queued}
        unsure = {number: asked for number, asked in self._open.items() if id(asked.message) not in sure}
        looks = {number: asked for number, asked in unsure.items() if isinstance(asked.message, LOOKS)}
        others = {number: asked for number, asked in unsure.items() if number not in looks}
        lost: list[Coordinated] = []
        said: list[Message] = []
        if is_known:
            said.append(_claim(others))
        else:
            lost = [Coordinated(number, done=False, error=FORGOTTEN) for number in others]
            for number in others:
                del self._open[number]
        for number, asked in looks.items():
            asked.is_repeated = True
            said.append(asked.message)
            if asked.is_given_up:
                said.append(GiveUpRequest(number))
        return said, lost


def _claim(unheard: dict[int, Asked]) -> ClaimRequests:
    waits, given_up, acts = [], [], []
    for number, asked in unheard.items():
        if not isinstance(asked.message, WAITS):
            acts.append(number)
        elif asked.is_given_up:
            given_up.append(number)
        else:
            waits.append(number)
    return ClaimRequests(tuple(waits), tuple(given_up), tuple(acts))
