"""What the futures in a value stand for is kept as long as the value is."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.replay import CLAIM_S
from jupyter_dist.errors import InvariantError
from jupyter_dist.messages import Cancel, CloseSession, HeldResult, KeyCancelled, KeyFinished, PutValue, WantKeys
from jupyter_dist.messages.journal import RESULTS, SPEAK, SUBMISSION
from tests.core.scheduler.bench import LARGE, Bench


@pytest.fixture
def bench():
    return Bench()


def returned(bench, *, value=b"v", slots=2):
    """Have a task submit another, and end with a future of it that its worker lets go of."""
    client, tasks, worker = bench.client("c"), bench.client("t", kind="task"), bench.worker(slots=slots)
    bench.submit(client, "outer")
    bench.submit(tasks, "inner", parent="outer")
    bench.finish(worker, "outer", value, speaks_of=("inner",))
    bench.release(tasks, "inner")
    return client, worker


def test_result_that_a_value_speaks_of_is_made_and_kept_for_it(bench):
    client, worker = returned(bench)
    assert bench.states("outer", "inner") == ["memory", "processing"]
    bench.finish(worker, "inner", b"2")
    assert bench.states("inner") == ["memory"]
    bench.say(client, WantKeys((("inner", 99),)))
    bench.release(client, "outer")
    assert [(said.wish, said.value) for said in bench.heard(client, KeyFinished)][1:] == [(99, b"2")]
    assert list(bench.state.tasks) == ["inner"]
    bench.release(client, "inner")
    assert not bench.state.tasks


def test_value_that_nobody_wants_lets_go_of_what_it_speaks_of(bench):
    client, _worker = returned(bench)
    bench.release(client, "outer")
    assert not bench.state.tasks


def test_value_that_nobody_wanted_when_it_came_keeps_nothing(bench):
    client, tasks, worker = bench.client("c"), bench.client("t", kind="task"), bench.worker(slots=2)
    bench.submit(client, "outer")
    attempt = bench.attempt("outer")
    bench.submit(tasks, "inner")
    bench.release(client, "outer")
    bench.finish(worker, "outer", attempt=attempt, speaks_of=("inner",))
    bench.release(tasks, "inner")
    assert not bench.state.tasks


def test_values_that_speak_of_each_other_in_a_chain_are_let_go_together(bench):
    client, tasks, worker = bench.client("c"), bench.client("t", kind="task"), bench.worker(slots=3)
    bench.submit(client, "1")
    bench.submit(tasks, "2")
    bench.submit(tasks, "3")
    bench.finish(worker, "1", speaks_of=("2", "unknown", "1"))
    bench.finish(worker, "2", speaks_of=("3",))
    bench.say(tasks, CloseSession())
    assert bench.states("1", "2", "3") == ["memory", "memory", "processing"]
    bench.release(client, "1")
    assert not bench.state.tasks


def test_lost_value_speaks_until_it_is_made_anew_and_then_of_others(bench):
    client, tasks = bench.client("c"), bench.client("t", kind="task")
    bench.submit(client, "outer")
    worker = bench.worker("w0")
    bench.submit(tasks, "first")
    bench.finish(worker, "outer", None, speaks_of=("first",))
    bench.say(tasks, CloseSession())
    bench.say(worker, Disconnected("end of stream"))
    assert bench.states("outer", "first") == ["queued", "queued"]
    bench.tick(1.0)
    other, tasks = bench.worker("w1", slots=3), bench.client("u", kind="task")
    bench.submit(tasks, "second")
    bench.finish(other, "outer", None, speaks_of=("second",))
    assert bench.state.tasks.keys() == {"outer", "second"}


def test_value_made_anew_that_is_an_error_speaks_of_nothing(bench):
    client, worker = returned(bench, value=None, slots=1)
    bench.say(worker, Disconnected("end of stream"))
    bench.tick(1.0)
    other = bench.worker("w1")
    bench.err(other, "outer")
    assert list(bench.state.tasks) == ["outer"]
    bench.release(client, "outer")
    assert not bench.state.tasks


def test_client_that_cancels_what_its_own_value_speaks_of_stops_it(bench):
    client, _worker = returned(bench)
    bench.say(client, WantKeys((("inner", 99),)))
    bench.say(client, Cancel(("inner",), force=True))
    assert list(bench.state.tasks) == ["outer"]
    assert bench.task("outer").speaks_of == ()


def test_what_the_value_of_another_speaks_of_as_well_is_not_stopped(bench):
    client, _worker = returned(bench)
    other = bench.client("d")
    bench.submit(other, "outer")
    bench.say(client, WantKeys((("inner", 99),)))
    bench.say(client, Cancel(("inner",), force=True))
    assert bench.state.tasks.keys() == {"outer", "inner"}


def test_data_that_a_client_brings_keeps_what_it_speaks_of(bench):
    client, worker = bench.client("c"), bench.worker()
    bench.submit(client, "inner")
    bench.say(client, PutValue("data", b"value", "list", 50, speaks_of=("inner",)))
    bench.release(client, "inner")
    bench.finish(worker, "inner")
    assert bench.states("inner", "data") == ["memory", "memory"]
    bench.release(client, "data")
    assert not bench.state.tasks


@pytest.mark.parametrize("value", [b"small", None])
def test_next_scheduler_keeps_what_values_speak_of(bench, value):
    client, worker = returned(bench, value=value)
    number = bench.task("outer").made_by
    bench.finish(worker, "inner", b"2")
    bench.succeed()
    client = bench.client("c")
    held = () if value else (HeldResult("outer", number, LARGE, "bytes", ("inner",)),)
    bench.worker(held=held)
    bench.tick(CLAIM_S)
    assert bench.states("outer", "inner") == ["memory", "memory"]
    bench.release(client, "outer")
    assert not bench.state.tasks
    bench.succeed()
    assert not bench.state.tasks
    assert not any(bench.records[kind] for kind in (RESULTS, SPEAK))


def test_next_scheduler_forgets_of_what_a_task_speaks_whose_record_was_damaged(bench):
    returned(bench)
    bench.records[SUBMISSION].clear()
    bench.succeed()
    assert not bench.state.tasks
    assert not bench.records[SPEAK]


def test_worker_that_comes_back_says_what_a_value_speaks_of_that_was_not_written(bench):
    client, worker = bench.client("c"), bench.worker(slots=2)
    bench.submit(client, "outer")
    number = bench.attempt("outer")
    tasks = bench.client("t", kind="task")
    bench.submit(tasks, "inner")
    bench.say(worker, Disconnected("reset"))
    bench.succeed()
    bench.client("c")
    tasks = bench.client("t", kind="task")
    bench.worker(held=(HeldResult("outer", number, LARGE, "bytes", ("inner",)),), slots=2)
    bench.tick(CLAIM_S)
    bench.release(tasks, "inner")
    assert bench.states("outer", "inner")[0] == "memory"
    assert bench.task("inner").is_needed


def test_key_that_no_value_speaks_of_any_more_is_not_known(bench):
    client, worker = returned(bench)
    bench.finish(worker, "inner")
    bench.release(client, "outer")
    bench.say(client, WantKeys((("inner", 99),)))
    assert [said.wishes for said in bench.heard(client, KeyCancelled)] == [(99,)]


@pytest.mark.parametrize("side", ["speaker", "spoken", "unneeded"])
def test_check_of_a_table_changed_by_hand_raises(bench, side):
    client, _worker = returned(bench)
    outer, inner = bench.task("outer"), bench.task("inner")
    bench.machine.check()
    if side == "speaker":
        outer.speaks_of = ()
    elif side == "spoken":
        inner.speakers = {}
    else:
        bench.state.unwant(bench.state.sessions["c"], outer)
    with pytest.raises(InvariantError, match=r"spoken|speaks"):
        bench.machine.check()
    assert client
