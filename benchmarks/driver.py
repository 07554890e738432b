"""Puts one contestant through everything, in a process of its own: ``python -m benchmarks.driver NAME SIZES``.

Only the standard library is imported before the contestant. Results go to standard output, one JSON object a line; a
line ``{"probe": …}`` asks the runner to look at this process and its children from outside, and is answered on
standard input. A measure that would take longer than its budget is made with fewer tasks: rates do not depend on it.
"""

import gc
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from benchmarks.contestants import CONTESTANTS, Contestant

WORKERS = 2
WARM_UP = 500
SETTLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    round_trips: int = 2000
    tasks: int = 20_000
    leaves: int = 4096
    idle_s: float = 3.0
    budget_s: float = 5.0  # for each of the first three

    def encode(self) -> str:
        """Return them as an argument of a command."""
        return json.dumps(asdict(self))


def increment(number: int) -> int:
    """Do next to nothing."""
    return number + 1


def add(left: int, right: int) -> int:
    """Do next to nothing with two results."""
    return left + right


def tell(**figures: float | None) -> None:
    """Hand figures to the runner."""
    print(json.dumps(figures), flush=True)


def probe(kind: str) -> dict[str, float]:
    """Have the runner look from outside."""
    print(json.dumps({"probe": kind}), flush=True)
    answer: dict[str, float] = json.loads(sys.stdin.readline())
    return answer


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value that this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure_start(contestant: Contestant) -> None:
    """From nothing to the first result."""
    began_s = time.perf_counter()
    contestant.load()
    loaded_s = time.perf_counter()
    contestant.start(WORKERS)
    contestant.call(increment, 0)
    done_s = time.perf_counter()
    tell(first_result_s=done_s - loaded_s, first_result_with_import_s=done_s - began_s)


def warm_up(contestant: Contestant) -> float:
    """Have every worker work a little; return the seconds a task took."""
    contestant.map(increment, range(-WARM_UP, 0))
    began_s = time.perf_counter()
    contestant.map(increment, range(-2 * WARM_UP, -WARM_UP))
    return (time.perf_counter() - began_s) / WARM_UP


def measure_idle(idle_s: float) -> None:
    """Leave it alone, and see what it costs to have it."""
    gc.collect()
    time.sleep(SETTLE_S)
    tell(**probe("memory"))
    before_s = probe("cpu")["cpu_s"]
    began_s = time.perf_counter()
    time.sleep(idle_s)
    took_s = time.perf_counter() - began_s
    tell(idle_cpu_percent=100 * (probe("cpu")["cpu_s"] - before_s) / took_s)


def measure_round_trips(contestant: Contestant, sizes: Sizes) -> None:
    """One task after another."""
    times_ms = []
    end_s = time.perf_counter() + sizes.budget_s
    for number in range(sizes.round_trips):
        began_s = time.perf_counter()
        contestant.call(increment, number)
        now_s = time.perf_counter()
        times_ms.append(1000 * (now_s - began_s))
        if now_s > end_s:
            break
    tell(
        round_trip_ms=quantile(times_ms, 0.5),
        round_trip_p99_ms=quantile(times_ms, 0.99),
        round_trips=len(times_ms),
    )


def measure_tasks(contestant: Contestant, sizes: Sizes, task_s: float) -> None:
    """Many trivial tasks at once."""
    count = max(2 * WARM_UP, min(sizes.tasks, int(sizes.budget_s / task_s)))
    before_s = probe("cpu")["cpu_s"]
    began_s = time.perf_counter()
    results = contestant.map(increment, range(10_000_000, 10_000_000 + count))
    took_s = time.perf_counter() - began_s
    cpu_s = probe("cpu")["cpu_s"] - before_s
    assert results[-1] == 10_000_000 + count
    tell(tasks_per_s=count / took_s, cpu_us_per_task=1e6 * cpu_s / count, tasks=count)


def measure_tree(contestant: Contestant, sizes: Sizes, task_s: float) -> None:
    """Reduce in pairs, through futures."""
    leaves = sizes.leaves
    while leaves > WARM_UP and 2 * leaves * task_s > sizes.budget_s:
        leaves //= 2
    began_s = time.perf_counter()
    total = contestant.reduce(increment, add, range(leaves))
    took_s = time.perf_counter() - began_s
    if total is not None:
        assert total == leaves * (leaves + 1) // 2
        tell(tree_tasks_per_s=(2 * leaves - 1) / took_s, leaves=leaves)


def main(arguments: list[str]) -> int:
    """Measure one contestant."""
    name, sizes = arguments[0], Sizes(**json.loads(arguments[1]))
    contestant = CONTESTANTS[name][1]()
    measure_start(contestant)
    task_s = warm_up(contestant)
    measure_idle(sizes.idle_s)
    measure_round_trips(contestant, sizes)
    measure_tasks(contestant, sizes, task_s)
    measure_tree(contestant, sizes, task_s)
    began_s = time.perf_counter()
    contestant.stop()
    tell(stop_s=time.perf_counter() - began_s)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
