"""Tasks that are cancelled by force and do not end: their worker is replaced, nobody is blamed, no other is harmed."""

import pytest

from jupyter_dist.messages import Cancel, ReplaceWorkers, WorkerSample
from tests.core.scheduler.bench import Bench


@pytest.fixture
def bench():
    return Bench()


def start(bench, *keys, slots=1):
    """Have one worker run, and have in hand, tasks of these keys."""
    client, nanny = bench.client(), bench.nanny()
    worker = bench.worker(nanny="n", slots=slots)
    for key in keys:
        bench.submit(client, key)
    bench.heard(nanny, ReplaceWorkers)
    return client, nanny, worker, [bench.attempt(key) for key in keys]


def sample(bench, worker, *attempts):
    bench.say(worker, WorkerSample(tuple((number, slot, 0.0) for slot, number in enumerate(attempts)), 0, 0.0, 0, 0))


def pass_time(bench, worker, *attempts):
    """Let the time pass that a cancelled task has, with a heartbeat now and then."""
    for _ in range(5):
        sample(bench, worker, *attempts)
        bench.tick(bench.state.settings.cancel_s_max / 4)


def test_cancel_by_force_of_what_does_not_end_replaces_its_worker_and_blames_nobody(bench):
    client, nanny, worker, [stuck, innocent] = start(bench, "stuck", "innocent", slots=2)
    bench.say(client, Cancel(("stuck",), True))
    bench.tick(bench.state.settings.cancel_s_max * 0.9)
    assert not bench.heard(nanny, ReplaceWorkers)
    pass_time(bench, worker, stuck, innocent)
    [order] = bench.heard(nanny, ReplaceWorkers)
    assert order.names == ("w0",)
    assert "cancelled by force" in order.reason
    assert bench.states("innocent") == ["queued"]
    assert not bench.task("innocent").certificates


def test_cancel_by_force_of_what_ends_in_time_replaces_nobody(bench):
    client, nanny, worker, [attempt] = start(bench, "ends")
    bench.say(client, Cancel(("ends",), True))
    bench.give_back(worker, attempt)
    pass_time(bench, worker)
    assert not bench.heard(nanny, ReplaceWorkers)
    assert not bench.state.members[worker].stopping


def test_cancel_by_force_of_what_is_in_hand_does_not_end_what_runs(bench):
    client, nanny, worker, [runs] = start(bench, "runs")
    bench.finish(worker, "runs", seconds=0.001)  # its function is short: several are given in hand
    for key in ("long", "behind"):
        bench.submit(client, key)
    sample(bench, worker, bench.attempt("long"))
    assert bench.states("long", "behind") == ["processing", "processing"]
    bench.say(client, Cancel(("behind",), True))
    bench.tick(bench.state.settings.cancel_s_max)
    bench.tick(bench.state.settings.heartbeat_s)
    assert not bench.heard(nanny, ReplaceWorkers)
    assert runs


def test_cancel_without_force_replaces_nobody(bench):
    client, nanny, worker, [attempt] = start(bench, "a")
    bench.say(client, Cancel(("a",), False))
    pass_time(bench, worker, attempt)
    assert not bench.heard(nanny, ReplaceWorkers)


def test_scheduler_that_was_stopped_gives_what_was_cancelled_its_time_anew(bench):
    client, nanny, worker, [attempt] = start(bench, "a")
    sample(bench, worker, attempt)
    bench.say(client, Cancel(("a",), True))
    bench.tick(bench.state.settings.lease_s + 1)
    assert not bench.heard(nanny, ReplaceWorkers)
    pass_time(bench, worker, attempt)
    assert bench.heard(nanny, ReplaceWorkers)


def test_worker_that_holds_pythons_lock_with_the_only_task_it_has_is_replaced(bench):
    client, nanny, _worker, _ = start(bench, "a")
    bench.pulse(nanny, "w0", "running", 100.0)
    bench.say(client, Cancel(("a",), True))
    bench.submit(client, "b")  # given in hand, behind it
    for _ in range(5):
        bench.pulse(nanny, "w0", "running", 100.0)
        bench.tick(bench.state.settings.cancel_s_max / 4)
    assert len(bench.heard(nanny, ReplaceWorkers)) == 1
