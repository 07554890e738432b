"""Attempts that do not end when they are stopped by force or their time is over."""

import pytest

from jupyter_dist.messages import AbortWorker, AssignTask, Cancel, KeyErred, KeyFinished, ReplaceWorkers, Withdrawn
from tests.core.scheduler.bench import Bench

GRACE_S = 2.0


@pytest.fixture
def bench():
    return Bench(stop_grace_s=GRACE_S)


def begin(bench, slots=1):
    nanny = bench.nanny()
    return bench.client(), nanny, bench.worker(nanny="n", slots=slots)


def see(bench, nanny, *inside, seconds=0.5):
    """Let time pass, and have the nanny tell what it sees. The worker itself is silent: it may hold the lock."""
    bench.tick(seconds)
    bench.pulse(nanny, "w0", "running", 100.0, inside=inside)


def test_stop_by_force_that_is_not_followed_replaces_the_process_after_the_grace(bench):
    client, nanny, worker = begin(bench)
    bench.submit(client, "a")
    attempt = bench.attempt("a")
    bench.say(client, Cancel(("a",), force=True))
    for _ in range(3):
        see(bench, nanny, attempt)
    assert not bench.heard(nanny, ReplaceWorkers)
    see(bench, nanny, attempt)
    (replaced,) = bench.heard(nanny, ReplaceWorkers)
    assert replaced.names == ("w0",)
    assert "did not end within 2 s after" in replaced.reason
    assert worker not in bench.state.members


def test_stop_by_force_that_is_followed_replaces_nobody(bench):
    client, nanny, worker = begin(bench)
    bench.submit(client, "a")
    attempt = bench.attempt("a")
    bench.say(client, Cancel(("a",), force=True))
    bench.err(worker, "a", attempt=attempt)
    bench.submit(client, "b")
    for _ in range(10):
        bench.beat(worker)
        see(bench, nanny, bench.attempt("b"))
    assert not bench.heard(nanny, ReplaceWorkers)
    assert not bench.state.members[worker].ends_by_s


def test_stop_without_force_replaces_nobody(bench):
    client, nanny, worker = begin(bench)
    bench.submit(client, "a")
    attempt = bench.attempt("a")
    bench.say(client, Cancel(("a",)))
    for _ in range(10):
        bench.beat(worker)
        see(bench, nanny, attempt)
    assert not bench.heard(nanny, ReplaceWorkers)


def test_stop_without_force_of_what_has_a_timeout_replaces_its_process_after_that(bench):
    client, nanny, _worker = begin(bench)
    bench.submit(client, "a", timeout_s=1.0)
    attempt = bench.attempt("a")
    bench.say(client, Cancel(("a",)))
    for _ in range(5):
        see(bench, nanny, attempt)
    assert not bench.heard(nanny, ReplaceWorkers)
    see(bench, nanny, attempt)
    assert bench.heard(nanny, ReplaceWorkers)


def test_stop_by_force_of_what_is_in_hand_behind_another_leaves_that_one_alone(bench):
    client, nanny, worker = begin(bench)
    bench.submit(client, "a")
    bench.submit(client, "b")
    first, second = bench.attempt("a"), bench.attempt("b")
    bench.say(client, Cancel(("b",), force=True))
    for _ in range(10):
        see(bench, nanny, first)
    assert not bench.heard(nanny, ReplaceWorkers)
    bench.say(worker, Withdrawn((second,)))
    bench.finish(worker, "a")
    assert bench.heard(client, KeyFinished)


def test_stop_by_force_that_replaces_the_process_has_its_neighbours_run_elsewhere_unblamed(bench):
    client, nanny, worker = begin(bench, slots=2)
    bench.submit(client, "a")
    bench.submit(client, "b")
    inside = bench.attempt("a"), bench.attempt("b")
    bench.say(client, Cancel(("a",), force=True))
    for _ in range(4):
        see(bench, nanny, *inside)
    other = bench.worker("w1", nanny="n")
    assert [message.task.key for message in bench.heard(other, AssignTask)] == ["b"]
    assert not bench.task("b").certificates
    bench.finish(other, "b")
    assert bench.heard(client, KeyFinished)
    assert worker not in bench.state.members


def test_stop_by_force_is_known_to_the_next_scheduler_by_the_worker(bench):
    nanny = bench.nanny()
    worker = bench.worker(nanny="n", running=((7, ""), (8, "")), stopping=(7,))
    for _ in range(3):
        bench.beat(worker)
        see(bench, nanny, 7, 8)
    assert not bench.heard(nanny, ReplaceWorkers)
    see(bench, nanny, 7, 8)
    assert bench.heard(nanny, ReplaceWorkers)


def test_timeout_in_code_that_cannot_be_interrupted_ends_the_process_and_errs_with_its_certificate(bench):
    client, nanny, worker = begin(bench)
    bench.submit(client, "a", timeout_s=1.0)
    attempt = bench.attempt("a")
    for _ in range(6):
        see(bench, nanny, attempt)
        assert not bench.heard(nanny, AbortWorker)
    see(bench, nanny, attempt)
    (abort,) = bench.heard(nanny, AbortWorker)
    assert abort.name == "w0"
    assert "longer than its timeout of 1 s" in abort.words
    assert bench.states("a") == ["processing"]
    bench.die(worker, nanny, (attempt,), "overrun")
    (erred,) = bench.heard(client, KeyErred)
    assert (erred.error.kind, len(erred.error.certificates)) == ("overrun", 1)


def test_timeout_that_ends_the_process_uses_a_retry_and_blames_no_neighbour(bench):
    client, nanny, worker = begin(bench, slots=2)
    bench.submit(client, "a", timeout_s=1.0, retries=1)
    bench.submit(client, "b")
    inside = bench.attempt("a"), bench.attempt("b")
    for _ in range(7):
        bench.beat(worker)
        see(bench, nanny, *inside)
    assert bench.heard(nanny, AbortWorker)
    bench.die(worker, nanny, inside, "overrun")
    assert bench.states("a", "b") == ["queued", "queued"]
    assert [task.key for task in bench.state.suspects] == ["a"]  # it harms whoever shares its process
    second = bench.worker("w0", nanny="n", slots=2, pid=1001)
    assert [message.task.key for message in bench.heard(second, AssignTask)] == ["a"]
    for _ in range(7):
        bench.beat(second)
        bench.tick(0.5)
        bench.pulse(nanny, "w0", "running", 100.0, pid=1001, inside=(bench.attempt("a"),))
    bench.die(second, nanny, (bench.attempt("a"),), "overrun")
    (erred,) = bench.heard(client, KeyErred)
    assert len(erred.error.certificates) == 2


def test_timeout_of_a_task_that_is_not_run_twice_errs_with_its_certificate_too(bench):
    client, nanny, worker = begin(bench)
    bench.submit(client, "a", timeout_s=1.0, once=True)
    bench.write()
    attempt = bench.attempt("a")
    for _ in range(7):
        bench.beat(worker)
        see(bench, nanny, attempt)
    assert bench.heard(nanny, AbortWorker)
    bench.die(worker, nanny, (attempt,), "overrun")
    (erred,) = bench.heard(client, KeyErred)
    assert (erred.error.kind, len(erred.error.certificates)) == ("overrun", 1)


def test_timeout_counts_from_the_moment_the_attempt_is_inside(bench):
    client, nanny, worker = begin(bench)
    bench.submit(client, "a")
    bench.submit(client, "b", timeout_s=1.0)
    for _ in range(20):
        bench.beat(worker)
        see(bench, nanny, bench.attempt("a"))
    assert not bench.heard(nanny, AbortWorker)


def test_timeout_that_ends_after_all_counts_as_it_ended(bench):
    client, nanny, worker = begin(bench)
    bench.submit(client, "a", timeout_s=1.0)
    attempt = bench.attempt("a")
    for _ in range(7):
        bench.beat(worker)
        see(bench, nanny, attempt)
    assert bench.heard(nanny, AbortWorker)
    bench.finish(worker, "a")
    bench.die(worker, nanny, (attempt,), "overrun")
    assert bench.heard(client, KeyFinished)
    assert not bench.heard(client, KeyErred)


def test_overrun_death_counts_for_no_crash(bench):
    client, nanny, worker = begin(bench)
    bench.submit(client, "a", timeout_s=1.0, retries=3)
    attempt = bench.attempt("a")
    for _ in range(7):
        see(bench, nanny, attempt)
    bench.die(worker, nanny, (attempt,), "overrun")
    again = bench.worker("w0", nanny="n", pid=1001)
    bench.die(again, nanny, (bench.attempt("a"),))
    assert bench.states("a") == ["queued"]


def test_silent_worker_is_given_up_at_its_lease_and_not_at_the_next_beat(bench):
    client, _nanny, worker = begin(bench)
    bench.submit(client, "a")
    bench.tick(0.3)
    bench.beat(worker)
    heard_s = bench.now
    for _ in range(400):
        due_s = bench.machine.deadline()
        if worker not in bench.state.members:
            break
        bench.tick(max(0.0, due_s - bench.now))
    lease_s = bench.state.settings.lease_s
    assert lease_s <= bench.now - heard_s <= lease_s + 0.05
