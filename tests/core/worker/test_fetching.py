import pytest

from jupyter_dist.core.worker.events import Arrived, Ended, StoreEnded
from jupyter_dist.messages import (
    STORE,
    CopyFailed,
    CopyMade,
    DropFunctions,
    FreeKeys,
    HeldResult,
    HoldCopy,
    InputMissing,
    Leaving,
    StopAttempt,
    StoreCopy,
    TaskFinished,
    TaskInput,
    Withdraw,
)
from tests.core.worker.worker_model import WELCOME, Bench, remote


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


# -- copies

MAKER = 77  # the attempt that made what is copied


def hold(bench, copy, key, *holders, nbytes=1000):
    bench.hear(HoldCopy(copy, key, nbytes, holders, MAKER, "int"))


def test_copy_is_fetched_and_held_as_it_came():
    bench = Bench()
    hold(bench, 7, "x", "a")
    bench.arrive(1)
    assert bench.take_said() == [CopyMade(7)]
    assert bench.machine.find_held("x").buffers == [b"stream"]
    assert bench.machine.count_held() == (1, 1000)
    bench.assign(1, remote("x", "a"))
    assert bench.hand == [1]
    bench.hear(FreeKeys(("x",)))
    assert bench.machine.count_held() == (0, 0)


def test_copy_of_what_is_here_is_made_at_once():
    bench = Bench()
    bench.assign(1, remote("x", "a"))
    bench.arrive(1)
    hold(bench, 7, "x", "a")  # fetched for an attempt
    hold(bench, 8, "x", "a")  # held
    assert bench.take_said() == [CopyMade(7), CopyMade(8)]
    bench.begin()
    bench.finish(1)
    assert bench.machine.count_held() == (1, 1000)


def test_copy_and_attempts_share_a_fetch_and_each_lets_it_go_alone():
    bench = Bench()
    bench.assign(1, remote("x", "a"))
    hold(bench, 7, "x", "a", "b")
    assert asked(bench) == [("x", "a")]
    bench.hear(Withdraw((1,)))
    assert bench.abandoned == []
    bench.assign(2, remote("x", "a"))
    bench.hear(FreeKeys(("x",)))  # the copy is not wanted any more
    bench.arrive(1)
    assert bench.hand == [2]
    assert bench.machine.count_held() == (0, 0)


def test_copy_not_wanted_any_more_abandons_its_fetch():
    bench = Bench()
    hold(bench, 7, "x", "a")
    bench.hear(FreeKeys(("x", "unknown")))
    assert bench.abandoned == [1]
    assert bench.take_said() == []


def test_copy_that_no_holder_gives_fails_with_the_last_reason_and_attempts_come_back():
    bench = Bench()
    hold(bench, 7, "x", "a", "b")
    bench.assign(1, remote("x", "a"))
    bench.miss(1, "not there")
    bench.tick(60.0)
    assert bench.take_said() == [CopyFailed(7, "b did not answer in time"), InputMissing(1, "x", "b")]
    hold(bench, 8, "x")
    assert bench.take_said() == [CopyFailed(8, "nobody is said to hold it")]


def test_store_writes_what_is_held_and_tells():
    bench = Bench()
    bench.assign(1, key="x")
    bench.begin()
    bench.finish(1, None, "value", 300, key="x")
    bench.take_said()
    bench.hear(StoreCopy(7, "x", "aa"), StoreCopy(8, "y", "bb"))
    (order,) = bench.stores
    assert (order.copy, order.name, order.held.value) == (7, "aa", "value")
    bench.happen(StoreEnded(7, "aa"))
    bench.hear(StoreCopy(9, "x", "cc"))
    bench.happen(StoreEnded(9, "cc", "no room"))
    assert bench.take_said() == [CopyFailed(8, "it is not held here"), CopyMade(7), CopyFailed(9, "no room")]
    assert bench.unstored == []


def test_disconnected_gives_copies_up_and_removes_what_is_written_for_nobody():
    bench = Bench()
    bench.assign(1, key="x")
    bench.begin()
    bench.finish(1, None, "value", 300, key="x")
    bench.hear(StoreCopy(7, "x", "aa"), StoreCopy(8, "x", "bb"))
    hold(bench, 9, "y", "a")
    bench.disconnect()
    assert bench.abandoned == [1]
    bench.happen(StoreEnded(7, "aa"), StoreEnded(8, "bb", "no room"))
    assert bench.unstored == ["aa"]


def test_copy_is_told_to_the_next_scheduler_as_what_its_maker_made():
    bench = Bench()
    hold(bench, 7, "x", "a")
    bench.arrive(1)
    bench.disconnect()
    assert bench.machine.list_kept() == ((HeldResult("x", MAKER, 1000, "int"),), ())


def test_result_that_was_moved_away_is_not_said_again():
    bench = Bench()
    for attempt in (1, 2):
        bench.assign(attempt)
        bench.begin()
        bench.finish(attempt, None, live=[attempt], nbytes=10)
    bench.hear(FreeKeys(("k1",)))
    bench.disconnect()
    held, running = bench.machine.list_kept()
    assert [result.attempt for result in held] == [2]
    assert running == ()
    bench.take_said()
    bench.hear(WELCOME)
    assert bench.take_said() == []


def test_worker_that_is_to_end_says_so_to_every_scheduler():
    bench = Bench()
    bench.happen(Leaving("SIGTERM"))
    bench.disconnect()
    bench.hear(WELCOME)
    assert bench.take_said() == [Leaving("SIGTERM"), Leaving("SIGTERM")]
