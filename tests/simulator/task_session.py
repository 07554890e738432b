"""The session of a worker's tasks in a simulated world, and the futures that these return."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Any, Protocol

from jupyter_dist.core.scheduler.records import TASKS
from tests.simulator.client_host import ClientHost
from tests.simulator.network import Link
from tests.simulator.parties import Parties
from tests.simulator.plans import Plan


class Process(Protocol):
    """A worker, as far as its session needs it."""

    parties: Parties
    pid: int

    def do(self, action: Callable[[], None]) -> None:
        """Have something happen in it: now, when it goes on, or never."""


class TaskSession(ClientHost):
    """It lives in the worker's process: what that does not hear, it does not either."""

    kind = TASKS
    linger_s = 0.5

    def __init__(self, worker: Process, name: str) -> None:
        self.pid = worker.pid
        self.returned: dict[int, str] = {}  # attempt -> the key of the future that it, or its result, holds here
        self._worker = worker
        super().__init__(worker.parties, name, name)

    def begin_returned(self, attempt: int, child: Plan, parent: str) -> None:
        """Submit the task that an attempt returns a future of."""
        self.submit([child], parent)
        self.returned[attempt] = child.key

    def drop_returned(self, kept: Container[int]) -> None:
        """Drop the futures of all attempts but these."""
        for attempt in [number for number in self.returned if number not in kept]:
            key = self.returned.pop(attempt)
            if key not in self.returned.values() and key in self.held:
                self.drop([key])

    def _connect(self) -> None:
        self._worker.do(super()._connect)

    def received(self, link: Link, messages: Sequence[Any]) -> None:
        self._worker.do(partial(super().received, link, messages))

    def disconnected(self, link: Link, reason: str) -> None:
        self._worker.do(partial(super().disconnected, link, reason))
