"""Tasks that are not run twice: when they are handed out, what may begin again, and what errs instead."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.replay import CLAIM_S
from jupyter_dist.messages import (
    Answer,
    AssignTask,
    AttemptWaits,
    Explain,
    HeldResult,
    KeyErred,
    MissingValue,
    RestartCluster,
    RetireWorkers,
    RetryKeys,
    StopAttempt,
    WorkerDied,
)
from jupyter_dist.messages.journal import TRIALS
from tests.core.scheduler.bench import LARGE, Bench, certificate

PID = 7


@pytest.fixture
def bench():
    bench = Bench()
    bench.nanny()
    return bench


def begin(bench, key="a", **worker):
    """Have a task that is not run twice handed out; return its client, its worker and its attempt."""
    client, source = bench.client("c"), bench.worker("w0", nanny="n", pid=PID, **worker)
    bench.submit(client, key, once=True)
    bench.write()
    return client, source, bench.assigned(source)[key]


def error_of(bench, client):
    """Return the error a client was told last."""
    return bench.heard(client, KeyErred)[-1].error


def die(bench, attempts=(), *, cause="signal", waiting=(), ended=()):
    """Have the worker of `begin` die with a certificate that is told to the scheduler there is now."""
    died = certificate("w0", PID, attempts, cause, waiting=waiting, ended=ended)
    bench.say(next(iter(bench.state.nannies)), WorkerDied(died))


# -- handing out -----------------------------------------------------------------------------------------------------


def test_assignment_of_a_task_that_is_not_run_twice_waits_for_its_record(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a", once=True)
    assert not bench.heard(worker, AssignTask)
    assert bench.records[TRIALS]["a"].spent.attempt == bench.attempt("a")
    bench.write()
    assert list(bench.assigned(worker)) == ["a"]
    assert not bench.state.once.unsent


def test_assignment_goes_to_whoever_may_run_it_by_then(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a", once=True)
    other = bench.worker("w1")
    bench.say(client, RetireWorkers(1, ("w0",)))
    bench.write()
    assert not bench.heard(worker, AssignTask)
    bench.write()
    assert list(bench.assigned(other)) == ["a"]


def test_assignment_whose_task_is_let_go_before_its_record_is_written_is_not_sent(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a", once=True)
    bench.release(client, "a")
    assert not bench.state.members[worker].load
    bench.write()
    assert not bench.heard(worker, AssignTask)
    assert not bench.records[TRIALS]


def test_second_record_is_behind_the_first_assignment(bench):
    client, worker = bench.client(), bench.worker(slots=2)
    bench.submit(client, "a", once=True)
    written = bench.state.ledger.number
    bench.submit(client, "b", once=True)
    bench.machine.written(written, bench.now)
    bench.tick()
    assert list(bench.assigned(worker)) == ["a"]
    bench.write()
    assert list(bench.assigned(worker)) == ["b"]


def test_task_that_is_not_run_twice_is_not_given_in_hand_and_has_its_turn(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "busy")
    bench.submit(client, "a", once=True)
    bench.submit(client, "later")
    assert bench.states("busy", "a", "later") == ["processing", "queued", "queued"]
    bench.finish(worker, "busy")
    bench.write()
    assert list(bench.assigned(worker)) == ["busy", "a", "later"]


def test_task_that_is_given_back_runs_elsewhere(bench):
    client, worker, attempt = begin(bench)
    bench.give_back(worker, attempt)
    bench.write()
    assert list(bench.assigned(worker)) == ["a"]
    bench.finish(worker, "a")
    assert not bench.heard(client, KeyErred)


def test_task_whose_input_could_not_be_had_runs_again(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "input")
    bench.finish(worker, "input", None)
    bench.submit(client, "a", "input", once=True)
    bench.miss(worker, bench.attempt("a"), "input", "unix:/w0")
    bench.finish(worker, "input", None)
    assert bench.states("a") == ["processing"]


def test_error_of_a_task_that_says_it_may_be_tried_again_is_its_error_at_once(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a", once=True, retries=3)
    bench.err(worker, "a")
    assert error_of(bench, client).type_name == "ValueError"


# -- the death of its worker -----------------------------------------------------------------------------------------


def test_death_without_a_certificate_errs_what_may_have_begun_and_what_needs_it(bench):
    client, worker, _attempt = begin(bench)
    bench.submit(client, "end", "a")
    bench.say(worker, Disconnected("gone"))
    assert bench.states("a") == ["processing"]
    bench.tick(bench.state.settings.certificate_wait_s)
    bench.worker("w1")
    assert bench.states("a", "end") == ["erred", "erred"]
    error = bench.task("end").error
    assert (error.type_name, error.kind, error.key) == ("DataLostError", "lost", "a")
    assert "a" in error.text
    assert "may have begun on w0 (h), and w0 was lost" in error.text
    assert "executor.retry(future)" in error.text


def test_silence_of_its_worker_errs_it(bench):
    client, _worker, _attempt = begin(bench)
    bench.pulse(next(iter(bench.state.nannies)), "w0", "stopped", pid=PID)
    for _ in range(4):
        bench.tick(bench.state.settings.lease_s / 3)
    assert "may have begun" in error_of(bench, client).text


def test_certificate_that_does_not_name_it_lets_it_run_elsewhere(bench):
    client, _worker, _attempt = begin(bench)
    die(bench)
    other = bench.worker("w1")
    bench.write()
    assert list(bench.assigned(other)) == ["a"]
    assert not bench.heard(client, KeyErred)


def test_certificate_whose_page_could_not_be_read_errs_it(bench):
    client, _worker, _attempt = begin(bench)
    die(bench, ended=None)
    assert "may have begun on w0 (h), and w0 died by signal" in error_of(bench, client).text


def test_assignment_that_its_dead_worker_never_heard_of_runs_elsewhere(bench):
    client, worker = bench.client(), bench.worker("w0")
    bench.submit(client, "a", once=True)
    bench.say(worker, Disconnected("gone"))
    other = bench.worker("w0")
    bench.tick(bench.state.settings.certificate_wait_s)
    bench.write()
    assert list(bench.assigned(other)) == ["a"]


def test_task_that_kills_its_process_errs_with_its_certificate_at_once(bench):
    client, _worker, attempt = begin(bench)
    die(bench, [attempt])
    error = error_of(bench, client)
    assert (error.type_name, len(error.certificates)) == ("WorkerCrashedError", 1)
    assert 'is not run twice (rerun="never")' in error.text
    assert not bench.state.suspects


@pytest.mark.parametrize(
    ("name", "words"), [("attempts", "it was running"), ("waiting", "it was running"), ("ended", "it ran on")]
)
def test_death_it_need_not_have_caused_errs_it_as_lost(bench, name, words):
    client, _worker, attempt = begin(bench, slots=2)
    others = [attempt, 99] if name == "attempts" else [99]
    die(bench, **{"attempts": others} | ({name: (attempt,)} if name != "attempts" else {}))
    error = error_of(bench, client)
    assert error.type_name == "DataLostError"
    assert words in error.text
    assert "w0 died by signal" in error.text


def test_death_that_was_asked_for_errs_what_ran(bench):
    client, _worker, attempt = begin(bench)
    die(bench, [attempt], cause="asked")
    assert "it was running on w0" in error_of(bench, client).text


# -- its result ------------------------------------------------------------------------------------------------------


def test_small_result_outlives_its_worker(bench):
    client, worker, _attempt = begin(bench)
    bench.finish(worker, "a")
    die(bench)
    assert bench.states("a") == ["memory"]
    assert not bench.heard(client, KeyErred)


def test_result_only_its_dead_worker_held_is_an_error(bench):
    client, worker, attempt = begin(bench)
    bench.finish(worker, "a", None)
    die(bench, ended=(attempt,))
    error = error_of(bench, client)
    assert "it ran on w0 (h), and its result is gone: w0 was lost" in error.text


def test_result_that_is_not_where_it_should_be_is_an_error_for_what_is_made_from_it_too(bench):
    client, worker, _attempt = begin(bench)
    bench.finish(worker, "a", None)
    bench.submit(client, "end", "a", workers=("nobody",))
    bench.say(client, MissingValue("a", "unix:/w0"))
    assert bench.states("a", "end") == ["erred", "erred"]


def test_result_that_was_let_go_is_an_error_when_it_is_needed_again(bench):
    client, worker, _attempt = begin(bench)
    bench.submit(client, "end", "a")
    bench.release(client, "a")
    bench.finish(worker, "a")
    bench.finish(worker, "end", None)
    assert bench.states("a", "end") == ["released", "memory"]
    bench.say(client, MissingValue("end", "unix:/w0"))
    assert "was let go of when nobody needed it" in error_of(bench, client).text


def test_task_that_was_given_up_while_it_ran_is_an_error_when_it_is_needed_again(bench):
    client, _worker, _attempt = begin(bench)
    bench.submit(client, "between", "a")
    bench.submit(client, "end", "between", "a")
    bench.release(client, "a", "between", "end")
    assert not bench.state.tasks
    bench.submit(client, "a", once=True)  # it may begin again: nothing is known of it
    assert bench.states("a") == ["queued"]


# -- who wants it to run again ---------------------------------------------------------------------------------------


def test_retry_of_a_lost_task_runs_it_again(bench):
    client, worker, _attempt = begin(bench)
    bench.finish(worker, "a", None)
    bench.say(client, MissingValue("a", "unix:/w0"))
    bench.say(client, RetryKeys(("a",)))
    bench.write()
    assert list(bench.assigned(worker)) == ["a"]


def test_retry_of_what_a_lost_input_failed_runs_that_again_too(bench):
    client, worker, _attempt = begin(bench)
    bench.submit(client, "end", "a")
    bench.release(client, "a")
    bench.finish(worker, "a")
    bench.finish(worker, "end", None)
    bench.say(client, MissingValue("end", "unix:/w0"))
    bench.say(client, RetryKeys(("end",)))
    bench.write()
    assert list(bench.assigned(worker))[-1] == "a"


def test_submission_of_what_was_let_go_runs_it_again(bench):
    client, worker, _attempt = begin(bench)
    bench.submit(client, "end", "a")
    bench.release(client, "a")
    bench.finish(worker, "a")
    bench.finish(worker, "end")
    assert bench.states("a") == ["released"]
    bench.submit(client, "a", once=True)
    assert bench.states("a") == ["processing"]


def test_submission_of_what_erred_and_is_still_wanted_joins_it(bench):
    client, worker, _attempt = begin(bench)
    bench.finish(worker, "a", None)
    bench.say(client, MissingValue("a", "unix:/w0"))
    bench.submit(bench.client("d"), "a", once=True)
    assert bench.states("a") == ["erred"]


# -- a connection that is made anew ----------------------------------------------------------------------------------


def test_worker_that_comes_back_with_it_goes_on(bench):
    client, worker, attempt = begin(bench)
    bench.say(worker, Disconnected("broken"))
    again = bench.worker("w0", nanny="n", pid=PID, running=((attempt, "a"),))
    assert (bench.attempt("a"), bench.task("a").member.incarnation) == (attempt, again)
    bench.finish(again, "a")
    assert not bench.heard(client, KeyErred)


def test_worker_without_a_nanny_that_comes_back_with_it_goes_on():
    bench = Bench()
    _client, worker, attempt = begin(bench)
    bench.say(worker, Disconnected("broken"))
    bench.worker("w0", pid=PID, running=((attempt, "a"),))
    assert bench.attempt("a") == attempt


def test_worker_that_comes_back_without_it_had_not_begun_it(bench):
    client, worker, attempt = begin(bench)
    bench.say(worker, Disconnected("broken"))
    again = bench.worker("w0", nanny="n", pid=PID)
    bench.write()
    assert list(bench.assigned(again)) == ["a"]
    assert bench.attempt("a") != attempt
    assert not bench.heard(client, KeyErred)


def test_worker_that_comes_back_having_ended_it_without_a_result_errs_it(bench):
    client, worker, attempt = begin(bench)
    bench.say(worker, Disconnected("broken"))
    bench.worker("w0", nanny="n", pid=PID, spent=(attempt,))
    assert "came back without what became of it" in error_of(bench, client).text


def test_worker_that_has_no_room_for_what_it_runs_errs_it(bench):
    client = bench.client("c")
    worker = bench.worker("w0", nanny="n", pid=PID, resources={"GPU": 1})
    bench.submit(client, "a", once=True, resources=(("GPU", 1.0),))
    bench.write()
    attempt = bench.attempt("a")
    bench.say(worker, Disconnected("broken"))
    holding = ((attempt, (("GPU", 1.0),)),)
    bench.worker("w0", nanny="n", pid=PID, running=((attempt, "a"),), resources={"GPU": 0.5}, holding=holding)
    assert "came back without what became of it" in error_of(bench, client).text


def test_newer_attempt_that_its_worker_has_no_room_for_errs_it_too(bench):
    client, _worker, attempt = begin(bench)
    bench.release(client, "a")
    bench.submit(client, "a", once=True, resources=(("GPU", 1.0),))
    client = follow(bench, workers=2)
    bench.worker("w0", nanny="n", pid=PID, running=((attempt, "a"),), resources={"GPU": 1})
    bench.tick(CLAIM_S)
    assert bench.attempt("a") == attempt
    holding = ((attempt + 1, (("GPU", 1.0),)),)
    bench.worker("w1", running=((attempt + 1, "a"),), resources={"GPU": 0.5}, holding=holding)
    assert "came back without what became of it" in error_of(bench, client).text


def test_worker_that_leaves_while_it_waits_for_what_needs_its_place_errs_it(bench):
    client, worker, attempt = begin(bench)
    bench.say(worker, AttemptWaits(attempt))
    bench.submit(client, "child", workers=("w0",))
    bench.give_back(worker, *bench.assigned(worker).values())
    bench.say(client, RetireWorkers(1, ("w0",)))
    bench.give_back(worker, bench.attempt("child")) if bench.states("child") == ["processing"] else None
    bench.tick(1.0)
    assert "its worker was to leave" in error_of(bench, client).text
    assert bench.heard(worker, StopAttempt) == [StopAttempt(attempt)]


# -- the death of the scheduler --------------------------------------------------------------------------------------


def follow(bench, workers=1):
    """Have another scheduler follow, to which the client comes back."""
    bench.succeed()
    bench.nanny(workers=workers)
    return bench.client("c")


def test_next_scheduler_goes_on_with_what_its_worker_still_runs(bench):
    _client, _worker, attempt = begin(bench)
    client = follow(bench)
    again = bench.worker("w0", nanny="n", pid=PID, running=((attempt, "a"),))
    bench.tick(CLAIM_S)
    bench.finish(again, "a", attempt=attempt)
    assert bench.states("a") == ["memory"]
    assert not bench.heard(client, KeyErred)


def test_what_is_in_doubt_says_whom_it_waits_for(bench):
    begin(bench)
    client = follow(bench, workers=2)
    bench.say(client, Explain(1, ("a",)))
    (answer,) = bench.heard(client, Answer)
    assert "may have begun on w0 (h): that is awaited" in str(answer.explanations)


def test_next_scheduler_takes_the_result_its_worker_holds(bench):
    _client, _worker, attempt = begin(bench)
    client = follow(bench)
    bench.worker("w0", nanny="n", pid=PID, held=(HeldResult("a", attempt, LARGE, "bytes"),), spent=(attempt,))
    bench.tick(CLAIM_S)
    assert bench.states("a") == ["memory"]
    bench.say(client, MissingValue("a", "unix:/w0"))
    assert "its result is gone" in error_of(bench, client).text


def test_next_scheduler_hands_out_what_its_worker_comes_back_without(bench):
    begin(bench)
    follow(bench)
    again = bench.worker("w0", nanny="n", pid=PID)
    bench.tick(CLAIM_S)
    bench.write()
    assert list(bench.assigned(again)) == ["a"]


def test_next_scheduler_errs_what_nobody_comes_back_with(bench):
    begin(bench)
    client = follow(bench, workers=2)
    other = bench.worker("w1")
    bench.tick(CLAIM_S)
    assert bench.states("a") == ["queued"]
    bench.tick(bench.state.settings.lease_s)
    assert "the scheduler it was given out by died, and its worker did not come back" in error_of(bench, client).text
    bench.write()
    assert not bench.heard(other, AssignTask)


@pytest.mark.parametrize("has_begun", [True, False])
def test_next_scheduler_judges_by_the_certificate_of_the_worker_that_died_with_the_first(bench, has_begun):
    _client, _worker, attempt = begin(bench)
    bench.succeed()
    bench.nanny("n", workers=2)
    client = bench.client("c")
    die(bench, ended=(attempt,) if has_begun else ())
    other = bench.worker("w1")
    bench.tick(CLAIM_S)
    if has_begun:
        assert "it ran on w0 (h), and its result is lost" in error_of(bench, client).text
    bench.tick(bench.state.settings.lease_s)
    bench.write()
    assert list(bench.assigned(other)) == ([] if has_begun else ["a"])


def test_next_scheduler_hands_out_what_was_not_written_down(bench):
    client = bench.client("c")
    bench.submit(client, "a", once=True)
    before = {kind: dict(found) for kind, found in bench.records.items()}
    bench.worker("w0", nanny="n", pid=PID)
    bench.records.clear()
    bench.records.update(before)  # the scheduler died before the rest was written, and before its worker was told
    follow(bench)
    other = bench.worker("w1")
    bench.tick(bench.state.settings.lease_s)
    bench.write()
    assert list(bench.assigned(other)) == ["a"]


def test_next_scheduler_knows_that_a_result_was_let_go(bench):
    client, worker, _attempt = begin(bench)
    bench.submit(client, "end", "a")
    bench.release(client, "a")
    bench.finish(worker, "a")
    bench.finish(worker, "end", None)
    client = follow(bench)
    bench.worker("w0", nanny="n", pid=PID)  # it holds neither
    bench.tick(CLAIM_S)
    bench.tick(bench.state.settings.lease_s)
    assert "was let go of when nobody needed it" in error_of(bench, client).text


def test_next_scheduler_does_not_doubt_what_nobody_needs(bench):
    client, _worker, _attempt = begin(bench)
    bench.submit(client, "end", "a")
    bench.release(client, "a")
    bench.release(client, "end")
    follow(bench)
    assert not bench.state.once.in_doubt


def test_retry_is_known_to_the_next_scheduler(bench):
    client, worker, _attempt = begin(bench)
    bench.finish(worker, "a", None)
    bench.say(client, MissingValue("a", "unix:/w0"))
    bench.say(client, RetryKeys(("a",)))
    assert bench.records[TRIALS]["a"].spent.attempt == bench.attempt("a")
    bench.succeed()
    assert bench.states("a") == ["queued"]


def test_restart_forgets_what_was_in_doubt(bench):
    begin(bench)
    client = follow(bench)
    assert bench.state.once.in_doubt
    bench.say(client, RestartCluster(1))
    assert not bench.state.once.in_doubt
