"""Who waits for the answers to a session's questions: `core.questions` knows what was asked, this who is told.

Whoever waits does so at the question itself, in any thread or loop, and may give up: under the session's lock. A
connection that is lost, or a scheduler that dies, only makes the wait longer.
"""

from __future__ import annotations

from collections.abc import Callable

from jupyter_dist.client.waiting import Question
from jupyter_dist.core.questions import QuestionTable
from jupyter_dist.messages import Coordinated, GiveUpRequest, Message


class Questions:
    """The open questions of one session."""

    def __init__(self) -> None:
        self._table = QuestionTable()
        self._waiting: dict[int, Question] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, make: Callable[[int], Message]) -> tuple[Question, Message]:
        """Return a new question, and what is to be said."""
        number, message = self._table.ask(make)
        question = self._waiting[number] = Question(number)
        return question, message

    def give_up(self, number: int) -> GiveUpRequest:
        """Wait no longer, but for what became of it; return what is to be said."""
        return self._table.give_up(number)

    def abandon(self, number: int) -> GiveUpRequest:
        """Have whatever became of it undone; return what is to be said."""
        self._waiting.pop(number, None)
        return self._table.abandon(number)

    def hear(self, answer: Coordinated) -> list[Message]:
        """Take an answer; return what is to be said."""
        is_open, said = self._table.hear(answer)
        if is_open:
            self._settle(answer)
        return said

    def resume(self, queued: list[Message], *, is_known: bool) -> list[Message]:
        """Begin on a new connection; return what is to be said. As `QuestionTable.resume`."""
        said, lost = self._table.resume(queued, is_known=is_known)
        for answer in lost:
            self._settle(answer)
        return said

    def _settle(self, answer: Coordinated) -> None:
        question = self._waiting.pop(answer.request, None)
        if question is not None:
            question.settle(answer)

    def end(self) -> None:
        """Open what waits, without an answer: the session is over."""
        waiting, self._waiting = self._waiting, {}
        for question in waiting.values():
            question.open()
