"""Queues, events, variables and datasets: order, waits, and the results that values speak of."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.observing import snapshot
from jupyter_dist.messages import Cancel, CloseSession, FreeKeys, KeyCancelled, KeyFinished, RestartCluster
from jupyter_dist.messages.journal import WANT, WantRecord
from tests.core.scheduler.sharing_bench import SharingBench


@pytest.fixture
def bench():
    return SharingBench()


def take_now(bench, client, name="q"):
    request = bench.take(client, 0, name)
    bench.claim(client, request)
    return bench.values(request)


# -- queues ------------------------------------------------------------------------------------------------------------


def test_queue_gives_values_in_the_order_of_putting_to_takers_in_the_order_of_asking(bench):
    client, other = bench.client(), bench.client()
    takers = [(one, bench.take(one)) for one in (other, client, other)]
    for value in "abcd":
        assert bench.is_done(bench.put_item(client, value)) == [True]
    assert [bench.values(request) for _, request in takers] == [["a"], ["b"], ["c"]]
    assert bench.size(client) == 1
    for one, request in takers:
        bench.claim(one, request)
    assert take_now(bench, other) == ["d"]
    assert bench.is_empty()


def test_put_into_a_full_queue_waits_for_room_in_its_turn(bench):
    client = bench.client()
    assert bench.size(client) == 0
    puts = [bench.put_item(client, value, size_max=2) for value in "abcd"]
    assert bench.is_done(*puts) == [True, True, False, False]
    assert bench.size(client) == 2
    assert bench.values(bench.take(client)) == ["a"]
    assert bench.is_done(*puts) == [True, True, True, False]
    assert bench.values(bench.take(client, 3)) == ["b", "c", "d"]


def test_take_of_more_than_a_queue_may_hold_is_given_all_as_they_come(bench):
    client, other = bench.client(), bench.client()
    several, one = bench.take(client, 3), bench.take(other)
    puts = [bench.put_item(client, value, size_max=1) for value in "abcd"]
    assert all(bench.is_done(*puts))
    assert bench.values(several) == ["a", "b", "c"]
    assert bench.values(one) == ["d"]


def test_take_of_all_of_an_empty_queue_gives_none_at_once(bench):
    client = bench.client()
    assert take_now(bench, client) == []
    assert bench.is_empty()


def test_take_of_all_lets_those_in_who_wait_for_room(bench):
    client = bench.client()
    puts = [bench.put_item(client, value, size_max=1) for value in "ab"]
    assert take_now(bench, client) == ["a"]
    assert all(bench.is_done(*puts))


def test_values_that_were_not_claimed_go_back_to_their_places(bench):
    client, other = bench.client(), bench.client()
    for value in "abcde":
        bench.put_item(client, value)
    lost = [bench.take(client), bench.take(client, 2)]
    assert bench.values(bench.take(other)) == ["d"]
    bench.give_up(client, lost[1], undo=True)
    bench.give_up(client, lost[0], undo=True)
    assert take_now(bench, other) == ["a", "b", "c", "e"]


@pytest.mark.parametrize("is_lost", [False, True], ids=["closes", "is lost"])
def test_client_that_goes_before_it_claims_leaves_its_values_to_the_next_in_order(bench, is_lost):
    client, other = bench.client(linger_s=100.0), bench.client()
    for value in "abc":
        bench.put_item(other, value)
    for _ in range(2):
        bench.take(client)
    waits = bench.take(client, 5)  # has been given one
    next_one = bench.take(other, 3)
    bench.say(client, Disconnected("gone") if is_lost else CloseSession())
    if is_lost:  # it may have heard of two of them: its claim would be said again
        assert bench.size(other) == 0
        bench.tick(31.0)
    assert bench.values(next_one) == ["a", "b", "c"]
    assert bench.outcome(waits) is None


def test_giving_up_a_take_that_waits_puts_back_what_it_was_given(bench):
    client, other = bench.client(), bench.client()
    bench.put_item(client, "a")
    several, one = bench.take(client, 2), bench.take(other)
    bench.give_up(client, several)
    assert bench.outcome(several).done is False
    assert bench.values(one) == ["a"]


def test_giving_up_a_take_that_crosses_its_values_leaves_them_to_the_client(bench):
    client = bench.client()
    bench.put_item(client, "a")
    request = bench.take(client)
    bench.give_up(client, request)
    assert bench.values(request) == ["a"]
    bench.claim(client, request)
    assert bench.is_empty()


def test_giving_up_a_put_that_waits_takes_the_value_back_and_lets_the_next_try(bench):
    client = bench.client()
    puts = [bench.put_item(client, value, size_max=size) for value, size in (("a", 1), ("b", 1), ("c", 2))]
    bench.give_up(client, puts[1])
    assert bench.is_done(*puts) == [True, False, True]
    assert take_now(bench, client) == ["a", "c"]
    assert bench.is_empty()


def test_queue_keeps_its_values_when_their_putter_is_gone(bench):
    client, other = bench.client(), bench.client()
    bench.put_item(client, "a")
    bench.say(client, CloseSession())
    assert take_now(bench, other) == ["a"]


# -- events and variables ----------------------------------------------------------------------------------------------


def test_whoever_waits_for_a_value_has_it_once_it_is_set_and_until_it_is_unset(bench):
    client, other = bench.client(), bench.client()
    waits = [bench.get_value(one) for one in (client, other)]
    bench.set_value(client, "1")
    bench.set_value(other, "2")
    assert [bench.values(request) for request in waits] == [["1"], ["1"]]
    assert bench.values(bench.get_value(client)) == ["2"]
    assert (bench.unset(client), bench.unset(client)) == (1, 0)
    assert bench.outcome(bench.get_value(client)) is None


def test_events_variables_and_datasets_of_one_name_are_apart(bench):
    client = bench.client()
    for kind in ("event", "variable", "dataset"):
        bench.set_value(client, kind, name="n", kind=kind)
    assert bench.values(bench.get_value(client, "n", "variable")) == ["variable"]
    assert bench.names(client, "dataset") == ("n",)


def test_value_asked_for_without_waiting_is_answered_once(bench):
    client = bench.client()
    missing = bench.get_value(client)
    bench.give_up(client, missing)
    assert bench.is_done(missing) == [False]
    assert bench.is_empty()
    bench.set_value(client, "1")
    there = bench.get_value(client)
    bench.give_up(client, there)
    assert bench.values(there) == ["1"]


def test_dataset_of_a_known_name_is_refused_and_none_of_the_others_is_set(bench):
    client = bench.client()
    bench.set_value(client, "1", name="n", kind="dataset", is_new=True)
    answer = bench.outcome(bench.set_value(client, "2", name="n", kind="dataset", is_new=True))
    assert answer.fault == "taken"
    assert "'n' is there already" in answer.error
    bench.set_value(client, "3", name="n", kind="dataset")
    assert bench.values(bench.get_value(client, "n", "dataset")) == ["3"]


# -- results that values speak of --------------------------------------------------------------------------------------


@pytest.fixture
def made(bench):
    """Return a client and another, a worker, and its result ``data``, which the client wants."""
    client, other, worker = bench.client(linger_s=0.0), bench.client(), bench.worker()
    bench.submit(client, "data")
    bench.finish(worker, "data", None)
    return client, other, worker


@pytest.mark.parametrize("how", ["release", "close", "lose"])
@pytest.mark.parametrize("where", ["queue", "variable", "dataset"])
def test_result_in_a_value_stays_when_its_owner_is_gone_and_becomes_another_clients(bench, made, where, how):
    client, other, worker = made
    if where == "queue":
        bench.put_item(client, "v", "data", "data")
    else:
        bench.set_value(client, "v", "data", kind=where)
    {
        "release": lambda: bench.release(client, "data"),
        "close": lambda: bench.say(client, CloseSession()),
        "lose": lambda: bench.say(client, Disconnected("gone")),
    }[how]()
    for _ in range(30):
        bench.tick(2.0)
        bench.beat(worker)
    assert bench.states("data") == ["memory"]
    request = bench.take(other) if where == "queue" else bench.get_value(other, kind=where)
    if where != "queue":
        bench.unset(other, kind=where)
    assert bench.states("data") == ["memory"]  # on its way
    bench.claim(other, request, data=77)
    assert [message.wish for message in bench.heard(other, KeyFinished)] == [77]
    assert bench.is_empty()
    bench.release(other, "data")
    assert "data" not in bench.state.tasks
    assert bench.heard(worker, FreeKeys)


def test_result_in_two_values_stays_until_both_are_gone(bench, made):
    client, _other, _worker = made
    bench.set_value(client, "1", "data", name="a")
    bench.set_value(client, "2", "data", name="b")
    bench.release(client, "data")
    bench.unset(client, "a")
    assert bench.states("data") == ["memory"]
    bench.set_value(client, "3", name="b")
    assert "data" not in bench.state.tasks


def test_result_in_a_value_that_is_not_claimed_goes_with_it(bench, made):
    client, other, _worker = made
    bench.set_value(client, "v", "data")
    bench.release(client, "data")
    request = bench.get_value(other)
    bench.unset(client)
    bench.give_up(other, request, undo=True)
    assert "data" not in bench.state.tasks
    assert bench.is_empty()


def test_result_in_a_put_that_waits_is_kept_until_it_is_given_up(bench, made):
    client, _other, _worker = made
    bench.put_item(client, "full", size_max=1)
    waits = bench.put_item(client, "v", "data", size_max=1)
    bench.release(client, "data")
    assert bench.states("data") == ["memory"]
    bench.give_up(client, waits)
    assert "data" not in bench.state.tasks


def test_task_that_is_only_in_a_value_is_still_made_and_made_again_when_it_is_lost(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "data")
    bench.set_value(client, "v", "data")
    bench.release(client, "data")
    bench.finish(worker, "data", None)
    bench.say(worker, Disconnected("gone"))
    second = bench.worker("w1")
    assert bench.assigned(second).keys() == {"data"}


def test_cancel_by_its_owner_leaves_a_published_task_alone(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "data")
    bench.set_value(client, "v", "data", kind="dataset")
    bench.say(client, Cancel(("data",), force=True))
    bench.finish(worker, "data")
    assert bench.states("data") == ["memory"]


def test_value_that_speaks_of_an_unknown_result_is_refused_and_keeps_nothing(bench):
    client = bench.client()
    for request in (bench.put_item(client, "v", "gone"), bench.set_value(client, "v", "gone")):
        assert "needs the result gone" in bench.outcome(request).error
    assert bench.is_empty()


def test_claim_of_a_result_is_written_down(bench, made):
    client, other, _worker = made
    bench.set_value(client, "v", "data")
    bench.claim(other, bench.get_value(other), data=7)
    assert WantRecord(7) in bench.records[WANT].values()


def test_claim_of_an_unknown_result_cancels_the_wish(bench):
    client = bench.client()
    bench.claim(client, 99, gone=5)
    assert bench.heard(client, KeyCancelled)[0].wishes == (5,)


def test_claim_after_the_value_went_back_still_makes_the_client_an_owner(bench, made):
    client, other, _worker = made
    bench.put_item(client, "v", "data")
    request = bench.take(other)
    bench.give_up(other, request, undo=True)
    bench.claim(other, request, data=5)
    assert bench.size(client) == 1
    assert bench.heard(other, KeyFinished)


# -- limits, restart, and what others see ------------------------------------------------------------------------------


def test_values_beyond_the_limit_are_refused_until_there_is_room(bench):
    bench = SharingBench(shared_total_bytes_max=1000)
    client = bench.client()
    bench.put_item(client, "x" * 400)
    answer = bench.outcome(bench.put_item(client, "x" * 400))
    assert "no room" in answer.error
    assert "of 1,000 bytes" in answer.error
    assert bench.outcome(bench.set_value(client, "x" * 400)).error
    take_now(bench, client)
    assert bench.is_done(bench.set_value(client, "x" * 400)) == [True]


def test_restart_empties_everything_and_tells_who_waits(bench, made):
    client, other, _worker = made
    bench.put_item(client, "a", "data", size_max=1)
    bench.set_value(client, "v", "data", kind="dataset")
    bench.set_value(client, "", kind="event")
    on_its_way = bench.get_value(other, kind="dataset")
    waits = [bench.put_item(client, "b", size_max=1), bench.get_value(other, "none"), bench.take(other, 2, "empty")]
    bench.say(client, RestartCluster(7))
    for request in waits:
        assert "restarted" in bench.outcome(request).error
    assert bench.is_empty()
    bench.claim(other, on_its_way, data=9)
    assert bench.heard(other, KeyCancelled)[0].wishes == (9,)
    assert bench.names(client) == ()


def test_datasets_are_no_session_and_let_an_idle_cluster_stop():
    bench = SharingBench(detached=True, idle_stop_s=60.0)
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "data")
    bench.finish(worker, "data")
    bench.set_value(client, "v", "data", kind="dataset")
    bench.say(client, CloseSession())
    assert snapshot(bench.state, bench.now).sessions == ()
    bench.tick(1.0)
    assert not bench.stopped
    bench.tick(61.0)
    assert bench.stopped
