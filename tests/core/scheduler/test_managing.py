"""Tasks of all clients, listed, told in full, given up and tried again by somebody who wants none of them."""

import pytest

from jupyter_dist.core.scheduler import managing
from jupyter_dist.messages import (
    Answer,
    CancelTasks,
    DescribeTask,
    KeepTasks,
    KeyCancelled,
    KeyErred,
    KeyFinished,
    KeyRetried,
    ListTasks,
    RetryTasks,
    StopAttempt,
    TaskOutput,
    WorkerSample,
)
from tests.core.scheduler.bench import Bench


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def keeper(bench):
    return bench.client("lab", kind="observer")


def ask(bench, keeper, message):
    bench.say(keeper, message)
    (answer,) = bench.heard(keeper, Answer)
    return answer


def page(bench, keeper, **asked):
    return ask(bench, keeper, ListTasks(1, **asked)).page


def keys(told):
    return [view.key for view in told.tasks]


def detail(bench, keeper, key):
    return ask(bench, keeper, DescribeTask(1, key)).task


def test_list_tasks_come_newest_first_page_by_page(bench, keeper):
    client = bench.client()
    for key in "abcde":
        bench.submit(client, key)
    first = page(bench, keeper, count=2)
    assert (keys(first), first.total) == (["e", "d"], 5)
    bench.submit(client, "f")  # what came since does not move the next page
    second = page(bench, keeper, count=2, before=first.next)
    assert keys(second) == ["c", "b"]
    last = page(bench, keeper, count=2, before=second.next)
    assert (keys(last), last.next) == (["a"], 0)


def test_list_tasks_filters_by_state_and_text(bench, keeper):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "fit-1", label="fit", group="In[3]")
    bench.submit(client, "load-1", label="load")
    bench.finish(worker, "fit-1")
    assert keys(page(bench, keeper, state="memory")) == ["fit-1"]
    assert keys(page(bench, keeper, text="load")) == ["load-1"]
    assert keys(page(bench, keeper, text="In[3]")) == ["fit-1"]
    assert keys(page(bench, keeper, state="erred")) == []


def test_list_tasks_of_a_long_table_looks_at_a_bounded_number(bench, keeper, monkeypatch):
    monkeypatch.setattr(managing, "LOOKED_MAX", 3)
    client = bench.client()
    for key in "abcde":
        bench.submit(client, key)
    first = page(bench, keeper, text="a")
    assert (keys(first), first.next) == ([], 2)
    assert keys(page(bench, keeper, text="a", before=first.next)) == ["a"]


def test_list_tasks_from_beyond_the_table_begins_at_the_newest(bench, keeper):
    bench.submit(bench.client(), "a")
    assert keys(page(bench, keeper, before=99)) == ["a"]
    assert page(bench, keeper, count=0).tasks == ()


def test_describe_task_that_runs_tells_its_worker_slot_and_output(bench, keeper):
    client, worker = bench.client("nb", kind="notebook"), bench.worker(slots=2)
    bench.submit(client, "a")
    attempt = bench.attempt("a")
    bench.say(worker, TaskOutput("a", attempt, "stdout", "hello "), TaskOutput("a", attempt, "stdout", "world"))
    bench.say(worker, WorkerSample(((attempt, 1, 7.0),), 0, 0.0, 0, 0))
    told = detail(bench, keeper, "a")
    assert (told.view.worker, told.view.slot, told.view.started_s, told.view.state) == ("w0", 1, 7.0, "processing")
    assert (told.output, told.output_cut, told.error, told.wanted_by) == ("hello world", 0, None, ("nb",))
    assert told.reasons


def test_describe_task_that_erred_tells_the_error_without_its_bytes(bench, keeper):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(client, "b", "a")
    bench.err(worker, "a", output="last words")
    told = detail(bench, keeper, "b")
    assert (told.error.key, told.error.pickled, told.dependencies) == ("a", b"", ("a",))
    assert detail(bench, keeper, "a").output == "last words"


def test_describe_task_nobody_knows_says_so(bench, keeper):
    answer = ask(bench, keeper, DescribeTask(1, "x"))
    assert (answer.kind, "'x'" in answer.error) == ("usage", True)


def test_prints_of_one_task_are_cut_at_the_front_and_of_all_the_oldest_go():
    bench = Bench(output_bytes_max=5, output_total_bytes_max=8)
    keeper, client, worker = bench.client("lab"), bench.client(), bench.worker(slots=2)
    bench.submit(client, "a")
    bench.submit(client, "b")
    bench.finish(worker, "a", output="1234567")
    assert [detail(bench, keeper, "a").output, detail(bench, keeper, "a").output_cut] == ["34567", 2]
    bench.finish(worker, "b", output="abcd")
    assert [detail(bench, keeper, "a").output, detail(bench, keeper, "b").output] == ["", "abcd"]


def test_prints_of_an_earlier_task_of_the_key_are_not_told(bench, keeper):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.finish(worker, "a", output="old")
    bench.release(client, "a")
    bench.submit(client, "a")
    assert detail(bench, keeper, "a").output == ""


def test_prints_may_be_kept_not_at_all():
    bench = Bench(output_bytes_max=0)
    keeper, client, worker = bench.client("lab"), bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.finish(worker, "a", output="x")
    assert detail(bench, keeper, "a").output == ""


def test_cancel_tasks_of_two_clients_are_given_up_for_both_with_what_waits(bench, keeper):
    one, other, worker = bench.client("one"), bench.client("other"), bench.worker()
    bench.submit(one, "a")
    wishes = {bench.submit(other, "a"), bench.submit(other, "b", "a")}
    bench.say(worker, WorkerSample(((bench.attempt("a"), 0, 1.0),), 0, 0.0, 0, 0))
    bench.heard(worker, StopAttempt)
    answer = ask(bench, keeper, CancelTasks(1, ("a", "unknown"), force=True))
    assert set(answer.names) == {"a", "b"}
    (told,) = bench.heard(one, KeyCancelled)
    assert told.reason == managing.CANCELLED
    assert {wish for told in bench.heard(other, KeyCancelled) for wish in told.wishes} == wishes
    assert bench.heard(worker, StopAttempt)
    assert page(bench, keeper).tasks == ()


def test_cancel_task_that_only_a_keeper_wants_is_given_up(bench, keeper):
    client = bench.client()
    bench.submit(client, "a")
    bench.say(client, KeepTasks(("a",)))
    bench.release(client, "a")
    assert ask(bench, keeper, CancelTasks(1, ("a",))).names == ("a",)
    assert page(bench, keeper).total == 0


def test_cancel_task_that_is_done_changes_nothing(bench, keeper):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.finish(worker, "a")
    assert ask(bench, keeper, CancelTasks(1, ("a",))).names == ()
    assert bench.states("a") == ["memory"]


def test_retry_task_that_passed_on_an_error_is_tried_with_the_one_that_raised_and_all_clients_are_told(bench, keeper):
    one, other, worker = bench.client("one"), bench.client("other"), bench.worker()
    bench.submit(one, "a")
    bench.submit(one, "b", "a")
    bench.submit(other, "c", "a")
    bench.err(worker, "a")
    assert bench.heard(other, KeyErred)
    answer = ask(bench, keeper, RetryTasks(1, ("b",)))
    assert answer.names == ("a", "b", "c")
    assert [told.key for told in bench.heard(one, KeyRetried)] == ["a", "b"]
    assert [told.key for told in bench.heard(other, KeyRetried)] == ["c"]
    for key in "abc":
        bench.finish(worker, key)
    assert [told.key for told in bench.heard(other, KeyFinished)] == ["c"]


def test_retry_task_that_did_not_err_is_left_alone(bench, keeper):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.finish(worker, "a")
    assert ask(bench, keeper, RetryTasks(1, ("a", "unknown"))).names == ()
    assert bench.states("a") == ["memory"]
