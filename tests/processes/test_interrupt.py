import functools
import random
import signal
import sys
import threading
import time
import traceback

import pytest

from jupyter_dist.processes.interrupt import STOP_SIGNAL, MainGuard, ThreadGuard

HAMMER_S = 1.0
PATIENCE_S = 30.0
LANDED_MIN = 20  # fewer strikes prove nothing


@pytest.fixture
def main_guard():
    before = signal.getsignal(STOP_SIGNAL)
    yield MainGuard(set())
    signal.signal(STOP_SIGNAL, before)


def told(error):
    return f"interrupted: {type(error).__name__}"


def strike_soon(guard, attempt, when):
    def strike():
        when.wait()
        guard._stopping.add(attempt)
        while guard.strike(attempt):
            time.sleep(0.01)

    thread = threading.Thread(target=strike)
    thread.start()
    return thread


def sleeper(begun):
    def work():
        try:
            begun.set()
            time.sleep(30)
        except KeyboardInterrupt:
            return "struck"
        return "slept"

    return work


def spinner(begun):
    def work():
        try:
            begun.set()
            while True:
                sum(range(100))
        except KeyboardInterrupt:
            return "struck"

    return work


def test_strike_in_main_thread_ends_a_sleep(main_guard):
    begun = threading.Event()
    thread = strike_soon(main_guard, 5, begun)
    started = time.monotonic()
    assert main_guard.run(5, sleeper(begun), told) == "struck"
    assert time.monotonic() - started < 10
    thread.join()


def test_strike_in_another_thread_ends_a_computation():
    guard, begun, found = ThreadGuard(set()), threading.Event(), []
    slot = threading.Thread(target=lambda: found.append(guard.run(5, spinner(begun), told)))
    slot.start()
    strike_soon(guard, 5, begun).join()
    slot.join()
    assert found == ["struck"]


@pytest.mark.parametrize("kind", ["main", "thread"])
def test_strike_before_the_code_begins_is_not_lost(kind, main_guard):
    guard = main_guard if kind == "main" else ThreadGuard(set())
    guard._stopping.add(5)
    guard.strike(5)
    assert guard.run(5, lambda: "ran", told) == "interrupted: KeyboardInterrupt"
    assert guard.run(6, lambda: "ran", told) == "ran"


@pytest.mark.parametrize("kind", ["main", "thread"])
def test_strike_of_another_attempt_does_nothing(kind, main_guard):
    guard = main_guard if kind == "main" else ThreadGuard(set())

    def work():
        guard._stopping.add(4)
        guard.strike(4)
        for _ in range(1000):
            pass
        return "ran"

    assert guard.run(5, work, told) == "ran"


def test_strike_of_a_task_that_swallows_it_comes_once(main_guard):
    def work():
        caught = 0
        for _ in range(3):
            try:
                main_guard._stopping.add(5)
                main_guard.strike(5)
                for _ in range(1000):
                    pass
            except KeyboardInterrupt:
                caught += 1
        return caught

    assert main_guard.run(5, work, told) == 1


def test_signal_outside_of_a_task_does_nothing(main_guard):
    signal.raise_signal(STOP_SIGNAL)
    assert main_guard.run(5, lambda: signal.raise_signal(STOP_SIGNAL), told) is None


def count_up(count):
    total = 0
    for number in range(count):
        total += number


class Hammer:
    """Strikes each attempt once, at a random moment around it, and notes what escaped a guard or struck another."""

    def __init__(self, guard):
        self.guard = guard
        self.current = 1
        self.landed = 0  # strikes felt by the attempt they were meant for
        self.wrong = []
        self.done = threading.Event()

    def work(self, attempt):
        try:
            count_up(300)
        except KeyboardInterrupt:
            self.landed += 1
        return attempt

    def strike(self):
        rng, struck = random.Random(5), 0
        while not self.done.is_set():
            attempt = self.current
            if attempt != struck:
                count_up(rng.randrange(500))
                self.guard._stopping.add(attempt)
                self.guard.strike(attempt)
                struck = attempt

    def is_enough(self, elapsed_s):
        return elapsed_s > PATIENCE_S or (elapsed_s > HAMMER_S and self.landed > LANDED_MIN)

    def slot(self):
        began = time.monotonic()
        try:
            while not self.is_enough(time.monotonic() - began):
                attempt = self.current
                outcome = self.guard.run(attempt, functools.partial(self.work, attempt), lambda _error: "between")
                if outcome not in {attempt, "between"}:
                    self.wrong.append(outcome)
                count_up(50)  # our own code: nothing may strike here
                self.current += 1
        except KeyboardInterrupt:
            self.wrong.append(traceback.format_exc())
        finally:
            self.done.set()

    def run(self, slot_of):
        striker = threading.Thread(target=self.strike)
        striker.start()
        slot_of(self.slot)
        striker.join()


@pytest.fixture
def threads_switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def in_thread(slot):
    thread = threading.Thread(target=slot)
    thread.start()
    thread.join()


@pytest.mark.parametrize("kind", ["main", "thread"])
def test_strikes_at_every_moment_never_escape_their_guard(kind, main_guard, threads_switch_often):
    hammer = Hammer(main_guard if kind == "main" else ThreadGuard(set()))
    hammer.run((lambda slot: slot()) if kind == "main" else in_thread)
    print(f"{hammer.landed} strikes landed in {hammer.current} attempts")
    assert hammer.wrong == []
    assert hammer.landed > LANDED_MIN, "the hammer hit nothing: this run proves nothing"
