"""What each process of a cluster keeps when many tasks come and go: ``python -m benchmarks.memory [--tasks N] [--looks N]``.

Each turn submits a few tasks of every kind that leaves something behind in a careless system, reads what they return and
drops them: calls of one function, functions that are new each time, exceptions, a chain, prints, a result that its worker
holds, a nested list of futures, a set that is cancelled. A line tells the resident memory of scheduler, workers, nanny
and client after each part, in MB; the last one by how much each grew after the first fifth, in bytes a task. What grows
for ever shows there: with 1,000,000 tasks, 8 MB are 10 bytes a task.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import psutil

from jupyter_dist import Executor

MB = 1e6
WARM_SHARE = 0.2  # of the tasks: until then pools, caches and the heaps themselves grow
TURN_TASKS = 90


def add(left: int, right: int) -> int:
    """Return a small result."""
    return left + right


def fail(number: int) -> None:
    """Raise."""
    raise ValueError(f"number {number} is not wanted")


def speak(number: int) -> int:
    """Print."""
    print("number", number)
    return number


def calls(executor: Executor, turn: int) -> None:
    """Call one function, with arguments that were never there before."""
    numbers = range(turn * 40, turn * 40 + 40)
    assert executor.gather(executor.map(add, numbers, numbers)) == [2 * number for number in numbers]


def closures(executor: Executor, turn: int) -> None:
    """Call functions that nobody calls again, each of its own name."""
    functions = [lambda number=number: number + turn for number in range(5)]
    for number, function in enumerate(functions):
        function.__name__ = function.__qualname__ = f"function_{turn}_{number}"
    futures = [executor.submit(function) for function in functions]
    assert executor.gather(futures) == [number + turn for number in range(5)]


def exceptions(executor: Executor, turn: int) -> None:
    """Have tasks fail, and others by them."""
    futures = executor.map(fail, range(turn * 5, turn * 5 + 5))
    futures += [executor.submit(add, future, 1) for future in futures]
    for future in futures:
        with contextlib.suppress(ValueError):
            future.result()


def chain(executor: Executor, turn: int) -> None:
    """Make results from results, and keep the last one alone."""
    future = executor.submit(add, turn, -turn)
    for number in range(9):
        future = executor.submit(add, future, number)
    assert future.result() == 36


def prints(executor: Executor, turn: int) -> None:
    """Print."""
    assert executor.gather(executor.map(speak, [turn * 5 + number for number in range(5)]))


def held(executor: Executor, turn: int) -> None:
    """Have a worker hold results that are too large for the scheduler, use them and let them go."""
    futures = [executor.submit(bytes, 100_000 + turn % 1000 + number) for number in range(2)]
    assert executor.submit(add_lengths, {"values": [futures]}).result() == 200_001 + 2 * (turn % 1000)


def add_lengths(nested: dict[str, list[list[bytes]]]) -> int:
    """Use large inputs."""
    return sum(len(value) for values in nested["values"] for value in values)


def cancelled(executor: Executor, turn: int) -> None:
    """Change one's mind."""
    futures = executor.map(add, range(turn * 10, turn * 10 + 10), [0.5] * 10)
    executor.cancel(futures)


KINDS: tuple[Callable[[Executor, int], None], ...] = (calls, closures, exceptions, chain, prints, held, cancelled)


def processes(executor: Executor) -> dict[str, psutil.Process]:
    """Return the processes of a cluster by what they are; a fork server is part of its nanny."""
    nanny = psutil.Process(executor.info.pid)
    found = {"client": psutil.Process(), "nanny": nanny}
    workers = {worker.pid: worker.name for worker in executor.snapshot().workers}
    for process in nanny.children(recursive=True):
        is_parent = bool(process.children())
        if process.pid in workers:
            found[workers[process.pid]] = process
        elif not is_parent and process.ppid() != nanny.pid:
            found["scheduler"] = process
    return dict(sorted(found.items()))


def measure(executor: Executor, tasks: int, looks: int) -> Iterator[tuple[int, dict[str, int]]]:
    """Run at least so many tasks, and yield how many have run and the resident bytes of each process, again and again."""
    watched = processes(executor)
    every = max(1, tasks // looks)
    turn = done = 0
    while done < tasks:
        goal = done + every
        while done < goal:
            for kind in KINDS:
                kind(executor, turn)
            turn += 1
            done += TURN_TASKS
        yield done, {name: process.memory_info().rss for name, process in watched.items()}


def growth(seen: list[tuple[int, dict[str, int]]]) -> dict[str, float]:
    """Return by how many bytes a task each process grew after the first fifth: between the least of its two halves."""
    warm = [look for look in seen if look[0] >= WARM_SHARE * seen[-1][0]]
    half = max(1, len(warm) // 2)
    first, second = warm[:half], warm[half:] or warm[-1:]
    between = max(1, second[0][0] - first[0][0])
    names = seen[-1][1]
    return {
        name: (min(rss[name] for _done, rss in second) - min(rss[name] for _done, rss in first)) / between
        for name in names
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--looks", type=int, default=20)
    options = parser.parse_args()
    with Executor(n_workers=2) as executor:
        executor.wait_for_workers(timeout=60)
        seen: list[tuple[int, dict[str, int]]] = []
        started_s = time.monotonic()
        for done, rss in measure(executor, options.tasks, options.looks):
            if not seen:
                print("tasks".rjust(10), "s".rjust(6), *(name.rjust(10) for name in rss))
            seen.append((done, rss))
            figures = (f"{nbytes / MB:.1f}".rjust(10) for nbytes in rss.values())
            print(f"{done:,}".rjust(10), f"{time.monotonic() - started_s:.0f}".rjust(6), *figures, flush=True)
    print("bytes a task".rjust(17), *(f"{grown:.1f}".rjust(10) for grown in growth(seen).values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
