"""Locks and semaphores: fairness, crossing messages, and holders that go."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import CloseSession, RestartCluster
from tests.core.scheduler.sharing_bench import SharingBench


@pytest.fixture
def bench():
    return SharingBench()


def test_lock_is_given_in_the_order_of_asking(bench):
    clients = [bench.client() for _ in range(3)]
    turns = [(client, bench.acquire(client)) for client in (*clients, clients[0])]
    for place, (client, lease) in enumerate(turns):
        assert bench.is_done(*(request for _, request in turns)) == [index <= place for index in range(4)]
        assert bench.leases(client) == 1
        assert bench.release_lease(client, lease).done
    assert bench.is_empty()


def test_semaphore_gives_so_many_and_the_next_when_one_is_back(bench):
    client = bench.client()
    first, second, third = (bench.acquire(client, limit=2, kind="semaphore") for _ in range(3))
    assert bench.is_done(first, second, third) == [True, True, False]
    bench.release_lease(client, second)
    assert bench.is_done(third) == [True]
    assert bench.leases(client, kind="semaphore") == 2


def test_locks_and_semaphores_of_one_name_are_apart(bench):
    client = bench.client()
    requests = [bench.acquire(client, kind=kind, name=name) for kind in ("lock", "semaphore") for name in "ab"]
    assert all(bench.is_done(*requests))


def test_semaphore_with_another_limit_is_refused_while_it_is_in_use(bench):
    client = bench.client()
    lease = bench.acquire(client, limit=2, kind="semaphore")
    answer = bench.outcome(bench.acquire(client, limit=3, kind="semaphore"))
    assert answer.fault == "usage"
    assert "max_leases=2, not 3" in answer.error
    bench.release_lease(client, lease)
    assert bench.is_done(bench.acquire(client, limit=3, kind="semaphore")) == [True]


@pytest.mark.parametrize("is_strange", [False, True], ids=["twice", "never held"])
def test_release_of_what_is_not_held_is_an_error(bench, is_strange):
    client, other = bench.client(), bench.client()
    lease = bench.acquire(client)
    if not is_strange:
        bench.release_lease(client, lease)
    answer = bench.release_lease(other if is_strange else client, lease)
    assert not answer.done
    assert "not held any more" in answer.error


def test_release_of_a_turn_that_waits_is_an_error_and_changes_nothing(bench):
    client = bench.client()
    bench.acquire(client)
    waits = bench.acquire(client)
    assert bench.release_lease(client, waits).error
    assert bench.outcome(waits) is None


def test_giving_up_a_turn_that_waits_is_answered_and_lets_others_pass(bench):
    client = bench.client()
    lease, second, third = (bench.acquire(client) for _ in range(3))
    bench.give_up(client, second)
    assert bench.outcome(second).done is False
    assert bench.outcome(second).error == ""
    bench.release_lease(client, lease)
    assert bench.is_done(third) == [True]


def test_giving_up_that_crosses_the_lease_leaves_the_lease_to_the_client(bench):
    client = bench.client()
    lease = bench.acquire(client)
    bench.give_up(client, lease)
    assert bench.is_done(lease) == [True]
    assert bench.leases(client) == 1
    bench.release_lease(client, lease)
    bench.give_up(client, lease)
    assert bench.is_empty()


@pytest.mark.parametrize("is_held", [False, True])
def test_undo_of_a_turn_frees_whatever_became_of_it(bench, is_held):
    client, other = bench.client(), bench.client()
    first, second = (bench.acquire(one) for one in (client, other))
    waits = bench.acquire(client)
    bench.give_up(*((client, first) if is_held else (other, second)), undo=True)
    assert bench.is_done(second) == [is_held]
    assert bench.outcome(waits) is None
    for one, request in ((client, first), (other, second), (client, waits)):
        bench.give_up(one, request, undo=True)
    assert bench.is_empty()


def test_session_that_closes_frees_and_waits_no_more_at_once(bench):
    client, other = bench.client(), bench.client()
    leases = [bench.acquire(client, name) for name in "ab"]
    waits = [bench.acquire(other, name) for name in "ab"]
    bench.acquire(client, "a")
    assert all(bench.is_done(*leases))
    bench.say(client, CloseSession())
    assert bench.is_done(*waits) == [True, True]
    assert not bench.state.coordination.leases["lock", "a"].line


def test_session_that_lost_its_connection_keeps_its_leases_for_a_while(bench):
    client, other = bench.client(linger_s=1000.0), bench.client()
    bench.acquire(client)
    waits, dropped, last = bench.acquire(other), bench.acquire(client), bench.acquire(other)
    bench.say(client, Disconnected("gone"))
    bench.tick(29.0)
    assert bench.outcome(waits) is None
    bench.tick(1.5)
    assert bench.is_done(waits) == [True]
    bench.release_lease(other, waits)
    assert bench.is_done(last) == [True]
    assert bench.outcome(dropped) is None


def test_session_that_is_back_in_time_still_has_its_leases(bench):
    client, other = bench.client("s", linger_s=1000.0), bench.client()
    lease, waits = bench.acquire(client), bench.acquire(other)
    bench.say(client, Disconnected("gone"))
    bench.tick(20.0)
    client = bench.client("s", linger_s=1000.0)
    bench.tick(60.0)
    assert bench.outcome(waits) is None
    assert bench.release_lease(client, lease).done
    assert bench.is_done(waits) == [True]


def test_session_that_is_back_too_late_hears_that_its_lease_is_lost(bench):
    client = bench.client("s", linger_s=1000.0)
    lease = bench.acquire(client)
    bench.say(client, Disconnected("gone"))
    bench.tick(31.0)
    client = bench.client("s")
    answer = bench.release_lease(client, lease)
    assert "more than 30 s" in answer.error
    assert bench.is_empty()


@pytest.mark.parametrize("linger_s", [0.0, 2.0])
def test_session_that_does_not_linger_as_long_frees_with_its_end(bench, linger_s):
    client, other = bench.client(linger_s=linger_s), bench.client()
    bench.acquire(client)
    waits = bench.acquire(other)
    bench.say(client, Disconnected("gone"))
    assert bench.is_done(waits) == [not linger_s]
    bench.tick(2.5)
    assert bench.is_done(waits) == [True]


def test_session_that_is_opened_over_a_living_connection_keeps_leases_and_places(bench):
    client = bench.client("s")
    lease, waits = bench.acquire(client, "a"), bench.acquire(client, "a")
    client = bench.client("s")
    bench.release_lease(client, lease)
    assert bench.is_done(waits) == [True]
    bench.release_lease(client, waits)
    assert bench.is_empty()


def test_session_without_a_connection_is_passed_over_and_keeps_its_place(bench):
    client, away, other = bench.client(), bench.client("s", linger_s=100.0), bench.client()
    held, passed, second, third = (bench.acquire(one) for one in (client, away, other, other))
    bench.say(away, Disconnected("gone"))
    bench.release_lease(client, held)
    assert bench.is_done(second) == [True]
    assert bench.outcome(passed) is None
    back = bench.client("s", linger_s=100.0)
    bench.release_lease(other, second)
    assert bench.is_done(passed) == [True]
    assert bench.outcome(third) is None
    bench.release_lease(back, passed)
    assert bench.is_done(third) == [True]


def test_lock_that_got_free_while_all_who_wait_were_away_is_given_to_the_first_who_is_back(bench):
    client, away = bench.client(), bench.client("s", linger_s=100.0)
    held, waits = bench.acquire(client), bench.acquire(away)
    bench.say(away, Disconnected("gone"))
    bench.release_lease(client, held)
    assert bench.leases(client) == 0
    bench.client("s", linger_s=100.0)
    assert bench.is_done(waits) == [True]


def test_restart_takes_all_leases_and_tells_who_waits(bench):
    client, other = bench.client(), bench.client()
    lease, waits = bench.acquire(client), bench.acquire(other)
    bench.say(other, RestartCluster(7))
    answer = bench.outcome(waits)
    assert not answer.done
    assert "restarted" in answer.error
    assert bench.is_empty()
    assert "restarted" in bench.release_lease(client, lease).error
    assert bench.is_done(bench.acquire(other)) == [True]


def test_session_may_not_hold_and_wait_for_more_than_a_limit():
    bench = SharingBench(requests_max=2)
    client, other = bench.client(), bench.client()
    lease = bench.acquire(client, "a")
    bench.acquire(client, "a")
    answer = bench.outcome(bench.acquire(client, "b"))
    assert "REQUESTS_MAX" in answer.error
    assert list(bench.state.coordination.leases) == [("lock", "a")]
    assert bench.is_done(bench.acquire(other, "b")) == [True]
    bench.release_lease(client, lease)
    assert bench.is_done(bench.acquire(client, "c")) == [True]


def test_request_that_is_made_twice_is_refused(bench):
    client = bench.client()
    request = bench.acquire(client)
    bench.outcome(request)
    bench.outcomes.clear()
    bench._requests = iter([request])
    assert "made twice" in bench.outcome(bench.acquire(client)).error


def test_lock_that_nobody_uses_counts_no_leases(bench):
    assert bench.leases(bench.client(), "unheard of") == 0
    assert bench.is_empty()
