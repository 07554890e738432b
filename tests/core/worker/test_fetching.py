import pytest

from jupyter_dist.core.worker.events import Arrived, Ended
from jupyter_dist.messages import STORE, DropFunctions, InputMissing, StopAttempt, TaskFinished, TaskInput, Withdraw
from tests.core.worker.worker_model import Bench, remote


def asked(bench):
    return [(fetch.key, fetch.holder) for fetch in bench.fetches.values()]


def test_fetch_arrives_makes_the_attempt_ready():
    bench = Bench()
    bench.assign(1, remote("x", "a"))
    assert bench.hand == []
    bench.arrive(1)
    assert bench.hand == [1]
    assert bench.ready[1].inputs["x"].buffers == [b"stream"]


def test_fetch_wanted_by_two_attempts_is_shared():
    bench = Bench()
    bench.assign(1, remote("x", "a"))
    bench.assign(2, remote("x", "b"))
    assert asked(bench) == [("x", "a")]
    bench.arrive(1)
    assert bench.hand == [1, 2]


def test_fetched_input_is_kept_only_while_an_attempt_needs_it():
    bench = Bench()
    bench.assign(1, remote("x", "a"))
    bench.arrive(1)
    bench.assign(2, remote("x", "a"))
    assert bench.hand == [1, 2]  # no second fetch
    for attempt in (1, 2):
        bench.begin()
        bench.finish(attempt)
    bench.assign(3, remote("x", "a"))
    assert asked(bench) == [("x", "a")]


def test_fetch_fails_asks_the_next_holder_then_gives_back():
    bench = Bench()
    bench.assign(1, remote("x", "a", "b"))
    bench.assign(2, remote("x", "b"))
    bench.miss(1)
    assert asked(bench) == [("x", "b")]
    bench.miss(2)
    assert bench.take_said() == [InputMissing(1, "x", "b"), InputMissing(2, "x", "b")]
    assert bench.machine.deadline() is None


def test_fetch_without_holders_gives_back_at_once():
    bench = Bench()
    bench.assign(1, remote("x"), remote("y", "a"))
    assert bench.take_said() == [InputMissing(1, "x", "")]
    assert bench.fetches == {}


def test_fetch_of_silent_holder_is_given_up_at_its_deadline():
    bench = Bench(fetch_bytes_per_s_min=1000)
    bench.assign(1, remote("x", "a", "b", nbytes=4000))
    deadline = bench.machine.deadline()
    assert deadline == bench.now + 2 * 3.0 + 4.0
    bench.tick(10.0)
    assert bench.abandoned == [1]
    assert asked(bench) == [("x", "b")]
    bench.happen(Arrived(1, "x", [b"late"]))
    assert bench.hand == []


def test_fetches_beyond_the_limit_wait_for_their_turn():
    bench = Bench(fetches_max=2)
    bench.assign(1, *(remote(key, "a") for key in "xyz"))
    assert asked(bench) == [("x", "a"), ("y", "a")]
    bench.arrive(1)
    assert asked(bench) == [("y", "a"), ("z", "a")]


def test_withdrawn_attempt_lets_its_fetches_go():
    bench = Bench(fetches_max=1)
    bench.assign(1, remote("x", "a"), remote("y", "a"))
    bench.assign(2, remote("y", "b"))
    bench.hear(Withdraw((1,)))
    assert bench.abandoned == [1]
    assert asked(bench) == [("y", "a")]  # attempt 2 still wants it


def test_function_dropped_while_fetching_still_serves_its_attempt():
    bench = Bench()
    bench.assign(1, remote("x", "a"))
    bench.hear(DropFunctions(("f", "unknown")))
    assert bench.forgotten == ["f"]
    bench.arrive(1)
    bench.begin()
    bench.finish(1)
    assert [type(message) for message in bench.take_said()] == [TaskFinished]


def test_stored_input_is_there_at_once_and_no_fetch():
    bench = Bench()
    bench.assign(1, TaskInput("x", None, 10**9, (), "a1"), remote("y", "a"))
    assert asked(bench) == [("y", "a")]
    bench.arrive(1)
    assert bench.ready[1].inputs["x"].name == "a1"


@pytest.mark.parametrize("is_stopped", [False, True])
def test_stored_input_that_a_slot_cannot_map_gives_the_attempt_back(is_stopped):
    bench = Bench()
    bench.assign(1, TaskInput("x", None, 10**9, (), "a1"))
    bench.begin()
    if is_stopped:
        bench.hear(StopAttempt(1))
    missing = InputMissing(1, "x", STORE + "a1", "gone")
    bench.happen(Ended(missing))
    assert bench.said[-1] == missing
    assert bench.machine._state.attempts == {}
