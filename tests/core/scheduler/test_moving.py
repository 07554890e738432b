"""Copies of results: replicate, rebalance, and what becomes of a copy when the world changes under it."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.moving import plan_rebalance
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.messages import (
    Answer,
    CopyFailed,
    CopyMade,
    FreeKeys,
    HoldCopy,
    RebalanceKeys,
    ReplicateKeys,
    RestartCluster,
    TaskOptions,
)
from tests.core.scheduler.bench import LARGE, Bench


@pytest.fixture
def bench():
    return Bench()


def workers(bench, count):
    return [bench.worker(f"w{number}") for number in range(count)]


def make(bench, client, worker, *keys, nbytes=LARGE):
    """Have a worker hold results."""
    name = bench.state.members[worker].name
    for key in keys:
        bench.submit(client, key, workers=(name,))
        bench.finish(worker, key, None, nbytes=nbytes)


def holders(bench, key):
    return [member.name for member in bench.task(key).holders]


def copies(bench, *receivers):
    """Return the copies these workers were newly asked to hold."""
    return [message for worker in receivers for message in bench.heard(worker, HoldCopy)]


# -- the plan


def member_with(name, *sizes):
    member = Member(1, name, "h", 1, f"unix:/{name}", 1)
    tasks = [Task(f"{name}-{index}", None, TaskOptions(), index) for index in range(len(sizes))]
    for task, size in zip(tasks, sizes, strict=True):
        task.nbytes = size
        task.holders = (member,)
    return member, tasks


def planned(*loads, can_take=lambda _member, _nbytes: True):
    """Return the bytes each worker holds after the plan, and how many moves it has."""
    members = [member_with(f"w{index}", *sizes) for index, sizes in enumerate(loads)]
    held = {member: sum(task.nbytes for task in tasks) for member, tasks in members}
    moves = plan_rebalance(held, dict(members), can_take)
    assert len({task for task, _, _ in moves}) == len(moves)
    for task, source, target in moves:
        held[source] -= task.nbytes
        held[target] += task.nbytes
    return sorted(held.values()), len(moves)


@pytest.mark.parametrize(
    ("loads", "after", "moves"),
    [
        ([], [], 0),
        ([[5]], [5], 0),
        ([[5], []], [0, 5], 0),  # no move makes it more even
        ([[5, 5], []], [5, 5], 1),
        ([[9, 1, 1, 1], []], [3, 9], 3),  # the small ones go
        ([[4, 4, 4, 4, 4, 4], [], []], [8, 8, 8], 4),
        ([[100, 3], [98, 2]], [100, 103], 0),  # even enough
        ([[0, 0, 0], []], [0, 0], 0),
        ([[10], [1], [1]], [1, 1, 10], 0),
        ([[6, 4], [1], [1]], [2, 4, 6], 2),
    ],
)
def test_plan_makes_workers_hold_about_as_much(loads, after, moves):
    assert planned(*loads) == (after, moves)


def test_plan_of_many_results_is_even():
    (least, most), count = planned([size % 97 + 1 for size in range(4000)], [])
    assert most - least <= 0.1 * (most + least) / 2
    assert count < 4000


def test_plan_asks_whether_there_is_room():
    asked = []

    def can_take(_member, nbytes):
        asked.append(nbytes)
        return nbytes <= 5

    assert planned([5, 5, 5, 5], [], can_take=can_take) == ([5, 15], 1)
    assert asked == [5, 10]


# -- replicate


def test_replicate_copies_from_holders_as_a_tree_and_answers_when_done(bench):
    client, all_workers = bench.client(), workers(bench, 5)
    make(bench, client, all_workers[0], "x")
    bench.say(client, ReplicateKeys(9, ("x",), branching=2))
    first = copies(bench, *all_workers)
    assert [(copy.key, copy.holders, copy.nbytes) for copy in first] == [("x", ("unix:/w0",), LARGE)] * 2
    bench.say(all_workers[1], CopyMade(first[0].copy))
    third, fourth = copies(bench, *all_workers)
    assert [copy.holders[0] for copy in (third, fourth)] == ["unix:/w1", "unix:/w0"]
    bench.say(all_workers[2], CopyMade(first[1].copy))
    assert not bench.heard(client, Answer)
    bench.say(all_workers[3], CopyMade(third.copy))
    bench.say(all_workers[4], CopyMade(fourth.copy))
    assert bench.heard(client, Answer) == [Answer(9)]
    assert sorted(holders(bench, "x")) == ["w0", "w1", "w2", "w3", "w4"]


def test_replicate_downwards_drops_where_most_is_held_and_never_the_last(bench):
    client, (first, second, third) = bench.client(), workers(bench, 3)
    make(bench, client, first, "x", "ballast")
    make(bench, client, third, "more", "and-more")
    for worker in (second, third):
        bench.state.hold(bench.task("x"), bench.state.members[worker])
    bench.say(client, ReplicateKeys(9, ("x",), 2))
    assert holders(bench, "x") == ["w0", "w1"]
    assert bench.heard(third, FreeKeys) == [FreeKeys(("x",))]
    bench.say(client, ReplicateKeys(10, ("x",), 1, ("w0",)))
    assert holders(bench, "x") == ["w0", "w1"]  # only the copies on w0 were meant
    bench.say(client, ReplicateKeys(11, ("x",), 1))
    assert holders(bench, "x") == ["w1"]
    assert bench.heard(client, Answer) == [Answer(9), Answer(10), Answer(11)]


def test_replicate_of_small_and_stored_values_is_done_at_once(bench):
    client, (worker, _other) = bench.client(), workers(bench, 2)
    bench.submit(client, "small", workers=("w0",))
    bench.finish(worker, "small")
    make(bench, client, worker, "stored")
    bench.task("stored").stored = "aa"
    bench.state.drop_replica(bench.task("stored"), bench.state.members[worker])
    bench.say(client, ReplicateKeys(9, ("small", "stored"), 2))
    assert bench.heard(client, Answer) == [Answer(9)]


def test_replicate_of_many_lets_a_worker_make_only_so_many_at_once():
    bench = Bench(copies_max=2)
    client, (first, second) = bench.client(), workers(bench, 2)
    make(bench, client, first, *"abcde")
    bench.say(client, ReplicateKeys(9, tuple("abcde")))
    under_way = copies(bench, second)
    assert [copy.key for copy in under_way] == ["a", "b"]
    while under_way:
        bench.say(second, CopyMade(under_way.pop(0).copy))
        under_way += copies(bench, second)
        assert len(under_way) <= 2
    assert bench.heard(client, Answer) == [Answer(9)]
    assert {len(holders(bench, key)) for key in "abcde"} == {2}


def test_replicate_that_fails_again_and_again_says_what_and_why(bench):
    client, (first, second) = bench.client(), workers(bench, 2)
    make(bench, client, first, "x")
    bench.say(client, ReplicateKeys(9, ("x",)))
    for _ in range(3):
        (copy,) = copies(bench, second)
        bench.say(second, CopyFailed(copy.copy, "no way"))
    (answer,) = bench.heard(client, Answer)
    assert answer.error == "1 result could not be copied: x (200,000 bytes): copying it to w1 failed: no way"
    assert bench.states("x") == ["memory"]


def test_replicate_where_no_memory_is_left_says_so(bench):
    client, (first, second) = bench.client(), workers(bench, 2)
    bench.state.members[second].memory_bytes_max = LARGE
    make(bench, client, first, "x")
    bench.say(client, ReplicateKeys(9, ("x",)))
    assert "no further worker has memory left" in bench.heard(client, Answer)[0].error


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (ReplicateKeys(9, ("gone",)), "does not know gone any more"),
        (ReplicateKeys(9, ("x",), 0, ("nobody",)), "no worker 'nobody'"),
        (RebalanceKeys(9, ("gone",)), "does not know gone any more"),
        (RebalanceKeys(9, (), ("nobody",)), "no worker 'nobody'"),
    ],
)
def test_request_about_what_is_not_there_is_refused(bench, message, words):
    client, (worker,) = bench.client(), workers(bench, 1)
    make(bench, client, worker, "x")
    bench.say(client, message)
    (answer,) = bench.heard(client, Answer)
    assert words in answer.error
    assert answer.kind == "usage"


def test_replicate_of_what_is_not_in_memory_says_in_which_state_it_is(bench):
    client, (worker,) = bench.client(), workers(bench, 1)
    bench.submit(client, "runs")
    bench.say(client, ReplicateKeys(9, ("runs",)))
    assert "it is processing" in bench.heard(client, Answer)[0].error
    make(bench, client, worker, "x")
    bench.say(worker, Disconnected("gone"))
    bench.say(client, ReplicateKeys(10, ("x",)))
    assert "no worker is there" in bench.heard(client, Answer)[0].error


def test_target_that_dies_is_replaced_by_another(bench):
    client, (first, second, third) = bench.client(), workers(bench, 3)
    make(bench, client, first, "x")
    bench.say(client, ReplicateKeys(9, ("x",), 2))
    (copy,) = copies(bench, second)
    bench.say(second, Disconnected("gone"))
    bench.say(second, CopyMade(copy.copy))
    (again,) = copies(bench, third)
    bench.say(third, CopyMade(again.copy))
    assert bench.heard(client, Answer) == [Answer(9)]
    assert holders(bench, "x") == ["w0", "w2"]


def test_copy_of_a_value_that_is_let_go_is_freed_and_its_answer_not_heard(bench):
    client, (first, second) = bench.client(), workers(bench, 2)
    make(bench, client, first, "x")
    bench.say(client, ReplicateKeys(9, ("x",)))
    (copy,) = copies(bench, second)
    bench.release(client, "x")
    assert bench.heard(second, FreeKeys) == [FreeKeys(("x",))]
    bench.say(second, CopyMade(copy.copy))
    assert "it is forgotten" in bench.heard(client, Answer)[0].error
    assert not bench.state.moves.copies


def test_source_that_dies_with_the_only_value_ends_the_request(bench):
    client, (first, second) = bench.client(), workers(bench, 2)
    make(bench, client, first, "x")
    bench.say(client, ReplicateKeys(9, ("x",)))
    bench.say(first, Disconnected("gone"))
    assert bench.heard(second, FreeKeys) == [FreeKeys(("x",))]
    assert "could not be copied" in bench.heard(client, Answer)[0].error


def test_copy_that_takes_too_long_is_given_up_and_tried_again(bench):
    client, (first, second) = bench.client(), workers(bench, 2)
    make(bench, client, first, "x")
    bench.say(client, ReplicateKeys(9, ("x",)))
    for _ in range(3):
        assert len(copies(bench, second)) == 1
        for _ in range(40):
            bench.beat(first, second)
            bench.tick(0.5)
        assert bench.heard(second, FreeKeys) == [FreeKeys(("x",))]
    assert "w1 has not made it in time" in bench.heard(client, Answer)[0].error


def test_two_requests_share_a_copy(bench):
    client, (first, second) = bench.client(), workers(bench, 2)
    make(bench, client, first, "x")
    bench.say(client, ReplicateKeys(9, ("x",)))
    bench.say(client, ReplicateKeys(10, ("x",)))
    (copy,) = copies(bench, second)
    bench.say(first, CopyMade(copy.copy))  # not this worker's to say
    assert not bench.heard(client, Answer)
    bench.say(second, CopyMade(copy.copy))
    assert bench.heard(client, Answer) == [Answer(9), Answer(10)]


def test_restart_ends_every_request(bench):
    client, (first, second) = bench.client(), workers(bench, 2)
    bench.nanny()
    make(bench, client, first, "x")
    bench.say(client, ReplicateKeys(9, ("x",)))
    assert copies(bench, second)
    bench.say(client, RestartCluster(10))
    assert bench.heard(client, Answer) == [Answer(9, "the copies were given up: the cluster was restarted")]


# -- rebalance


def test_rebalance_drops_the_source_only_when_the_copy_is_confirmed(bench):
    client, (first, second) = bench.client(), workers(bench, 2)
    make(bench, client, first, *"abcd")
    bench.say(client, RebalanceKeys(9))
    moves = copies(bench, second)
    assert len(moves) == 2
    for move in moves:
        assert holders(bench, move.key) == ["w0"]
        bench.say(second, CopyMade(move.copy))
        assert holders(bench, move.key) == ["w1"]
        assert bench.heard(first, FreeKeys) == [FreeKeys((move.key,))]
    assert bench.heard(client, Answer) == [Answer(9)]
    bench.say(client, RebalanceKeys(10))
    assert bench.heard(client, Answer) == [Answer(10)]  # even already


def test_rebalance_moves_only_what_and_where_it_may(bench):
    client, (first, second, third) = bench.client(), workers(bench, 3)
    make(bench, client, first, *"abcd")
    bench.say(client, RebalanceKeys(9, ("a", "b"), ("w0", "w2")))
    assert not copies(bench, second)
    moves = copies(bench, third)
    assert [move.key for move in moves] == ["b", "a"]
    for move in moves:
        bench.say(third, CopyMade(move.copy))
    assert bench.heard(client, Answer) == [Answer(9)]


def test_rebalance_whose_target_dies_is_planned_anew(bench):
    client, (first, second, third) = bench.client(), workers(bench, 3)
    make(bench, client, first, *"abcdef")
    bench.say(client, RebalanceKeys(9))
    assert len(copies(bench, second)) == len(copies(bench, third)) == 2
    bench.say(second, Disconnected("gone"))
    moved = 0
    while under_way := [copy for copy in bench.state.moves.copies.values() if copy.target is not None]:
        bench.say(third, CopyMade(under_way[0].number))
        moved += 1
    assert moved == 3
    assert bench.heard(client, Answer) == [Answer(9)]


def test_rebalance_that_cannot_move_something_says_so_and_keeps_it(bench):
    client, (first, second) = bench.client(), workers(bench, 2)
    make(bench, client, first, "a", "b")
    bench.say(client, RebalanceKeys(9))
    for _ in range(3):
        (move,) = copies(bench, second)
        bench.say(second, CopyFailed(move.copy, "no way"))
    assert "no way" in bench.heard(client, Answer)[0].error
    assert holders(bench, move.key) == ["w0"]


def test_rebalanced_result_that_is_let_go_meanwhile_is_no_error(bench):
    client, (first, second) = bench.client(), workers(bench, 2)
    make(bench, client, first, "a", "b")
    bench.say(client, RebalanceKeys(9))
    (move,) = copies(bench, second)
    bench.release(client, move.key)
    assert bench.heard(client, Answer) == [Answer(9)]


def test_two_who_want_different_numbers_of_copies_both_get_an_answer(bench):
    first, *others = workers(bench, 3)
    one, many = bench.client(), bench.client()
    make(bench, one, first, "x")
    bench.say(many, ReplicateKeys(1, ("x",)))
    bench.say(one, ReplicateKeys(2, ("x",), 1))
    for worker in others:
        (copy,) = bench.heard(worker, HoldCopy)
        assert len(holders(bench, "x")) == 1 + others.index(worker)  # nothing is dropped that another one waits for
        bench.say(worker, CopyMade(copy.copy))
    assert bench.heard(many, Answer) == [Answer(1)]
    assert bench.heard(one, Answer) == [Answer(2)]
    assert not bench.state.moves.jobs
