"""Where the magics get executors from: the door to `launch` and `client`, behind `ports.ClustersPort`."""

from __future__ import annotations

from collections.abc import Callable

from jupyter_dist.client.executor import Executor, default_executor
from jupyter_dist.client.future import Future
from jupyter_dist.errors import NoClusterError
from jupyter_dist.launch.connection_file import ClusterInfo, find_cluster, read_clusters
from jupyter_dist.launch.local import ClusterSpec, Phase, start_cluster
from jupyter_dist.notebook.ports import ExecutorPort


class LocalClusters:
    """Clusters of this user on this host."""

    def start(
        self, name: str, workers: int, threads: int, on_phase: Callable[[str, float], None]
    ) -> tuple[ExecutorPort, bool]:
        """Return an executor on a detached cluster of this name, started when it is not there yet."""
        running = next((info for info in read_clusters() if info.name == name), None)
        if running is not None:
            return Executor(running), False

        def tell(phase: Phase) -> None:
            on_phase(phase.name, phase.elapsed_s)

        spec = ClusterSpec(name=name, workers=workers, threads_per_worker=threads, detached=True)
        return Executor(start_cluster(spec, on_phase=tell)), True

    def connect(self, name: str) -> ExecutorPort:
        """Return an executor on a running cluster."""
        return Executor(find_cluster(name))

    def default(self) -> ExecutorPort | None:
        """Return the executor that was made last, if it is open."""
        try:
            return default_executor()
        except NoClusterError:
            return None

    def names(self) -> list[tuple[str, str]]:
        """Return the running clusters."""
        return [(info.name, _about(info)) for info in read_clusters()]

    def is_future(self, value: object) -> bool:
        """Tell whether a value is a future of an executor."""
        return isinstance(value, Future)


def _about(info: ClusterInfo) -> str:
    kind = "detached" if info.detached else "ends with its launcher"
    return f"{info.workers} x {info.threads_per_worker} on {info.host}, nanny pid {info.pid}, {kind}"
