"""The table of arcs, and the books that follow a task's state."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler import queues
from jupyter_dist.core.scheduler import state as state_module
from jupyter_dist.core.scheduler.arcs import ARCS, STATES
from jupyter_dist.errors import TransitionError
from jupyter_dist.messages import Cancel, DropFunctions, HeldResult, MissingValue
from tests.core.scheduler.bench import Bench


def observe_arcs(run):
    """Return the arcs a scenario takes."""
    seen = set()
    move = state_module.State.move

    def watched(self, task, to, now):
        was = task.state
        move(self, task, to, now)
        seen.add((was, to))

    patch = pytest.MonkeyPatch()
    patch.setattr(state_module.State, "move", watched)
    try:
        run()
    finally:
        patch.undo()
    return seen


def scenario_of_a_life():
    """Two tasks, one made of the other, are wanted, made, let go."""
    bench = Bench()
    client = bench.client()
    bench.submit(client, "a")
    bench.submit(client, "b", "a")
    worker = bench.worker()
    bench.finish(worker, "a")
    bench.finish(worker, "b")
    bench.put(client, "c")
    bench.release(client, "a", "b", "c")


def scenario_of_changed_minds():
    """Tasks are let go while they wait, are queued, run; one that erred is let go as well."""
    bench = Bench()
    client = bench.client()
    for keys in (("a",), ("b", "a"), ("c",)):
        bench.submit(client, *keys)
    bench.release(client, "b")
    bench.release(client, "c")
    worker = bench.worker()
    bench.release(client, "a")
    bench.submit(client, "d")
    bench.submit(client, "e", "d")
    bench.give_back(worker, bench.attempt("d"))
    bench.err(worker, "d")
    bench.release(client, "d", "e")


def scenario_of_losses():
    """An input is lost while what is made of it is queued, runs, or cannot be made again."""
    bench = Bench()
    client = bench.client()
    holder = bench.worker("holder")
    bench.submit(client, "a")
    bench.finish(holder, "a", None)
    bench.submit(client, "runs", "a", workers=("other",))
    bench.submit(client, "waits", "a", workers=("nobody",))
    other = bench.worker("other")
    bench.miss(other, bench.attempt("runs"), "a", "unix:/holder")
    bench.put(client, "data")
    bench.submit(client, "made", "data", workers=("other",))
    bench.release(client, "data")
    bench.finish(holder, "a", None)
    bench.finish(other, "runs", None)
    bench.finish(other, "made", None)
    bench.say(client, MissingValue("made", "unix:/other"))
    bench.submit(client, "late", "a", workers=("other",))
    bench.say(client, MissingValue("a", "unix:/holder"))
    bench.give_back(other, bench.attempt("late"))


def scenario_of_returns():
    """A worker comes back with results and with what it runs, while inputs of that are elsewhere."""
    bench = Bench()
    client = bench.client()
    holder = bench.worker("holder")
    bench.submit(client, "a")
    bench.finish(holder, "a", None)
    for key in ("runs", "has"):
        bench.submit(client, key, "a", workers=("other",))
    bench.say(holder, Disconnected("broken"))
    bench.submit(client, "b", workers=("other",))
    held = (HeldResult("has", 1, 9, "str"), HeldResult("b", 2, 9, "str"))
    bench.worker("other", held=held, running=((3, "runs"),))


def scenario_of_doubt():
    """Of a task that is not run twice nobody comes back to say whether it began."""
    bench = Bench()
    bench.submit(bench.client("c"), "a", once=True)
    bench.worker()
    bench.succeed()
    bench.client("c")
    bench.tick(bench.state.settings.lease_s)


def test_each_arc_of_the_table_is_taken_in_some_scenario():
    scenarios = (
        scenario_of_a_life,
        scenario_of_changed_minds,
        scenario_of_losses,
        scenario_of_returns,
        scenario_of_doubt,
    )
    assert set().union(*map(observe_arcs, scenarios)) == ARCS


@pytest.mark.parametrize("was", STATES)
@pytest.mark.parametrize("to", STATES)
def test_each_arc_outside_the_table_raises_and_changes_nothing(was, to):
    if (was, to) in ARCS:
        return
    bench = Bench()
    client = bench.client()
    bench.submit(client, "a")
    task = bench.task("a")
    task.state = was
    before = dict(bench.state.counts), bench.state.version, len(bench.state.queue)
    with pytest.raises(TransitionError, match=f"a: no way from {was} to {to}"):
        bench.state.move(task, to, 0.0)
    assert (task.state, before) == (was, (dict(bench.state.counts), bench.state.version, len(bench.state.queue)))


@pytest.mark.parametrize("workers", [(), ("w0",)])
def test_queue_of_mostly_cancelled_tasks_is_rebuilt(monkeypatch, workers):
    monkeypatch.setattr(queues, "QUEUE_SLACK_MAX", 3)
    bench = Bench()
    client = bench.client()
    for number in range(20):
        bench.submit(client, f"task-{number}", workers=workers)
    bench.say(client, Cancel(tuple(f"task-{number}" for number in range(1, 20))))
    (queue,) = bench.state.restricted.values() if workers else (bench.state.queue,)
    assert len(queue) <= 5
    worker = bench.worker("w0")
    assert list(bench.assigned(worker)) == ["task-0"]


def test_function_of_an_unknown_mean_is_learned_from_what_finished():
    bench = Bench()
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    assert bench.task("a").expected_s == state_module.GUESS_S
    bench.finish(worker, "a", seconds=2.0)
    bench.submit(client, "b")
    assert bench.task("b").expected_s == 2.0
    bench.finish(worker, "b", seconds=1.0)
    assert bench.state.expected_s(bench.task("b")) == pytest.approx(1.7)
    bench.put(client, "data")
    assert bench.state.expected_s(bench.task("data")) == 0.0


def test_functions_called_longest_ago_are_dropped_by_whoever_had_them(monkeypatch):
    monkeypatch.setattr(state_module, "IDLE_FUNCTIONS_MAX", 1)
    monkeypatch.setattr("jupyter_dist.core.scheduler.machine.IDLE_FUNCTIONS_MAX", 1)
    bench = Bench()
    client, worker, other = bench.client(), bench.worker("w0"), bench.worker("w1")
    for label in ("first", "second"):
        bench.submit(client, label, label=label, workers=("w0",))
        bench.finish(worker, label)
    bench.say(client, Cancel(("first",)))
    bench.release(client, "first", "second")
    assert bench.heard(worker, DropFunctions) == [DropFunctions(("id-first",))]
    assert not bench.heard(other, DropFunctions)
    bench.submit(client, "again", label="first", workers=("w0",))
    assert bench.state.members[worker].functions == {"id-first", "id-second"}


def test_task_without_a_worker_can_be_detached_without_effect():
    bench = Bench()
    client = bench.client()
    bench.submit(client, "a")
    bench.state.detach(bench.task("a"))
    assert bench.states("a") == ["queued"]


def test_functions_of_many_names_leave_only_some_of_them_behind_and_none_that_has_a_task(monkeypatch):
    monkeypatch.setattr(state_module.State, "_labels_max", 10)
    monkeypatch.setattr(state_module, "LABELS_MAX", 10)
    bench = Bench()
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "kept", label="kept")
    bench.finish(worker, "kept")
    for number in range(100):
        bench.submit(client, f"k{number}", label=f"f{number}")
        bench.finish(worker, f"k{number}")
        bench.release(client, f"k{number}")
    assert len(bench.state.labels) <= 11
    assert {"kept", "f99"} <= bench.state.labels.keys()
    many = [f"m{number}" for number in range(30)]
    for key in many:
        bench.submit(client, key, label=key)
    assert bench.state.labels.keys() >= set(many)
