"""What a session asked and the scheduler is to answer soon: its requests that are open, by their numbers.

Used in the session's loop alone. When the connection was lost a request is asked again if it may be granted twice; of
files that were put is asked what became of them; any other ends with an error, for it may have been granted already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from jupyter_dist.errors import ClusterClosedError, ClusterError, UsageError
from jupyter_dist.messages import (
    AdaptCluster,
    Answer,
    Describe,
    DescribeSessions,
    DescribeTasks,
    DescribeVersions,
    Explain,
    Message,
    Ping,
    PutCode,
    RebalanceKeys,
    ReplicateKeys,
    RestartCluster,
    ScaleCluster,
    StopAdapting,
    StopCluster,
    TakeOver,
    WantKeys,
)

LOST = "the connection to the scheduler was lost before it answered: ask again"
REFUSALS: Mapping[str, type[Exception]] = {"usage": UsageError, "timeout": TimeoutError}  # by an answer's kind of error
REPEATABLE = (  # requests that may be granted twice; not so retirements: as many would leave again
    AdaptCluster,
    Describe,
    DescribeSessions,
    DescribeTasks,
    DescribeVersions,
    Explain,
    Ping,
    RestartCluster,
    ScaleCluster,
    StopAdapting,
    StopCluster,
    TakeOver,
    RebalanceKeys,
    ReplicateKeys,
    WantKeys,
)


class Requests:
    """The open requests of one session."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: dict[int, tuple[asyncio.Future[Answer], Message]] = {}
        self._last = 0

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, make: Callable[[int], Message]) -> tuple[Message, asyncio.Future[Answer]]:
        """Return a request, made from its number, and where its answer will be."""
        self._last += 1
        message = make(self._last)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._open[self._last] = answer, message
        return message, answer

    def hear(self, message: Answer) -> None:
        """Take an answer; nobody may wait for it any more."""
        answer, _ = self._open.pop(message.request, (None, None))
        if answer is not None and not answer.done():
            answer.set_result(message)

    def again(self, is_waiting: Callable[[Message], bool]) -> list[Message]:
        """Return the requests to repeat on a new connection; those that may not be are answered with an error.

        Those that are still waiting to be said are said anyway. One that nobody waits for any more is not repeated: what
        it asked for may have been let go since.
        """
        again: list[Message] = []
        for request, (answer, message) in tuple(self._open.items()):
            if is_waiting(message):
                continue
            if isinstance(message, REPEATABLE) and not answer.done():
                again.append(message)
            elif isinstance(message, PutCode):
                again.append(_ask_after(message))
            else:
                del self._open[request]
                if not answer.done():
                    answer.set_exception(ClusterError(LOST))
        return again

    def end(self, reason: str) -> None:
        """Answer everything with the end of the session."""
        for answer, _ in self._open.values():
            if not answer.done():
                answer.set_exception(ClusterClosedError(reason))
                answer.exception()  # seen here: nobody may be waiting any more
        self._open.clear()


def _ask_after(message: PutCode) -> PutCode:
    """Return the question what became of files that were put: to put them again could undo what was put since."""
    return PutCode(message.request, (), message.workers, tuple(file.name for file in message.files))


def granted(answer: Answer) -> Answer:
    """Return an answer that is no refusal.

    Raises
    ------
    ClusterError, UsageError, TimeoutError
        The scheduler answered with an error of this kind. A failure is left in it: it is for the user's thread to load.
    """
    if answer.error and answer.failure is None:
        raise REFUSALS.get(answer.kind, ClusterError)(answer.error)
    return answer
