"""Tasks that are not run twice: when they are handed out, what may begin again, and what errs instead."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.errors import InvariantError
from jupyter_dist.messages import (
    AssignTask,
    KeyErred,
    MissingValue,
    RetireWorkers,
    RetryKeys,
    Submit,
    TaskOptions,
    TaskSpec,
)
from jupyter_dist.messages.journal import TRIALS
from tests.core.scheduler.bench import Bench, function
from tests.core.scheduler.once_bench import PID, begin, die, error_of


@pytest.fixture
def bench():
    bench = Bench()
    bench.nanny()
    return bench


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


@pytest.mark.parametrize("once", [True, False])
def test_record_that_an_assignment_waits_for_is_written_soon(bench, once):
    client, _worker = bench.client(), bench.worker()
    spec = TaskSpec("a", b"arguments", (), 1)
    effects = bench.say(client, Submit(function("f"), TaskOptions(once=once), (spec,)))
    assert effects.journal
    assert effects.is_awaited is once


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


# -- invariants ------------------------------------------------------------------------------------------------------


def forget_whom_it_was_given(bench):
    bench.task("a").spent = None


def spend_what_is_queued(bench):
    bench.task("b").spent = bench.task("a").spent


def doubt_what_runs(bench):
    bench.state.once.in_doubt[bench.task("a")] = None


def keep_what_was_sent(bench):
    bench.state.once.unsent[99] = next(iter(bench.state.once.unsent.values()))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (forget_whom_it_was_given, "is with a worker, and None is noted"),
        (spend_what_is_queued, "is on its way, in doubt False"),
        (doubt_what_runs, "are in doubt"),
        (keep_what_was_sent, "attempt 99 of .* is to be sent"),
    ],
)
def test_check_of_what_must_not_run_twice_changed_by_hand_raises(bench, fault, words):
    client = bench.client()
    bench.worker()
    for key in ("a", "b"):
        bench.submit(client, key, once=True)
    bench.machine.check()
    fault(bench)
    with pytest.raises(InvariantError, match=words):
        bench.machine.check()
