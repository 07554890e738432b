"""The executor a task has on the cluster that runs it.

There is one in each worker process, shared by all its tasks, and made when the first asks for it: a session of the kind
``task``, which does not keep a cluster alive. Beside it there is an asynchronous one for tasks that are coroutines; both
have the same session, and their futures are the same to each other. They are nobody's own, so nobody closes them.

Every executor of a worker's tasks is made here, by name from `jupyter_dist.processes.inside` where a floor below needs
one. Importing this module starts nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterable
from typing import Any

from jupyter_dist.client.blocking import block
from jupyter_dist.client.executor import Executor, default_executor
from jupyter_dist.client.future import Future, noted
from jupyter_dist.client.line import RETRY_S
from jupyter_dist.client.pausing import staying
from jupyter_dist.errors import ClusterClosedError, NoClusterError, UsageError
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.processes import inside
from jupyter_dist.processes.vitals import started_s

KIND = "task"  # see `core.scheduler.records.TASKS`


class TaskExecutor(Executor):
    """The executor of a worker's tasks. Closing it, or leaving its `with`, does nothing: it is shared."""

    def __init__(self, host: inside.Host, *, asynchronous: bool = False) -> None:
        identity = host.identity
        info = ClusterInfo(
            name=identity.name,
            cluster=identity.cluster,
            address=identity.address,
            secret=identity.secret,
            host=host.host,
            pid=host.nanny,
            process_started_s=started_s(host.nanny),
            started_s=0.0,  # a worker does not know more of its cluster
            workers=0,
            threads_per_worker=0,
            detached=False,
            folder="",
            objects=host.objects,
        )
        super().__init__(
            info,
            name=f"tasks on {host.name}",
            asynchronous=asynchronous,
            set_as_default=False,
            start=False,
            settings=host.settings,
        )

    def make_twin(self, host: inside.Host) -> TaskExecutor:
        """Return the asynchronous one that shares its session."""
        twin = TaskExecutor(host, asynchronous=True)
        twin.share(self)
        return twin

    def _terms(self) -> tuple[str, float]:
        return KIND, self.settings.linger_task_s

    async def _shutdown(self, *, is_waiting: bool, cancel_futures: bool) -> None:
        """Do nothing."""


def _start(host: inside.Host) -> TaskExecutor:
    """Return a new one with a session. A scheduler that is not there is waited for: as long as we live, one comes."""
    until_s = time.monotonic() + host.settings.reconnect_s_max
    while True:
        executor = TaskExecutor(host)
        try:
            executor.start()
        except NoClusterError:
            if time.monotonic() > until_s:
                raise
            time.sleep(RETRY_S)
        else:
            return executor


class _Pair:
    """The executors of this process's tasks, made when they are needed, and made anew when their session is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocking: TaskExecutor | None = None
        self._asynchronous: TaskExecutor | None = None

    def find(self, host: inside.Host, *, asynchronous: bool) -> TaskExecutor:
        """Return one of them."""
        blocking, other = self._blocking, self._asynchronous
        if blocking is None or other is None or blocking.is_closed:
            blocking, other = self._make(host)
        return other if asynchronous else blocking

    def _make(self, host: inside.Host) -> tuple[TaskExecutor, TaskExecutor]:
        with staying(), self._lock:
            blocking, other = self._blocking, self._asynchronous
            if blocking is None or other is None or blocking.is_closed:
                blocking = _start(host)
                other = blocking.make_twin(host)
                self._blocking, self._asynchronous = blocking, other
            return blocking, other


_pair = _Pair()


def get_executor(asynchronous: bool | None = None) -> Any:
    """Return, inside a task, an executor on the cluster that runs it; elsewhere the default one.

    A task that waits for a future, a lock or anything else of the cluster gives its slot to another task meanwhile, so
    it may wait for what it submitted, however deep. Inside a task `default_executor` is the same, and so is the executor
    of futures that came with the task's arguments. It is shared by the tasks of a worker: ``shutdown`` does nothing.

    Parameters
    ----------
    asynchronous
        Inside a task, whether what would block returns an awaitable. By default it does where an event loop runs: in an
        ``async def`` task write ``await get_executor().gather(...)``.

    Raises
    ------
    NoClusterError
        This is no task, and there is no executor; the text says how to make one.
    ClusterClosedError
        This process was forked from a worker, or the cluster ends.
    TypeError
        ``asynchronous`` is none of True, False and None.
    """
    if asynchronous is not None and type(asynchronous) is not bool:
        raise TypeError(f"asynchronous is True, False or None, not {asynchronous!r}")
    host = inside.host()
    if host is None:
        return default_executor()
    return _pair.find(host, asynchronous=_has_loop() if asynchronous is None else asynchronous)


def confirm(futures: Iterable[Future]) -> None:
    """Return when the scheduler has heard of futures that a task returns. Those of a session that is over never count."""
    executors = {future.executor.session: future.executor for future in futures if future.wish.number}
    for executor in executors.values():
        with contextlib.suppress(ClusterClosedError):
            block(noted(executor))


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def secede() -> None:
    """Give the slot of this task to another one, until `rejoin` or the task's end.

    For a task that waits long for something that is not of the cluster: a download, another program. A task that waits
    for futures or locks gives its slot away by itself.

    Raises
    ------
    UsageError
        This is not the thread of a task.
    WaitingLimitError
        Too many tasks of this worker wait already.
    """
    _running("secede").secede()


def rejoin() -> None:
    """Wait until this task has a slot again after `secede`; does nothing when it has one.

    Raises
    ------
    UsageError
        This is not the thread of a task.
    """
    _running("rejoin").rejoin()


def _running(word: str) -> inside.Runner:
    runner = inside.runner()
    if runner is None or not runner.key:
        raise UsageError(f"{word}() is for the thread of a task: call it inside a function that was submitted")
    return runner
