"""How long it takes until all is well again: ``python -m benchmarks.recovery [--times N] [NAME …]``.

Each row does one thing to a cluster of two workers, several times, and measures until the results are there: the seconds
over the time that the lost work itself takes. Beside it stands what is promised. For an idle machine: on one that is busy
the figures say little.
"""

import argparse
import contextlib
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from jupyter_dist import Executor, Future

WORK_S = 0.5  # what a task takes that is lost in its middle
SETTLE_S = 0.1  # from the mark into the loop, or into the code in C
PAUSE_S = 1.0  # between two deaths of a scheduler: deaths in a row are held back a little more each
READY_S_MAX = 20.0


def work(seconds: float, number: int) -> int:
    """Take a while."""
    time.sleep(seconds)
    return number


def loop_for_ever(mark: str) -> None:
    """Compute in Python."""
    Path(mark).touch()
    while True:
        pass


def hold_interpreter(mark: str) -> int:
    """Compute in C, with the interpreter's lock held."""
    Path(mark).touch()
    return sum(range(10**13))


def meet(own: str, other: str) -> None:
    """Wait for the other of two tasks: each needs a worker of its own."""
    Path(own).touch()
    while not Path(other).exists():
        time.sleep(0.0005)


def number_of(number: int) -> int:
    """Return a number."""
    return number


def whole(executor: Executor) -> dict[str, int]:
    """Wait for both workers; return their pids by name."""
    executor.wait_for_workers(2, timeout=READY_S_MAX)
    return {str(name): int(pid) for name, pid in executor.run(os.getpid).items()}


def scheduler_of(executor: Executor) -> psutil.Process:
    """Return the process that serves the cluster's address."""
    address = Path(executor.info.address.removeprefix("unix:"))
    for process in psutil.Process(executor.info.pid).children(recursive=True):
        served = {Path(found.laddr) for found in process.net_connections("unix") if found.laddr}
        if address in served:
            return process
    raise LookupError(f"no process serves {address}")


@contextlib.contextmanager
def occupied(executor: Executor, function: Callable[[str], object]) -> Iterator[list[Future]]:
    """Have both workers be inside a function that never ends by itself, as the marks say that it leaves first."""
    with tempfile.TemporaryDirectory() as folder:
        marks = [Path(folder, str(number)) for number in range(2)]
        futures = [executor.submit(function, str(mark), pure=False) for mark in marks]
        ends_s = time.monotonic() + READY_S_MAX
        while not all(mark.exists() for mark in marks):
            if time.monotonic() > ends_s:
                raise TimeoutError(f"{function.__name__} was not begun on both workers within {READY_S_MAX:g} s")
            time.sleep(0.01)
        time.sleep(SETTLE_S)
        yield futures


def after_signal(executor: Executor, what: signal.Signals, turn: int) -> float:
    """Send a signal to one of two workers in the middle of a task; return the seconds over a whole task."""
    pids = list(whole(executor).values())
    futures = executor.map(work, [WORK_S] * 2, [2 * turn, 2 * turn + 1], pure=False)
    time.sleep(WORK_S / 2)
    struck_s = time.perf_counter()
    os.kill(pids[turn % 2], what)
    executor.gather(futures)
    return time.perf_counter() - struck_s - WORK_S


def worker_killed(executor: Executor, turn: int) -> float:
    """SIGKILL of a worker in a task."""
    return after_signal(executor, signal.SIGKILL, turn)


def worker_stopped(executor: Executor, turn: int) -> float:
    """SIGSTOP of a worker in a task."""
    return after_signal(executor, signal.SIGSTOP, turn)


def scheduler_killed(executor: Executor, turn: int) -> float:
    """SIGKILL of the scheduler; until it answers a new call."""
    whole(executor)
    time.sleep(PAUSE_S)
    victim = scheduler_of(executor)
    struck_s = time.perf_counter()
    victim.kill()
    executor.submit(number_of, turn, pure=False).result(timeout=READY_S_MAX)
    return time.perf_counter() - struck_s


def scheduler_killed_in_work(executor: Executor, turn: int) -> float:
    """SIGKILL of the scheduler with 10,000 tasks pending; until it answers a new, urgent call."""
    whole(executor)
    time.sleep(PAUSE_S)
    futures = executor.map(work, [0.001] * 10_000, range(turn * 10_000, turn * 10_000 + 10_000))
    executor.submit(number_of, -turn, priority=1, pure=False).result()
    victim = scheduler_of(executor)
    struck_s = time.perf_counter()
    victim.kill()
    executor.submit(number_of, turn, priority=1, pure=False).result(timeout=READY_S_MAX)
    took_s = time.perf_counter() - struck_s
    executor.cancel(futures)
    return took_s


def timed_restart(executor: Executor) -> float:
    """Restart, and see that work is done."""
    began_s = time.perf_counter()
    executor.restart()
    took_s = time.perf_counter() - began_s
    assert executor.submit(number_of, 1, pure=False).result(timeout=READY_S_MAX) == 1
    assert len(executor.nannies) == 2
    return took_s


def restart_idle(executor: Executor, _turn: int) -> float:
    """restart() with nothing to do."""
    whole(executor)
    return timed_restart(executor)


def restart_in_loop(executor: Executor, _turn: int) -> float:
    """restart() with both workers in an infinite loop."""
    whole(executor)
    with occupied(executor, loop_for_ever):
        return timed_restart(executor)


def restart_in_c(executor: Executor, _turn: int) -> float:
    """restart() with both workers in C code that holds the interpreter's lock."""
    whole(executor)
    with occupied(executor, hold_interpreter):
        return timed_restart(executor)


def restart_stopped(executor: Executor, _turn: int) -> float:
    """restart() with both workers stopped by SIGSTOP."""
    for pid in whole(executor).values():
        os.kill(pid, signal.SIGSTOP)
    return timed_restart(executor)


def stop_python(executor: Executor, _turn: int) -> float:
    """cancel(force=True) of Python code on both workers; until both do something else."""
    return timed_stop(executor, loop_for_ever)


def stop_c(executor: Executor, _turn: int) -> float:
    """cancel(force=True) of C code on both workers; until both do something else."""
    return timed_stop(executor, hold_interpreter)


def timed_stop(executor: Executor, function: Callable[[str], object]) -> float:
    """Stop a function that runs on each worker, and see both do something else."""
    whole(executor)
    with occupied(executor, function) as futures, tempfile.TemporaryDirectory() as folder:
        marks = [str(Path(folder, name)) for name in ("one", "other")]
        began_s = time.perf_counter()
        executor.cancel(futures, force=True)
        executor.gather(executor.map(meet, marks, marks[::-1], pure=False))
        return time.perf_counter() - began_s


ROWS: dict[str, tuple[Callable[[Executor, int], float], float]] = {  # name: what is measured, and what is promised
    "worker-killed": (worker_killed, 0.3),
    "worker-stopped": (worker_stopped, 3.0),
    "scheduler-killed": (scheduler_killed, 1.0),
    "scheduler-killed-in-work": (scheduler_killed_in_work, 1.0),
    "restart-idle": (restart_idle, 2.0),
    "restart-in-loop": (restart_in_loop, 2.0),
    "restart-in-c": (restart_in_c, 2.0),
    "restart-stopped": (restart_stopped, 2.0),
    "stop-python": (stop_python, 0.5),
    "stop-c": (stop_c, 2.5),
}


def main() -> int:
    """Measure every row that is named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--times", type=int, default=10, help="how often each")
    parser.add_argument("names", nargs="*", choices=[[], *ROWS], metavar="NAME")
    given = parser.parse_args()
    print(f"{'what':<26} {'median s':>9} {'longest s':>10} {'promised s':>11}  times")
    for name in given.names or ROWS:
        measure, promised_s = ROWS[name]
        with Executor(n_workers=2) as executor:
            took_s = [measure(executor, turn) for turn in range(given.times)]
        verdict = "" if max(took_s) <= promised_s else f"  {sum(s > promised_s for s in took_s)} longer"
        median_s, longest_s = statistics.median(took_s), max(took_s)
        print(f"{name:<26} {median_s:9.3f} {longest_s:10.3f} {promised_s:11.1f}  {given.times}{verdict}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
