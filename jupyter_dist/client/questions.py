"""What a session asked that may be answered late or never: its questions for locks, queues and values by name.

Whoever waits does so at the question itself, in any thread or loop, and may give up: under the session's lock. A
question that was open when the connection was lost ends with an error, and whatever came of it is undone.
"""

from __future__ import annotations

from jupyter_dist.client.requests import LOST
from jupyter_dist.client.waiting import Question
from jupyter_dist.messages import Coordinated, GiveUpRequest


class Questions:
    """The open questions of one session."""

    def __init__(self) -> None:
        self._open: dict[int, Question] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self) -> Question:
        """Return a new question."""
        self._last += 1
        question = self._open[self._last] = Question(self._last)
        return question

    def forget(self, number: int) -> None:
        """Wait for this answer no longer."""
        self._open.pop(number, None)

    def hear(self, answer: Coordinated) -> None:
        """Take an answer; nobody may wait for it any more."""
        question = self._open.pop(answer.request, None)
        if question is not None:
            question.settle(answer)

    def end_lost(self) -> list[GiveUpRequest]:
        """Answer what was open with an error; return what undoes whatever came of it."""
        questions, self._open = self._open, {}
        for number, question in questions.items():
            question.settle(Coordinated(number, done=False, error=LOST))
        return [GiveUpRequest(number, undo=True) for number in questions]

    def end(self) -> None:
        """Open what waits, without an answer: the session is over."""
        questions, self._open = self._open, {}
        for question in questions.values():
            question.open()
