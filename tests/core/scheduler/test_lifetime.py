"""The cluster as a whole: restart, scale, stop, and stopping by itself."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.lifetime import is_clean
from jupyter_dist.messages import (
    Answer,
    ClaimWishes,
    CloseSession,
    KeyCancelled,
    ProcessPulse,
    Pulse,
    Refused,
    ReplaceWorkers,
    RestartCluster,
    ScaleCluster,
    SetWorkers,
    StopCluster,
    StopHost,
)
from tests.core.scheduler.bench import Bench


@pytest.fixture
def bench():
    return Bench()


def test_restart_cancels_everything_and_leaves_nothing(bench):
    client, other, nanny = bench.client(), bench.client(), bench.nanny(workers=1)
    worker = bench.worker(nanny="n", slots=2)
    wishes = [bench.submit(client, key) for key in ("held", "runs", "queued", "in-hand")]
    bench.submit(other, "bound", workers=("nobody",))
    bench.finish(worker, "held", None)
    bench.put(other, "data")
    bench.say(client, RestartCluster(7))
    assert is_clean(bench.state)
    assert not bench.state.members
    assert bench.state.inline_bytes == 0
    assert bench.heard(client, KeyCancelled)[0].wishes == tuple(wishes)
    assert len(bench.heard(other, KeyCancelled)[0].wishes) == 2
    assert bench.heard(nanny, ReplaceWorkers) == [ReplaceWorkers((), "the cluster was restarted")]
    assert worker in bench.closes


def test_restart_is_answered_when_the_fresh_workers_are_there(bench):
    client, nanny = bench.client(), bench.nanny(workers=2)
    old = bench.worker("w0", nanny="n")
    bench.say(
        nanny,
        Pulse((ProcessPulse("w0", bench.pids[old], "running", 0, 0.0), ProcessPulse("w1", 55, "running", 0, 0.0))),
    )
    bench.say(client, RestartCluster(7))
    for name, pid in (("w0", bench.pids[old]), ("w1", 55)):  # w1 was on its way to register
        assert bench.heard(bench.worker(name, nanny="n", pid=pid), Refused)
    bench.worker("w0", nanny="n")
    assert not bench.heard(client, Answer)
    bench.worker("w1", nanny="n")
    assert bench.heard(client, Answer) == [Answer(7)]


def test_restart_whose_client_lost_its_connection_is_answered_when_that_knows_what_was_cancelled(bench):
    client = bench.client("s")
    bench.nanny(workers=1)
    wish = bench.submit(client, "a")
    bench.say(client, RestartCluster(7))
    bench.say(client, Disconnected("reset"))  # with what it was told
    again = bench.client("s")
    bench.worker("w0", nanny="n")
    assert not bench.heard(again, Answer)
    effects = bench.say(again, ClaimWishes(((wish, "a"),), ()), RestartCluster(7))
    assert [type(message) for message in effects.sends[again]] == [KeyCancelled, Answer]


def test_restart_that_is_asked_for_again_leaves_what_is_there_by_then(bench):
    client, other = bench.client("s"), bench.client()
    bench.nanny(workers=1)
    bench.say(client, RestartCluster(7))
    bench.worker("w0", nanny="n")
    bench.submit(other, "a")
    again = bench.client("s")
    bench.say(again, ClaimWishes((), ()), RestartCluster(7))
    assert bench.state.tasks["a"].sessions
    assert bench.heard(again, Answer) == [Answer(7)]
    bench.say(again, RestartCluster(8))
    assert not bench.state.tasks


def test_restarts_that_are_asked_for_together_are_all_answered(bench):
    client = bench.client()
    bench.nanny(workers=1)
    bench.say(client, RestartCluster(1), RestartCluster(2))
    bench.worker("w0", nanny="n")
    assert bench.heard(client, Answer) == [Answer(1), Answer(2)]


def test_restart_counts_only_workers_that_are_there(bench):
    client, dead = bench.client(), None
    bench.nanny(workers=1)
    bench.say(client, RestartCluster(1))
    bench.submit(client, "a")
    bench.state.restarts[0].until_s = bench.now + 5
    bench.nanny("m", workers=1)
    dead = bench.worker("w0", nanny="n")
    bench.say(dead, Disconnected("gone"))
    bench.worker("w1", nanny="n")
    assert not bench.heard(client, Answer)


@pytest.mark.parametrize(("hosts", "words"), [(1, "only 0 of 1 workers came back"), (0, "no host is connected")])
def test_restart_whose_workers_do_not_come_back_says_so(bench, hosts, words):
    client = bench.client()
    nannies = [bench.nanny() for _ in range(hosts)]
    bench.say(client, RestartCluster(7))
    for _ in range(29):
        bench.tick(1.0)
        for nanny in nannies:
            bench.say(nanny, Pulse(()))
    assert not bench.heard(client, Answer)
    bench.tick(2.0)
    (answer,) = bench.heard(client, Answer)
    assert words in answer.error
    assert "silent" not in answer.error


def test_restart_when_a_nanny_is_silent_waits_for_the_others_alone_and_says_what_was_done(bench):
    client, silent, other = bench.client(), bench.nanny("n", workers=1), bench.nanny("m", workers=1)
    bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    bench.say(client, RestartCluster(7))
    assert bench.heard(client, KeyCancelled)
    fresh = bench.worker("w1", nanny="m", pid=7)
    bench.tick(bench.state.settings.lease_s)
    assert not bench.heard(client, Answer)  # it may just be slow
    bench.beat(fresh)
    bench.say(other, Pulse(()))
    bench.tick(0.1)
    (answer,) = bench.heard(client, Answer)
    assert answer.error.count("its nanny, process 1, has been silent for 3 s") == 1
    assert "every future is cancelled, but host 'h' has no fresh workers" in answer.error
    bench.say(client, RestartCluster(8))
    assert not bench.heard(client, Answer)  # the other host's are waited for
    bench.worker("w2", nanny="m", pid=8)
    assert "silent" in bench.heard(client, Answer)[0].error
    bench.say(silent, Pulse(()))
    bench.say(client, RestartCluster(9))
    bench.worker("w3", nanny="m", pid=9)
    assert not bench.heard(client, Answer)  # now that it answers again, so are its
    bench.worker("w4", nanny="n", pid=10)
    assert bench.heard(client, Answer) == [Answer(9)]


def test_restart_asked_by_one_that_left_is_answered_to_nobody(bench):
    client, _nanny = bench.client(), bench.nanny()
    bench.say(client, RestartCluster(7))
    bench.say(client, Disconnected("gone"))
    bench.worker(nanny="n")
    assert not bench.state.restarts
    assert not bench.heard(client, Answer)


def test_scale_spreads_over_the_hosts(bench):
    client, first, second = bench.client(), bench.nanny("n"), bench.nanny("m")
    bench.say(client, ScaleCluster(1, 5))
    assert bench.heard(first, SetWorkers) == [SetWorkers(3)]
    assert bench.heard(second, SetWorkers) == [SetWorkers(2)]
    assert bench.heard(client, Answer) == [Answer(1)]


@pytest.mark.parametrize(
    ("workers", "words"), [(-1, "choose 0 to 1024"), (1025, "choose"), (2, "no host is connected")]
)
def test_scale_that_cannot_be_is_refused_with_what_would(bench, workers, words):
    client = bench.client()
    bench.say(client, ScaleCluster(1, workers))
    assert words in bench.heard(client, Answer)[0].error


def test_stop_cancels_tells_the_nannies_and_ends(bench):
    client, nanny = bench.client(), bench.nanny()
    wish = bench.submit(client, "a")
    bench.say(client, StopCluster(3))
    assert bench.heard(client, Answer) == [Answer(3)]
    assert bench.heard(client, KeyCancelled)[0].wishes == (wish,)
    assert bench.heard(nanny, StopHost)
    assert bench.stopped == "the cluster was stopped"


def test_idle_detached_cluster_stops_by_itself_with_observers_looking_on():
    bench = Bench(detached=True, idle_stop_s=60.0)
    client = bench.client(linger_s=1000.0)
    bench.client(kind="observer")
    bench.submit(client, "a")
    for _ in range(10):
        bench.tick(10.0)
    assert not bench.stopped
    bench.say(client, CloseSession())
    bench.tick(59.0)
    assert not bench.stopped
    bench.tick(2.0)
    assert "1 minutes" in bench.stopped


def test_idle_cluster_that_is_not_detached_lives_on():
    bench = Bench(idle_stop_s=1.0)
    for _ in range(5):
        bench.tick(10.0)
    assert not bench.stopped
