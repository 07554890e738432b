"""What the notebook asks of a client: small ports, so that tests can stand in for a cluster with real little fakes.

`jupyter_dist.client` fulfils them. Nothing here has behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

    def watch_output(self, fn: Callable[[str, str], object], /) -> None:
        """Call with the stream and text of what it printed and will print, from the I/O thread."""

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
        workers: Sequence[str] | None = None,
        on_output: Callable[[str, str], object] | None = None,
        rerun: str = "always",
    ) -> Any:
        """Send one call and return its future."""

    def scatter(self, data: list[Any], /) -> Any:
        """Put each of these where every worker can use it; return a future for each."""

    def cancel(self, futures: Any, force: bool = False) -> Any:
        """Give these futures up, with ``force`` also what runs."""

    def stacks(self, workers: Any = None, timeout: float = 5.0) -> Any:
        """Return the stacks of running tasks by worker and key; a text for a worker that does not answer."""

    def restart_workers(self, workers: Any) -> Any:
        """Kill these workers and return when others are in their places."""

    def name_futures(self, names: Mapping[str, Any]) -> None:
        """Have the cluster know what the notebook calls futures."""

    def snapshot(self) -> ClusterSnapshot:
        """Return the cluster as it is now."""

    def watch(self, callback: Callable[[Observation], None], interval_s: float = 0.5) -> WatchingPort:
        """Call back with what happens, from the I/O thread."""


class LostSessionPort(Protocol):
    """A session whose process is gone."""

    @property
    def name(self) -> str:
        """The notebook or script."""

    @property
    def kind(self) -> str:
        """What it was: a kernel or a script."""

    @property
    def pid(self) -> int:
        """Its process."""

    @property
    def lost_s(self) -> float:
        """Since when it is gone, in seconds since 1970."""

    @property
    def futures(self) -> int:
        """How many of its futures are on the cluster."""


class LostFuturePort(Protocol):
    """A future of a lost session."""

    @property
    def names(self) -> Sequence[str]:
        """What its notebook called it."""

    @property
    def key(self) -> str:
        """Its task's name."""

    @property
    def label(self) -> str:
        """What people call its task."""

    @property
    def state(self) -> str:
        """Its task's state: waiting, queued, processing, memory or erred."""

    @property
    def since_s(self) -> float:
        """Since when it is in that, in seconds since 1970."""


class AttachPort(Protocol):
    """How the futures of an earlier kernel are had."""

    @property
    def session_name(self) -> str:
        """What its own session is called: the notebook."""

    def lost_sessions(self) -> Any:
        """Return the `LostSessionPort` of each session whose process is gone, newest first."""

    def lost_futures(self, name: str | None = None) -> Any:
        """Return a `LostFuturePort` for each future that `attach` would take over."""

    def attach(self, name: str | None = None) -> Any:
        """Take over the futures of lost sessions of a name; return them by their names or keys."""


class ExecutorPort(RunnerPort, AttachPort, Protocol):
    """What the panel and the magics ask beside that."""

    @property
    def wishes_made(self) -> int:
        """The number of the newest future's wish."""

    @property
    def futures(self) -> Mapping[str, Any]:
        """The futures this executor holds, by key."""

    def scale(self, workers: int) -> Any:
        """Keep so many workers."""

    def restart(self) -> Any:
        """Forget every task and replace every worker."""

    def retry(self, futures: Any) -> Any:
        """Try erred futures again."""

    def retire_workers(self, workers: Any) -> Any:
        """Have these workers end, their results moved first."""

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
