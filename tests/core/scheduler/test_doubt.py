"""Tasks that are not run twice, whose worker comes back or does not, to this scheduler or the next."""

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
)
from jupyter_dist.messages.journal import TRIALS
from tests.core.scheduler.bench import LARGE, Bench
from tests.core.scheduler.once_bench import PID, begin, die, error_of, follow


@pytest.fixture
def bench():
    bench = Bench()
    bench.nanny()
    return bench


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
