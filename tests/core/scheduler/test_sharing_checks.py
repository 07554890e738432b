"""Each rule about the books of coordination notices a book that was changed by hand."""

import pytest

from jupyter_dist.core.scheduler.coordination.tables import Queue
from jupyter_dist.errors import InvariantError
from tests.core.scheduler.sharing_bench import SharingBench


@pytest.fixture
def bench():
    """Return a bench with a lock that is held and waited for, a queue with putters, and a value that has a result."""
    bench = SharingBench()
    client, worker = bench.client("s", linger_s=100.0), bench.worker()
    bench.submit(client, "data")
    bench.finish(worker, "data")
    for _ in range(2):
        bench.acquire(client)
    for value in "abc":
        bench.put_item(client, value, size_max=2)
    bench.take(client, name="none")
    bench.set_value(client, "v", "data")
    bench.get_value(client, "none")
    return bench


def set_limit(bench, limit):
    bench.state.coordination.leases["lock", "x"].limit = limit


def line_of(bench):
    return bench.state.coordination.leases["lock", "x"].line


def queue_of(bench, name="q"):
    return bench.state.coordination.queues["queue", name]


def forget_home(bench):
    del bench.state.coordination.leases["lock", "x"]


def leave_no_line(bench):
    next(iter(line_of(bench))).line = None


def empty_line(bench):
    line_of(bench).clear()


def forget_turns(bench):
    bench.state.coordination.turns.clear()


def add_idle_home(bench):
    bench.state.coordination.queues["queue", "idle"] = Queue(("queue", "idle"))


def turn_items(bench):
    queue_of(bench).items.reverse()


def widen_queue(bench):
    next(iter(queue_of(bench).putters)).size = 9


def put_beside_a_taker(bench):
    queue_of(bench, "none").items.append(queue_of(bench).items.popleft())


def give_a_value_unheard(bench):
    bench.state.coordination.values["variable", "none"].kept = bench.state.coordination.values["variable", "v"].kept


def count_references(bench):
    bench.state.coordination.values["variable", "v"].kept.references = 5


def count_results(bench):
    bench.state.coordination.kept[bench.task("data")] = 2


def want_nothing(bench):
    bench.state.unwant(bench.state.coordination.keeper, bench.task("data"))


def count_bytes(bench):
    bench.state.coordination.nbytes += 1


def let_leases_lapse(bench):
    bench.state.coordination.lapses[bench.state.sessions["s"]] = 5.0


def lose_connection(bench):
    bench.state.sessions["s"].incarnation = 0


def forget_session(bench):
    session = bench.state.sessions.pop("s")
    for task in tuple(session.wants):
        bench.state.unwant(session, task)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda bench: set_limit(bench, 0), "1 leases of 0"),
        (lambda bench: set_limit(bench, 2), "a lease that is free"),
        (forget_home, "at a place that is gone"),
        (leave_no_line, "neither waits nor holds"),
        (empty_line, "waits in no line"),
        (forget_turns, "is over and still known"),
        (add_idle_home, "is empty and still known"),
        (turn_items, "out of order"),
        (widen_queue, "waits for room that is there"),
        (put_beside_a_taker, "a value that is there"),
        (give_a_value_unheard, "the value it has"),
        (count_references, "said to be in 5 places"),
        (count_results, "values speak of"),
        (want_nothing, "the keeper wants other results"),
        (count_bytes, "bytes of values noted"),
        (let_leases_lapse, "lapse without a reason"),
        (lose_connection, "a session without a connection"),
        (forget_session, "a session that is gone"),
    ],
)
def test_book_changed_by_hand_is_noticed(bench, change, words):
    bench.machine.check()
    change(bench)
    with pytest.raises(InvariantError, match=words):
        bench.machine.check()
