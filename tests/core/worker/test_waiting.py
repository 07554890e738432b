"""Attempts that wait for something of the cluster: slots, times, interrupts."""

from jupyter_dist.core.worker.events import GoesOn, Waits
from jupyter_dist.messages import AttemptGoesOn, AttemptWaits, StopAttempt, TaskErred, TaskFinished
from tests.core.worker.worker_model import WELCOME, Bench


def waiting(bench, attempt=1, **options):
    bench.assign(attempt, **options)
    bench.begin()
    bench.happen(Waits(attempt))
    return bench


def test_wait_is_told_and_lets_another_attempt_run_in_the_slot():
    bench = waiting(Bench())
    bench.assign(2)
    bench.begin()
    assert bench.take_said() == [AttemptWaits(1)]
    bench.finish(2)
    bench.happen(GoesOn(1))
    bench.finish(1)
    assert [type(said) for said in bench.take_said()] == [TaskFinished, AttemptGoesOn, TaskFinished]


def test_end_of_an_attempt_that_waits_needs_no_slot():
    bench = waiting(Bench())
    bench.fail(1)
    assert [type(said) for said in bench.take_said()] == [AttemptWaits, TaskErred]


def test_time_goes_on_while_an_attempt_waits():
    bench = waiting(Bench(), timeout_s=5.0)
    bench.tick(6.0)
    assert bench.interrupts == [1]
    bench.fail(1)
    assert bench.take_said()[-1].error.kind == "timeout"


def test_stop_by_force_interrupts_an_attempt_that_waits():
    bench = waiting(Bench())
    bench.hear(StopAttempt(1))
    assert bench.interrupts == []
    bench.hear(StopAttempt(1, force=True))
    assert bench.interrupts == [1]


def test_attempt_that_waits_while_the_scheduler_is_gone_is_told_to_the_next_one_as_waiting():
    bench = waiting(Bench())
    bench.disconnect()
    assert bench.interrupts == []
    assert bench.machine.list_kept() == ((), ((1, "k1"),))
    bench.happen(GoesOn(1), Waits(1))
    assert bench.take_said() == [AttemptWaits(1)]
    bench.link += 1
    bench.hear(WELCOME)
    assert bench.take_said() == [AttemptWaits(1)]
