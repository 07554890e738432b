"""What watchers are told, how often, and what they missed."""

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import Answer, Describe, Observation, Unwatch, Watch, WorkerDied, WorkerSample
from tests.core.scheduler.bench import Bench, certificate


def kinds(observation):
    return [event.kind for event in observation.events]


def test_watcher_is_told_at_its_rate_and_only_when_something_changed():
    bench = Bench()
    watcher, client, worker = bench.client(), bench.client(), bench.worker()
    bench.say(watcher, Watch(0.5))
    bench.tick()
    (first,) = bench.heard(watcher, Observation)
    assert kinds(first) == ["worker-joined"]
    bench.submit(client, "a")
    bench.tick(0.1)
    assert not bench.heard(watcher, Observation)
    assert bench.machine.deadline() == 100.5
    bench.finish(worker, "a")
    bench.tick(0.4)
    (second,) = bench.heard(watcher, Observation)
    assert kinds(second) == ["finished"]
    assert second.events[0].number == first.snapshot.last_event + 1
    for _ in range(4):
        bench.beat(worker)
        bench.tick(0.5)
    assert not bench.heard(watcher, Observation)


def test_watcher_that_asks_too_often_is_told_at_the_shortest_interval():
    bench = Bench(watch_interval_s_min=0.2)
    watcher = bench.client()
    bench.say(watcher, Watch(0.0))
    bench.tick()
    bench.worker()
    assert bench.machine.deadline() == 100.2


def test_watcher_is_told_how_many_events_it_missed():
    bench = Bench(events_max=3)
    watcher = bench.client()
    for number in range(5):
        bench.worker(f"w{number}")
    bench.say(watcher, Watch(1.0, after=1))
    bench.tick()
    (seen,) = bench.heard(watcher, Observation)
    assert ([event.number for event in seen.events], seen.dropped) == ([3, 4, 5], 1)


def test_watcher_that_knows_more_than_there_is_starts_anew():
    bench = Bench()
    watcher = bench.client()
    bench.say(watcher, Watch(1.0, after=50))
    bench.tick()
    (seen,) = bench.heard(watcher, Observation)
    assert (seen.events, seen.dropped) == ((), 0)
    bench.worker()
    bench.tick(1.0)
    assert kinds(bench.heard(watcher, Observation)[0]) == ["worker-joined"]


def test_unwatch_ends_it():
    bench = Bench()
    watcher = bench.client()
    bench.say(watcher, Watch(1.0))
    bench.say(watcher, Unwatch())
    bench.tick(5.0)
    assert not bench.heard(watcher, Observation)


def test_snapshot_tells_what_a_person_wants_to_know():
    bench = Bench()
    client, nanny = bench.client("s"), bench.nanny(workers=2)
    bench.client(kind="observer")
    dead, worker = bench.worker("w0", nanny="n"), bench.worker("w1", nanny="n", slots=2)
    bench.say(nanny, WorkerDied(certificate("w0", bench.pids[dead])))
    for key in ("runs", "raises", "done"):
        bench.submit(client, key, label=key)
    bench.submit(client, "waits", "runs", label="runs")
    bench.finish(worker, "done", None, seconds=2.0)
    bench.err(worker, "raises")
    running = ((bench.attempt("runs"), 1, 123.0), (999, 0, 1.0))
    bench.say(worker, WorkerSample(running, 5, 50.0, 1, 9))
    bench.say(client, Describe(4))
    (answer,) = bench.heard(client, Answer)
    seen = answer.snapshot
    assert answer.request == 4
    assert seen.counts == {"waiting": 1, "queued": 0, "processing": 1, "memory": 1, "erred": 1}
    assert (seen.finished, seen.erred, seen.wanted, seen.sessions) == (1, 1, 2, ("s",))
    assert [(view.key, view.slot, view.started_s) for view in seen.running] == [("runs", 1, 123.0)]
    assert [view.label for view in seen.functions] == ["runs", "done", "raises"]
    assert [view.key for view in seen.errors] == ["raises"]
    (view,) = seen.workers
    assert (view.name, view.state, view.running, view.queued, view.held) == ("w1", "running", 1, 0, 1)
    assert (view.restarts, view.last_death) == (0, "")
    assert seen.nannies == {"w1": "n"}
    assert seen.at_s == bench.now + 1e9


def test_worker_is_shown_as_silent_then_lost():
    bench = Bench()
    client, _nanny, worker = bench.client(), bench.nanny(), bench.worker(nanny="n")
    alone = bench.worker("alone")
    bench.submit(client, "a")
    bench.tick(1.6)
    bench.say(worker, Disconnected("gone"))
    bench.say(client, Describe(1))
    views = {view.name: view.state for view in bench.heard(client, Answer)[0].snapshot.workers}
    assert views == {"w0": "lost", "alone": "silent"}
    assert alone in bench.state.members
