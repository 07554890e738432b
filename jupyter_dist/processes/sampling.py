"""A worker's heartbeat: what it runs and what it uses, as the scheduler and the panel shall see it."""

from os import getpid
from time import monotonic

from jupyter_dist.messages import WorkerSample
from jupyter_dist.processes.vitals import Vitals


class Sampler:
    """Measures this process."""

    def __init__(self) -> None:
        self._vitals = Vitals(getpid(), monotonic())
        self._vitals.sample(monotonic())  # the first look only begins to count

    def sample(
        self, running: tuple[tuple[int, int, float], ...], held: int, held_bytes: int, spilled_bytes: int = 0
    ) -> WorkerSample:
        """Return a heartbeat.

        Parameters
        ----------
        running : tuple of (int, int, float)
            Attempt, slot and start of each task that runs.
        held, held_bytes, spilled_bytes : int
            The results held, their bytes, and how many of these are on the disk.
        """
        seen = self._vitals.sample(monotonic())
        return WorkerSample(running, seen.memory_bytes, seen.cpu_percent, held, held_bytes, spilled_bytes)
