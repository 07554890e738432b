"""What the notebook asks of a client: small ports, so that tests can stand in for a cluster with real little fakes.

`jupyter_dist.client` fulfils them. Nothing here has behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from jupyter_dist.messages.observation import ClusterSnapshot, Observation


class FuturePort(Protocol):
    """A result that may not be there yet."""

    @property
    def key(self) -> str:
        """Its task's name."""

    @property
    def status(self) -> str:
        """One of pending, finished, error, cancelled, lost."""

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait, and return what the task raised."""

    def result(self, timeout: float | None = None) -> Any:
        """Wait, and return the value or raise."""

    def add_done_callback(self, fn: Callable[[Any], object], /) -> None:
        """Call with this future when it is done, from any thread."""


class WatchingPort(Protocol):
    """A watch that can be ended."""

    def close(self) -> None:
        """Call back no more."""


class RunnerPort(Protocol):
    """What runs tasks."""

    @property
    def name(self) -> str:
        """The cluster's name."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be asked of it any more."""

    def submit_task(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        label: str | None = None,
        group: str = "",
        pure: bool = False,
        retries: int = 0,
        timeout_s: float = 0.0,
        on_output: Callable[[str, str], object] | None = None,
    ) -> Any:
        """Send one call and return its future."""

    def cancel(self, futures: Any, force: bool = False) -> Any:
        """Give these futures up, with ``force`` also what runs."""

    def watch(self, callback: Callable[[Observation], None], interval_s: float = 0.5) -> WatchingPort:
        """Call back with what happens, from the I/O thread."""


class ExecutorPort(RunnerPort, Protocol):
    """What the panel and the magics ask beside that."""

    @property
    def futures(self) -> Mapping[str, Any]:
        """The futures this executor holds, by key."""

    def snapshot(self) -> ClusterSnapshot:
        """Return the cluster as it is now."""

    def scale(self, workers: int) -> Any:
        """Keep so many workers."""

    def restart(self) -> Any:
        """Forget every task and replace every worker."""

    def gather(self, futures: Any) -> Any:
        """Return the values of futures, in the shape they came in."""

    def stop_cluster(self) -> Any:
        """End the cluster."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> Any:
        """Leave the cluster."""


class ClustersPort(Protocol):
    """Starts and finds clusters."""

    def start(
        self, name: str, workers: int, threads: int, on_phase: Callable[[str, float], None]
    ) -> tuple[ExecutorPort, bool]:
        """Return an executor on a cluster of this name, and whether it had to be started."""

    def connect(self, name: str) -> ExecutorPort:
        """Return an executor on a running cluster."""

    def default(self) -> ExecutorPort | None:
        """Return the executor that was made last, if it is open."""

    def names(self) -> list[tuple[str, str]]:
        """Return the running clusters: name, and a line about each."""

    def is_future(self, value: object) -> bool:
        """Tell whether a value is a future of an executor."""
