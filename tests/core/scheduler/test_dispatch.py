"""Who gets what: the hand, taking back, restrictions, and suspects that need a worker to themselves."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler import placement
from jupyter_dist.core.scheduler.state import GUESS_S
from jupyter_dist.messages import MissingValue, Withdraw
from tests.core.scheduler.bench import Bench


@pytest.fixture
def bench():
    return Bench()


def make_suspect(bench, *busy, **busy_worker):
    """Return a client, and workers that each run one task, after task ``a`` has killed a worker beside them."""
    client, nanny = bench.client(), bench.nanny()
    victim = bench.worker("w0", nanny="n")
    bench.submit(client, "a", workers=("w0",), loose=True)
    workers = [bench.worker(name, **busy_worker) for name in busy]
    for name in busy:
        bench.submit(client, f"on-{name}", workers=(name,))
    bench.die(victim, nanny, [bench.attempt("a")])
    return (client, *workers)


def test_hand_of_an_unknown_function_is_one_deep(bench):
    client, worker = bench.client(), bench.worker(slots=2)
    for number in range(6):
        bench.submit(client, f"t{number}")
    assert list(bench.assigned(worker)) == ["t0", "t1", "t2"]


def test_hand_of_short_tasks_is_deep_and_bounded():
    bench = Bench(hand_s=0.01, hand_max=8)
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "first")
    bench.finish(worker, "first", seconds=0.001)
    for number in range(40):
        bench.submit(client, f"t{number}")
    assert len(bench.assigned(worker)) == 1 + 8


def test_priority_goes_first_then_the_order_of_submission(bench):
    client = bench.client()
    for key, priority in (("low", -1), ("a", 0), ("high", 1), ("b", 0)):
        bench.submit(client, key, priority=priority)
    worker = bench.worker()
    order = list(bench.assigned(worker))
    while bench.state.members[worker].processing:
        bench.finish(worker, next(iter(bench.state.members[worker].processing.values())).key)
        order.extend(bench.assigned(worker))
    assert order == ["high", "a", "b", "low"]


def test_free_workers_are_used_in_turn(bench):
    client = bench.client()
    workers = [bench.worker(f"w{number}", slots=2) for number in range(3)]
    for number in range(6):
        bench.submit(client, f"t{number}")
    assert [len(bench.assigned(worker)) for worker in workers] == [2, 2, 2]


def test_large_input_is_not_moved_for_a_short_wait(bench):
    client = bench.client()
    first, _second = bench.worker("w0"), bench.worker("w1")
    bench.submit(client, "big", workers=("w0",))
    bench.finish(first, "big", None, nbytes=10**10, seconds=0.1)
    bench.submit(client, "busy", workers=("w0",))
    bench.submit(client, "made", "big")
    assert bench.task("made").member.name == "w0"
    bench.tick(5.0)
    assert not bench.heard(first, Withdraw)  # nor later: ten seconds to move it is longer than it waits
    bench.beat(first, _second)
    bench.tick(2.0)
    bench.beat(first, _second)
    bench.tick(4.0)
    assert bench.heard(first, Withdraw)
    bench.give_back(first, bench.attempt("made"))
    assert bench.task("made").member.name == "w1"


def test_small_inputs_do_not_decide(bench):
    client = bench.client()
    workers = [bench.worker("w0"), bench.worker("w1")]
    bench.submit(client, "small")
    bench.finish(workers[0], "small")
    bench.submit(client, "busy", workers=("w0",))
    bench.submit(client, "made", "small")
    assert bench.task("made").member.name == "w1"


# -- taking back


def test_unstarted_task_is_asked_back_once_when_another_is_idle(bench):
    client, worker = bench.client(), bench.worker("w0")
    bench.submit(client, "first")
    bench.finish(worker, "first", seconds=0.001)  # short tasks, so it seems
    for key in ("runs", "next"):
        bench.submit(client, key)
    other = bench.worker("w1")
    assert not bench.heard(worker, Withdraw)
    due = bench.machine.deadline()
    assert due == pytest.approx(bench.now + 0.02)
    bench.tick(due - bench.now)
    (message,) = bench.heard(worker, Withdraw)
    assert message.attempts == (bench.attempt("next"),)
    assert bench.machine.deadline() > bench.now  # it does not spin while it waits for the answer
    bench.tick(0.1)
    assert not bench.heard(worker, Withdraw)
    bench.finish(worker, "runs")
    bench.give_back(worker)  # it had begun meanwhile
    assert not bench.heard(worker, Withdraw)
    assert not bench.assigned(other)


def test_no_more_is_asked_back_than_others_have_room_for():
    bench = Bench(hand_s=10.0)
    client, busy, other = bench.client(), bench.worker("w0"), bench.worker("w1")
    for number in range(8):
        bench.submit(client, f"t{number}", workers=("w0", "w1"))
    assert {member.name: member.load for member in bench.state.members.values()} == {"w0": 4, "w1": 4}
    for _ in range(4):
        bench.finish(other, next(iter(bench.state.members[other].processing.values())).key, seconds=5.0)
    (message,) = bench.heard(busy, Withdraw)
    assert len(message.attempts) == 1
    bench.tick(0.1)
    assert not bench.heard(busy, Withdraw)  # one is on its way back


def test_task_only_its_worker_may_run_is_never_asked_back(bench):
    client, worker = bench.client(), bench.worker("w0")
    for key in ("runs", "in-hand"):
        bench.submit(client, key, workers=("w0",))
    bench.worker("w1")
    for _ in range(5):
        bench.tick(0.4)
    assert not bench.heard(worker, Withdraw)
    assert bench.machine.deadline() > bench.now


# -- restrictions


def test_restricted_task_waits_for_its_worker_host_or_address(bench):
    client = bench.client()
    bench.worker("w0")
    for names in (("w1",), ("host-2",), ("unix:/w1",)):
        bench.submit(client, names[0], workers=names)
    assert bench.states("w1", "host-2", "unix:/w1") == ["queued"] * 3
    second = bench.worker("w1", host="host-2", slots=3)
    assert sorted(bench.assigned(second)) == ["host-2", "unix:/w1", "w1"]
    assert not bench.state.restricted


def test_loose_task_runs_anywhere_only_while_none_of_its_workers_is_there(bench):
    client, worker = bench.client(), bench.worker("w0")
    bench.submit(client, "a", workers=("w1",), loose=True)
    assert list(bench.assigned(worker)) == ["a"]
    other = bench.worker("w1")
    bench.submit(client, "b", workers=("w1",), loose=True)
    assert list(bench.assigned(other)) == ["b"]


def test_cancelled_restricted_task_leaves_its_queue(bench):
    client = bench.client()
    bench.submit(client, "a", workers=("w1",))
    bench.release(client, "a")
    worker = bench.worker("w1")
    assert not bench.assigned(worker)
    assert not bench.state.restricted


# -- suspects


def test_suspect_has_the_least_busy_worker_set_apart_and_its_hand_taken_back(bench):
    client, worker = make_suspect(bench, "w1")
    member = bench.state.members[worker]
    assert member.solo is bench.task("a")
    bench.submit(client, "b")
    assert bench.states("a", "b") == ["queued", "queued"]
    assert bench.heard(worker, Withdraw)[-1].attempts == (bench.attempt("on-w1"),)
    bench.give_back(worker)
    bench.finish(worker, "on-w1")
    assert list(member.processing.values()) == [bench.task("a")]
    bench.finish(worker, "a")
    assert member.solo is None
    assert bench.states("b") == ["processing"]


def test_suspect_given_up_gives_its_worker_back(bench):
    client, worker = make_suspect(bench, "w1")
    bench.release(client, "a")
    assert bench.state.members[worker].solo is None
    bench.submit(client, "b")
    assert bench.states("b") == ["processing"]


def test_suspect_whose_set_apart_worker_is_dying_gets_another(bench):
    _client, first, second = make_suspect(bench, "w1", "w2", nanny="n")
    assert bench.state.members[first].solo is bench.task("a")
    bench.say(first, Disconnected("gone"))
    assert bench.state.members[first].state == "dying"
    assert bench.state.members[second].solo is bench.task("a")


def test_suspect_whose_set_apart_worker_is_lost_waits_for_any(bench):
    _client, only = make_suspect(bench, "w1")
    bench.say(only, Disconnected("gone"))
    assert bench.state.suspects == {bench.task("a"): None}
    fresh = bench.worker("w2")
    assert bench.state.members[fresh].solo is bench.task("a")


def test_suspect_takes_an_empty_worker_rather_than_the_one_set_apart(bench):
    _client, busy = make_suspect(bench, "w1")
    fresh = bench.worker("w2")
    assert bench.state.members[busy].solo is None
    assert list(bench.state.members[fresh].processing.values()) == [bench.task("a")]


def test_suspect_stays_with_its_workers_unless_it_is_loose(bench):
    client, nanny, victim = bench.client(), bench.nanny(), bench.worker("w0", nanny="n")
    bench.submit(client, "a", workers=("w0",))
    bench.die(victim, nanny, [bench.attempt("a")])
    bench.worker("w1")
    assert bench.states("a") == ["queued"]
    bench.worker("w0")
    assert bench.states("a") == ["processing"]


def test_suspect_that_is_stopped_keeps_its_worker_until_it_ends(bench):
    client, worker = make_suspect(bench, "w1")
    bench.finish(worker, "on-w1")
    attempt = bench.attempt("a")
    bench.release(client, "a")
    bench.submit(client, "b")
    member = bench.state.members[worker]
    assert member.zombies == {attempt}
    assert bench.states("b") == ["queued"]
    bench.finish(worker, "a", attempt=attempt)
    assert bench.states("b") == ["processing"]


def test_zombie_that_ends_on_a_worker_set_apart_leaves_it_to_the_suspect(bench):
    client, worker = make_suspect(bench, "w1", slots=2)
    attempt = bench.attempt("on-w1")
    bench.release(client, "on-w1")
    bench.finish(worker, "on-w1", attempt=attempt)
    assert list(bench.state.members[worker].processing.values()) == [bench.task("a")]


def test_suspect_with_a_second_entry_in_the_queue_is_handed_out_alone_only(bench):
    """An input that was lost and made again leaves a dead entry behind; it must not come alive."""
    client, nanny, holder = bench.client(), bench.nanny(), bench.worker("w0", nanny="n")
    bench.submit(client, "input", workers=("w0",))
    bench.finish(holder, "input", None)
    for number in range(3):
        bench.submit(client, f"busy-{number}", workers=("w0",), priority=1)
    bench.submit(client, "a", "input")
    bench.say(client, MissingValue("input", "unix:/w0"))
    bench.finish(holder, "busy-0")
    bench.finish(holder, "busy-1")
    bench.submit(client, "busy-3", workers=("w0",), priority=1)
    bench.finish(holder, "input")
    bench.finish(holder, "busy-2")
    assert bench.states("a") == ["processing"]
    first, second = bench.worker("w1", slots=2), bench.worker("w2", slots=2)
    bench.submit(client, "on-w1", workers=("w1",))
    bench.submit(client, "on-w2", workers=("w2",))
    bench.die(holder, nanny, [bench.attempt("a")])
    assert bench.states("a") == ["queued"]
    assert bench.state.members[first].solo is bench.task("a")
    assert list(bench.state.members[second].processing.values()) == [bench.task("on-w2")]


# -- placement


def test_choice_without_room_is_none(bench):
    client = bench.client()
    bench.submit(client, "a")
    assert placement.choose(bench.state, bench.task("a"), bench.now) is None
    assert placement.choose_among(bench.state, bench.task("a"), ("w0",), bench.now) is None


def test_cost_of_a_worker_full_of_zombies_is_a_guess_for_each(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.release(client, "a")
    bench.submit(client, "b", workers=("nobody",))
    assert placement.cost_s(bench.task("b"), bench.state.members[worker], bench.now) == GUESS_S


def test_task_behind_a_zombie_is_taken_back_once_and_not_given_to_the_same_hand_again(bench):
    client, first = bench.client(), bench.worker("w0")
    bench.submit(client, "input", workers=("w0",))
    bench.finish(first, "input", None)
    bench.submit(client, "zombie")
    bench.submit(client, "behind", "input")
    bench.release(client, "zombie")
    second = bench.worker("w1", address="unix:/w1")
    bench.beat(first, second)
    bench.tick(0.05)
    assert [message.attempts for message in bench.heard(first, Withdraw)] == [(bench.attempt("behind"),)]
    bench.give_back(first, bench.attempt("behind"))
    assert "behind" in bench.assigned(second)
