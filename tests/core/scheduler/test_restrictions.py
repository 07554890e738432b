"""Tasks that not every worker may run: by name, host or address, by resources, and in which order they get their turn."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.replay import CLAIM_S
from jupyter_dist.messages import StopAttempt, Withdraw
from jupyter_dist.messages.journal import RESULTS
from tests.core.scheduler.bench import Bench

GPU = (("GPU", 1.0),)


@pytest.fixture
def bench():
    return Bench()


# -- by name


@pytest.mark.parametrize("name", ["w1", "far", "unix:/w1"])
def test_task_runs_on_the_worker_of_that_name_host_or_address(bench, name):
    client, _near, far = bench.client(), bench.worker("w0"), bench.worker("w1", host="far")
    bench.submit(client, "a", workers=(name,))
    assert list(bench.assigned(far)) == ["a"]


def test_task_for_a_worker_that_is_not_there_waits_for_it(bench):
    client, other = bench.client(), bench.worker("w0")
    bench.submit(client, "a", workers=("w1", "w2"))
    bench.submit(client, "b", workers=("w1", "w2"), loose=True)
    assert list(bench.assigned(other)) == ["b"]
    wanted = bench.worker("w2")
    assert list(bench.assigned(wanted)) == ["a"]


def test_task_that_others_may_run_waits_while_one_of_its_own_is_there(bench):
    client, own, _other = bench.client(), bench.worker("w0"), bench.worker("w1")
    for key in ("a", "b", "c"):
        bench.submit(client, key, workers=("w0",), loose=True)
    assert bench.states("a", "b", "c") == ["processing", "processing", "queued"]
    bench.say(own, Disconnected("gone"))
    assert "queued" not in {bench.task(key).state for key in ("a", "b")}


def test_priority_counts_between_tasks_of_different_restrictions(bench):
    client = bench.client()
    bench.submit(client, "low", workers=("w0",), priority=-1)
    bench.submit(client, "free", priority=1)
    bench.submit(client, "mine", workers=("w0",), priority=1)
    bench.submit(client, "both", workers=("w0", "w1"), priority=2)
    worker = bench.worker("w0")
    order = list(bench.assigned(worker))
    while bench.state.members[worker].processing:
        bench.finish(worker, next(iter(bench.state.members[worker].processing.values())).key)
        order.extend(bench.assigned(worker))
    assert order == ["both", "mine", "free", "low"]


# -- by resources


def test_task_runs_only_where_its_resources_were_declared(bench):
    client, _plain, able = bench.client(), bench.worker("w0"), bench.worker("w1", resources={"GPU": 1})
    bench.submit(client, "a", resources=GPU)
    bench.submit(client, "b", resources=(("TPU", 1.0),))
    assert list(bench.assigned(able)) == ["a"]
    assert bench.task("b").state == "queued"


def test_two_that_need_the_only_one_never_run_together(bench):
    client, worker = bench.client(), bench.worker(slots=4, resources={"GPU": 1})
    for key in ("a", "b"):
        bench.submit(client, key, resources=GPU)
    bench.submit(client, "free")
    assert list(bench.assigned(worker)) == ["a", "free"]
    bench.finish(worker, "a")
    assert list(bench.assigned(worker)) == ["b"]


def test_as_many_run_as_the_amounts_allow(bench):
    client, worker = bench.client(), bench.worker(slots=8, resources={"memory": 10.0, "GPU": 3.0})
    for number in range(6):
        bench.submit(client, f"t{number}", resources=(("GPU", 0.5), ("memory", 4.0)))
    assert len(bench.assigned(worker)) == 2
    assert bench.state.members[worker].free() == {"GPU": 2.0, "memory": 2.0}


def test_resource_of_a_task_that_nobody_wants_is_held_until_it_ends(bench):
    client, worker = bench.client(), bench.worker(slots=2, resources={"GPU": 1})
    bench.submit(client, "a", resources=GPU)
    attempt = bench.assigned(worker)["a"]
    bench.release(client, "a")
    assert bench.heard(worker, StopAttempt)
    bench.submit(client, "b", resources=GPU)
    assert not bench.assigned(worker)
    bench.finish(worker, "a", attempt=attempt)
    assert list(bench.assigned(worker)) == ["b"]


def test_resource_comes_back_with_an_error_a_withdrawal_and_a_death(bench):
    client, worker = bench.client(), bench.worker(slots=2, resources={"GPU": 1})
    bench.submit(client, "a", resources=GPU)
    bench.err(worker, "a")
    bench.submit(client, "b", resources=GPU)
    bench.give_back(worker, bench.attempt("b"))
    assert bench.task("b").state == "processing"
    bench.say(worker, Disconnected("gone"))
    other = bench.worker("w1", resources={"GPU": 1})
    assert list(bench.assigned(other)) == ["b"]


def test_resource_of_a_task_that_nobody_wants_is_held_on_the_next_connection_too(bench):
    client, old = bench.client(), bench.worker(slots=2, resources={"GPU": 1})
    bench.submit(client, "a", resources=GPU)
    attempt = bench.assigned(old)["a"]
    bench.release(client, "a")
    again = {"running": ((attempt, ""),), "holding": ((attempt, GPU),), "resources": {"GPU": 1}}
    worker = bench.worker(slots=2, pid=bench.pids[old], **again)
    bench.submit(client, "b", resources=GPU)
    assert not bench.assigned(worker)
    bench.finish(worker, "a", attempt=attempt)
    assert list(bench.assigned(worker)) == ["b"]


def test_attempts_that_ended_without_a_scheduler_are_all_taken_though_each_needed_the_only_resource(bench):
    client, old = bench.client("c"), bench.worker(slots=2, resources={"GPU": 1})
    numbers = []
    for key in ("a", "b"):
        bench.submit(client, key, resources=GPU)
        numbers.append(bench.attempt(key))
        bench.finish(old, key)
    running = tuple(zip(numbers, ("a", "b"), strict=True))
    bench.records[RESULTS].clear()  # this the scheduler did not write any more
    bench.succeed()
    bench.client("c")
    worker = bench.worker(slots=2, pid=bench.pids[old], running=running, resources={"GPU": 1})
    bench.tick(CLAIM_S)
    assert not bench.heard(worker, StopAttempt)
    for key, attempt in zip(("a", "b"), numbers, strict=True):
        bench.finish(worker, key, attempt=attempt)
    assert bench.states("a", "b") == ["memory", "memory"]


def test_task_with_resources_is_not_given_in_hand(bench):
    client, worker = bench.client(), bench.worker(resources={"GPU": 2})
    bench.submit(client, "first", resources=GPU)
    bench.submit(client, "next", resources=GPU)
    assert list(bench.assigned(worker)) == ["first"]
    assert bench.state.members[worker].free() == {"GPU": 1.0}
    bench.finish(worker, "first")
    assert list(bench.assigned(worker)) == ["next"]


def test_stream_of_short_tasks_does_not_keep_a_slot_from_one_with_resources():
    bench = Bench(hand_s=10.0, hand_max=8)
    client, worker = bench.client(), bench.worker(resources={"GPU": 1})
    for number in range(20):
        bench.submit(client, f"t{number}")
    bench.finish(worker, "t0", seconds=0.001)
    held = list(bench.state.members[worker].processing.values())
    assert len(held) == 8
    bench.submit(client, "gpu", resources=GPU)
    (asked,) = bench.heard(worker, Withdraw)
    bench.give_back(worker, *asked.attempts[1:])
    assert len(bench.state.members[worker].processing) == 1
    bench.finish(worker, "t1", seconds=0.001)
    assert bench.task("gpu").state == "processing"
    assert len(bench.state.members[worker].processing) == 8  # and its hand is full again
    assert not bench.state.reserved


def test_worker_is_reserved_no_longer_than_somebody_waits_for_it():
    bench = Bench()
    client, worker = bench.client(), bench.worker(resources={"GPU": 1})
    bench.submit(client, "runs")
    bench.submit(client, "gpu", resources=GPU)
    member = bench.state.members[worker]
    assert list(bench.state.reserved) == [member]
    bench.submit(client, "next")
    assert bench.task("next").state == "queued"
    bench.release(client, "gpu")
    assert not bench.state.reserved
    assert bench.task("next").member is member


def test_urgent_task_that_anybody_may_run_goes_before_one_with_resources(bench):
    client = bench.client()
    bench.submit(client, "gpu", resources=GPU)
    bench.submit(client, "urgent", priority=1)
    worker = bench.worker(resources={"GPU": 1})
    assert list(bench.assigned(worker)) == ["urgent"]
    bench.finish(worker, "urgent")
    assert list(bench.assigned(worker)) == ["gpu"]


def test_suspect_with_resources_is_alone_with_a_worker_that_has_them(bench):
    client, nanny = bench.client(), bench.nanny()
    victim = bench.worker("w0", nanny="n", resources={"GPU": 1})
    bench.submit(client, "a", resources=GPU)
    plain = bench.worker("w1")
    bench.die(victim, nanny, [bench.attempt("a")])
    assert bench.task("a").state == "queued"
    assert bench.state.members[plain].solo is None
    able = bench.worker("w2", resources={"GPU": 1})
    assert list(bench.assigned(able)) == ["a"]


def test_restart_and_a_new_worker_of_the_name_have_all_free(bench):
    client, worker = bench.client(), bench.worker(resources={"GPU": 1})
    bench.submit(client, "a", resources=GPU)
    bench.say(worker, Disconnected("gone"))
    again = bench.worker(resources={"GPU": 1})
    assert list(bench.assigned(again)) == ["a"]
