"""Data in the host's object store: who hears its name, when it is freed, and what its loss means."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.errors import InvariantError
from jupyter_dist.messages import (
    STORE,
    AssignTask,
    CloseSession,
    FreeObjects,
    InputMissing,
    KeyErred,
    KeyFinished,
    KeyLost,
    MissingValue,
    PutValue,
    RestartCluster,
)
from tests.core.scheduler.bench import LARGE, Bench


@pytest.fixture
def bench():
    return Bench()


def put(bench, client, key, name, wish=1):
    bench.say(client, PutValue(key, b"", "ndarray", wish, name, LARGE))


def freed(bench, nanny):
    return [name for message in bench.heard(nanny, FreeObjects) for name in message.names]


def miss(bench, worker, key, data, name, reason="it is cut off"):
    bench.say(worker, InputMissing(bench.attempt(key), data, STORE + name, reason))


def test_put_of_a_stored_value_is_in_memory_and_told_by_its_name(bench):
    client = bench.client()
    put(bench, client, "data", "a1")
    (message,) = bench.heard(client, KeyFinished)
    assert (message.value, message.stored, message.nbytes, message.holders) == (None, "a1", LARGE, ())
    assert bench.states("data") == ["memory"]
    assert bench.state.inline_bytes == 0


def test_task_gets_a_stored_input_by_its_name_on_any_worker(bench):
    client = bench.client()
    workers = [bench.worker("w0"), bench.worker("w1")]
    put(bench, client, "data", "a1")
    for key in ("x", "y"):
        bench.submit(client, key, "data")
    inputs = [message.task.inputs for worker in workers for message in bench.heard(worker, AssignTask)]
    assert [(wanted.value, wanted.stored, wanted.holders) for (wanted,) in inputs] == [(None, "a1", ())] * 2


def test_deaths_of_all_workers_lose_no_stored_value(bench):
    client = bench.client()
    workers = [bench.worker("w0"), bench.worker("w1")]
    put(bench, client, "data", "a1")
    for worker in workers:
        bench.say(worker, Disconnected("gone"))
    assert bench.states("data") == ["memory"]
    assert not bench.heard(client, KeyLost)
    bench.submit(client, "x", "data")
    assert bench.assigned(bench.worker("w2")) == {"x": bench.attempt("x")}


def test_release_frees_the_object_once_no_task_needs_it(bench):
    client, nanny, worker = bench.client(), bench.nanny(), bench.worker()
    put(bench, client, "data", "a1")
    bench.submit(client, "x", "data")
    bench.release(client, "data")
    assert not freed(bench, nanny)
    bench.finish(worker, "x")
    assert freed(bench, nanny) == ["a1"]


def test_release_by_one_of_two_clients_frees_nothing(bench):
    first, second, nanny = bench.client(), bench.client(), bench.nanny()
    put(bench, first, "data", "a1")
    put(bench, second, "data", "a2")
    assert freed(bench, nanny) == ["a2"]  # the first one's is used
    assert [message.stored for message in bench.heard(second, KeyFinished)] == ["a1"]
    bench.release(first, "data")
    assert not freed(bench, nanny)
    bench.say(second, CloseSession())
    assert freed(bench, nanny) == ["a1"]


def test_release_without_a_nanny_waits_for_one(bench):
    client = bench.client()
    for number in range(3):
        put(bench, client, f"data-{number}", f"a{number}", number)
    bench.release(client, "data-0", "data-1")
    nanny = bench.nanny()
    assert [sorted(message.names) for message in bench.heard(nanny, FreeObjects)] == [["a0", "a1"]]


def test_release_of_many_is_one_message(bench):
    client, nanny = bench.client(), bench.nanny()
    keys = [f"data-{number}" for number in range(100)]
    for number, key in enumerate(keys):
        put(bench, client, key, f"a{number}", number)
    bench.release(client, *keys)
    (message,) = bench.heard(nanny, FreeObjects)
    assert len(message.names) == 100


def test_restart_frees_all(bench):
    client, nanny = bench.client(), bench.nanny()
    bench.worker(nanny="n")
    put(bench, client, "data", "a1")
    put(bench, client, "more", "a2", 2)
    bench.submit(client, "x", "data")
    bench.say(client, RestartCluster(1))
    assert sorted(freed(bench, nanny)) == ["a1", "a2"]


def test_unreadable_input_errs_its_data_and_what_needs_it_with_the_reason(bench):
    client, nanny, worker = bench.client(), bench.nanny(), bench.worker(slots=2)
    put(bench, client, "data", "a1")
    bench.submit(client, "plain")
    bench.submit(client, "x", "data")
    bench.submit(client, "after", "x")
    miss(bench, worker, "x", "data", "a1")
    assert bench.states("data", "x", "after", "plain") == ["erred", "erred", "erred", "processing"]
    errors = {message.key: message.error for message in bench.heard(client, KeyErred)}
    assert set(errors) == {"data", "x", "after"}
    assert {error.type_name for error in errors.values()} == {"DataLostError"}
    assert "'data' (ndarray, 200,000 bytes)" in errors["x"].text
    assert "it is cut off" in errors["x"].text
    assert freed(bench, nanny) == ["a1"]  # a damaged one is of no use


def test_unreadable_input_spares_a_task_that_runs_with_it(bench):
    client, worker = bench.client(), bench.worker(slots=2)
    put(bench, client, "data", "a1")
    bench.submit(client, "x", "data")
    bench.submit(client, "y", "data")
    miss(bench, worker, "x", "data", "a1")
    assert bench.states("x", "y") == ["erred", "processing"]
    bench.finish(worker, "y")
    assert bench.states("y") == ["memory"]


def test_unreadable_input_told_by_a_zombie_changes_nothing(bench):
    client, worker = bench.client(), bench.worker()
    put(bench, client, "data", "a1")
    bench.submit(client, "x", "data")
    attempt = bench.attempt("x")
    bench.release(client, "x")
    bench.say(worker, InputMissing(attempt, "data", STORE + "a1", "gone"))
    assert bench.states("data") == ["memory"]
    assert bench.state.members[worker].load == 0


def test_unreadable_value_told_by_a_client_is_lost(bench):
    client = bench.client()
    put(bench, client, "data", "a1")
    bench.say(client, MissingValue("data", STORE + "a1", "no such file"))
    assert bench.states("data") == ["erred"]
    assert "no such file" in bench.heard(client, KeyErred)[0].error.text


@pytest.mark.parametrize("holder", [STORE + "a0", STORE, "unix:/w0", ""])
def test_unreadable_other_object_is_not_this_ones_loss(bench, holder):
    client, nanny = bench.client(), bench.nanny()
    put(bench, client, "data", "a1")
    bench.say(client, MissingValue("data", holder))
    assert bench.states("data") == ["memory"]
    assert not freed(bench, nanny)


def test_stored_value_of_a_key_that_is_computed_is_made_again_when_lost(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "x")
    bench.submit(client, "y", "x")
    bench.finish(worker, "x")
    bench.finish(worker, "y", None)
    bench.release(client, "x")  # on record, because y was made from it
    put(bench, client, "x", "a1", 9)
    bench.say(client, MissingValue("x", STORE + "a1"))
    assert bench.states("x") == ["processing"]


def test_lost_data_scattered_again_under_its_key_after_release_is_there(bench):
    client, worker = bench.client(), bench.worker()
    put(bench, client, "data", "a1")
    bench.say(client, MissingValue("data", STORE + "a1"))
    bench.release(client, "data")
    put(bench, client, "data", "a2", 2)
    bench.submit(client, "x", "data")
    assert [wanted.stored for (wanted,) in [m.task.inputs for m in bench.heard(worker, AssignTask)]] == ["a2"]


def test_check_finds_an_object_that_is_freed_and_in_use(bench):
    client = bench.client()
    put(bench, client, "data", "a1")
    bench.state.freed.append("a1")
    with pytest.raises(InvariantError, match="freed and in use"):
        bench.machine.check()
