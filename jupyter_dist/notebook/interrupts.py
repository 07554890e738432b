"""The stop button in any cell: what the cell had submitted and is not done is cancelled, and it is said what was stopped.

A cell that waits in ``gather`` or ``result`` ends with the `KeyboardInterrupt` at once; its work would go on, and nobody
would have asked for it. Work of earlier cells is left alone. ``%%distributed`` cells look after their own.
"""

from __future__ import annotations

from typing import Any

from jupyter_dist.errors import JupyterDistError
from jupyter_dist.notebook.current_executor import CurrentExecutor
from jupyter_dist.notebook.ports import ExecutorPort
from jupyter_dist.notebook.speaking import say
from jupyter_dist.notebook.stopping import describe_stop, stop_code, workers_of

OWN = "%%distributed"


class InterruptedCells:
    """Looks after the cells of one shell."""

    def __init__(self, current: CurrentExecutor) -> None:
        self._current = current
        self._executor: ExecutorPort | None = None
        self._before = 0

    def begin(self, _info: Any) -> None:
        """Note what there is before a cell runs."""
        self._executor = self._current.find()
        self._before = self._executor.wishes_made if self._executor is not None else 0

    def end(self, result: Any) -> None:
        """Stop what an interrupted cell had submitted."""
        executor = self._current.find()
        if not isinstance(result.error_in_exec, KeyboardInterrupt) or executor is None:
            return
        if str(getattr(result.info, "raw_cell", "")).lstrip().startswith(OWN):
            return
        before = self._before if executor is self._executor else 0  # it was made in this cell
        try:
            _stop(executor, before)
        except JupyterDistError as error:
            say(f"Interrupted; what the cell had submitted could not be stopped: {error}")


def _stop(executor: ExecutorPort, before: int) -> None:
    futures = {
        key: future
        for key, future in executor.futures.items()
        if future.wish.number > before and future.status in {"pending", "lost"}
    }
    if not futures:
        return
    running = {task.key for task in executor.snapshot().running if task.key in futures}
    workers = workers_of(executor, running)
    executor.cancel(list(futures.values()), force=True)
    say(describe_stop(len(running), len(futures) - len(running), stop_code(executor, futures, workers, say)))
