"""Attempts that wait for something of the cluster, what tasks submit, join and hold."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler import replay
from jupyter_dist.core.scheduler.recovery import CHARGES_MAX
from jupyter_dist.core.scheduler.state import DEPTH_MAX
from jupyter_dist.core.scheduler.submission import LET_GO, UNWRITTEN
from jupyter_dist.messages import (
    Answer,
    AttemptGoesOn,
    AttemptWaits,
    Cancel,
    ClaimWishes,
    KeyCancelled,
    KeyErred,
    KeyFinished,
    Pulse,
    RetryKeys,
    StopAttempt,
    WantKeys,
)
from tests.core.scheduler.bench import Bench


@pytest.fixture
def bench():
    return Bench()


def wait(bench, worker, key):
    bench.say(worker, AttemptWaits(bench.attempt(key)))


def go_on(bench, worker, key):
    bench.say(worker, AttemptGoesOn(bench.attempt(key)))


def member(bench, worker):
    return bench.state.members[worker]


# -- slots ---------------------------------------------------------------------------------------------------------------


def test_wait_of_an_attempt_gives_its_slot_to_the_next(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "parent")
    bench.submit(client, "other", workers=("w0",))
    wait(bench, worker, "parent")
    assert bench.states("parent", "other") == ["processing", "processing"]
    assert list(member(bench, worker).processing.values()) == [bench.task("other")]
    assert member(bench, worker).load == 1
    assert member(bench, worker).occupancy_s == bench.task("other").expected_s


def test_going_on_counts_again_and_stands_before_what_is_in_hand(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "parent")
    wait(bench, worker, "parent")
    bench.submit(client, "other")
    go_on(bench, worker, "parent")
    found = member(bench, worker)
    assert [task.key for task in found.processing.values()] == ["parent", "other"]
    assert (found.load, found.waiting) == (2, {})
    assert found in bench.state.laden


def test_finish_of_an_attempt_that_waits_is_taken(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "parent")
    wait(bench, worker, "parent")
    bench.finish(worker, "parent")
    assert bench.states("parent") == ["memory"]
    assert (member(bench, worker).load, member(bench, worker).waiting) == (0, {})


def test_release_of_a_task_that_waits_leaves_a_zombie_without_a_slot(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "parent")
    attempt = bench.attempt("parent")
    wait(bench, worker, "parent")
    bench.release(client, "parent")
    assert (member(bench, worker).load, member(bench, worker).waiting) == (0, {attempt: None})
    bench.say(worker, AttemptGoesOn(attempt))
    assert member(bench, worker).zombies == {attempt}
    bench.say(worker, AttemptWaits(attempt))
    assert member(bench, worker).waiting == {attempt: None}
    bench.finish(worker, "parent", attempt=attempt)
    assert not member(bench, worker).waiting


def test_cancel_by_force_of_a_task_that_waits_stops_it(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "parent")
    attempt = bench.attempt("parent")
    wait(bench, worker, "parent")
    bench.say(client, Cancel(("parent",), force=True))
    assert bench.heard(worker, StopAttempt) == [StopAttempt(attempt, force=True)]


def test_word_about_an_unknown_attempt_is_not_heard(bench):
    worker = bench.worker()
    bench.say(worker, AttemptWaits(77), AttemptGoesOn(77))
    assert (member(bench, worker).load, member(bench, worker).waiting) == (0, {})


def test_restart_forgets_what_waits(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "parent")
    wait(bench, worker, "parent")
    bench.say(worker, Disconnected("gone"))
    assert bench.states("parent") == ["queued"]


# -- death and blame -----------------------------------------------------------------------------------------------------


def test_death_while_one_computes_does_not_charge_those_that_wait(bench):
    client, nanny = bench.client(), bench.nanny()
    worker = bench.worker(nanny="n")
    bench.submit(client, "parent")
    wait(bench, worker, "parent")
    bench.submit(client, "child", parent="parent")
    bench.die(worker, nanny, [bench.attempt("child")], waiting=[bench.attempt("parent")])
    assert (len(bench.task("parent").certificates), len(bench.task("child").certificates)) == (0, 1)
    assert bench.states("parent", "child") == ["queued", "queued"]


def test_death_while_all_wait_charges_them_and_convicts_only_one_alone(bench):
    client, nanny = bench.client(), bench.nanny()
    worker = bench.worker(nanny="n", slots=2)
    for key in ("a", "b"):
        bench.submit(client, key)
        wait(bench, worker, key)
    for _ in range(3):  # each time together
        bench.die(worker, nanny, waiting=[bench.attempt("a"), bench.attempt("b")])
        worker = bench.worker(nanny="n", slots=2)
        wait(bench, worker, "a")
        wait(bench, worker, "b")
    assert bench.states("a", "b") == ["processing", "processing"]
    bench.finish(worker, "b")
    bench.die(worker, nanny, waiting=[bench.attempt("a")])
    (erred,) = bench.heard(client, KeyErred)
    assert "the last time alone" in erred.error.text


def test_deaths_beside_others_convict_in_the_end(bench):
    client, nanny = bench.client(), bench.nanny()
    for key in ("a", "b"):
        bench.submit(client, key)
    for _ in range(CHARGES_MAX):
        worker = bench.worker(nanny="n", slots=2)
        wait(bench, worker, "a")
        wait(bench, worker, "b")
        bench.die(worker, nanny, waiting=[bench.attempt("a"), bench.attempt("b")])
    assert bench.states("a", "b") == ["erred", "erred"]
    assert "each time beside others" in bench.heard(client, KeyErred)[0].error.text


def test_deaths_by_ever_new_children_convict_those_that_wait_for_them_in_the_end(bench):
    client, other, nanny = bench.client(), bench.client(), bench.nanny()
    bench.submit(client, "grandparent")
    bench.submit(other, "neighbour")
    for number in range(CHARGES_MAX):
        worker = bench.worker(nanny="n")
        for key in ("grandparent", "neighbour"):
            wait(bench, worker, key)
        tasks = bench.client()  # a session of the worker's
        bench.submit(tasks, f"parent-{number}", parent="grandparent")
        wait(bench, worker, f"parent-{number}")
        bench.submit(tasks, f"child-{number}", parent=f"parent-{number}")
        assert not bench.heard(client, KeyErred)
        waiting = [bench.attempt(key) for key in ("grandparent", "neighbour", f"parent-{number}")]
        bench.die(worker, nanny, [bench.attempt(f"child-{number}")], waiting=waiting)
        bench.release(tasks, f"child-{number}")
        bench.release(tasks, f"parent-{number}")
    (erred,) = bench.heard(client, KeyErred)
    assert (erred.error.kind, len(erred.error.certificates)) == ("crashed", CHARGES_MAX)
    assert f"{CHARGES_MAX} times that killed" in erred.error.text
    assert bench.states("neighbour") == ["queued"]


def test_deaths_by_children_count_on_after_a_result_and_are_forgiven_with_the_error(bench):
    client, nanny = bench.client(), bench.nanny()
    bench.submit(client, "parent")
    worker = bench.worker(nanny="n")
    wait(bench, worker, "parent")
    bench.submit(client, "child", parent="parent")
    bench.die(worker, nanny, [bench.attempt("child")], waiting=[bench.attempt("parent")])
    bench.worker("w1", nanny="n")  # for the suspect
    worker = bench.worker("w2", nanny="n")
    bench.finish(worker, "parent", None)
    assert len(bench.task("parent").losses) == 1  # the result may be lost, and made anew, with other children
    bench.say(worker, Disconnected("gone"))
    bench.err(bench.worker("w3", nanny="n"), "parent")
    bench.say(client, RetryKeys(("parent",)))
    assert bench.task("parent").losses == ()


def test_deaths_by_what_a_task_left_behind_convict_it_when_its_result_is_lost_each_time(bench):
    client, nanny = bench.client(), bench.nanny()
    bench.submit(client, "parent")
    for number in range(CHARGES_MAX):
        worker = bench.worker(nanny="n", slots=2, pid=2000 + number)
        tasks = bench.client()
        bench.submit(tasks, f"child-{number}", parent="parent")
        left_behind = bench.attempt(f"child-{number}")
        bench.finish(worker, "parent", None, nbytes=100_000)
        bench.release(tasks, f"child-{number}")
        assert not bench.heard(client, KeyErred)
        bench.die(worker, nanny, [left_behind])
    (erred,) = bench.heard(client, KeyErred)
    assert (erred.error.kind, len(erred.error.certificates)) == ("crashed", CHARGES_MAX)
    assert "left behind what it had submitted" in erred.error.text


def test_deaths_by_what_a_task_left_behind_are_no_matter_when_its_result_is_safe(bench):
    client, nanny = bench.client(), bench.nanny()
    bench.submit(client, "parent")
    worker = bench.worker(nanny="n", slots=2)
    bench.submit(client, "child", parent="parent")
    left_behind = bench.attempt("child")
    bench.finish(worker, "parent")
    bench.release(client, "child")
    bench.die(worker, nanny, [left_behind])
    assert bench.states("parent") == ["memory"]
    assert bench.task("parent").losses == ()


def test_task_that_is_its_own_forebear_ends_the_walk(bench):
    client, nanny = bench.client(), bench.nanny()
    worker = bench.worker(nanny="n", slots=2)
    bench.submit(client, "a", parent="b")
    bench.submit(client, "b", parent="a")
    wait(bench, worker, "b")
    bench.die(worker, nanny, [bench.attempt("a")], waiting=[bench.attempt("b")])
    assert [len(bench.task(key).losses) for key in ("a", "b")] == [0, 1]


def test_suspect_that_waits_lets_its_child_run_on_the_only_worker(bench):
    client, nanny = bench.client(), bench.nanny()
    worker = bench.worker(nanny="n")
    bench.submit(client, "parent")
    bench.die(worker, nanny, [bench.attempt("parent")])
    worker = bench.worker(nanny="n")
    assert member(bench, worker).solo is bench.task("parent")
    bench.submit(client, "child", parent="parent")
    assert bench.states("parent", "child") == ["processing", "queued"]
    wait(bench, worker, "parent")
    assert bench.states("child") == ["processing"]
    bench.finish(worker, "child")
    go_on(bench, worker, "parent")
    assert member(bench, worker).solo is bench.task("parent")
    bench.finish(worker, "parent")
    assert member(bench, worker).solo is None


def test_suspects_that_wait_for_each_other_can_all_run_on_one_worker(bench):
    client, nanny = bench.client(), bench.nanny()
    worker = bench.worker(nanny="n")
    keys = ("a", "b", "c")
    for key in keys:
        bench.submit(client, key)
        wait(bench, worker, key)
    bench.die(worker, nanny, waiting=[bench.attempt(key) for key in keys])
    worker = bench.worker(nanny="n")
    for key in keys:
        assert bench.states(key) == ["processing"]
        wait(bench, worker, key)


# -- what tasks submit ---------------------------------------------------------------------------------------------------


def test_children_run_before_what_was_submitted_earlier_deeper_ones_first(bench):
    client = bench.client()
    for key in ("parent", "second", "third"):
        bench.submit(client, key)
    bench.submit(client, "child-1", parent="parent")
    bench.submit(client, "child-2", parent="parent")
    bench.submit(client, "grandchild", parent="child-1")
    bench.submit(client, "urgent", priority=1)
    worker = bench.worker(slots=7)
    order = ["urgent", "grandchild", "child-1", "child-2", "parent", "second", "third"]
    assert [task.key for task in member(bench, worker).processing.values()] == order


def test_place_of_a_task_is_a_number_of_64_bits_however_deep_it_is(bench):
    client = bench.client()
    bench.submit(client, "0")
    for depth in range(DEPTH_MAX + 3):
        bench.submit(client, str(depth + 1), parent=str(depth))
        bench.release(client, str(depth))
    order = bench.task(str(depth + 1)).order
    assert -(2**63) < order < 0


def test_session_of_tasks_does_not_keep_an_idle_cluster():
    bench = Bench(detached=True, idle_stop_s=10.0)
    bench.client(kind="task")
    bench.tick(1.0)
    bench.tick(12.0)
    assert bench.stopped


def test_session_without_linger_is_closed_with_its_connection(bench):
    client = bench.client(linger_s=0.0)
    bench.submit(client, "a")
    bench.say(client, Disconnected("gone"))
    assert not bench.state.tasks
    assert not bench.state.sessions


def test_session_of_tasks_is_kept_while_its_worker_lives(bench):
    nanny, worker = bench.nanny(), bench.worker(nanny="n", pid=1234)
    tasks = bench.client(kind="task", linger_s=1.0, pid=1234)
    bench.submit(tasks, "child")
    bench.say(tasks, Disconnected("connection reset"))
    for _ in range(5):
        bench.beat(worker)
        bench.pulse(nanny, "w0", "running", 100.0, pid=1234)
        bench.tick(1.0)
    assert bench.states("child") == ["processing"]
    bench.die(worker, nanny)
    bench.say(nanny, Pulse(()))
    bench.tick(2.0)
    assert not bench.state.tasks
    assert not bench.state.sessions


def test_session_of_tasks_of_an_unheard_worker_is_kept_while_its_nanny_sees_it(bench):
    nanny, worker = bench.nanny(), bench.worker(nanny="n", pid=1234)
    tasks = bench.client(kind="task", linger_s=1.0, pid=1234)
    bench.submit(tasks, "child")
    bench.finish(worker, "child")
    bench.say(tasks, Disconnected("connection reset"))
    bench.pulse(nanny, "w0", "running", 100.0, pid=1234)
    bench.say(worker, Disconnected("connection reset"))
    bench.tick(2.0)
    bench.tick(2.0)
    assert bench.states("child") == ["memory"]
    bench.say(nanny, Pulse(()))
    bench.tick(2.0)
    assert not bench.state.tasks


# -- a scheduler that dies -----------------------------------------------------------------------------------------------


def test_attempt_that_waits_goes_on_under_the_next_scheduler_and_its_child_runs_in_its_slot(bench):
    client, worker = bench.client("c"), bench.worker()
    tasks = bench.client("t", kind="task", linger_s=1.0, pid=bench.pids[worker])
    bench.submit(client, "parent")
    wait(bench, worker, "parent")
    bench.submit(tasks, "child", parent="parent")
    number = bench.attempt("parent")
    bench.succeed()
    bench.client("c")
    bench.client("t", kind="task", linger_s=1.0, pid=bench.pids[worker])
    worker = bench.worker(running=((number, "parent"),), pid=bench.pids[worker])
    bench.tick(replay.CLAIM_S)
    assert bench.attempt("parent") == number
    wait(bench, worker, "parent")
    bench.tick(3.0)
    assert list(member(bench, worker).waiting) == [number]
    assert bench.assigned(worker).keys() == {"child"}
    bench.finish(worker, "child")
    go_on(bench, worker, "parent")
    bench.finish(worker, "parent")
    assert bench.states("parent") == ["memory"]


def test_attempt_that_waits_and_that_nobody_wants_any_more_has_no_slot_under_the_next_scheduler(bench):
    client, worker = bench.client("c"), bench.worker()
    bench.submit(client, "parent")
    wait(bench, worker, "parent")
    number = bench.attempt("parent")
    bench.release(client, "parent")
    bench.succeed()
    worker = bench.worker(running=((number, "parent"),), pid=bench.pids[worker])
    bench.tick(replay.CLAIM_S)
    assert bench.heard(worker, StopAttempt) == [StopAttempt(number)]
    bench.say(worker, AttemptWaits(number))
    assert (member(bench, worker).load, member(bench, worker).waiting) == (0, {number: None})


def test_place_of_a_child_and_what_it_holds_come_back_with_the_next_scheduler(bench):
    client = bench.client("c")
    bench.submit(client, "held")
    bench.submit(client, "other")
    bench.submit(client, "parent")
    bench.submit(client, "child", held=("held",), parent="parent")
    bench.submit(client, "grandchild", parent="child")
    bench.release(client, "held")
    orders = {key: task.order for key, task in bench.state.tasks.items()}
    bench.succeed()
    client = bench.client("c")
    assert {key: task.order for key, task in bench.state.tasks.items()} == orders
    assert bench.task("child").held == (bench.task("held"),)
    bench.submit(client, "last")
    assert bench.task("last").order > max(orders.values())
    worker = bench.worker()
    bench.tick(3.0)
    assert next(iter(bench.assigned(worker))) == "grandchild"


def test_want_of_anothers_key_comes_back_with_the_next_scheduler(bench):
    first, second = bench.client("first"), bench.client("second")
    bench.submit(first, "a")
    bench.say(second, WantKeys((("a", 70),)))
    bench.release(first, "a")
    bench.succeed()
    second = bench.client("second")
    worker = bench.worker()
    bench.tick(3.0)
    bench.finish(worker, "a")
    assert [message.wish for message in bench.heard(second, KeyFinished)] == [70]


def test_claim_of_what_nobody_knows_says_whether_a_scheduler_died(bench):
    client = bench.client("c")
    bench.say(client, ClaimWishes(((70, "a"),)))
    assert bench.heard(client, KeyCancelled) == [KeyCancelled((70,), LET_GO)]
    bench.submit(client, "b")
    bench.succeed()
    client = bench.client("c")
    bench.say(client, ClaimWishes(((70, "a"),)))
    assert KeyCancelled((70,), UNWRITTEN) in bench.heard(client, KeyCancelled)


# -- joining -------------------------------------------------------------------------------------------------------------


def test_want_of_known_keys_is_answered_as_a_wish_of_ones_own(bench):
    first, second, worker = bench.client(), bench.client(), bench.worker()
    bench.submit(first, "done")
    bench.finish(worker, "done")
    bench.submit(first, "bad")
    bench.err(worker, "bad")
    bench.submit(first, "pending")
    bench.say(second, WantKeys((("done", 71), ("bad", 72), ("pending", 73)), request=5))
    assert [message.wish for message in bench.heard(second, KeyFinished)] == [71]
    assert [message.wish for message in bench.heard(second, KeyErred)] == [72]
    assert bench.heard(second, Answer) == [Answer(5)]
    bench.release(first, "pending")
    bench.finish(worker, "pending")
    assert [message.wish for message in bench.heard(second, KeyFinished)] == [73]


def test_want_of_an_unknown_key_is_cancelled_with_a_reason(bench):
    client = bench.client()
    bench.say(client, WantKeys((("never", 9),)))
    (cancelled,) = bench.heard(client, KeyCancelled)
    assert cancelled == KeyCancelled((9,), "the cluster does not know it any more")
    assert not bench.heard(client, Answer)


def test_want_of_a_key_kept_as_lineage_makes_it_again(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.finish(worker, "a")
    bench.submit(client, "b", "a")
    bench.finish(worker, "b")
    bench.release(client, "a")
    assert bench.states("a") == ["released"]
    bench.say(client, WantKeys((("a", 50),)))
    assert bench.states("a") == ["processing"]


# -- holding -------------------------------------------------------------------------------------------------------------


def test_held_key_is_not_waited_for_and_not_let_go_before_the_call_was_made(bench):
    client, worker = bench.client(), bench.worker(slots=2)
    bench.submit(client, "held")
    bench.submit(client, "call", held=("held",))
    assert bench.states("held", "call") == ["processing", "processing"]
    bench.release(client, "held")
    bench.finish(worker, "held")
    assert bench.states("held") == ["memory"]
    bench.finish(worker, "call")
    assert bench.states("held") == ["released"]
    bench.release(client, "call")
    assert not bench.state.tasks


def test_held_key_that_was_let_go_is_made_again_when_its_call_is(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "held")
    bench.finish(worker, "held")
    bench.submit(client, "call", held=("held",))
    bench.finish(worker, "call", None)
    bench.release(client, "held")
    bench.say(worker, Disconnected("gone"))
    assert bench.states("held", "call") == ["queued", "queued"]


def test_held_key_that_errs_does_not_fail_its_call(bench):
    client, worker = bench.client(), bench.worker(slots=2)
    bench.submit(client, "held")
    bench.submit(client, "call", held=("held",))
    bench.err(worker, "held")
    assert bench.states("held", "call") == ["erred", "processing"]
    bench.finish(worker, "call")
    assert bench.states("call") == ["memory"]


def test_held_key_nobody_knows_is_left_out(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "call", held=("never",))
    bench.finish(worker, "call")
    assert bench.states("call") == ["memory"]


def test_held_key_that_is_an_input_as_well_is_waited_for(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(client, "call", "a", held=("a",))
    assert bench.states("call") == ["waiting"]
    bench.finish(worker, "a")
    assert bench.states("call") == ["processing"]
