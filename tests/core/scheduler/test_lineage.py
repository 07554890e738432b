"""What follows along the edges of the graph."""

import pytest

from jupyter_dist.messages import KeyErred, MissingValue
from tests.core.scheduler.bench import Bench


@pytest.fixture
def bench():
    return Bench()


def kinds(bench, key):
    return [event.kind for event in bench.state.chronicle.events if event.key == key]


def test_error_reaches_each_dependent_once_however_many_ways_there_are(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(client, "both-first", "a")
    bench.submit(client, "b", "a")
    bench.submit(client, "both", "a", "b")
    bench.err(worker, "a")
    assert sorted(message.key for message in bench.heard(client, KeyErred)) == ["a", "b", "both", "both-first"]
    assert bench.state.erred == 4


def test_error_passes_over_a_task_only_an_erred_one_needed(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(client, "between", "a")
    bench.submit(client, "end", "between", "a")
    bench.release(client, "between")
    bench.err(worker, "a")
    assert bench.states("a", "between", "end") == ["erred", "released", "erred"]
    assert kinds(bench, "between") == []
    assert bench.state.erred == 2


def test_task_given_back_after_its_input_erred_errs_with_it(bench):
    client, first, second = bench.client(), bench.worker("w0"), bench.worker("w1")
    bench.submit(client, "input", workers=("w0",))
    bench.finish(first, "input", None)
    bench.submit(client, "a", "input", workers=("w1",))
    bench.say(client, MissingValue("input", "unix:/w0"))
    bench.err(first, "input")
    assert bench.states("input", "a") == ["erred", "processing"]  # it may have fetched its input before
    bench.give_back(second, bench.attempt("a"))
    assert bench.states("a") == ["erred"]


def test_finished_leaves_dependents_nobody_wants_alone(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(client, "b", "a")
    bench.finish(worker, "a", None)
    bench.submit(client, "c", "b")
    bench.finish(worker, "b")
    bench.finish(worker, "c")
    bench.release(client, "b")
    bench.say(client, MissingValue("a", "unix:/w0"))
    bench.finish(worker, "a", None)
    assert bench.states("a", "b", "c") == ["memory", "released", "memory"]


def test_chain_of_many_tasks_is_walked_without_recursion(bench):
    client, worker = bench.client(), bench.worker()
    bench.machine.check = lambda: None  # quadratic on purpose, and not what is tested here
    bench.submit(client, "t0")
    for number in range(1, 3000):
        bench.submit(client, f"t{number}", f"t{number - 1}")
    bench.err(worker, "t0")
    assert bench.state.counts["erred"] == 3000
    bench.release(client, *(f"t{number}" for number in range(3000)))
    assert not bench.state.tasks
