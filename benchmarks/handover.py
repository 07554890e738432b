"""How often a lock changes hands, and what goes through a queue and a variable: ``python -m benchmarks.handover [count]``.

Two clients of one process on a cluster of its own, each in a thread. Every line is a rate of the whole, not of each.
"""

import sys
import threading
import time
from collections.abc import Callable

from jupyter_dist import Executor, Lock, Queue, Variable

COUNT = 2000


def measure(label: str, count: int, *calls: Callable[[], object]) -> None:
    """Make each call so often, each in a thread, and print how many were made in a second."""
    threads = [threading.Thread(target=repeat, args=(call, count)) for call in calls]
    began_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{label:<24} {count * len(calls) / (time.perf_counter() - began_s):>8,.0f}/s", flush=True)


def repeat(call: Callable[[], object], count: int) -> None:
    """Make a call so often."""
    for _ in range(count):
        call()


def pass_through(lock: Lock) -> Callable[[], None]:
    """Return a call that takes a lock and lets it go."""

    def call() -> None:
        with lock:
            pass

    return call


def main(count: int) -> None:
    """Measure."""
    with Executor(n_workers=1) as one, Executor(one.info, set_as_default=False) as two:
        locks = [Lock("lock", executor) for executor in (one, one, two)]
        measure("lock, one client", count, pass_through(locks[0]))
        measure("lock, two threads", count, pass_through(locks[0]), pass_through(locks[1]))
        measure("lock, two clients", count, pass_through(locks[0]), pass_through(locks[2]))
        mine, theirs = Queue("queue", executor=one), Queue("queue", executor=two)
        measure("queue, put and get", count, lambda: mine.put(1), theirs.get)
        variable = Variable("variable", one)
        measure("variable, set", count, lambda: variable.set(1))
        measure("variable, get", count, variable.get)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
