"""A worker's heartbeat: what it runs and what it uses, as the scheduler and the panel shall see it."""

import psutil

from jupyter_dist.messages import WorkerSample


class Sampler:
    """Measures this process."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only begins to count

    def sample(self, running: tuple[tuple[int, int, float], ...], held: int, held_bytes: int) -> WorkerSample:
        """Return a heartbeat.

        Parameters
        ----------
        running : tuple of (int, int, float)
            Attempt, slot and start of each task that runs.
        held, held_bytes : int
            The results held, and their bytes.
        """
        with self._process.oneshot():
            memory_bytes: int = self._process.memory_info().rss
            cpu_percent: float = self._process.cpu_percent()
        return WorkerSample(running, memory_bytes, cpu_percent, held, held_bytes)
