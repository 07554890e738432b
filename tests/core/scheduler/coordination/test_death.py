"""The books under the scheduler that follows: from the journal alone, and with the clients that come back."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import ClaimRequests, CloseSession, KeyFinished, RestartCluster, UnsetValue
from jupyter_dist.messages.journal import ITEM, PARCEL, REPLY, SESSION, TURN, VALUE
from tests.core.scheduler.sharing_bench import SharingBench

KINDS = (PARCEL, ITEM, VALUE, TURN, REPLY)


@pytest.fixture
def bench():
    return SharingBench()


def open_clients(bench, *names):
    return [bench.client(name, linger_s=100.0) for name in names]


def succeed(bench, *names):
    """Have the scheduler die, and clients connect to the next one; forget what was heard before."""
    bench.sent.clear()
    bench.outcomes.clear()
    bench.succeed()
    return open_clients(bench, *names)


def claim_answers(bench, client, **requests):
    bench.say(client, ClaimRequests(**requests))


def written(bench):
    return {kind: bench.records[kind] for kind in KINDS if bench.records[kind]}


# -- leases ------------------------------------------------------------------------------------------------------------


def test_lease_is_held_and_waited_for_in_the_same_order_whoever_comes_back_first(bench):
    clients = open_clients(bench, "a", "b", "c")
    held, second, third = (bench.acquire(client) for client in clients)
    c, a, b = succeed(bench, "c", "a", "b")
    assert bench.leases(c) == 1
    bench.release_lease(a, held)
    assert bench.is_done(second) == [True]
    assert bench.outcome(third) is None
    bench.release_lease(b, second)
    assert bench.is_done(third) == [True]
    bench.release_lease(c, third)
    assert bench.is_empty()
    assert not written(bench)


def test_line_waits_for_its_first_who_is_expected_and_passes_it_over_when_it_does_not_come(bench):
    a, b, c = open_clients(bench, "a", "b", "c")
    held, second, third = bench.acquire(a), bench.acquire(b), bench.acquire(c)
    a, _c = succeed(bench, "a", "c")
    bench.release_lease(a, held)
    assert bench.outcome(third) is None
    bench.tick(bench.state.settings.lease_s)
    assert bench.is_done(third) == [True]
    assert bench.outcome(second) is None


def test_line_waits_anew_after_the_scheduler_was_stopped(bench):
    a, b, c = open_clients(bench, "a", "b", "c")
    held, second, third = bench.acquire(a), bench.acquire(b), bench.acquire(c)
    a, c = succeed(bench, "a", "c")
    bench.now += 10.0
    bench.release_lease(a, held)  # it is heard before the scheduler looks at the clock
    bench.tick(1.0)
    assert bench.outcome(third) is None
    bench.client("b", linger_s=100.0)
    assert bench.is_done(second) == [True]


def test_lease_whose_holder_does_not_come_back_is_free_after_its_time(bench):
    a, b = open_clients(bench, "a", "b")
    bench.acquire(a)
    waits = bench.acquire(b)
    succeed(bench, "b")
    bench.tick(29.0)
    assert bench.outcome(waits) is None
    bench.tick(2.0)
    assert bench.is_done(waits) == [True]


def test_lease_is_given_to_nobody_who_hears_of_it_before_it_is_written(bench):
    a, b = open_clients(bench, "a", "b")
    held, waits = bench.acquire(a), bench.acquire(b)
    bench.is_prompt = False
    assert bench.is_done(held) == [True]
    before = {kind: dict(found) for kind, found in bench.records.items()}
    bench.release_lease(a, held)
    assert bench.outcome(waits) is None
    bench.write()
    assert bench.is_done(waits) == [True]
    bench.records.clear()
    bench.records.update(before)  # had it died before that
    _a, b = succeed(bench, "a", "b")
    assert bench.leases(b) == 1
    assert bench.outcome(waits) is None


def test_semaphore_is_known_with_its_limit(bench):
    a, b = open_clients(bench, "a", "b")
    leases = [bench.acquire(a, limit=2, kind="semaphore") for _ in range(2)]
    waits = bench.acquire(b, limit=2, kind="semaphore")
    a, b = succeed(bench, "a", "b")
    assert bench.outcome(bench.acquire(b, limit=3, kind="semaphore")).fault == "usage"
    assert bench.outcome(waits) is None
    bench.release_lease(a, leases[0])
    assert bench.is_done(waits) == [True]


def test_session_that_ends_with_the_next_scheduler_leaves_nothing(bench):
    (a,) = open_clients(bench, "a")
    bench.acquire(a)
    bench.acquire(a)
    bench.put_item(a, "v", size_max=1)
    bench.put_item(a, "w", size_max=1)
    (a,) = succeed(bench, "a")
    bench.say(a, CloseSession())
    assert [len(found) for found in written(bench).values()] == [1, 1]  # what it put in is there
    client = bench.client()
    bench.claim(client, bench.take(client, 0))
    assert bench.is_empty()
    assert not written(bench)


# -- queues ------------------------------------------------------------------------------------------------------------


def test_queue_has_its_values_in_order_and_those_who_wait_for_room(bench):
    (a,) = open_clients(bench, "a")
    for value in "abc":
        bench.put_item(a, value)
    waits = bench.put_item(a, "d", size_max=3)
    (a,) = succeed(bench, "a")
    assert bench.size(a) == 3
    assert bench.values(bench.take(a)) == ["a"]
    assert bench.is_done(waits) == [True]
    bench.put_item(a, "e")
    assert bench.values(bench.take(a, 4)) == ["b", "c", "d", "e"]


def test_value_that_was_taken_and_not_claimed_is_its_takers_until_it_is_given_up(bench):
    a, b = open_clients(bench, "a", "b")
    for value in "xy":
        bench.put_item(b, value)
    taken = bench.take(a)
    _a, b = succeed(bench, "a", "b")
    assert bench.size(b) == 1
    assert bench.values(bench.take(b)) == ["y"]
    waits = bench.take(b)
    bench.say(_a, CloseSession())
    assert bench.values(waits) == ["x"]
    assert bench.outcome(taken) is None


def test_value_that_was_taken_is_told_again_and_claimed_once(bench):
    (a,) = open_clients(bench, "a")
    bench.put_item(a, "x")
    taken = bench.take(a)
    (a,) = succeed(bench, "a")
    claim_answers(bench, a, waits=(taken,))
    assert bench.values(taken) == ["x"]
    bench.claim(a, taken)
    assert bench.is_empty()
    assert not written(bench)


def test_taker_of_several_waits_on_and_is_given_what_was_set_aside_again(bench):
    a, b = open_clients(bench, "a", "b")
    waits = bench.take(a, 2)
    bench.put_item(b, "x")
    _a, b = succeed(bench, "a", "b")
    bench.put_item(b, "y")
    assert bench.values(waits) == ["x", "y"]


# -- values ------------------------------------------------------------------------------------------------------------


def test_values_are_there_under_their_names_and_keep_the_results_they_speak_of(bench):
    (a,), worker = open_clients(bench, "a"), bench.worker()
    bench.submit(a, "data")
    bench.finish(worker, "data", b"made")
    bench.set_value(a, "v", "data")
    bench.set_value(a, "set", "data", kind="dataset")
    bench.set_value(a, "", kind="event")
    bench.release(a, "data")
    (a,) = succeed(bench, "a")
    assert bench.names(a) == ("v",)
    assert bench.is_done(bench.get_value(a, kind="event")) == [True]
    assert bench.states("data") == ["memory"]
    assert bench.unset(a, kind="dataset") == 1
    request = bench.get_value(a)
    bench.unset(a)
    bench.claim(a, request, data=7)
    assert [message.value for message in bench.heard(a, KeyFinished)] == [b"made"]
    bench.release(a, "data")
    assert not bench.state.tasks


def test_value_with_a_result_that_is_on_its_way_is_told_again_also_when_it_was_replaced(bench):
    (a,), worker = open_clients(bench, "a"), bench.worker()
    bench.submit(a, "data")
    bench.finish(worker, "data")
    bench.set_value(a, "old", "data")
    bench.release(a, "data")
    request = bench.get_value(a)
    bench.set_value(a, "new")
    (a,) = succeed(bench, "a")
    bench._requests = iter([request])
    assert bench.values(bench.get_value(a)) == ["old"]
    bench.claim(a, request, data=7)
    assert bench.states("data") == ["memory"]


def test_restart_empties_the_journal_too(bench):
    a, b = open_clients(bench, "a", "b")
    bench.acquire(a)
    waits = bench.acquire(b)
    bench.put_item(a, "x")
    bench.take(b)
    bench.put_item(a, "y")
    bench.set_value(a, "v")
    bench.say(a, RestartCluster(1))
    assert written(bench).keys() == {REPLY}  # that it was restarted, should who waits not have heard
    _a, b = succeed(bench, "a", "b")
    assert bench.is_empty()
    claim_answers(bench, b, waits=(waits,))
    assert "restarted" in bench.outcome(waits).error
    bench.claim(b, waits)
    assert not written(bench)


# -- answers that were lost --------------------------------------------------------------------------------------------


def test_answer_that_was_lost_is_given_again(bench):
    (a,) = open_clients(bench, "a")
    lease, waits, given_up = bench.acquire(a), bench.acquire(a), bench.acquire(a)
    bench.give_up(a, given_up)
    put, unset = bench.put_item(a, "x"), bench.ask(a, lambda request: UnsetValue(request, "variable", "none"))
    refused = bench.set_value(a, "v", "unknown")
    (a,) = succeed(bench, "a")
    claim_answers(bench, a, waits=(lease, waits), given_up=(given_up,), acts=(put, unset, refused))
    assert bench.is_done(lease, given_up, put, unset) == [True, False, True, True]
    assert bench.outcomes[unset].count == 0
    assert bench.outcome(waits) is None
    assert "needs the result unknown" in bench.outcome(refused).error


def test_put_that_was_given_up_while_it_waited_is_told_so_again(bench):
    (a,) = open_clients(bench, "a")
    bench.put_item(a, "x", size_max=1)
    waits = bench.put_item(a, "y", size_max=1)
    bench.give_up(a, waits)
    (a,) = succeed(bench, "a")
    claim_answers(bench, a, acts=(waits,))
    assert bench.is_done(waits) == [False]


def test_answer_that_is_not_claimed_was_heard_and_is_forgotten(bench):
    (a,) = open_clients(bench, "a")
    bench.unset(a)
    assert written(bench).keys() == {REPLY}
    (a,) = succeed(bench, "a")
    claim_answers(bench, a)
    assert not written(bench)


def test_request_of_which_nobody_knows_is_an_error_and_no_wait(bench):
    (a,) = open_clients(bench, "a")
    claim_answers(bench, a, waits=(77,))
    assert "ask again" in bench.outcome(77).error


def test_lease_that_lapsed_before_its_holder_heard_of_it_is_told_to_be_lost(bench):
    (a,) = open_clients(bench, "a")
    lease = bench.acquire(a)
    bench.say(a, Disconnected("gone"))
    bench.tick(31.0)
    bench.outcomes.clear()
    bench.sent.clear()
    (a,) = open_clients(bench, "a")
    claim_answers(bench, a, waits=(lease,))
    assert "went to others" in bench.outcome(lease).error


def test_answers_that_nobody_claims_are_kept_up_to_a_limit():
    bench = SharingBench(requests_max=3)
    client = bench.client()
    for _ in range(10):
        bench.unset(client)
    assert len(bench.state.coordination.replies[bench.state.sessions[f"session-{client}"]]) == 3


# -- a journal that was damaged ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_record_that_is_missing_takes_only_what_it_was_of(bench, kind):
    (a,), worker = open_clients(bench, "a"), bench.worker()
    bench.submit(a, "data")
    bench.finish(worker, "data")
    bench.acquire(a)
    bench.acquire(a)
    for value in "xyz":
        bench.put_item(a, value, "data")
    bench.take(a)
    bench.set_value(a, "v", "data")
    bench.unset(a, "none")
    bench.records[kind].clear()
    (a,) = succeed(bench, "a")
    bench.acquire(a)
    bench.put_item(a, "more")
    bench.say(a, CloseSession())
    client = bench.client()
    bench.unset(client)
    bench.claim(client, bench.take(client, 0))
    bench.say(client, CloseSession())
    assert bench.is_empty()
    assert not written(bench)


def test_records_of_a_session_that_is_missing_are_removed(bench):
    (a,) = open_clients(bench, "a")
    bench.acquire(a)
    bench.put_item(a, "x")
    bench.take(a)
    bench.unset(a)
    bench.records[SESSION].clear()
    succeed(bench)
    assert bench.is_empty()
    assert not written(bench)
