"""Where things are: workers, the tasks they process and the results they hold, as dicts by name or key.

Everything is read from what the scheduler answers. Small results travel with their messages and are kept by the
scheduler: these have no worker that holds them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jupyter_dist.errors import UsageError
from jupyter_dist.messages import ClusterSnapshot, TaskHome


def chosen_workers(snapshot: ClusterSnapshot, workers: str | Iterable[str] | None) -> list[str]:
    """Return the names of the workers that are meant, by name, host or address; all for None.

    Raises
    ------
    UsageError
        One of them is not there; the text names those that are.
    """
    views = snapshot.workers
    if workers is None:
        return [view.name for view in views]
    found: dict[str, None] = {}
    for wanted in [workers] if isinstance(workers, str) else workers:
        fitting = [view.name for view in views if wanted in (view.name, view.host, view.address)]
        if not fitting:
            there = ", ".join(sorted(view.name for view in views)) or "none"
            raise UsageError(f"there is no worker {wanted!r}; there are: {there}")
        found.update(dict.fromkeys(fitting))
    return list(found)


def cores(snapshot: ClusterSnapshot, workers: str | Iterable[str] | None) -> dict[str, int]:
    """Return how many tasks each worker runs at a time."""
    slots = {view.name: view.slots for view in snapshot.workers}
    return {name: slots[name] for name in chosen_workers(snapshot, workers)}


def held_by_worker(
    snapshot: ClusterSnapshot, homes: Iterable[TaskHome], workers: str | Iterable[str] | None
) -> dict[str, list[str]]:
    """Return the keys of the results each worker holds."""
    held: dict[str, list[str]] = {name: [] for name in chosen_workers(snapshot, workers)}
    for home in homes:
        for name in home.holders:
            if name in held:
                held[name].append(home.key)
    return held


def processed_by_worker(
    snapshot: ClusterSnapshot, homes: Iterable[TaskHome], workers: str | Iterable[str] | None
) -> dict[str, list[str]]:
    """Return the keys of the tasks each worker was given: those that run and those in its hand."""
    given: dict[str, list[str]] = {name: [] for name in chosen_workers(snapshot, workers)}
    for home in homes:
        if home.worker in given:
            given[home.worker].append(home.key)
    return given


def bytes_by_key(homes: Iterable[TaskHome], *, summary: bool) -> dict[str, int]:
    """Return the size of each result in memory; with ``summary`` the sums by function name."""
    sizes: dict[str, int] = {}
    for home in homes:
        if home.state == "memory":
            name = home.key.rpartition("-")[0] or home.key if summary else home.key
            sizes[name] = sizes.get(name, 0) + home.nbytes
    return sizes


def describe_cluster(snapshot: ClusterSnapshot, address: str) -> dict[str, Any]:
    """Return what `Executor.scheduler_info` does."""
    workers = {
        view.name: {
            "host": view.host,
            "pid": view.pid,
            "nanny": view.nanny,
            "address": view.address,
            "ncores": view.slots,
            "memory": view.memory_bytes,
            "memory_limit": view.memory_bytes_max,
            "state": view.state,
            "last_heard_s": view.heard_s,
        }
        for view in snapshot.workers
    }
    return {
        "type": "Scheduler",
        "name": snapshot.cluster,
        "address": address,
        "started": snapshot.started_s,
        "workers": workers,
    }
