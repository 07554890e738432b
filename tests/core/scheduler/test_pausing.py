"""Workers that are paused for want of memory are given nothing; what is wrong with memory or disk is told."""

import pytest

from jupyter_dist.messages import (
    Answer,
    Describe,
    Explain,
    MemoryState,
    Observation,
    RetireWorkers,
    Watch,
    Withdraw,
    WorkerSample,
)
from tests.core.scheduler.bench import Bench

WORDS = "it uses 90 bytes of the 100 it may use"


@pytest.fixture
def bench():
    return Bench()


def pause(bench, worker):
    bench.say(worker, MemoryState(True, WORDS))


def go_on(bench, worker):
    bench.say(worker, MemoryState(False))


def view(bench, client, name="w0"):
    bench.say(client, Describe(1))
    (answer,) = bench.heard(client, Answer)
    return next(worker for worker in answer.snapshot.workers if worker.name == name)


def test_paused_worker_gets_nothing_until_it_goes_on(bench):
    client, worker = bench.client(), bench.worker()
    pause(bench, worker)
    bench.submit(client, "a")
    assert not bench.assigned(worker)
    go_on(bench, worker)
    assert set(bench.assigned(worker)) == {"a"}


def test_what_a_paused_worker_gives_back_runs_on_another(bench):
    client, worker = bench.client(), bench.worker("w0")
    for key in "abc":
        bench.submit(client, key)
    other = bench.worker("w1")
    bench.heard(worker, Withdraw)
    given = bench.assigned(worker)
    taken = set(bench.assigned(other))
    pause(bench, worker)
    bench.give_back(worker, *(attempt for key, attempt in given.items() if key != "a"))
    assert taken | set(bench.assigned(other)) >= {"b"}
    assert not bench.assigned(worker)


def test_worker_is_shown_as_paused_with_the_reason_and_as_running_again(bench):
    client, worker = bench.client(), bench.worker()
    pause(bench, worker)
    assert (view(bench, client).state, view(bench, client).trouble) == ("paused", WORDS)
    go_on(bench, worker)
    assert (view(bench, client).state, view(bench, client).trouble) == ("running", "")


def test_worker_with_a_full_disk_is_shown_with_that_and_works(bench):
    client, worker = bench.client(), bench.worker()
    bench.say(worker, MemoryState(False, "the disk is full"))
    bench.submit(client, "a")
    assert set(bench.assigned(worker)) == {"a"}
    assert (view(bench, client).state, view(bench, client).trouble) == ("running", "the disk is full")


def test_explain_names_who_is_paused_and_why(bench):
    client = bench.client()
    workers = [bench.worker(f"w{number}") for number in range(2)]
    for worker in workers:
        pause(bench, worker)
    bench.submit(client, "a")
    bench.submit(client, "b", workers=("w1",))
    bench.say(client, Explain(1, ("a", "b")))
    (answer,) = bench.heard(client, Answer)
    for_any, for_one = ([*told.reasons] for told in answer.explanations)
    assert for_any[0] == "all 2 workers that may run it are paused until memory is free there"
    assert f"w0 is paused: {WORDS}" in for_any
    assert for_one[0] == "w1 that may run it is paused until memory is free there"


def test_explain_with_one_paused_worker_counts_the_slots_of_the_others(bench):
    client, paused, _busy = bench.client(), bench.worker("w0"), bench.worker("w1")
    pause(bench, paused)
    for number in range(300):
        bench.submit(client, f"t{number}")
    bench.say(client, Explain(1, ("t299",)))
    (answer,) = bench.heard(client, Answer)
    assert "1 of 1 slots of w1 that may run it are taken" in answer.explanations[0].reasons[0]
    assert f"w0 is paused: {WORDS}" in answer.explanations[0].reasons


def test_suspect_is_not_given_to_a_paused_worker(bench):
    client, nanny = bench.client(), bench.nanny(workers=2)
    worker = bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    attempt = bench.attempt("a")
    other = bench.worker("w1")
    pause(bench, other)
    bench.die(worker, nanny, (attempt,))
    assert not bench.assigned(other)
    go_on(bench, other)
    assert set(bench.assigned(other)) == {"a"}


def test_suspect_that_waits_for_a_worker_which_pauses_gets_another(bench):
    client, nanny = bench.client(), bench.nanny(workers=3)
    first = bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    attempt = bench.attempt("a")
    workers = {name: bench.worker(name) for name in ("w1", "w2")}
    for key in ("long", "longer"):
        bench.submit(client, key)
    bench.die(first, nanny, (attempt,))
    apart = bench.state.suspects[bench.task("a")]
    other = next(name for name in workers if name != apart.name)
    pause(bench, workers[apart.name])
    (running,) = bench.state.members[workers[other]].processing.values()
    bench.finish(workers[other], running.key)
    assert "a" in bench.assigned(workers[other])


def test_paused_worker_can_be_retired(bench):
    bench.nanny("n", workers=2)
    client, worker, _other = bench.client(), bench.worker("w0"), bench.worker("w1")
    pause(bench, worker)
    bench.say(client, RetireWorkers(1, ("w0",)))
    assert worker not in bench.state.members


def test_sample_with_more_spilled_is_news(bench):
    worker = bench.worker()
    bench.say(worker, WorkerSample((), 1000, 0.0, 0, 0, 1_000_000))
    version = bench.state.version
    bench.say(worker, WorkerSample((), 1000, 0.0, 0, 0, 1_010_000))
    assert bench.state.version == version
    bench.say(worker, WorkerSample((), 1000, 0.0, 0, 0, 2_000_000))
    assert bench.state.version == version + 1


def test_journal_that_stops_is_in_the_snapshot_and_an_event(bench):
    client = bench.client()
    bench.say(client, Watch(0.1))
    bench.heard(client, Observation)
    bench.machine.on_trouble("the disk is full", bench.now)
    bench.tick(0.2)
    (seen,) = bench.heard(client, Observation)
    assert seen.snapshot.trouble == "the disk is full"
    assert [(event.kind, event.detail) for event in seen.events] == [("journal-stopped", "the disk is full")]
