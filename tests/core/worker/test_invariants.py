import pytest

from jupyter_dist.core.worker.effects import Fetched, Live
from jupyter_dist.core.worker.state import Kept, KeyFetch
from jupyter_dist.errors import InvariantError
from jupyter_dist.messages import FreeKeys
from tests.core.worker.worker_model import Bench, remote


def crowd_slots(state):
    for attempt in state.attempts.values():
        attempt.state = "running"


def misfile(state):
    state.attempts[99] = state.attempts[1]


def lack_nothing(state):
    state.attempts[3].missing.clear()


def lose_input(state):
    state.attempts[4].inputs.clear()


def time_what_is_ready(state):
    state.timed[2] = state.attempts[2]


def fly_too_many(state):
    for number in range(5):
        fetch = state.flying[f"z{number}"] = KeyFetch(f"z{number}")
        fetch.holder, fetch.request, fetch.deadline = "a", number + 50, 1.0


def queue_with_room(state):
    state.flying.clear()


def lose_the_timer(state):
    state.flying["x"].deadline = 0.0


def fetch_what_is_kept(state):
    state.kept["x"] = Kept(Fetched([]), [3])


def wait_for_nothing(state):
    state.queued["w"].waiting.clear()


def sum_wrong(state):
    state.held["k"] = Live(None, 5)


def keep_futures(state):
    state.futures[1] = (object(),)


def keep_for_nobody(state):
    state.kept["y"].users.clear()


@pytest.mark.parametrize(
    ("corrupt", "words"),
    [
        (crowd_slots, "attempts run in 1 slots"),
        (misfile, "is filed as 99"),
        (lack_nothing, "attempt 3 is fetching and lacks"),
        (lose_input, "attempt 4 is ready without all its inputs"),
        (time_what_is_ready, "attempt 2 is timed and does not run"),
        (fly_too_many, "6 fetches are under way"),
        (queue_with_room, "wait although there is room"),
        (lose_the_timer, "no source or no timer"),
        (fetch_what_is_kept, "'x' is fetched twice"),
        (wait_for_nothing, "wait for 'w'"),
        (sum_wrong, "summed wrong"),
        (keep_for_nobody, "'y' is kept for"),
        (keep_futures, r"futures of \[1\] are kept for nobody"),
    ],
)
def test_check_of_corrupted_table_names_what_is_wrong(corrupt, words):
    bench = Bench(fetches_max=1)
    bench.assign(1)
    bench.begin()
    bench.assign(2)
    bench.assign(4, remote("y", "a"))
    bench.arrive(1)
    bench.assign(3, remote("x", "a"), remote("w", "a"))
    bench.machine.check()
    corrupt(bench.machine._state)
    with pytest.raises(InvariantError, match=words):
        bench.machine.check()


def test_check_without_connection_and_with_fetches_fails():
    bench = Bench()
    bench.assign(1, remote("x", "a"))
    bench.machine._link = 0
    with pytest.raises(InvariantError, match="nobody to speak to"):
        bench.machine.check()


def test_free_while_an_attempt_uses_the_value_leaves_it_its_input():
    bench = Bench()
    bench.assign(1)
    bench.begin()
    bench.finish(1, value=None, live=object(), nbytes=5)
    bench.assign(2, remote("k1", "a"))
    bench.hear(FreeKeys(("k1",)))
    assert bench.machine.find_held("k1") is None
    assert bench.discarded[0] is not None
