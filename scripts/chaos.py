"""A real cluster whose processes are killed and stopped at random, while graphs with known answers run on it.

``make chaos MINUTES=10``. Each graph is a tree of sums over numbers, with impure leaves that leave a mark in a folder for
each run, large results, and scattered data; its answer is known. Every second or so something is done to a process: a
worker is killed or stopped, the scheduler is killed or stopped for a moment. It ends with a count of graphs, of what was
done, and of answers that were wrong, lost (an error) or hung (not there in time): all must be 0. The seed is printed;
chance of the operating system is not in it.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from jupyter_dist import Executor

HUNG_S = 60.0
LARGE = 200_000


def leaf(folder: str, graph: int, number: int) -> tuple[int, bytes]:
    """Return a number with ballast, and leave a mark."""
    Path(folder, f"{graph}-{number}-{time.time_ns()}").touch()
    time.sleep(0.01)
    return number, bytes(LARGE if number % 5 == 0 else 10)


def add(parts: list[tuple[int, bytes]], data: bytes) -> int:
    """Return a sum, and a little more for the data."""
    return sum(number for number, _ in parts) + data[1]


class Chaos:
    """One run."""

    def __init__(self, executor: Executor, rng: random.Random, folder: str) -> None:
        self.executor = executor
        self.rng = rng
        self.folder = folder
        self.done: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.words: list[str] = []
        self._stopped: list[tuple[float, psutil.Process]] = []

    def processes(self) -> tuple[list[psutil.Process], list[psutil.Process]]:
        """Return the workers and the scheduler, as far as they are there."""
        workers, schedulers = [], []
        own = Path(self.executor.info.address.removeprefix("unix:"))
        for process in psutil.Process(self.executor.info.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                served = {Path(connection.laddr) for connection in process.net_connections("unix") if connection.laddr}
                if own in served:
                    schedulers.append(process)
                elif any("worker" in path.name for path in served):
                    workers.append(process)
        return workers, schedulers

    def strike(self) -> None:
        """Do something to a process."""
        workers, schedulers = self.processes()
        what = self.rng.choice(("kill worker", "kill worker", "stop worker", "kill scheduler", "pause scheduler"))
        victims = workers if what.endswith("worker") else schedulers
        if victims:
            victim = self.rng.choice(victims)
            with contextlib.suppress(psutil.Error):
                victim.send_signal(signal.SIGKILL if what.startswith("kill") else signal.SIGSTOP)
                self.done[what] += 1
                if what == "pause scheduler":
                    self._stopped.append((time.monotonic() + self.rng.uniform(0.1, 1.5), victim))

    def resume(self) -> None:
        """Let schedulers go on whose pause is over."""
        for due in tuple(self._stopped):
            if time.monotonic() >= due[0]:
                self._stopped.remove(due)
                with contextlib.suppress(psutil.Error):
                    due[1].send_signal(signal.SIGCONT)

    def graph(self, number: int) -> None:
        """Run one graph, with trouble meanwhile, and judge its answer."""
        executor, rng = self.executor, self.rng
        data = executor.scatter(bytes([0, number % 256]) * LARGE)
        count = rng.randint(10, 80)
        leaves = executor.map(leaf, [self.folder] * count, [number] * count, range(count), pure=False)
        parts = [executor.submit(add, leaves[at : at + 7], data, pure=False) for at in range(0, count, 7)]
        top = executor.submit(sum, parts, pure=False)
        expected = sum(range(count)) + len(parts) * (number % 256)
        until_s, strike_s = time.monotonic() + HUNG_S, time.monotonic() + rng.expovariate(1.0)
        while not top.done() and time.monotonic() < until_s:
            self.resume()
            if time.monotonic() >= strike_s:
                strike_s = time.monotonic() + rng.expovariate(1.0)
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.strike()
            time.sleep(0.005)
        self._judge(number, top, expected)

    def _judge(self, number: int, top: object, expected: int) -> None:
        if not top.done():  # type: ignore[attr-defined]  # a Future
            self.found["hung"] += 1
            self.words.append(f"graph {number}: {top.explain()}")  # type: ignore[attr-defined]
            return
        try:
            answer = top.result()  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is lost
            self.found["lost"] += 1
            self.words.append(f"graph {number}: {type(error).__name__}: {error}")
        else:
            self.found["right" if answer == expected else "wrong"] += 1


def main() -> int:
    """Run for some minutes; return 1 when something was wrong, lost or hung."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311 - it must be repeatable
    print(f"chaos: {options.minutes:g} minutes, seed {options.seed}")
    until_s = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder, Executor(n_workers=3) as executor:
        chaos = Chaos(executor, rng, folder)
        number = 0
        while time.monotonic() < until_s and not chaos.found["hung"]:
            chaos.graph(number)
            number += 1
        runs = len(list(Path(folder).iterdir()))
    for words in chaos.words[:10]:
        print(words)
    print(f"done to processes: {dict(chaos.done)}; {runs} leaves ran")
    print(f"answers: {dict(chaos.found)}")
    is_good = not any(chaos.found[name] for name in ("wrong", "lost", "hung"))
    print("chaos: OK" if is_good else "chaos: FAILED")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
