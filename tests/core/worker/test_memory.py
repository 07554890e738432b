"""A worker of 100,000 bytes: results above 60,000 are spilled, above 70,000 in use too, above 80,000 it pauses."""

import itertools

import pytest

from jupyter_dist.core.worker.effects import Copied, Live, Spilled
from jupyter_dist.core.worker.events import Ended, MemorySeen, SpillEnded, SpillLost, Waits
from jupyter_dist.messages import (
    CopyFailed,
    FreeKeys,
    HoldCopy,
    InputMissing,
    MemoryState,
    StopAttempt,
    StoreCopy,
    TaskErred,
    TaskFinished,
    Withdrawn,
)
from tests.core.worker.worker_model import WELCOME, remote
from tests.core.worker.worker_model import Bench as Model

LIMIT = 100_000
FULL = "10,000 bytes do not fit into /disk, where 5 bytes are free"


class Bench(Model):
    def __init__(self, **changes):
        super().__init__(memory=LIMIT, **changes)
        self.numbers = itertools.count(1)

    def make(self, key, nbytes=10_000):
        """Have a task run whose result is held."""
        number = next(self.numbers)
        self.assign(number, key=key)
        self.begin()
        self.finish(number, value=None, live=[key], nbytes=nbytes, key=key)

    def use(self, *keys):
        """Have a task begin that needs these, and return its number."""
        number = next(self.numbers)
        self.assign(number, *(remote(key, "here") for key in keys))
        return self.begin()

    def write(self, reason=""):
        """Have what is being spilled end; return the keys."""
        spills, self.spills = self.spills, []
        self.happen(*(SpillEnded(order.name, reason) for order in spills))
        return [order.key for order in spills]

    def see(self, nbytes):
        self.happen(MemorySeen(nbytes))

    def held(self, key):
        return self.machine.find_held(key)

    def states(self):
        said, self.said = self.said, []
        return [(message.is_paused, message.words) for message in said if isinstance(message, MemoryState)]


def test_results_beyond_the_target_are_spilled_oldest_first_down_to_it():
    bench = Bench()
    for index in range(6):
        bench.make(f"r{index}")
    assert not bench.spills
    bench.make("r6")
    bench.make("r7")
    assert bench.write() == ["r0", "r1"]
    assert isinstance(bench.held("r0"), Spilled)
    assert (bench.held("r0").nbytes, bench.held("r0").attempt) == (10_000, 1)
    assert isinstance(bench.held("r2"), Live)
    assert bench.machine.count_held() == (8, 80_000)
    assert bench.machine.spilled_bytes() == 20_000
    assert [live.value for live in bench.discarded] == [["r0"], ["r1"]]
    assert bench.trims


def test_without_a_limit_nothing_is_ever_spilled_or_paused():
    bench = Model()
    bench.assign(1)
    bench.begin()
    bench.finish(1, value=None, live=[1], nbytes=10**12)
    bench.happen(MemorySeen(10**12))
    assert not bench.spills
    assert not any(isinstance(message, MemoryState) for message in bench.said)


def test_result_that_was_just_used_is_spilled_after_older_ones():
    bench = Bench()
    for index in range(6):
        bench.make(f"r{index}")
    bench.finish(bench.use("r0"))
    bench.make("r6")
    assert bench.write() == ["r1"]


def test_input_of_an_attempt_is_not_spilled_until_it_ends():
    bench = Bench()
    for index in range(6):
        bench.make(f"r{index}")
    user = bench.use(*(f"r{index}" for index in range(6)))
    bench.see(90_000)
    assert not bench.spills
    bench.finish(user)
    assert bench.write() == ["r0", "r1", "r2"]


def test_input_in_the_hand_is_not_spilled_either():
    bench = Bench()
    bench.make("r", 50_000)
    bench.assign(50, remote("r", "here"))
    bench.see(75_000)
    assert not bench.spills
    bench.begin()
    bench.finish(50)
    assert bench.write() == ["r"]


def test_process_above_the_spill_share_spills_to_the_target_whatever_uses_it():
    bench = Bench()
    for index in range(3):
        bench.make(f"r{index}")
    bench.see(70_000)
    assert not bench.spills
    bench.see(75_000)
    assert bench.write() == ["r0", "r1"]


def test_what_is_being_spilled_is_counted_as_gone():
    bench = Bench()
    for index in range(5):
        bench.make(f"r{index}")
    bench.see(72_000)
    assert len(bench.spills) == 2
    bench.see(74_000)
    assert len(bench.spills) == 2


def test_tiny_results_are_not_worth_a_file():
    bench = Bench()
    for index in range(20):
        bench.make(f"r{index}", 4000)
    bench.see(79_000)
    assert not bench.spills


def test_spilled_input_is_given_to_a_task_as_a_file():
    bench = Bench()
    bench.make("r", 65_000)
    bench.write()
    bench.use("r")
    attempt = bench.machine._state.attempts[2]
    assert attempt.inputs["r"] is bench.held("r")
    assert isinstance(attempt.inputs["r"], Spilled)


def test_freed_result_has_its_file_removed():
    bench = Bench()
    bench.make("r", 65_000)
    name = bench.spills[0].name
    bench.write()
    bench.hear(FreeKeys(("r",)))
    assert bench.unspilled == [name]
    assert bench.machine.count_held() == (0, 0)
    assert bench.machine.spilled_bytes() == 0


@pytest.mark.parametrize("again", [False, True])
def test_result_freed_while_it_is_written_leaves_no_file(again):
    bench = Bench()
    bench.make("r", 65_000)
    name = bench.spills[0].name
    bench.hear(FreeKeys(("r",)))
    if again:
        bench.make("r", 5000)
    bench.write()
    assert bench.unspilled == [name]
    assert isinstance(bench.held("r"), Live) == again


def test_file_that_cannot_be_read_back_is_given_up_by_whoever_finds_it():
    bench = Bench()
    for key in ("a", "b"):
        bench.make(key, 65_000)
    bench.write()
    name = bench.held("a").name
    bench.happen(SpillLost("a", "another"))
    assert bench.held("a")
    bench.happen(SpillLost("a", name))
    assert bench.held("a") is None
    user = bench.use("b")
    bench.running.remove(user)
    bench.happen(Ended(InputMissing(user, "b", "here", "its checksum is wrong")))
    assert bench.held("b") is None
    assert InputMissing(user, "b", "here", "its checksum is wrong") in bench.said


def test_stopped_user_of_a_spilled_input_leaves_it_as_it_is():
    bench = Bench()
    bench.make("r", 65_000)
    bench.write()
    user = bench.use("r")
    bench.hear(StopAttempt(user))
    bench.finish(user)
    assert isinstance(bench.held("r"), Spilled)


def test_spilled_result_is_copied_to_the_object_store_from_its_file():
    bench = Bench()
    bench.make("r", 65_000)
    bench.write()
    bench.hear(StoreCopy(1, "r", "f" * 16))
    assert bench.stores[0].held is bench.held("r")
    assert not any(isinstance(message, CopyFailed) for message in bench.said)


def test_copy_of_another_workers_result_is_spilled_too():
    bench = Bench()
    bench.hear(HoldCopy(1, "x", 70_000, ("a",), 9, "bytes"))
    bench.arrive(1)
    assert isinstance(bench.held("x"), Copied)
    assert bench.write() == ["x"]
    assert (bench.held("x").attempt, bench.held("x").type_name) == (9, "bytes")


def test_result_that_cannot_be_packed_stays_and_is_not_tried_again():
    bench = Bench()
    bench.make("odd", 65_000)
    order = bench.spills.pop()
    bench.happen(SpillEnded(order.name, "it cannot be packed", is_unfit=True))
    bench.see(75_000)
    assert not bench.spills
    assert isinstance(bench.held("odd"), Live)
    assert bench.states() == []


# -- pausing


def test_worker_above_the_pause_share_gives_back_what_has_not_begun_and_says_so_first():
    bench = Bench(slots=1)
    for attempt in (100, 101):
        bench.assign(attempt)
    bench.assign(102, remote("elsewhere", "b"))
    bench.begin()
    bench.take_said()
    bench.see(81_000)
    state, withdrawn = bench.said
    assert state == MemoryState(True, "it uses 81,000 bytes of the 100,000 it may use")
    assert isinstance(withdrawn, Withdrawn)
    assert sorted(withdrawn.attempts) == [101, 102]
    assert bench.running == [100]


def test_paused_worker_that_gives_back_what_it_fetched_for_goes_on_with_a_copy():
    bench = Bench(slots=1, fetches_max=1)
    bench.assign(100)
    bench.begin()
    bench.assign(101, remote("elsewhere", "b"))
    bench.hear(HoldCopy(1, "x", 1000, ("c",), 9, "bytes"))
    assert [fetch.key for fetch in bench.fetches.values()] == ["elsewhere"]
    bench.see(81_000)
    assert [fetch.key for fetch in bench.fetches.values()][-1] == "x"


def test_paused_worker_goes_on_below_the_spill_share_and_not_before():
    bench = Bench()
    bench.see(81_000)
    bench.see(71_000)
    assert [paused for paused, _words in bench.states()] == [True]
    bench.see(70_000)
    assert bench.states() == [(False, "")]
    bench.see(79_000)
    assert bench.states() == []


def test_paused_worker_says_so_to_the_next_scheduler():
    bench = Bench()
    bench.see(81_000)
    bench.disconnect()
    bench.states()
    bench.link = 2
    bench.hear(WELCOME)
    assert [paused for paused, _words in bench.states()] == [True]


def test_paused_worker_that_spills_or_runs_something_has_patience():
    bench = Bench()
    bench.make("r", 30_000)
    bench.see(81_000)
    bench.tick(60)
    assert not bench.left
    bench.write()
    bench.see(85_000)
    assert bench.collects == 1
    bench.assign(50)
    bench.begin()
    bench.tick(60)
    assert not bench.left


def test_paused_worker_with_nothing_left_to_free_looks_for_garbage_and_then_asks_to_be_replaced():
    bench = Bench()
    bench.see(30_000)
    bench.see(95_000)
    assert (bench.collects, bench.left) == (1, "")
    assert bench.machine.deadline() == bench.now + 2.0
    bench.tick(2.0)
    assert bench.left == "it uses 95,000 bytes of the 100,000 it may use, and none of that are results"


def test_garbage_that_is_found_ends_the_pause():
    bench = Bench()
    bench.see(30_000)
    bench.see(95_000)
    bench.see(40_000)
    bench.tick(2.0)
    assert not bench.left
    assert bench.machine.deadline() is None
    assert [paused for paused, _words in bench.states()] == [True, False]


def test_worker_whose_tasks_only_wait_goes_on_as_their_children_may_need_it():
    bench = Bench()
    bench.see(30_000)
    bench.assign(50)
    bench.begin()
    bench.happen(Waits(50))
    bench.see(95_000)
    bench.tick(2.0)
    assert not bench.left
    assert bench.states()[-1] == (
        False,
        "it uses 95,000 bytes of the 100,000 it may use; nothing more can be freed, so it works on",
    )


def test_limit_below_what_an_empty_worker_needs_replaces_nobody():
    bench = Bench()
    bench.see(85_000)
    bench.tick(2.0)
    bench.tick(60.0)
    assert not bench.left
    assert [paused for paused, _words in bench.states()] == [True, False]


# -- a disk that is full


def full_bench():
    bench = Bench()
    bench.see(10_000)
    for index in range(7):
        bench.make(f"r{index}")
    bench.write(FULL)
    return bench


def test_result_stays_in_memory_when_the_disk_is_full_and_the_scheduler_hears_why():
    bench = full_bench()
    assert isinstance(bench.held("r0"), Live)
    [(paused, words)] = bench.states()
    assert not paused
    assert FULL in words


def test_full_disk_is_tried_again_with_one_result_after_a_while():
    bench = full_bench()
    bench.see(75_000)
    assert not bench.spills
    assert bench.machine.deadline() == bench.now + 2.0
    bench.tick(2.0)
    assert len(bench.spills) == 1
    bench.tick(2.0)
    assert len(bench.spills) == 1
    bench.write()
    assert bench.states()[-1] == (False, "")
    bench.see(75_000)
    assert len(bench.spills) == 2


def test_large_result_errs_when_memory_and_disk_are_full_and_small_ones_do_not():
    bench = full_bench()
    bench.see(85_000)
    bench.tick(2.0)
    bench.write(FULL)
    bench.take_said()
    bench.make("large")
    bench.assign(90)
    bench.begin()
    bench.finish(90)
    erred, finished = [message for message in bench.said if isinstance(message, TaskErred | TaskFinished)]
    assert (erred.key, erred.error.kind) == ("large", "full")
    assert erred.error.text == (
        "the result of task 'large' (10,000 bytes) cannot be kept: its worker uses 85,000 bytes of the 100,000 it may"
        f" use, and cannot spill to its disk: {FULL}"
    )
    assert isinstance(finished, TaskFinished)
    assert bench.held("large") is None


def test_worker_with_a_full_disk_pauses_only_for_a_while():
    bench = full_bench()
    bench.states()
    bench.see(85_000)
    bench.tick(2.0)
    bench.write(FULL)
    assert [paused for paused, _words in bench.states()] == [True, False]
    assert not bench.left


def test_full_disk_is_forgotten_when_nothing_has_to_be_written_any_more():
    bench = full_bench()
    bench.states()
    bench.hear(FreeKeys(("r0", "r1")))
    assert bench.states() == []
    assert bench.machine.deadline() == bench.now + 2.0
    bench.tick(2.0)
    assert bench.states() == [(False, "")]
    assert bench.machine.deadline() is None


def test_full_disk_is_not_tried_at_once_again_when_there_is_nothing_to_try_it_with():
    bench = full_bench()
    bench.use(*(f"r{index}" for index in range(7)))
    bench.tick(2.0)
    assert not bench.spills
    assert bench.machine.deadline() == bench.now + 2.0
