from jupyter_dist.core.worker.events import Began, Ended, Printed
from jupyter_dist.messages import (
    ErrorInfo,
    FreeKeys,
    InputMissing,
    Kept,
    StopAttempt,
    TaskErred,
    TaskFinished,
    TaskInput,
    TaskOutput,
    Withdraw,
    Withdrawn,
)
from tests.core.worker.worker_model import WELCOME, Bench, remote


def test_assign_without_inputs_is_ready_at_once():
    bench = Bench()
    bench.assign(1)
    bench.assign(2)
    assert bench.hand == [1, 2]


def test_assign_known_attempt_is_ignored():
    bench = Bench()
    bench.assign(1)
    bench.assign(1)
    assert bench.hand == [1]


def test_assign_unknown_function_errs_that_task():
    bench = Bench()
    bench.assign(1)
    bench.machine._state.functions.clear()
    bench.assign(2)
    (said,) = bench.take_said()
    assert (said.attempt, said.error.type_name) == (2, "ProtocolError")


def test_finish_small_result_is_said_and_not_held():
    bench = Bench()
    bench.assign(1)
    bench.begin()
    bench.finish(1)
    assert [type(message) for message in bench.take_said()] == [TaskFinished]
    assert bench.machine.count_held() == (0, 0)


def test_finish_large_result_is_held_until_freed():
    bench = Bench()
    value = object()
    bench.assign(1)
    bench.begin()
    bench.finish(1, value=None, live=value, nbytes=500)
    found = bench.machine.find_held("k1")
    assert found is not None
    assert found.value is value
    assert bench.machine.count_held() == (1, 500)


def test_finish_of_forgotten_attempt_is_not_heard():
    bench = Bench()
    bench.happen(Ended(TaskFinished("k", 99, None, 5, "int", 1.0, 2.0), object()))
    assert bench.take_said() == []
    assert len(bench.discarded) == 1
    assert bench.machine.count_held() == (0, 0)


def test_finish_with_unforwarded_output_says_output_first():
    bench = Bench()
    bench.assign(1, output=True)
    bench.begin()
    bench.finish(1, output=(TaskOutput("k1", 1, "stdout", "late"),))
    assert [type(message) for message in bench.take_said()] == [TaskOutput, TaskFinished]


def test_printed_of_unknown_attempt_is_dropped():
    bench = Bench()
    bench.assign(1, output=True)
    bench.happen(Printed((TaskOutput("k1", 1, "stdout", "a"), TaskOutput("k9", 9, "stdout", "b"))))
    assert [message.attempt for message in bench.take_said()] == [1]


def test_withdraw_gives_back_what_has_not_begun_in_one_answer():
    bench = Bench()
    bench.assign(1)
    bench.assign(2)
    bench.assign(3, remote("x", "a"))
    bench.begin()
    bench.hear(Withdraw((1, 2, 3, 77)))
    (answer,) = bench.take_said()
    assert isinstance(answer, Withdrawn)
    assert sorted(answer.attempts) == [2, 3]
    assert bench.hand == []


def test_withdraw_while_a_slot_takes_it_does_not_give_it_back():
    bench = Bench()
    bench.assign(1)
    bench.hand.remove(1)  # the slot has it; its report is on its way
    bench.hear(Withdraw((1,)))
    assert bench.take_said() == [Withdrawn(())]
    bench.running.append(1)
    bench.happen(Began(1))
    bench.finish(1)
    assert [type(message) for message in bench.take_said()] == [TaskFinished]


def test_stop_ready_attempt_gives_it_back():
    bench = Bench()
    bench.assign(1)
    bench.hear(StopAttempt(1, force=True))
    assert (bench.hand, bench.take_said()) == ([], [Withdrawn((1,))])


def test_stop_fetching_attempt_gives_it_back_and_drops_its_fetch():
    bench = Bench()
    bench.assign(1, remote("x", "a"))
    bench.hear(StopAttempt(1))
    assert bench.abandoned == [1]
    assert bench.take_said() == [Withdrawn((1,))]


def test_stop_of_an_ended_attempt_drops_what_it_left_and_nothing_newer():
    bench = Bench()
    for attempt in (1, 2):
        bench.assign(attempt, key="k")
        bench.begin()
        bench.finish(attempt, value=None, live=object(), nbytes=5, key="k")
    bench.hear(StopAttempt(1))
    assert bench.machine.count_held() == (1, 5)
    bench.hear(StopAttempt(2))
    assert bench.machine.count_held() == (0, 0)


def test_stop_running_attempt_without_force_lets_it_run_and_keeps_no_result():
    bench = Bench()
    bench.assign(1)
    bench.begin()
    bench.hear(StopAttempt(1))
    assert bench.interrupts == []
    bench.finish(1, value=None, live=object(), nbytes=500)
    assert bench.machine.count_held() == (0, 0)
    (said,) = bench.take_said()
    assert (said.value, said.nbytes) == (None, 0)


def test_stop_running_attempt_with_force_interrupts_it():
    bench = Bench()
    bench.assign(1)
    bench.begin()
    bench.hear(StopAttempt(1, force=True))
    assert bench.interrupts == [1]


def test_timeout_passed_interrupts_once_and_says_whose_fault():
    bench = Bench()
    bench.assign(1, timeout_s=2.0)
    assert bench.machine.deadline() is None  # its time counts from its beginning
    bench.begin()
    assert bench.machine.deadline() == bench.now + 2.0
    bench.tick(1.9)
    assert bench.interrupts == []
    bench.tick(0.2)
    bench.tick(5.0)
    assert bench.interrupts == [1]
    bench.fail(1)
    (said,) = bench.take_said()
    assert said.error.kind == "timeout"
    assert "'k1'" in said.error.text
    assert "2 s" in said.error.text
    assert said.error.pickled == b""


def test_timeout_passed_but_result_came_is_a_result():
    bench = Bench()
    bench.assign(1, timeout_s=2.0)
    bench.begin()
    bench.tick(3.0)
    bench.finish(1)
    assert [type(message) for message in bench.take_said()] == [TaskFinished]


def test_error_before_timeout_is_the_users():
    bench = Bench()
    bench.assign(1, timeout_s=2.0)
    bench.begin()
    bench.fail(1)
    assert bench.take_said() == [TaskErred("k1", 1, ErrorInfo("KeyboardInterrupt", "boom", "tb"), 1.0, 2.0)]
    assert bench.machine.deadline() is None


def test_disconnect_gives_back_what_has_not_begun_and_keeps_the_rest():
    bench = Bench(slots=2)
    bench.assign(1)
    bench.begin()
    bench.finish(1, value=None, live=object(), nbytes=500)
    bench.assign(2)
    bench.begin()
    bench.assign(3)
    bench.assign(4, remote("x", "a"))
    bench.take_said()
    bench.disconnect()
    assert (bench.hand, bench.interrupts, bench.discarded) == ([], [], [])
    held, running = bench.machine.list_kept()
    assert [(result.key, result.attempt, result.nbytes) for result in held] == [("k1", 1, 500)]
    assert running == ((2, "k2"),)
    bench.fail(2)
    assert bench.take_said() == []
    bench.link += 1
    bench.hear(WELCOME)
    assert [(type(said), said.attempt) for said in bench.take_said()] == [(TaskErred, 2)]


def test_what_an_attempt_takes_of_the_resources_is_told_until_it_ends():
    bench = Bench(slots=2)
    bench.assign(1, resources=(("GPU", 1.0),))
    bench.assign(2)
    bench.begin()
    bench.hear(StopAttempt(1))
    bench.disconnect()
    assert bench.machine.list_kept() == ((), ((1, ""),))
    assert bench.machine.list_holding() == ((1, (("GPU", 1.0),)),)
    assert bench.machine.list_stopping() == ()
    bench.fail(1)
    assert bench.machine.list_holding() == ()


def test_attempt_that_was_interrupted_is_told_as_such_until_it_ends():
    bench = Bench()
    bench.assign(1)
    bench.begin()
    bench.hear(StopAttempt(1, force=True))
    bench.disconnect()
    assert bench.machine.list_kept() == ((), ((1, ""),))
    assert bench.machine.list_stopping() == (1,)
    bench.fail(1)
    assert bench.machine.list_stopping() == ()


def test_end_of_an_attempt_is_said_again_until_it_will_not_be_forgotten():
    bench = Bench(slots=2)
    for attempt in (1, 2):
        bench.assign(attempt)
        bench.begin()
        bench.finish(attempt)
    assert [said.attempt for said in bench.take_said()] == [1, 2]
    bench.hear(Kept(1))
    bench.disconnect()
    assert bench.machine.list_kept() == ((), ((2, "k2"),))
    bench.link += 1
    bench.hear(WELCOME)
    assert [said.attempt for said in bench.take_said()] == [2]
    bench.hear(Kept(1))
    bench.disconnect()
    assert bench.machine.list_kept() == ((), ())


def test_attempt_that_must_not_run_again_is_told_whatever_became_of_its_result():
    bench = Bench(slots=2)
    for attempt in (1, 2):
        bench.assign(attempt, once=True)
        bench.begin()
    bench.finish(1, value=None, live=object(), nbytes=500)
    bench.hear(StopAttempt(2))
    bench.finish(2)
    bench.hear(FreeKeys(("k1",)))
    bench.disconnect()
    assert bench.machine.list_kept() == ((), ())
    assert bench.machine.list_spent() == (1, 2)
    bench.link += 1
    bench.hear(WELCOME)
    bench.disconnect()
    assert bench.machine.list_spent() == (1, 2)  # the scheduler may have died before it wrote that down
    bench.link += 1
    bench.hear(WELCOME)
    bench.hear(Kept(0))
    assert bench.machine.list_spent() == ()


def test_attempt_that_must_not_run_again_and_has_not_begun_is_not_told():
    bench = Bench()
    bench.assign(1, remote("x", "a"), once=True)
    bench.assign(2, once=True)
    bench.assign(3, once=True)
    bench.begin()
    bench.running.remove(2)
    bench.happen(Ended(InputMissing(2, "x", "a", "gone")))
    bench.disconnect()
    assert bench.machine.list_spent() == ()
    assert bench.machine.list_kept() == ((), ())


def test_attempt_that_ends_between_registration_and_welcome_is_said_although_its_result_is_held():
    bench = Bench()
    bench.assign(1)
    bench.begin()
    bench.disconnect()
    assert bench.machine.list_kept() == ((), ((1, "k1"),))
    bench.finish(1, value=None, live=object(), nbytes=500)
    bench.link += 1
    bench.hear(WELCOME)
    assert [(said.attempt, said.value) for said in bench.take_said()] == [(1, None)]


def test_input_held_here_is_given_alive():
    bench = Bench()
    value = object()
    bench.assign(1)
    bench.begin()
    bench.finish(1, value=None, live=value, nbytes=500)
    bench.assign(2, TaskInput("k1", None, 500, ("a",)), TaskInput("s", b"small", 5))
    inputs = bench.ready[2].inputs
    assert inputs["k1"].value is value
    assert inputs["s"].stream == b"small"
    assert bench.fetches == {}
