"""Why a task is not running: a table of reasons, each made on a bench and told in words."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler import explaining, hindrances
from jupyter_dist.messages import Answer, Explain, MissingValue, RestartCluster, WorkerSample
from tests.core.scheduler.bench import Bench


def ask(bench, client, *keys):
    bench.say(client, Explain(1, keys))
    (answer,) = bench.heard(client, Answer)
    return answer.explanations


def words(bench, client, key):
    (told,) = ask(bench, client, key)
    return told.state, " | ".join(told.reasons)


def no_workers_and_no_host(bench, client):
    bench.submit(client, "a")


def no_workers_of_those_wanted(bench, client):
    bench.nanny(workers=4)
    bench.submit(client, "a")


def no_workers_wanted(bench, client):
    bench.nanny(workers=0)
    bench.submit(client, "a")


def workers_die_again_and_again(bench, client):
    nanny = bench.nanny(workers=1)
    for _ in range(3):
        bench.die(bench.worker(nanny="n"), nanny)
    bench.submit(client, "a")


def unknown_worker(bench, client):
    bench.worker("w0")
    bench.submit(client, "a", workers=("w7", "w8"))


def unknown_resource(bench, client):
    bench.worker("w0")
    bench.submit(client, "a", resources=(("GPU", 1.0),))


def too_little_of_a_resource(bench, client):
    bench.worker("w0", resources={"GPU": 1})
    bench.worker("w1", resources={"GPU": 2})
    bench.submit(client, "a", resources=(("GPU", 4.0),))


def resource_only_elsewhere(bench, client):
    bench.worker("w0")
    bench.worker("w1", resources={"GPU": 1})
    bench.submit(client, "a", workers=("w0",), resources=(("GPU", 1.0),))


def resource_in_use(bench, client):
    bench.worker("w0", slots=4, resources={"GPU": 2})
    bench.submit(client, "user", resources=(("GPU", 1.5),))
    bench.submit(client, "other", resources=(("GPU", 1.0),))
    bench.submit(client, "a", resources=(("GPU", 1.0),))


def resource_held_by_what_nobody_wants(bench, client):
    bench.worker("w0", slots=4, resources={"GPU": 1})
    bench.submit(client, "user", resources=(("GPU", 1.0),))
    bench.release(client, "user")
    bench.submit(client, "a", resources=(("GPU", 1.0),))


def many_before_it(bench, client):
    bench.worker("w0", slots=2)
    for number in range(415):
        bench.submit(client, f"t{number}")
    bench.submit(client, "a")


def next_in_its_queue(bench, client):
    bench.worker("w0", slots=1)
    bench.submit(client, "runs")
    bench.submit(client, "hand")
    bench.submit(client, "a")


def suspect_that_waits_for_a_worker_to_itself(bench, client):
    nanny, victim = bench.nanny(), bench.worker("w0", nanny="n")
    bench.submit(client, "a", workers=("w0",), loose=True)
    bench.worker("w1")
    bench.submit(client, "busy", workers=("w1",))
    bench.die(victim, nanny, [bench.attempt("a")])


def worker_is_kept_for_a_suspect(bench, client):
    suspect_that_waits_for_a_worker_to_itself(bench, client)
    bench.client("second")
    bench.submit(client, "next")


def silent_worker(bench, client):
    bench.nanny()
    bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    bench.now += 2.0
    bench.pulse(next(iter(bench.state.nannies)), "w0", "stopped")


def busy_worker(bench, client):
    bench.nanny()
    bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    bench.now += 2.0
    bench.pulse(next(iter(bench.state.nannies)), "w0", "running")


def workers_fewer_than_wanted(bench, client):
    bench.nanny(workers=4)
    bench.worker("w0", nanny="n")
    for key in ("runs", "hand", "a"):
        bench.submit(client, key)


def dying_worker(bench, client):
    bench.nanny()
    worker = bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    bench.say(worker, Disconnected("gone"))


def dying_worker_alone(bench, client):
    dying_worker(bench, client)
    bench.submit(client, "b")


def running(bench, client):
    worker = bench.worker("w0")
    bench.submit(client, "a")
    bench.say(worker, WorkerSample(((bench.attempt("a"), 0, bench.now + 1e9),), 0, 0.0, 0, 0))
    bench.now += 1.2


def just_given(bench, client):
    bench.worker("w0")
    bench.submit(client, "a")


def in_hand(bench, client):
    bench.worker("w0")
    bench.submit(client, "runs")
    bench.submit(client, "a")


def given_for_the_second_time(bench, client):
    worker = bench.worker("w0")
    bench.submit(client, "a", retries=1)
    bench.err(worker, "a")


def erred_by_an_input(bench, client):
    worker = bench.worker("w0")
    bench.submit(client, "bad")
    bench.submit(client, "a", "bad")
    bench.err(worker, "bad")


def small_value(bench, client):
    worker = bench.worker("w0")
    bench.submit(client, "a")
    bench.finish(worker, "a")


def large_value(bench, client):
    worker = bench.worker("w0")
    bench.submit(client, "a")
    bench.finish(worker, "a", None)


def lost_value_is_made_again(bench, client):
    large_value(bench, client)
    bench.say(client, MissingValue("a", "unix:/w0", "its file is broken"))


def value_of_a_worker_that_was_lost(bench, client):
    large_value(bench, client)
    bench.say(next(iter(bench.state.members)), Disconnected("gone"))


def kept_as_lineage(bench, client):
    worker = bench.worker("w0")
    bench.submit(client, "a")
    bench.finish(worker, "a")
    bench.submit(client, "made", "a")
    bench.finish(worker, "made")
    bench.release(client, "a")


def inputs_missing(bench, client):
    bench.worker("w0")
    keys = [f"in{number:02}" for number in range(40)]
    for key in keys:
        bench.submit(client, key, workers=("w9",) if key == "in39" else ())
    bench.submit(client, "a", *keys)


def chain_of_inputs(bench, client):
    bench.worker("w0")
    bench.submit(client, "root", resources=(("GPU", 1.0),))
    bench.submit(client, "between", "root")
    bench.submit(client, "last", "between")
    bench.submit(client, "a", "last")


def stranger(bench, client):
    pass


TABLE = [
    (no_workers_and_no_host, "queued", ["no host is connected"]),
    (no_workers_of_those_wanted, "queued", ["4 are wanted, none is connected"]),
    (no_workers_wanted, "queued", ["none is wanted", "scale"]),
    (workers_die_again_and_again, "queued", ["w0 died 3 times", "the last time: w0 died by signal"]),
    (unknown_worker, "queued", ["only on w7, w8", "there are: w0"]),
    (unknown_resource, "queued", ["needs GPU: 1", "no worker has that", "declare no resources"]),
    (too_little_of_a_resource, "queued", ["needs GPU: 4", "the most any has is GPU: 2"]),
    (resource_only_elsewhere, "queued", ["none of w0 has that"]),
    (
        resource_in_use,
        "queued",
        ["not free now", "on w0 is free: GPU: 0.5; the rest is taken by user", "1 task is before"],
    ),
    (resource_held_by_what_nobody_wants, "queued", ["taken by 1 that nobody wants any more"]),
    (many_before_it, "queued", ["412 tasks are before it", "2 of 2 slots of w0", "1 more tasks are in hand"]),
    (next_in_its_queue, "queued", ["next one in its queue"]),
    (suspect_that_waits_for_a_worker_to_itself, "queued", ["killed 1 worker", "w1 is kept for it, and has 1 tasks"]),
    (silent_worker, "processing", ["w0 has not been heard for 2.0 s", "its process is stopped"]),
    (busy_worker, "processing", ["it computes in code that lets nothing else run"]),
    (workers_fewer_than_wanted, "queued", ["1 of 1 slots of w0", "only 1 of 4 wanted workers are there"]),
    (dying_worker, "processing", ["w0 is gone"]),
    (running, "processing", ["it runs on w0 since 1.2 s"]),
    (just_given, "processing", ["given to w0 0.0 s ago", "as soon as its inputs are there"]),
    (in_hand, "processing", ["has not begun: 1 task it was given before is not done"]),
    (given_for_the_second_time, "processing", ["2nd time", "it was taken back 0.0 s ago of w0; it is tried again"]),
    (erred_by_an_input, "erred", ["ValueError: no", "raised by bad"]),
    (small_value, "memory", ["bytes, 1 bytes", "kept by the scheduler"]),
    (large_value, "memory", ["200,000 bytes", "held by w0"]),
    (lost_value_is_made_again, "processing", ["it had a value, which was lost 0.0 s ago: its file is broken"]),
    (value_of_a_worker_that_was_lost, "queued", ["lost 0.0 s ago: w0 was lost"]),
    (kept_as_lineage, "released", ["nobody needs its value now", "1 task made from it"]),
    (
        inputs_missing,
        "waiting",
        ["40 inputs, of which 40", "in39 is queued: it may run only on w9", "and 37 more inputs"],
    ),
    (chain_of_inputs, "waiting", ["last waits for root (2 steps up), which is queued: it needs GPU: 1"]),
    (stranger, "unknown", ["does not know it"]),
]


@pytest.mark.parametrize(("make", "state", "parts"), TABLE, ids=lambda item: getattr(item, "__name__", None))
def test_explanation_names_the_reason(make, state, parts):
    bench = Bench()
    client = bench.client()
    make(bench, client)
    told, text = words(bench, client, "a")
    assert told == state
    for part in parts:
        assert part in text


def test_task_behind_a_suspect_names_it():
    bench = Bench()
    client = bench.client()
    worker_is_kept_for_a_suspect(bench, client)
    _, text = words(bench, client, "next")
    assert "w1 is kept for a, which may have killed a worker" in text


def test_task_whose_only_worker_is_dying_says_so():
    bench = Bench()
    client = bench.client()
    dying_worker_alone(bench, client)
    _, text = words(bench, client, "b")
    assert "there is no worker" in text
    assert "w0 is gone; what its nanny says of its death is awaited" in text
    bench.worker("w1")
    bench.submit(client, "c", workers=("w0", "w9"))
    _, text = words(bench, client, "c")
    assert "w0 is gone" in text


def test_restart_under_way_is_told():
    bench = Bench()
    client = bench.client()
    bench.nanny(workers=2)
    bench.say(client, RestartCluster(7))
    bench.submit(client, "a")
    _, text = words(bench, client, "a")
    assert "being restarted: 2 workers are on their way" in text


def test_very_long_queue_is_not_counted(monkeypatch):
    monkeypatch.setattr(hindrances, "RANKED_MAX", 3)
    bench = Bench()
    client = bench.client()
    bench.worker()
    for number in range(8):
        bench.submit(client, f"t{number}")
    _, text = words(bench, client, "t7")
    assert "up to 6 tasks are before it" in text


def test_many_tasks_are_explained_at_once_and_no_more_than_the_limit(monkeypatch):
    monkeypatch.setattr(explaining, "EXPLAINED_MAX", 3)
    bench = Bench()
    client = bench.client()
    for number in range(5):
        bench.submit(client, f"t{number}")
    assert [told.key for told in ask(bench, client, *(f"t{number}" for number in range(5)))] == ["t0", "t1", "t2"]


@pytest.mark.parametrize(
    ("number", "words"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")]
)
def test_numbers_are_said_as_people_do(number, words):
    assert explaining._ordinal(number) == words
