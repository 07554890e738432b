import contextlib
import functools
import signal
import threading
import time
import traceback

import pytest

from jupyter_dist.processes.interrupt import STOP_SIGNAL, MainGuard, ThreadGuard


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


def count_to(count, attempt):
    """Compute for a moment, as a task that survives an interrupt."""
    with contextlib.suppress(KeyboardInterrupt):
        count_up(count)
    return attempt


def hammer(guard, rounds, slot_of):
    """Strike at the worst moments: return what escaped a guard or struck the wrong attempt."""
    wrong, current, done = [], [1], threading.Event()

    def strike():
        while not done.is_set():
            attempt = current[0]
            guard._stopping.add(attempt)
            guard.strike(attempt)

    def slot():
        try:
            for attempt in range(1, rounds):
                current[0] = attempt
                outcome = guard.run(attempt, functools.partial(count_to, 300, attempt), lambda _e, a=attempt: a)
                if outcome != attempt:
                    wrong.append(outcome)
                guard._stopping.discard(attempt)
                count_up(50)  # our own code: nothing may strike here
        except KeyboardInterrupt:
            wrong.append(traceback.format_exc())
        finally:
            done.set()

    striker = threading.Thread(target=strike)
    striker.start()
    slot_of(slot)
    striker.join()
    return wrong


def test_strikes_at_every_moment_never_escape_the_main_guard(main_guard):
    assert hammer(main_guard, 1000, lambda slot: slot()) == []


def test_strikes_at_every_moment_never_escape_a_thread_guard():
    def in_thread(slot):
        thread = threading.Thread(target=slot)
        thread.start()
        thread.join()

    assert hammer(ThreadGuard(set()), 1000, in_thread) == []
