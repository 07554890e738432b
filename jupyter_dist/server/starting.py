"""One cluster that is coming up, as the manager keeps it.

Starting one blocks for seconds, so it runs in a thread. The thread hands back its phases by replacing one attribute
with an immutable record: that needs no lock and no loop, and a server that closes in the meantime cannot disturb it.
A start is never broken off half way; one that is no longer wanted is stopped by the same thread as soon as it is up.
"""

import time
from collections.abc import Callable
from typing import Protocol

from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.launch.local import ClusterSpec, Phase
from jupyter_dist.server.models import ClusterModel
from jupyter_dist.settings import Settings


class Start(Protocol):
    """How a cluster is started: `jupyter_dist.launch.local.start_cluster`, or a test's."""

    def __call__(
        self, spec: ClusterSpec, *, on_phase: Callable[[Phase], None] | None, settings: Settings | None
    ) -> ClusterInfo:
        """Return when the cluster is up; block until then."""


class StartingCluster:
    """A start on its way, and what the browser is told about it."""

    def __init__(self, spec: ClusterSpec, clock: Callable[[], float]) -> None:
        self.spec = spec
        self.phase = "starting"
        self.is_unwanted = False
        self._clock = clock
        self._began = clock()
        self._started_s = time.time()

    def run(self, start: Start, stop: Callable[[ClusterInfo], None], settings: Settings) -> ClusterInfo | None:
        """Start the cluster, in a thread. None when it was no longer wanted and has been stopped again."""
        info = start(self.spec, on_phase=self.on_phase, settings=settings)
        if self.is_unwanted:
            stop(info)
            return None
        return info

    def on_phase(self, phase: Phase) -> None:
        """Note how far it has come. Called from the thread that starts it."""
        self.phase = phase.name

    def model(self) -> ClusterModel:
        """Return what the browser is told."""
        return ClusterModel(
            name=self.spec.name,
            state="stopping" if self.is_unwanted else "starting",
            phase=self.phase,
            elapsed_s=self._clock() - self._began,
            wanted=self.spec.workers,
            started_s=self._started_s,
            detached=self.spec.detached,
        )
