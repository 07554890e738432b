"""From observations to what the plots draw: progress by function, memory and CPU by worker. Pure: no Bokeh.

Of each worker the newest ``POINTS_MAX`` points are kept, of the workers those that came first, up to ``WORKERS_MAX``; times
are milliseconds since 1970 in local time, which is what a Bokeh time axis draws.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from jupyter_dist.messages.observation import ClusterSnapshot, FunctionView
from jupyter_dist.notebook.panel_rows import natural

POINTS_MAX = 600
WORKERS_MAX = 64
FUNCTIONS_MAX = 24
PARTS = ("finished", "running", "queued", "failed")

Columns = dict[str, list[Any]]


class ProgressModel:
    """How far the tasks of each function are."""

    def __init__(self) -> None:
        self.functions: tuple[FunctionView, ...] = ()

    def take(self, snapshot: ClusterSnapshot) -> None:
        """Learn how it is now."""
        busiest = sorted(snapshot.functions, key=lambda view: -sum(_parts(view)))
        self.functions = tuple(view for view in busiest[:FUNCTIONS_MAX] if any(_parts(view)))

    def columns(self) -> Columns:
        """Return a bar for each function: its parts as shares of its tasks, one beside the other, and in words."""
        columns: Columns = {name: [] for name in ("function", "words", *PARTS)}
        for view in self.functions:
            parts = _parts(view)
            columns["function"].append(view.label)
            numbers = zip(PARTS, parts, strict=True)
            columns["words"].append(", ".join(f"{number:,} {name}" for name, number in numbers if number))
            for name, number in zip(PARTS, parts, strict=True):
                columns[name].append(number / sum(parts))
        return columns


class SeriesModel:
    """One number of each worker over time, ``memory_bytes`` or ``cpu_percent``, times a scale."""

    def __init__(self, number: str, utc_offset_s: float = 0.0, scale: float = 1.0) -> None:
        self._number, self._utc_offset_s, self._scale = number, utc_offset_s, scale
        self._points: dict[str, deque[tuple[float, float]]] = {}

    def take(self, snapshot: ClusterSnapshot) -> None:
        """Learn how it is now."""
        at = (snapshot.at_s + self._utc_offset_s) * 1000
        for worker in snapshot.workers:
            if worker.name not in self._points and len(self._points) >= WORKERS_MAX:
                continue
            points = self._points.setdefault(worker.name, deque(maxlen=POINTS_MAX))
            points.append((at, float(getattr(worker, self._number)) * self._scale))

    def columns(self) -> Columns:
        """Return a line for each worker."""
        names = sorted(self._points, key=natural)
        return {
            "worker": names,
            "xs": [[x for x, _ in self._points[name]] for name in names],
            "ys": [[y for _, y in self._points[name]] for name in names],
        }


def _parts(view: FunctionView) -> tuple[int, int, int, int]:
    return (max(view.finished, view.memory), view.processing, view.waiting + view.queued, view.erred)
