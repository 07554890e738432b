"""What workers answer counts for the current attempt only."""

import pytest

from jupyter_dist.messages import (
    Cancel,
    FreeKeys,
    KeyErred,
    KeyFinished,
    KeyLost,
    KeyOutput,
    SetInlineMax,
    TaskOutput,
    Withdraw,
    WorkerSample,
)
from tests.core.scheduler.bench import Bench


@pytest.fixture
def bench():
    return Bench()


def test_finished_of_a_stale_attempt_frees_its_zombie_slot_and_nothing_else(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    old = bench.attempt("a")
    bench.say(client, Cancel(("a",)))
    member = bench.state.members[worker]
    assert member.zombies == {old}
    assert member not in bench.state.idle
    bench.submit(client, "a")
    bench.finish(worker, "a", b"stale", attempt=old)
    assert not member.zombies
    assert bench.task("a").state == "processing"
    bench.finish(worker, "a", b"stale", attempt=12345)


@pytest.mark.parametrize("answer", ["err", "give_back", "miss"])
def test_other_answers_of_a_stale_attempt_free_its_zombie_slot(bench, answer):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    old = bench.attempt("a")
    bench.release(client, "a")
    if answer == "err":
        bench.err(worker, "a", attempt=old)
    elif answer == "give_back":
        bench.give_back(worker, old)
    else:
        bench.miss(worker, old, "x", "unix:/w1")
    assert not bench.state.members[worker].load
    assert not bench.state.tasks


def test_erred_with_retries_left_is_tried_again_then_errs_for_all_dependents(bench):
    client, worker = bench.client(), bench.worker()
    first = bench.submit(client, "a", retries=2)
    second = bench.submit(client, "b", "a")
    for _ in range(3):
        assert bench.states("a", "b") == ["processing", "waiting"]
        bench.err(worker, "a", output="said\n")
    assert [(m.wish, m.error.key) for m in bench.heard(client, KeyErred)] == [(first, "a"), (second, "a")]
    assert len(bench.heard(client, KeyOutput)) == 3
    assert bench.state.erred == 2
    assert len(bench.state.chronicle.errors) == 1


def test_erred_and_let_go_as_lineage_is_tried_as_new_when_wanted_again(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a", retries=1)
    bench.submit(client, "b", "a")
    bench.err(worker, "a")
    bench.err(worker, "a")
    bench.release(client, "a")
    assert bench.states("a", "b") == ["released", "erred"]
    bench.submit(client, "a")
    bench.err(worker, "a")
    assert bench.states("a") == ["processing"]


def test_inline_total_reached_turns_inline_off_and_half_of_it_on_again():
    bench = Bench(inline_total_bytes_max=10)
    client, worker = bench.client(), bench.worker()
    for key in ("a", "b", "c"):
        bench.submit(client, key)
    bench.finish(worker, "a", b"123456")
    assert not bench.heard(worker, SetInlineMax)
    bench.finish(worker, "b", b"123456")
    assert bench.heard(worker, SetInlineMax) == [SetInlineMax(0)]
    assert bench.state.inline_bytes == 12
    other = bench.worker("w1")
    assert bench.sent[other][0].inline_bytes_max == 0
    bench.release(client, "a", "b")
    bench.finish(worker, "c", None)
    assert bench.heard(worker, SetInlineMax) == [SetInlineMax(65536)]


def test_large_result_is_held_until_nobody_needs_it(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.finish(worker, "a", None, nbytes=7)
    member = bench.state.members[worker]
    assert (list(member.held), member.held_bytes) == ([bench.task("a")], 7)
    bench.release(client, "a")
    assert bench.heard(worker, FreeKeys) == [FreeKeys(("a",))]
    assert (member.held, member.held_bytes) == ({}, 0)


def test_finished_input_only_dependents_needed_is_released_with_the_last_of_them(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(client, "b", "a")
    bench.release(client, "a")
    bench.finish(worker, "a", None)
    assert bench.states("a") == ["memory"]
    bench.finish(worker, "b")
    assert bench.states("a") == ["released"]
    bench.release(client, "b")
    assert not bench.state.tasks


def test_withdrawn_is_queued_again_and_handed_to_who_is_free(bench):
    client, worker = bench.client(), bench.worker("w0")
    bench.submit(client, "a")
    bench.submit(client, "b")
    assert list(bench.assigned(worker)) == ["a", "b"]
    other = bench.worker("w1")
    bench.tick(1.0)
    (message,) = bench.heard(worker, Withdraw)
    assert message.attempts == (bench.attempt("b"),)
    bench.give_back(worker, *message.attempts)
    assert list(bench.assigned(other)) == ["b"]


def test_input_missing_strikes_the_holder_and_makes_the_input_first(bench):
    client, holder = bench.client(), bench.worker("w0")
    bench.submit(client, "a")
    bench.finish(holder, "a", None)
    bench.submit(client, "b", "a", workers=("w1",))
    other = bench.worker("w1")
    bench.miss(other, bench.attempt("b"), "a", "unix:/w0")
    assert bench.states("a", "b") == ["processing", "waiting"]
    assert len(bench.heard(client, KeyLost)) == 1
    assert bench.heard(holder, FreeKeys) == [FreeKeys(("a",))]


def test_input_missing_of_a_key_unknown_meanwhile_is_only_given_back(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    attempt = bench.attempt("a")
    bench.miss(worker, attempt, "unknown", "unix:/w9")
    assert bench.states("a") == ["processing"]
    assert bench.attempt("a") > attempt


def test_input_missing_that_cannot_be_made_again_errs_the_task_once_and_for_all(bench):
    """The input is data; a third task needs both: it must not be let go of behind the back of the one given back."""
    client, holder = bench.client(), bench.worker("w0")
    bench.put(client, "data")
    bench.submit(client, "made", "data")
    bench.finish(holder, "made", None)
    bench.release(client, "data")
    bench.submit(client, "b", "made", workers=("w1",))
    bench.submit(client, "c", "made", "b")
    bench.release(client, "b")
    other = bench.worker("w1")
    bench.heard(client, KeyErred)
    bench.miss(other, bench.attempt("b"), "made", "unix:/w0")
    assert {message.error.kind for message in bench.heard(client, KeyErred)} == {"lost"}
    assert bench.states("made", "b", "c") == ["erred", "released", "erred"]
    assert not [event for event in bench.state.chronicle.events if event.key == "b" and event.kind == "erred"]


def test_output_is_passed_on_while_the_attempt_is_current(bench):
    client, worker = bench.client(), bench.worker()
    wish = bench.submit(client, "a", output=True)
    attempt = bench.attempt("a")
    bench.say(worker, TaskOutput("a", attempt, "stderr", "hm"))
    assert bench.heard(client, KeyOutput) == [KeyOutput(wish, "a", "stderr", "hm")]
    bench.finish(worker, "a", output="end")
    assert bench.heard(client, KeyOutput) == [KeyOutput(wish, "a", "stdout", "end")]
    bench.say(worker, TaskOutput("a", attempt, "stderr", "late"))
    assert not bench.heard(client, KeyOutput)
    assert bench.heard(client, KeyFinished)


def test_sample_that_changes_nothing_much_is_no_news(bench):
    worker = bench.worker()
    bench.say(worker, WorkerSample(((1, 0, 5.0),), 1000, 50.0, 0, 0))
    version = bench.state.version
    bench.say(worker, WorkerSample(((1, 0, 5.0),), 1010, 51.0, 0, 0, 3))
    assert bench.state.version == version
    assert bench.state.members[worker].spilled_bytes == 3
    bench.say(worker, WorkerSample(((1, 0, 5.0),), 2000, 51.0, 0, 0))
    assert bench.state.version == version + 1
