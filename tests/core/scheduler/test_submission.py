"""What clients ask for: work, values, and giving things up."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import (
    Answer,
    AssignTask,
    Cancel,
    CloseSession,
    DescribeTasks,
    FreeKeys,
    FunctionBody,
    KeyCancelled,
    KeyErred,
    KeyFinished,
    KeyLost,
    MissingValue,
    RetryKeys,
    StopAttempt,
    TaskHome,
)
from tests.core.scheduler.bench import Bench


@pytest.fixture
def bench():
    return Bench()


def test_submit_of_a_new_key_is_sent_with_its_function_once(bench):
    client, worker = bench.client(), bench.worker()
    wish = bench.submit(client, "a")
    bench.submit(client, "b")
    assert [type(message) for message in bench.sent[worker]][1:] == [FunctionBody, AssignTask, AssignTask]
    bench.finish(worker, "a", b"1")
    assert bench.heard(client, KeyFinished) == [KeyFinished(wish, "a", b"1", 1, "bytes")]


def test_submit_of_a_known_key_joins_it_and_is_told_what_is_settled(bench):
    client, other, worker = bench.client(), bench.client(), bench.worker()
    bench.submit(client, "a")
    wish = bench.submit(other, "a", label="another function under the same key")
    bench.finish(worker, "a", None)
    assert [m.wish for m in bench.heard(other, KeyFinished)] == [wish]
    third = bench.client()
    wish = bench.submit(third, "a")
    (message,) = bench.heard(third, KeyFinished)
    assert (message.wish, message.value, message.holders) == (wish, None, ("unix:/w0",))
    assert list(bench.assigned(worker)) == ["a"]


def test_submit_again_after_release_answers_the_new_wish_only(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    old = bench.attempt("a")
    bench.release(client, "a")
    wish = bench.submit(client, "a")
    bench.finish(worker, "a", b"old", attempt=old)
    assert not bench.heard(client, KeyFinished)
    bench.finish(worker, "a", b"new")
    assert [(m.wish, m.value) for m in bench.heard(client, KeyFinished)] == [(wish, b"new")]


def test_submit_with_an_unknown_dependency_is_cancelled_with_the_reason(bench):
    client = bench.client()
    wish = bench.submit(client, "b", "nobody knows")
    (message,) = bench.heard(client, KeyCancelled)
    assert message.wishes == (wish,)
    assert "does not know" in message.reason
    assert not bench.state.tasks


def test_submit_on_an_erred_dependency_errs_at_once_with_the_same_error(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.err(worker, "a")
    wish = bench.submit(client, "b", "a", "a")
    messages = bench.heard(client, KeyErred)
    assert (messages[-1].wish, messages[-1].error) == (wish, messages[0].error)
    assert bench.submit(client, "a") == bench.heard(client, KeyErred)[0].wish


def test_submit_on_a_released_lineage_makes_it_again(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(client, "b", "a")
    bench.finish(worker, "a")
    bench.finish(worker, "b")
    bench.release(client, "a")
    assert bench.states("a", "b") == ["released", "memory"]
    bench.submit(client, "a")
    assert bench.states("a") == ["processing"]


def test_put_value_is_in_memory_at_once_and_known_to_dependents(bench):
    client, worker = bench.client(), bench.worker()
    wish = bench.put(client, "data", b"12345")
    assert bench.heard(client, KeyFinished) == [KeyFinished(wish, "data", b"12345", 5, "bytes")]
    bench.submit(client, "b", "data")
    (message,) = bench.heard(worker, AssignTask)
    assert message.task.inputs[0].value == b"12345"
    other = bench.client()
    bench.put(other, "data", b"another")
    assert bench.heard(other, KeyFinished)[0].value == b"12345"


def test_release_by_one_of_two_clients_keeps_the_task(bench):
    client, other, worker = bench.client(), bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(other, "a")
    bench.release(client, "a", "unknown")
    bench.release(client, "a")
    assert bench.states("a") == ["processing"]
    bench.release(other, "a")
    assert not bench.state.tasks
    assert bench.heard(worker, StopAttempt)[0].force is False


def test_cancel_takes_along_what_was_made_from_it_but_not_what_others_want(bench):
    client, other = bench.client(), bench.client()
    wishes = [bench.submit(client, "a"), bench.submit(client, "b", "a"), bench.submit(client, "c", "a")]
    bench.submit(other, "c")
    bench.say(client, Cancel(("a", "unknown")))
    (message,) = bench.heard(client, KeyCancelled)
    assert sorted(message.wishes) == wishes
    assert not bench.heard(other, KeyCancelled)
    assert sorted(bench.state.tasks) == ["a", "c"]
    bench.say(client, Cancel(("a", "c")))
    assert bench.heard(client, KeyCancelled)[-1].wishes == ()


def test_cancel_tells_what_was_made_from_it_which_input_it_was(bench):
    client = bench.client()
    bench.submit(client, "a")
    bench.submit(client, "b", "a")
    bench.say(client, Cancel(("a",)))
    assert bench.heard(client, KeyCancelled)[0].reason == "it needs a, cancelled by its user"
    bench.say(client, Cancel(("x" * 1000, "1", "2", "3")))
    assert (
        bench.heard(client, KeyCancelled)[-1].reason == f"it needs {'x' * 100}, 1, 2 or others, cancelled by its user"
    )


def test_cancel_of_an_input_others_want_keeps_its_dependents(bench):
    client, other = bench.client(), bench.client()
    wish = bench.submit(client, "a")
    bench.submit(other, "a")
    bench.submit(client, "b", "a")
    bench.say(client, Cancel(("a",)))
    assert bench.heard(client, KeyCancelled)[0].wishes == (wish,)
    assert sorted(bench.state.tasks) == ["a", "b"]


def test_cancel_of_an_input_that_is_made_again_keeps_what_was_made_from_it(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    wish = bench.submit(client, "b", "a")
    bench.finish(worker, "a")
    bench.finish(worker, "b")
    bench.release(client, "a")
    again = bench.submit(client, "a")
    bench.say(client, Cancel(("a",)))
    assert bench.heard(client, KeyCancelled)[0].wishes == (again,)
    assert bench.states("a", "b") == ["released", "memory"]
    assert bench.heard(client, KeyFinished)[-1].wish == wish


@pytest.mark.parametrize("force", [True, False])
def test_cancel_of_what_runs_and_its_dependents_interrupts_only_by_force(bench, force):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(client, "b", "a")
    attempt = bench.attempt("a")
    bench.say(client, Cancel(("a",), force))
    assert any(message.force for message in bench.heard(worker, StopAttempt)) is force
    assert bench.state.members[worker].zombies == {attempt}


def test_missing_value_names_another_holder_or_makes_it_again(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.finish(worker, "a", None)
    bench.heard(client, KeyFinished)
    bench.say(client, MissingValue("a", "unix:/somebody else"))
    assert bench.heard(client, KeyFinished)[0].holders == ("unix:/w0",)
    bench.say(client, MissingValue("a", "unix:/w0"))
    assert len(bench.heard(client, KeyLost)) == 1
    assert bench.heard(worker, FreeKeys) == [FreeKeys(("a",))]  # it may have it after all
    assert bench.states("a") == ["processing"]
    bench.say(client, MissingValue("unknown", "unix:/w0"))
    bench.say(bench.client(), MissingValue("a", "unix:/w0"))


def test_close_session_releases_all_and_what_it_says_later_is_not_heard(bench):
    client = bench.client()
    bench.submit(client, "a")
    bench.say(client, CloseSession(), Cancel(("a",)))
    assert not bench.state.tasks
    assert not bench.state.sessions
    assert "Cancel" in bench.closes[client]
    bench.say(client, Disconnected("closed"))


def test_retry_of_a_dependent_makes_its_erred_input_again_and_leaves_the_others(bench):
    client, worker = bench.client(), bench.worker()
    for key, *inputs in (("root",), ("asked", "root"), ("other", "root")):
        bench.submit(client, key, *inputs)
    bench.err(worker, "root")
    assert bench.states("root", "asked", "other") == ["erred", "erred", "erred"]
    bench.say(client, RetryKeys(("asked", "unknown")))
    assert bench.states("root", "asked", "other") == ["processing", "waiting", "erred"]
    bench.finish(worker, "root", b"1")
    bench.finish(worker, "asked", b"2")
    assert [message.key for message in bench.heard(client, KeyFinished)] == ["root", "asked"]


def test_retry_of_what_did_not_err_changes_nothing(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.say(client, RetryKeys(("a",)))
    assert bench.states("a") == ["processing"]
    bench.finish(worker, "a", b"1")
    bench.say(client, RetryKeys(("a",)))
    assert bench.states("a") == ["memory"]


def test_retry_of_what_was_tried_again_with_a_dependent_tells_its_value(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "root")
    bench.submit(client, "asked", "root")
    bench.err(worker, "root")
    bench.say(client, RetryKeys(("asked",)))
    bench.finish(worker, "root", b"1")  # the client still shows the error of before: it has not retried this one
    bench.say(client, RetryKeys(("root",)))
    assert [message.key for message in bench.heard(client, KeyFinished)] == ["root", "root"]


def test_tasks_described_tell_where_they_are(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "held")
    bench.finish(worker, "held", None, nbytes=7)
    bench.submit(client, "runs")
    bench.say(client, DescribeTasks(1), DescribeTasks(2, ("runs", "unknown")))
    everything, some = bench.heard(client, Answer)
    assert everything.tasks == (TaskHome("held", "memory", "", ("w0",), 7), TaskHome("runs", "processing", "w0", (), 0))
    assert [home.key for home in some.tasks] == ["runs"]
