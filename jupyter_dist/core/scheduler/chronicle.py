"""What happened, for people: the newest events in a ring, each with a number, the newest errors, and what was printed.

Nothing is ever decided by it.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from jupyter_dist.core.scheduler.records import Task
from jupyter_dist.messages import ErrorView, TaskEvent
from jupyter_dist.settings import Settings


class Prints:
    """The end of what tasks printed. When all of it is too much, that of the task that printed longest ago goes."""

    def __init__(self, settings: Settings) -> None:
        self._texts: OrderedDict[str, tuple[Task, str, int]] = OrderedDict()
        self._chars = 0
        self._chars_max = settings.output_bytes_max
        self._total_chars_max = settings.outputs_bytes_max

    def add(self, task: Task, text: str) -> None:
        """Note what a task printed."""
        before, cut = self.of(task)
        self._drop(task.key)
        text = before + text
        kept = text[-self._chars_max :] if self._chars_max else ""
        self._texts[task.key] = task, kept, cut + len(text) - len(kept)
        self._chars += len(kept)
        while self._chars > self._total_chars_max:
            self._drop(next(iter(self._texts)))

    def of(self, task: Task) -> tuple[str, int]:
        """Return what is kept of what a task printed, and how many characters before that are not."""
        printer, text, cut = self._texts.get(task.key, (None, "", 0))
        return (text, cut) if printer is task else ("", 0)  # not an earlier one of its key

    def _drop(self, key: str) -> None:
        _, text, _ = self._texts.pop(key, (None, "", 0))
        self._chars -= len(text)


class Chronicle:
    """The events of one scheduler. ``wall_offset_s`` makes a ``now`` seconds since 1970."""

    def __init__(self, settings: Settings, wall_offset_s: float) -> None:
        self.events: deque[TaskEvent] = deque(maxlen=settings.events_max)
        self.number = 0  # of the newest event
        self.prints = Prints(settings)
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
