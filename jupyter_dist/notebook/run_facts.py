"""What observations tell of one run's tasks: where they run, how long they took, what they needed. Pure.

What became of a task is decided by its future; here is what only the scheduler knows.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_dist.messages.observation import Observation, TaskEvent

STOPPED = frozenset({"finished", "failed", "erred", "cancelled"})


class RunFacts:
    """What was heard of these keys."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = frozenset(keys)
        self.running: dict[str, str] = {}  # key -> worker
        self.ended: dict[str, TaskEvent] = {}
        self.peak_bytes = 0  # the most memory a worker had that ran one of them
        self.peak_worker = ""

    def hear(self, observation: Observation) -> None:
        """Take an observation in."""
        for event in observation.events:
            before = self.ended.get(event.key)
            # One that tells of the run is worth more than one that only tells of its end.
            if event.key in self.keys and event.kind in STOPPED and (before is None or event.started_s):
                self.ended[event.key] = event
        running = observation.snapshot.running
        self.running = {t.key: t.worker for t in running if t.key in self.keys and t.key not in self.ended}
        used = self.workers
        for worker in observation.snapshot.workers:
            if worker.name in used and worker.memory_bytes > self.peak_bytes:
                self.peak_bytes, self.peak_worker = worker.memory_bytes, worker.name

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers that ran or run one of them."""
        ended = (event.worker for event in self.ended.values() if event.worker)
        return tuple(dict.fromkeys([*ended, *self.running.values()]))

    @property
    def task_s(self) -> float:
        """How long they ran, added up."""
        return sum(max(0.0, event.stopped_s - event.started_s) for event in self.ended.values())

    @property
    def made_bytes(self) -> int:
        """The size of what they made."""
        return sum(event.nbytes for event in self.ended.values())
