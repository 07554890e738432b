"""What the journal keeps of tasks that are gone: records that are shared are written anew before it is much."""

import msgspec
import pytest

from jupyter_dist.messages import Release, RestartCluster, Submit, TaskFinished, TaskOptions, TaskSpec
from jupyter_dist.messages.journal import RESULTS, SUBMISSION
from tests.core.scheduler.bench import Bench, function
from tests.simulator.durable import compare

TASKS = 400
ARGUMENT = b"a" * 1000
WASTE = 40_000


@pytest.fixture
def bench():
    return Bench(journal_waste_bytes_max=WASTE)


def submit_many(bench, client, prefix, argument=ARGUMENT, dependencies=()):
    """Have a client submit tasks in one message, as a map does."""
    keys = [f"{prefix}-{number}" for number in range(TASKS)]
    specs = tuple(TaskSpec(key, argument, dependencies, 10_000 + place) for place, key in enumerate(keys))
    bench.say(client, Submit(function(), TaskOptions(), specs))
    return keys


def size_of(bench, kind):
    return sum(len(msgspec.msgpack.encode(record)) for record in bench.records[kind].values())


def test_submission_of_which_one_task_is_left_is_written_without_the_others(bench):
    client = bench.client("c")
    keys = submit_many(bench, client, "t")
    assert size_of(bench, SUBMISSION) > TASKS * len(ARGUMENT)
    for key in keys[:123] + keys[124:]:
        bench.say(client, Release((key,)))
        alive = len(bench.state.tasks) * (len(ARGUMENT) + 200)
        assert size_of(bench, SUBMISSION) <= 2 * alive + WASTE * 1.2
    assert list(bench.state.tasks) == [keys[123]]
    order, wish = bench.task(keys[123]).order, 10_000 + 123
    bench.succeed()
    [task] = bench.state.tasks.values()
    assert (task.key, task.order, task.arguments) == (keys[123], order, ARGUMENT)
    [session] = bench.state.sessions.values()
    assert session.wants == {task: wish}
    bench.say(bench.client("c"), Release((task.key,)))
    assert not bench.records[SUBMISSION]


def test_submission_others_depend_on_is_written_in_its_old_place(bench):
    client = bench.client("c")
    inputs = submit_many(bench, client, "input")
    bench.submit(client, "end", inputs[7], inputs[399])
    for key in inputs:
        bench.say(client, Release((key,)))
    assert len(bench.state.tasks) == 3
    assert size_of(bench, SUBMISSION) < WASTE
    assert compare(bench.state, bench.records, bench.now) == ""
    bench.succeed()
    assert [other.key for other in bench.task("end").dependencies] == [inputs[7], inputs[399]]
    assert bench.states("end", inputs[7]) == ["waiting", "queued"]


def test_results_of_which_few_are_left_are_written_without_the_others(bench):
    client, worker = bench.client("c"), bench.worker(slots=TASKS)
    keys = submit_many(bench, client, "t", b"")
    attempts = bench.assigned(worker)
    assert len(attempts) == TASKS
    times = (bench.now, bench.now + 1, 0, "")
    bench.say(worker, *(TaskFinished(key, attempts[key], key.encode() * 200, 1000, "bytes", *times) for key in keys))
    assert len(bench.records[RESULTS]) == 1
    assert size_of(bench, RESULTS) > TASKS * 900
    kept = keys[::100]
    for key in keys:
        if key not in kept:
            bench.say(client, Release((key,)))
    assert size_of(bench, RESULTS) < len(kept) * 1200 + WASTE * 1.2
    bench.succeed()
    assert {key: bench.task(key).value for key in kept} == {key: key.encode() * 200 for key in kept}


def test_much_that_nobody_needs_in_small_parts_is_left_until_it_is_half(bench):
    client = bench.client("c")
    submissions = [submit_many(bench, client, f"s{number}") for number in range(4)]
    whole = size_of(bench, SUBMISSION)
    for keys in submissions:
        bench.say(client, Release(tuple(keys[: TASKS // 4])))
    assert size_of(bench, SUBMISSION) == whole  # to write three quarters again for one is too dear
    assert bench.state.ledger.spared_bytes > WASTE
    for keys in submissions:
        bench.say(client, Release(tuple(keys[TASKS // 4 : TASKS // 2 + 1])))
    assert size_of(bench, SUBMISSION) < whole * 0.55
    assert compare(bench.state, bench.records, bench.now) == ""


def test_what_is_spared_does_not_allow_more_when_it_is_gone(bench):
    client = bench.client("c")
    spared = submit_many(bench, client, "spared")
    bench.say(client, Release(tuple(spared[: TASKS // 4])))
    assert bench.state.ledger.spared_bytes > WASTE
    bench.say(client, Release(tuple(spared)))
    assert bench.state.ledger.wasted_bytes == bench.state.ledger.spared_bytes == 0


def test_waste_the_scheduler_before_left_is_known_to_the_next_one():
    bench = Bench()  # with the limit as it is by default
    client = bench.client("c")
    keys = submit_many(bench, client, "t")
    bench.say(client, Release(tuple(keys[1:])))
    assert size_of(bench, SUBMISSION) > TASKS * len(ARGUMENT)
    bench.succeed(journal_waste_bytes_max=WASTE)
    assert size_of(bench, SUBMISSION) < 2 * len(ARGUMENT)
    assert bench.state.ledger.wasted_bytes == 0


def test_restart_of_the_cluster_leaves_no_waste(bench):
    client, worker = bench.client("c"), bench.worker()
    keys = submit_many(bench, client, "t")
    bench.finish(worker, keys[0])
    bench.say(client, Release(tuple(keys[300:320])))
    assert bench.state.ledger.wasted_bytes
    bench.say(client, RestartCluster(7))
    assert not bench.records[SUBMISSION]
    assert not bench.records[RESULTS]
    assert bench.state.ledger.wasted_bytes == 0
