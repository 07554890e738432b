"""What is asked of the inside of a running cluster: its workers, its tasks, who uses it, and what its processes print.

The manager knows the clusters; each request here finds a running one by its name and asks it. Names of workers and keys
of tasks are looked up by the scheduler, or among the files there are, never made into a path.
"""

import asyncio
from collections.abc import Callable

from jupyter_dist.errors import ClusterStateError, UsageError
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.launch.local import process_log
from jupyter_dist.server.manager import ClusterManager
from jupyter_dist.server.models import LOG_LINES_MAX, LogModel, UnknownPartError, check_count, clean
from jupyter_dist.server.part_models import (
    KEY_CHARS_MAX,
    KEYS_MAX,
    PAGE_COUNT_MAX,
    TASK_STATES,
    KeysModel,
    NotebookList,
    TaskDetailModel,
    TaskPageModel,
    WorkerList,
    WorkModel,
    detail_model,
    function_model,
    notebook_model,
    page_model,
    raised_model,
    worker_model,
)
from jupyter_dist.server.watching import WatchedCluster

LEAVE_S = 1.0  # how long an answer waits for a worker that leaves; it leaves all the same
LOGS_BYTES_MAX = 256 * 1024


class Inside:
    """Requests to the inside of clusters.

    Parameters
    ----------
    manager : ClusterManager
        Knows the clusters.
    root : str
        The server's root folder, from which paths of notebooks are told.
    tail : callable, optional
        How the end of a process's log is read.
    """

    def __init__(
        self, manager: ClusterManager, root: str, tail: Callable[[ClusterInfo, str, int], str | None] = process_log
    ) -> None:
        self._manager = manager
        self._root = root
        self._tail = tail
        self._leaving: set[asyncio.Task[None]] = set()

    # -- workers

    async def workers(self, name: str) -> WorkerList:
        """Return the workers of a cluster."""
        cluster = await self._manager.find_running(name)
        snapshot = await cluster.ask(lambda observer: observer.describe())
        return WorkerList([worker_model(view) for view in snapshot.workers])

    async def restart_worker(self, name: str, worker: str) -> None:
        """Replace a worker at once."""
        cluster = await self._cluster_with(name, worker)
        await cluster.ask(lambda observer: observer.restart_worker(worker))

    async def retire_worker(self, name: str, worker: str) -> None:
        """Have a worker leave in order. What it runs may take long: the answer does not wait for that."""
        cluster = await self._cluster_with(name, worker)
        leaving = asyncio.create_task(cluster.ask(lambda observer: observer.retire_worker(worker)))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._forget)
        await asyncio.wait([leaving], timeout=LEAVE_S)
        if leaving.done():
            leaving.result()

    def _forget(self, leaving: asyncio.Task[None]) -> None:
        self._leaving.discard(leaving)
        if not leaving.cancelled():
            leaving.exception()  # seen: the list of workers says what became of it

    async def log(self, name: str, process: str, lines: int) -> LogModel:
        """Return the last lines of what a process of a cluster printed, also of a worker that is gone."""
        check_count("lines", lines, 1, LOG_LINES_MAX)
        info = await self._manager.info(name)
        text = await asyncio.to_thread(self._tail, info, process, lines)
        if text is None:
            raise UnknownPartError(f"cluster {name!r} has no log of a process named {process[:64]!a}")
        return LogModel(clean(text, LOGS_BYTES_MAX))

    async def _cluster_with(self, name: str, worker: str) -> WatchedCluster:
        cluster = await self._manager.find_running(name)
        snapshot = await cluster.ask(lambda observer: observer.describe())
        if worker not in {view.name for view in snapshot.workers}:
            raise UnknownPartError(f"cluster {name!r} has no worker named {worker[:64]!a}")
        return cluster

    # -- tasks

    async def tasks(self, name: str, *, state: str, text: str, before: int, count: int) -> TaskPageModel:
        """Return a page of tasks."""
        if state and state not in TASK_STATES:
            raise UsageError(f"field `state`: must be one of {', '.join(TASK_STATES)}")
        check_count("count", count, 1, PAGE_COUNT_MAX)
        check_count("before", before, 0, 2**53)
        cluster = await self._manager.find_running(name)
        asked = text[:KEY_CHARS_MAX]
        page = await cluster.ask(
            lambda observer: observer.list_tasks(state=state, text=asked, before=before, count=count)
        )
        return page_model(page)

    async def task(self, name: str, key: str) -> TaskDetailModel:
        """Return one task in full."""
        cluster = await self._manager.find_running(name)
        try:
            return detail_model(await cluster.ask(lambda observer: observer.describe_task(key)))
        except UsageError:
            raise UnknownPartError(f"cluster {name!r} knows no task {key[:64]!a} any more") from None

    async def cancel(self, name: str, keys: tuple[str, ...], *, force: bool) -> KeysModel:
        """Give tasks up for everybody who wants them."""
        cluster = await self._cluster_for(name, keys)
        return KeysModel(await cluster.ask(lambda observer: observer.cancel_tasks(keys, force=force)))

    async def retry(self, name: str, keys: tuple[str, ...]) -> KeysModel:
        """Try erred tasks again for everybody who wants them."""
        cluster = await self._cluster_for(name, keys)
        return KeysModel(await cluster.ask(lambda observer: observer.retry_tasks(keys)))

    async def _cluster_for(self, name: str, keys: tuple[str, ...]) -> WatchedCluster:
        check_count("keys", len(keys), 1, KEYS_MAX)
        return await self._manager.find_running(name)

    async def work(self, name: str) -> WorkModel:
        """Return what a cluster works on, by function, and the newest errors."""
        cluster = await self._manager.find_running(name)
        snapshot = await cluster.ask(lambda observer: observer.describe())
        return WorkModel(
            [function_model(view) for view in snapshot.functions], [raised_model(view) for view in snapshot.errors]
        )

    # -- who uses it

    async def notebooks(self) -> NotebookList:
        """Return which notebook is attached to which cluster. A cluster that does not answer is passed over."""
        clusters = await self._manager.running()
        told = await asyncio.gather(
            *(cluster.ask(lambda observer: observer.sessions()) for cluster in clusters), return_exceptions=True
        )
        found = [
            notebook_model(view, cluster.info.name, self._root)
            for cluster, views in zip(clusters, told, strict=True)
            if not isinstance(views, BaseException)
            for view in views
            if view.kind == "kernel"
        ]
        unforeseen = [error for error in told if isinstance(error, Exception) and not _is_foreseen(error)]
        if unforeseen:
            raise unforeseen[0]
        return NotebookList(sorted(found, key=lambda notebook: (notebook.path, notebook.cluster)))


def _is_foreseen(error: Exception) -> bool:
    return isinstance(error, ClusterStateError | UsageError | OSError)
