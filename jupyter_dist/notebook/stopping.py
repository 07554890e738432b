"""What the stop button does to work on the cluster: first it is cancelled, really; pressed again, workers are killed.

A cancelled task gets a `KeyboardInterrupt` in its own thread. Whether that ended it is asked of the workers themselves:
code that catches it, or that does not come back from C, is told of, and a second interrupt has its worker replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from jupyter_dist.errors import JupyterDistError
from jupyter_dist.notebook.ports import RunnerPort
from jupyter_dist.notebook.running import Run
from jupyter_dist.notebook.wording import count, listing

LOOK_S = 0.1
ASK_S = 1.0
PATIENCE_S = 1.0  # after which it is said what is still running
STOP_S_MAX = 20.0
SHOWN_MAX = 5

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a stop went: workers that were killed for it, and workers where the code is still running."""

    killed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def words(self) -> str:
        """Return it as the end of a sentence; empty when everything stopped by itself."""
        parts = []
        if self.killed:
            parts.append(f"{listing(self.killed[:SHOWN_MAX])} did not stop and {_was(self.killed)} killed")
        if self.left:
            parts.append(
                f"{listing(self.left[:SHOWN_MAX])} {'is' if len(self.left) == 1 else 'are'} still inside it; "
                f"`executor.restart_workers({list(self.left[:SHOWN_MAX])})` ends that"
            )
        return "; ".join(parts)


def wait_for_run(run: Run, say: Say) -> None:
    """Wait until a run is done and shown.

    Raises
    ------
    Exception
        What the cell raised.
    KeyboardInterrupt
        After the run was stopped, or left alone, as its option says.
    """
    __tracebackhide__ = True
    try:
        while not run.finished.wait(LOOK_S):
            pass
    except KeyboardInterrupt:
        interrupt_run(run, say)
        raise
    run.raise_failure()


def interrupt_run(run: Run, say: Say) -> None:
    """Do to a run what the user wants at an interrupt, and say so in its receipt."""
    if run.on_interrupt == "detach":
        run.note("interrupted in the notebook; it goes on, and its names are futures")
        return
    keys = {part.key for part in run.parts}
    workers = tuple(dict.fromkeys([*run.workers, *workers_of(run.executor, keys)]))
    run.cancel("interrupted in the notebook; the run was cancelled")
    stopped = stop_code(run.executor, keys, workers, say, is_impatient=run.on_interrupt == "kill")
    if stopped.words():
        say(f"{run.name}: {stopped.words()}")


def workers_of(executor: RunnerPort, keys: Container[str]) -> tuple[str, ...]:
    """Return the workers that run these tasks now, as the scheduler knows; to be asked before they are cancelled."""
    try:
        running = executor.snapshot().running
    except JupyterDistError:  # nothing can be stopped there
        return ()
    return tuple(dict.fromkeys(task.worker for task in running if task.key in keys))


def stop_code(
    executor: RunnerPort, keys: Iterable[str], workers: tuple[str, ...], say: Say, *, is_impatient: bool = False
) -> Stopped:
    """Wait until workers are out of tasks that were cancelled; a further interrupt kills those that are not.

    Parameters
    ----------
    workers
        Those that are known to have had one of the tasks.
    is_impatient
        Kill at once.
    """
    wanted = frozenset(keys)
    begun, is_told, left = time.monotonic(), False, workers
    try:
        while not is_impatient:
            left = inside(executor, wanted, workers)
            waited_s = time.monotonic() - begun
            if not left or waited_s > STOP_S_MAX:
                return Stopped(left=left)
            if waited_s > PATIENCE_S and not is_told:
                is_told = True
                say(
                    f"Cancelled, but {listing(left[:SHOWN_MAX])} {'has' if len(left) == 1 else 'have'} not come back "
                    "from the code yet. Interrupt again to kill."
                )
            time.sleep(LOOK_S)
    except KeyboardInterrupt:
        pass
    left = inside(executor, wanted, workers)
    if left:
        executor.restart_workers(list(left))
    return Stopped(killed=left)


def inside(executor: RunnerPort, keys: frozenset[str], workers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the workers that are inside the code of these tasks.

    All are asked: which one has a task that has just begun is not known here. One that cannot answer is counted when it
    is among the workers that are known to have had one of the tasks, and else left alone: it may work for others.
    """
    try:
        stacks = executor.stacks(None, ASK_S)
    except JupyterDistError:  # one died while it was asked; the next look finds the others
        return workers
    return tuple(
        name for name, found in stacks.items() if (name in workers if isinstance(found, str) else keys & set(found))
    )


def describe_stop(running: int, waiting: int, stopped: Stopped) -> str:
    """Return what an interrupted cell's futures came to."""
    parts = []
    if running:
        parts.append(f"{count(running, 'running task')} {'was' if running == 1 else 'were'} stopped")
    if waiting:
        parts.append(f"{count(waiting, 'waiting one')} {'was' if waiting == 1 else 'were'} cancelled")
    words = stopped.words()
    return f"Interrupted: {listing(parts)}" + (f"; {words}." if words else ".")


def _was(names: tuple[str, ...]) -> str:
    return "was" if len(names) == 1 else "were"
