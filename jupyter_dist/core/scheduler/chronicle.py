"""What happened, for people: the newest events in a ring, each with a number, the newest errors, and what was printed.

Nothing is ever decided by it.
"""

from __future__ import annotations

from collections import deque

from jupyter_dist.core.scheduler.records import Task
from jupyter_dist.messages import ErrorView, TaskEvent
from jupyter_dist.settings import Settings


class Chronicle:
    """The events of one scheduler. ``wall_offset_s`` makes a ``now`` seconds since 1970."""

    def __init__(self, settings: Settings, wall_offset_s: float) -> None:
        self.events: deque[TaskEvent] = deque(maxlen=settings.events_max)
        self.number = 0  # of the newest event
        self.errors: deque[ErrorView] = deque(maxlen=settings.errors_max)
        self._wall_offset_s = wall_offset_s

    def add(self, kind: str, now: float, *, worker: str, detail: str) -> None:
        """Note an event that is about no task."""
        self.number += 1
        self.events.append(TaskEvent(self.number, kind, now + self._wall_offset_s, worker=worker, detail=detail))

    def add_task(self, kind: str, now: float, task: Task, worker: str, detail: str) -> None:
        """Note an event of a task that has no run to show."""
        self.number += 1
        at_s, group = now + self._wall_offset_s, task.options.group
        self.events.append(TaskEvent(self.number, kind, at_s, task.key, task.label, group, worker, detail=detail))

    def add_run(self, kind: str, now: float, task: Task, worker: str, run: tuple[int, float, float]) -> None:
        """Note that an attempt came to an end; ``run`` is its slot, start and stop."""
        self.number += 1
        at_s, group = now + self._wall_offset_s, task.options.group
        slot, started, stopped = run
        self.events.append(
            TaskEvent(self.number, kind, at_s, task.key, task.label, group, worker, slot, started, stopped, task.nbytes)
        )
