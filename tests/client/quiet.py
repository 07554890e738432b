"""A real Executor with a real session whose scheduler is this test: nothing is sent, all that was said is kept.

No process and no socket: what the client decides alone is tested here, and that it said nothing where it must not.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from jupyter_dist import Executor, Future
from jupyter_dist.client import current
from jupyter_dist.client.feed import Feed
from jupyter_dist.client.reading import Readers
from jupyter_dist.client.results import Results
from jupyter_dist.client.session import Session
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.messages import (
    Answer,
    ClusterSnapshot,
    KeyCancelled,
    KeyErred,
    KeyFinished,
    Message,
    Observation,
    PutCode,
    Release,
    Submit,
    Watch,
    WorkerView,
)
from jupyter_dist.protocol.exceptions import describe_exception
from jupyter_dist.protocol.payload import pack_inline
from jupyter_dist.settings import Settings

SECRET = b"never to be shown, 32 bytes long"


def cluster_info(name: str = "quiet") -> ClusterInfo:
    """How to reach a cluster that is not there."""
    return ClusterInfo(
        name=name,
        cluster=f"{name}-1",
        address="unix:/nowhere/scheduler.sock",
        secret=SECRET,
        host="here",
        pid=os.getpid(),
        process_started_s=0.0,
        started_s=0.0,
        workers=2,
        threads_per_worker=1,
        detached=False,
        folder="/nowhere",
    )


def worker_view(name: str) -> WorkerView:
    """A worker as a snapshot tells of it."""
    return WorkerView(
        name=name,
        host="here",
        pid=1,
        nanny="nanny-0",
        address=f"unix:/nowhere/{name}",
        state="running",
        slots=1,
        running=0,
        queued=0,
        memory_bytes=1,
        memory_bytes_max=2,
        cpu_percent=0.0,
        held=0,
        held_bytes=0,
        spilled_bytes=0,
        heard_s=0.0,
        restarts=0,
        last_death="",
    )


def snapshot_of(*workers: str) -> ClusterSnapshot:
    """A snapshot with these workers and no task."""
    return ClusterSnapshot(
        cluster="quiet",
        at_s=0.0,
        started_s=0.0,
        last_event=0,
        wanted=len(workers),
        workers=tuple(map(worker_view, workers)),
        counts=dict.fromkeys(("waiting", "queued", "processing", "memory", "erred"), 0),
        finished=0,
        erred=0,
        sessions=(),
        functions=(),
        running=(),
        errors=(),
        nannies={},
    )


class QuietCluster:
    """The scheduler's side of one session, and the Executor on it.

    Attributes
    ----------
    said
        What the client said, in order.
    runs
        Whether each submitted call is answered at once, by calling this with its spec; else the test answers.
    """

    def __init__(self, *, asynchronous: bool = False, name: str = "quiet") -> None:
        self.said: list[Message] = []
        self.snapshot = snapshot_of("worker-0", "worker-1")
        self.on_submit: Callable[[Submit], None] | None = None
        self._heard = threading.Condition()
        info, settings = cluster_info(name), Settings()
        self.executor = executor = Executor(info, asynchronous=asynchronous, settings=settings, start=False)
        self.session = executor.loop.run(self._open(info, settings))
        executor._readers = Readers(info, settings)
        executor._results = Results(executor, self.session, executor._readers, executor.loop)
        executor._feed = Feed(self.session)
        executor._session = self.session
        current.add(executor, as_default=True)

    async def _open(self, info: ClusterInfo, settings: Settings) -> Session:
        session = Session(info, settings)
        session._line = self  # type: ignore[assignment]  # as much of a line as a session needs
        return session

    # -- the line -------------------------------------------------------------------------------------------------

    is_open = True
    lost_reason = ""

    def send(self, messages: list[Message]) -> None:
        """Take what the client says."""
        with self._heard:  # code that is shipped, of test modules, is no test's business here
            self.said.extend(message for message in messages if not isinstance(message, PutCode))
            self._heard.notify_all()
        for message in messages:
            self._answer(message)

    async def close(self, reason: str = "") -> None:
        """Do nothing."""

    def abort(self, reason: str = "") -> None:
        """Do nothing."""

    def _answer(self, message: Message) -> None:
        if isinstance(message, Submit) and self.on_submit is not None:
            self.on_submit(message)
        elif isinstance(message, Watch):
            self.tell(Observation(self.snapshot, ()))
        elif hasattr(message, "request"):
            self.tell(Answer(message.request, snapshot=self.snapshot))

    # -- what a test does --------------------------------------------------------------------------------------------

    def tell(self, *messages: Message) -> None:
        """Have the session hear something."""
        self.session.heard(list(messages))

    def finish(self, future: Future, value: Any) -> None:
        """Have a task finish."""
        wish = future.wish
        data = pack_inline(value)
        self.tell(KeyFinished(wish.number, wish.key, data, len(data), type(value).__name__))

    def fail(self, future: Future, error: BaseException) -> None:
        """Have a task raise."""
        self.tell(KeyErred(future.wish.number, future.key, describe_exception(error, future.key)))

    def cancel(self, future: Future, reason: str) -> None:
        """Have a task cancelled by somebody else."""
        self.tell(KeyCancelled((future.wish.number,), reason))

    def wait_for(self, kind: type[Message]) -> None:
        """Return when such a message was said."""
        with self._heard:
            assert self._heard.wait_for(lambda: any(isinstance(message, kind) for message in self.said), 20), kind

    def settle(self) -> list[Message]:
        """Return what was said until now, all of it."""
        self.executor.loop.run(_nothing())  # the loop's turn in which it was sent is over then
        self.executor.loop.run(_nothing())
        return list(self.said)

    def wishes(self) -> int:
        """Return how many wishes the session has."""
        self.settle()
        with self.session.lock:
            return len(self.session.table.by_number)

    def submitted(self) -> list[str]:
        """Return the keys that were submitted."""
        return [spec.key for message in self.settle() if isinstance(message, Submit) for spec in message.tasks]

    def released(self) -> list[str]:
        """Return the keys that were released."""
        return [key for message in self.settle() if isinstance(message, Release) for key in message.keys]

    def end(self) -> None:
        """Close the executor as its user would."""
        if not self.executor.is_closed:
            self.executor.loop.run(self.session.close("the test is over"))


async def _nothing() -> None:
    """Take a turn of the loop."""
