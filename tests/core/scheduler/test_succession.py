"""What a scheduler that follows another goes on with: results, errors and inputs that are nobody's wish themselves."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.ledger import ACK_S
from jupyter_dist.core.scheduler.replay import CLAIM_S
from jupyter_dist.messages import (
    AssignTask,
    HeldResult,
    Kept,
    KeyErred,
    KeyFinished,
    StopAttempt,
    Submit,
    TaskOptions,
    TaskSpec,
)
from jupyter_dist.messages.journal import GONE, SUBMISSION
from tests.core.scheduler.bench import LARGE, Bench, function


@pytest.fixture
def bench():
    bench = Bench()
    bench.nanny()  # so the next scheduler has somebody to wait for
    return bench


def test_result_that_only_a_task_on_its_way_needs_is_not_made_again(bench):
    client, worker = bench.client("c"), bench.worker()
    bench.submit(client, "input")
    bench.submit(client, "end", "input")
    bench.release(client, "input")
    bench.finish(worker, "input", b"made once")
    bench.succeed()
    assert bench.states("input", "end") == ["memory", "queued"]
    assert bench.task("input").value == b"made once"


def test_task_that_is_gone_while_others_of_its_submission_are_not_is_not_made_again(bench):
    client, worker = bench.client("c"), bench.worker()
    specs = tuple(TaskSpec(key, b"arguments", (), place + 1) for place, key in enumerate("abc"))
    bench.say(client, Submit(function(), TaskOptions(), specs))
    bench.finish(worker, "a")
    bench.release(client, "a")
    bench.succeed()
    assert list(bench.state.tasks) == ["b", "c"]  # whether or not its client ever comes back and says so
    bench.release(bench.client("c"), "c")
    bench.succeed()
    assert list(bench.state.tasks) == ["b"]
    bench.release(bench.client("c"), "b")
    assert not any(bench.records[kind] for kind in (SUBMISSION, GONE))


def test_key_that_is_gone_and_was_submitted_again_is_what_it_was_made_of_last(bench):
    client = bench.client("c")
    for number, argument in enumerate((b"first", b"second")):
        specs = tuple(
            TaskSpec(key, argument, (), 10 * number + place) for place, key in enumerate((f"o{number}", "again"))
        )
        bench.say(client, Submit(function(), TaskOptions(), specs))
        if number == 0:
            bench.release(client, "again")
    bench.succeed()
    assert bench.task("again").arguments == b"second"
    [session] = bench.state.sessions.values()
    assert session.wants[bench.task("again")] == 11


def test_input_that_one_task_cannot_use_any_more_is_kept_for_the_other(bench):
    client, worker = bench.client("c"), bench.worker()
    for key in ("fails", "input"):
        bench.submit(client, key)
    bench.submit(client, "never", "fails", "input")
    bench.submit(client, "end", "input")
    bench.release(client, "input")
    bench.err(worker, "fails")
    bench.finish(worker, "input", b"made once")
    bench.succeed()
    assert bench.states("never", "input", "end") == ["released", "memory", "queued"]
    bench.tick(bench.state.settings.lease_s)  # nobody came back with it
    assert bench.states("never", "input", "end") == ["erred", "memory", "queued"]


def test_error_is_known_though_nobody_wants_the_task_it_began_with(bench):
    client, worker = bench.client("c"), bench.worker()
    bench.submit(client, "begins")
    bench.submit(client, "between", "begins")
    bench.submit(client, "end", "between")
    bench.release(client, "begins", "between")
    bench.err(worker, "begins")
    error = bench.task("end").error
    bench.succeed()
    assert bench.states("end") == ["erred"]
    assert (bench.task("end").error, error.key) == (error, "begins")
    bench.release(bench.client("c"), "end")
    assert not bench.state.tasks


def test_result_on_a_worker_is_taken_back_though_the_data_it_was_made_from_is_gone(bench):
    client, worker = bench.client("c"), bench.worker()
    bench.put(client, "data")
    bench.submit(client, "end", "data")
    number = bench.attempt("end")
    bench.finish(worker, "end", None)
    bench.release(client, "data")
    bench.succeed()
    client = bench.client("c")
    bench.worker(held=(HeldResult("end", number, LARGE, "bytes"),))
    bench.tick(CLAIM_S)
    assert bench.states("end") == ["memory"]
    bench.tick(bench.state.settings.lease_s)
    assert not bench.heard(client, KeyErred)
    assert not bench.state.doubtful


def test_task_that_runs_on_a_worker_goes_on_though_an_input_of_it_has_erred_since(bench):
    client, worker, nanny = bench.client("c"), bench.worker(nanny="n"), bench.nanny()
    bench.submit(client, "data", once=True)
    bench.write()
    bench.finish(worker, "data", None)
    other = bench.worker("w1")
    bench.submit(client, "end", "data", workers=("w1",))
    number = bench.attempt("end")
    bench.die(worker, nanny)
    assert bench.states("data", "end") == ["erred", "processing"]
    pid = bench.pids[other]
    bench.succeed()
    client = bench.client("c")
    back = bench.worker("w1", pid=pid, running=((number, "end"),))
    bench.tick(CLAIM_S)
    assert bench.states("end") == ["processing"]
    bench.finish(back, "end", attempt=number)
    assert [message.key for message in bench.heard(client, KeyFinished)] == ["end"]


def test_task_that_runs_on_a_worker_and_nobody_needs_any_more_does_not_go_on(bench):
    client, worker, nanny = bench.client("c"), bench.worker(nanny="n"), bench.nanny()
    bench.submit(client, "data", once=True)
    bench.write()
    bench.finish(worker, "data", None)
    other = bench.worker("w1")
    bench.submit(client, "end", "data", workers=("w1",))
    number = bench.attempt("end")
    bench.die(worker, nanny)
    pid = bench.pids[other]
    bench.succeed()
    client = bench.client("c")
    bench.release(client, "end")
    back = bench.worker("w1", pid=pid, running=((number, "end"),))
    bench.tick(CLAIM_S)
    assert bench.state.members[back].zombies == {number}


def test_result_that_nobody_brings_back_and_whose_data_is_gone_errs_when_all_had_their_time(bench):
    client, worker = bench.client("c"), bench.worker()
    bench.put(client, "data")
    bench.submit(client, "end", "data")
    bench.finish(worker, "end", None)
    bench.release(client, "data")
    bench.succeed()
    client = bench.client("c")
    assert bench.states("end", "data") == ["waiting", "released"]
    bench.worker("other")
    bench.tick(bench.state.settings.lease_s)
    (erred,) = bench.heard(client, KeyErred)
    assert (erred.key, erred.error.kind, erred.error.key) == ("end", "lost", "data")


def test_scheduler_that_was_stopped_while_it_waited_waits_anew(bench):
    client, worker = bench.client("c"), bench.worker()
    bench.submit(client, "a")
    number = bench.attempt("a")
    bench.finish(worker, "a", None)
    bench.succeed()
    bench.now += 10.0
    again = bench.client("c")  # is heard before the scheduler looks at the clock
    bench.nanny(workers=2)
    other = bench.worker("other")
    bench.tick(CLAIM_S)
    assert not bench.assigned(other)
    bench.worker(pid=bench.pids[worker], held=(HeldResult("a", number, LARGE, "bytes"),))
    assert bench.states("a") == ["memory"]
    assert bench.heard(again, KeyFinished)


def test_client_hears_that_nothing_is_forgotten_of_what_changed_nothing(bench):
    client, worker = bench.client("c"), bench.worker()
    bench.submit(client, "a")
    bench.write()
    bench.heard(client, Kept)
    bench.release(client, "never known")
    bench.tick(ACK_S)
    assert [kept.received for kept in bench.heard(client, Kept)] == [bench.state.sessions["c"].received]
    bench.heard(worker, Kept)
    for _ in range(3):
        bench.beat(worker)
        bench.tick(ACK_S)
    assert not bench.heard(worker, Kept)
    assert not bench.state.ledger._unwritten


def test_session_that_ended_and_was_opened_again_does_not_want_what_it_wanted_before(bench):
    client, other = bench.client("c", linger_s=1.0), bench.client("o")
    bench.submit(client, "a")
    bench.submit(other, "a")
    bench.say(client, Disconnected("cut off"))
    bench.tick(2.0)
    bench.client("c", linger_s=1.0)
    bench.succeed()
    assert not bench.state.sessions["c"].wants
    assert len(bench.state.sessions["o"].wants) == 1


def test_newest_attempt_is_taken_back_whoever_comes_first(bench):
    client, first, second = bench.client("c"), bench.worker("w0"), bench.worker("w1")
    bench.submit(client, "a", retries=1)
    pids = {bench.attempt("a"): bench.pids[bench.task("a").member.incarnation]}
    old = bench.attempt("a")
    bench.err(bench.task("a").member.incarnation, "a")
    new = bench.attempt("a")
    assert old < new
    bench.succeed()
    bench.client("c")
    first = bench.worker("w0", pid=pids[old], running=((old, "a"),))
    second = bench.worker("w1", pid=bench.pids[second], running=((new, "a"),))
    bench.tick(CLAIM_S)
    assert bench.attempt("a") == new
    assert bench.heard(first, StopAttempt) == [StopAttempt(old)]
    bench.err(first, "a", attempt=old)  # it had ended like this
    bench.finish(second, "a")
    assert bench.states("a") == ["memory"]


def test_data_that_is_gone_and_whose_result_was_let_go_meanwhile_is_forgotten(bench):
    client, worker = bench.client("c"), bench.worker()
    bench.put(client, "data")
    bench.submit(client, "end", "data")
    bench.finish(worker, "end", None)
    bench.release(client, "data")
    bench.succeed()
    bench.release(bench.client("c"), "end")
    worker = bench.worker("other")
    bench.tick(bench.state.settings.lease_s)
    assert not bench.state.tasks
    assert not bench.heard(worker, AssignTask)
