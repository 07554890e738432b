"""What all parts of an Executor stand on: its session, and how its calls are made.

An Executor is a front of many methods. These are grouped by theme into classes without state, each in a module of its
own, that say what they do in terms of this one. A method that waits is written once, as a call of steps, see
`blocking`, and made by `perform`: blocking its thread, or, for an asynchronous executor, as an awaitable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from jupyter_dist.client.blocking import Remotely, perform
from jupyter_dist.client.explanations import Explanation
from jupyter_dist.client.feed import Feed
from jupyter_dist.client.loop import LoopThread
from jupyter_dist.client.reading import Readers
from jupyter_dist.client.results import Results
from jupyter_dist.client.session import Session
from jupyter_dist.errors import ClusterError
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.messages import Answer, ClusterSnapshot, Describe, Message
from jupyter_dist.settings import Settings

T = TypeVar("T")


class Front(ABC):
    """The base of every part of an Executor.

    Attributes
    ----------
    asynchronous : bool
        Whether what would block returns an awaitable.
    settings : Settings
        The client's.
    session_name : str
        What its session is called: the notebook or script.
    """

    asynchronous: bool
    session_name: str
    settings: Settings
    loop: LoopThread

    @property
    @abstractmethod
    def info(self) -> ClusterInfo:
        """How its cluster is reached."""

    @property
    @abstractmethod
    def session(self) -> Session:
        """Its session with the scheduler. UsageError before it is started."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether it was shut down, or its cluster is gone."""

    @property
    @abstractmethod
    def closed_reason(self) -> str:
        """Why it is closed, in words; empty while it is not."""

    @property
    @abstractmethod
    def readers(self) -> Readers:
        """How large values are read."""

    @property
    @abstractmethod
    def results(self) -> Results:
        """How values are had."""

    @property
    @abstractmethod
    def feed(self) -> Feed:
        """How its cluster is watched."""

    @abstractmethod
    def cancel(self, futures: Any, force: bool = False) -> Any:
        """Give futures up."""

    @abstractmethod
    def retry(self, futures: Any) -> Any:
        """Run tasks that erred once more."""

    @abstractmethod
    async def explain_all(self, futures: list[Any]) -> list[Explanation]:
        """Say why futures are not done, or what they are. A call of steps."""

    def perform(self, call: Coroutine[Any, Any, T]) -> Any:
        """Make a call of steps: return its result, or an awaitable of it when this executor is asynchronous."""
        __tracebackhide__ = True
        return perform(call, asynchronous=self.asynchronous)

    async def ask(self, make: Callable[[int], Message]) -> Answer:
        """Return the scheduler's answer to a request, made from its number. A call of steps.

        Raises
        ------
        ClusterError, UsageError, TimeoutError
            The scheduler answered with an error.
        ClusterClosedError
            The executor is closed, or was before the answer came.
        """
        session = self.session
        session.check_open()
        answer: Answer = await Remotely(self.loop, session.ask, make)
        return answer

    async def describe(self) -> ClusterSnapshot:
        """Return what the cluster is at this moment. A call of steps. Raises as `ask`."""
        snapshot = (await self.ask(Describe)).snapshot
        if snapshot is None:
            raise ClusterError("the scheduler answered without a snapshot: is it of another version?")
        self.feed.latest = snapshot
        return snapshot
