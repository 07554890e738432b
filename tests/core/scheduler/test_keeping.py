"""Tasks that are fired and forgotten: who keeps them, how long, and what ends it."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import Cancel, CloseSession, KeepTasks, RestartCluster, RetryKeys
from tests.core.scheduler.bench import Bench


@pytest.fixture
def bench():
    return Bench()


def test_kept_task_and_its_inputs_run_after_the_session_was_closed(bench):
    client = bench.client()
    bench.submit(client, "input")
    bench.submit(client, "a", "input")
    bench.submit(client, "other")
    bench.say(client, KeepTasks(("a", "a")), KeepTasks(("a",)), CloseSession())
    assert set(bench.state.tasks) == {"input", "a"}
    worker = bench.worker()
    bench.finish(worker, "input")
    bench.finish(worker, "a", None)
    assert not bench.state.tasks
    assert not bench.state.keepers
    assert bench.state.finished == 2


def test_kept_task_runs_after_its_future_was_dropped_or_its_client_was_lost(bench):
    client = bench.client(linger_s=1.0)
    bench.submit(client, "a")
    bench.submit(client, "b")
    bench.say(client, KeepTasks(("a", "b")))
    bench.release(client, "a")
    bench.say(client, Disconnected("killed"))
    for _ in range(3):
        bench.tick(1.0)
    assert not bench.state.sessions
    assert bench.states("a", "b") == ["queued", "queued"]


def test_kept_task_that_errs_is_on_record_and_released(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(client, "made", "a")
    bench.say(client, KeepTasks(("made",)), CloseSession())
    bench.err(worker, "a")
    assert not bench.state.tasks
    assert not bench.state.keepers
    assert [view.key for view in bench.state.chronicle.errors] == ["a"]
    assert bench.state.erred == 2


def test_value_of_a_kept_task_stays_for_those_who_want_it(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.say(client, KeepTasks(("a",)))
    bench.finish(worker, "a", None)
    assert bench.states("a") == ["memory"]
    assert not bench.state.keepers
    bench.release(client, "a")
    assert not bench.state.tasks


def test_cancel_by_its_client_gives_a_kept_task_up(bench):
    client, other = bench.client("s"), bench.client("t")
    for key in ("a", "b"):
        bench.submit(client, key)
    bench.submit(client, "made", "a")
    bench.submit(other, "b")
    bench.say(client, KeepTasks(("a", "b", "made")))
    bench.say(other, KeepTasks(("b",)))
    bench.say(client, Cancel(("a", "b")))
    assert set(bench.state.tasks) == {"b"}
    assert list(bench.state.keepers) == ["t"]


def test_restart_forgets_kept_tasks(bench):
    client = bench.client()
    bench.submit(client, "a")
    bench.say(client, KeepTasks(("a",)), RestartCluster(1))
    assert not bench.state.tasks
    assert not bench.state.keepers


def test_what_is_done_unknown_or_not_its_own_is_not_kept(bench):
    client, other, worker = bench.client(), bench.client(), bench.worker()
    for key in ("done", "bad", "theirs"):
        bench.submit(other if key == "theirs" else client, key)
    bench.finish(worker, "done")
    bench.err(worker, "bad")
    bench.say(client, KeepTasks(("done", "bad", "theirs", "unknown")))
    assert not bench.state.keepers


def test_kept_task_that_erred_and_is_tried_again_is_its_clients_alone(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.say(client, KeepTasks(("a",)))
    bench.err(worker, "a")
    bench.say(client, RetryKeys(("a",)))
    assert bench.states("a") == ["processing"]
    assert not bench.state.keepers


def test_kept_task_survives_the_death_of_its_worker(bench):
    client, worker = bench.client(), bench.worker("w0")
    bench.submit(client, "a")
    bench.say(client, KeepTasks(("a",)), CloseSession())
    bench.say(worker, Disconnected("gone"))
    assert list(bench.assigned(bench.worker("w1"))) == ["a"]


def test_detached_cluster_with_kept_work_is_not_idle():
    bench = Bench(detached=True, idle_stop_s=10.0)
    client, nanny = bench.client(), bench.nanny()
    bench.submit(client, "a")
    bench.say(client, KeepTasks(("a",)), CloseSession())
    for _ in range(30):
        bench.pulse(nanny, "w0", "running")
        bench.tick(1.0)
    assert not bench.stopped
    bench.finish(bench.worker(), "a")
    for _ in range(12):
        bench.pulse(nanny, "w0", "running")
        bench.tick(1.0)
    assert "nobody used" in bench.stopped
