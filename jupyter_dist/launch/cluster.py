"""`LocalCluster`: a cluster on this host as an object that has an end."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from jupyter_dist.core.resources import check_resources
from jupyter_dist.errors import UsageError
from jupyter_dist.ids import new_token
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.launch.host import parse_bytes
from jupyter_dist.launch.local import ClusterSpec, Phase, start_cluster, stop_cluster
from jupyter_dist.launch.portrait import cluster_facts, count, facts_html
from jupyter_dist.settings import Settings


class LocalCluster:
    """A cluster on this host.

    It ends with `close`, at the end of a ``with`` block, or with this process, however that ends. A detached one ends
    only with `close`, or by itself after an idle time.

    Parameters
    ----------
    n_workers : int, optional
        Worker processes; by default one for each core this process may use.
    threads_per_worker : int, default 1
        Tasks each of them runs at a time.
    name : str, optional
        How others find it; by default one that nobody else has.
    memory_limit : int or str, optional
        Memory of each worker, in bytes or as ``"2GB"``. Results beyond 60 % of it go to the disk; a worker that uses
        more than all of it is replaced.
    resources : dict, optional
        What each worker has besides slots, as ``{"GPU": 2}``: tasks take of it by ``submit(…, resources=…)``.
    detached : bool, default False
        Outlive this process.
    idle_stop_s : float, optional
        How long a detached cluster lives without a session.
    on_phase : callable, optional
        Told how far the start is, see `Phase`.
    settings : Settings, optional
        By default from the environment.

    Attributes
    ----------
    info : ClusterInfo
        How to reach it.
    name : str
        Its name.

    Raises
    ------
    ClusterStartError
        It did not come up.
    UsageError, TypeError
        A number or a resource is none.
    """

    def __init__(
        self,
        n_workers: int | None = None,
        threads_per_worker: int = 1,
        name: str | None = None,
        memory_limit: int | str | None = None,
        *,
        resources: Mapping[str, float] | None = None,
        detached: bool = False,
        idle_stop_s: float | None = None,
        on_phase: Callable[[Phase], None] | None = None,
        settings: Settings | None = None,
    ) -> None:
        if n_workers is not None and (type(n_workers) is not int or n_workers < 1):
            raise UsageError(f"{n_workers!r} workers: a cluster starts with at least one; scale it down later")
        spec = ClusterSpec(
            name=f"local-{new_token()[:8]}" if name is None else name,
            workers=n_workers or 0,
            threads_per_worker=threads_per_worker,
            memory_limit_bytes=parse_bytes(memory_limit),
            detached=detached,
            idle_stop_s=idle_stop_s,
            resources=dict(check_resources(resources)),
        )
        self.name = spec.name
        self._lock = threading.Lock()
        self._owner_pid = os.getpid()
        self._is_closed = False
        self.info: ClusterInfo = start_cluster(spec, on_phase=on_phase, settings=settings)
        if not detached:
            atexit.register(self.close)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else f"{count(self.info.workers, 'worker')} on {self.info.host}"
        return f"<LocalCluster {self.name}: {state}>"

    def _repr_html_(self) -> str:
        facts = [("State", "closed")] if self._is_closed else cluster_facts(self.info)
        return facts_html("LocalCluster", self.name, facts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed here."""
        return self._is_closed

    def close(self) -> None:
        """Stop it. Closing it twice, or in a forked child, does nothing."""
        if os.getpid() != self._owner_pid:
            return
        with self._lock:
            if self._is_closed:
                return
            stop_cluster(self.info)
            self._is_closed = True
        atexit.unregister(self.close)
