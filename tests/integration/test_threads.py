"""Many threads, one Executor: everything at once, every result right, nothing left."""

from __future__ import annotations

import gc
import random
import threading
import time
from concurrent.futures import CancelledError

from jupyter_dist import Executor, as_completed, wait
from tests.integration.conftest import wait_until

THREADS = 20
SECONDS = 3.0


def inc(number: int) -> int:
    return number + 1


def total(numbers: list[int]) -> int:
    return sum(numbers)


def fail(number: int) -> int:
    raise ValueError(number)


class Player:
    """One thread that does one thing after the other, and checks each result."""

    def __init__(self, executor: Executor, seed: int) -> None:
        self.executor = executor
        self.random = random.Random(seed)
        self.rounds = 0
        self.failure: BaseException | None = None

    def run(self, until_s: float) -> None:
        actions = (
            self.submit,
            self.map,
            self.scatter,
            self.cancel,
            self.drop,
            self.error,
            self.completed,
            self.release,
        )
        try:
            while not self.rounds or time.monotonic() < until_s:
                self.random.choice(actions)(self.random.randrange(1000))
                self.rounds += 1
        except BaseException as error:  # noqa: BLE001 - raised by the test
            self.failure = error

    def submit(self, number: int) -> None:
        chain = self.executor.submit(inc, self.executor.submit(inc, number))
        assert chain.result(30) == number + 2

    def map(self, number: int) -> None:
        futures = self.executor.map(inc, range(number, number + 20))
        assert self.executor.gather(futures) == list(range(number + 1, number + 21))

    def scatter(self, number: int) -> None:
        data = self.executor.scatter(list(range(number)))
        assert self.executor.submit(total, data).result(30) == sum(range(number))
        large = self.executor.scatter(bytes(100_000 + number))
        assert self.executor.submit(len, large).result(30) == 100_000 + number

    def cancel(self, number: int) -> None:
        futures = self.executor.map(inc, range(number, number + 10), pure=False)
        self.executor.cancel(futures[::2], force=bool(number % 2))
        for index, future in enumerate(futures):
            try:
                assert future.result(30) == number + index + 1
            except CancelledError:
                assert index % 2 == 0

    def drop(self, number: int) -> None:
        kept = self.executor.map(inc, range(number, number + 10))[3]
        assert kept.result(30) == number + 4

    def error(self, number: int) -> None:
        futures = [self.executor.submit(fail, number), self.executor.submit(inc, number)]
        assert self.executor.gather(futures, errors="skip") == [number + 1]
        assert futures[0].exception(30).args == (number,)

    def completed(self, number: int) -> None:
        pairs = as_completed(self.executor.map(inc, range(number, number + 10)), timeout=30, with_results=True)
        assert sorted(value for _future, value in pairs) == list(range(number + 1, number + 11))

    def release(self, number: int) -> None:
        future = self.executor.submit(inc, number, pure=False)
        wait([future], timeout=30)
        future.release()
        assert future.cancelled()


def test_many_threads_do_everything_at_once_and_leave_nothing(executor):
    seed = random.randrange(10**6)
    print("seed", seed)
    players = [Player(executor, seed + index) for index in range(THREADS)]
    until_s = time.monotonic() + SECONDS
    threads = [threading.Thread(target=player.run, args=(until_s,)) for player in players]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    failures = [player.failure for player in players if player.failure is not None]
    assert not failures, failures
    assert min(player.rounds for player in players) > 0
    players.clear()
    gc.collect()
    wait_until(lambda: not any(executor.snapshot().counts.values()), "nothing is left on the cluster")
    wait_until(lambda: not executor.futures, "nothing is wanted")
