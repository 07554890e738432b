"""Who is there: workers, nannies and clients that come, fall silent and go."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import (
    Cancel,
    CloseSession,
    KeyCancelled,
    KeyErred,
    KeyFinished,
    Observation,
    OpenSession,
    ProcessPulse,
    Pulse,
    Refused,
    RegisterNanny,
    ReplaceWorkers,
    RestartCluster,
    TaskFinished,
    Watch,
    Welcome,
    WorkerDied,
)
from tests.core.scheduler.bench import Bench, certificate

LEASE_S = 3.0


@pytest.fixture
def bench():
    return Bench()


# -- workers


def test_worker_is_welcomed_under_its_incarnation(bench):
    worker = bench.worker("w0")
    (message,) = bench.heard(worker, Welcome)
    assert (message.incarnation, message.epoch, message.name, message.cluster) == (worker, 1, "w0", "bench")


def test_worker_that_reconnects_is_a_new_incarnation_and_the_old_one_is_not_heard(bench):
    client, old = bench.client(), bench.worker("w0", pid=7)
    bench.submit(client, "a")
    attempt = bench.attempt("a")
    new = bench.worker("w0", pid=7)
    assert list(bench.state.members) == [new]
    bench.finish(old, "a", b"stale", attempt=attempt)
    assert bench.states("a") == ["processing"]
    assert bench.task("a").attempt != attempt
    bench.say(old, Disconnected("closed"))


def test_new_process_before_the_certificate_of_the_old_leaves_the_blame_to_it(bench):
    client, nanny, old = bench.client(), bench.nanny(), bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    attempt = bench.attempt("a")
    new = bench.worker("w0", nanny="n")
    assert bench.state.members[old].state == "dying"
    bench.say(old, TaskFinished("a", attempt, b"late", 4, "bytes", 0.0, 1.0))
    assert bench.states("a") == ["processing"]
    bench.say(nanny, WorkerDied(certificate("w0", bench.pids[old], [attempt])))
    assert list(bench.state.members) == [new]
    assert len(bench.task("a").certificates) == 1
    assert bench.state.members[new].solo is bench.task("a")


def test_connection_lost_while_idle_is_a_loss_at_once(bench):
    bench.nanny()
    worker = bench.worker(nanny="n")
    bench.say(worker, Disconnected("gone"))
    assert not bench.state.members


def test_connection_lost_while_working_without_a_nanny_is_a_loss_at_once(bench):
    client, worker = bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.say(worker, Disconnected("gone"))
    assert (bench.states("a"), bench.state.members) == (["queued"], {})


def test_connection_lost_while_working_waits_in_limbo_for_the_certificate_but_not_for_ever(bench):
    client, worker = bench.client(), bench.worker(nanny="n")
    bench.nanny()
    bench.submit(client, "a")
    bench.submit(client, "held")
    bench.finish(worker, "a", None)
    bench.say(worker, Disconnected("gone"))
    assert bench.states("a", "held") == ["queued", "processing"]  # what it held is gone; what it ran is in limbo
    bench.tick(0.5)
    assert bench.states("held") == ["processing"]
    bench.say(worker, Disconnected("gone twice"))
    bench.tick(0.5)
    assert (bench.states("held"), bench.state.members) == (["queued"], {})


def test_certificate_before_the_end_of_the_connection_is_enough(bench):
    client, nanny, worker = bench.client(), bench.nanny(), bench.worker(nanny="n")
    bench.submit(client, "a")
    bench.say(nanny, WorkerDied(certificate("w0", bench.pids[worker], [bench.attempt("a")])))
    assert not bench.state.members
    assert worker in bench.closes
    bench.say(nanny, WorkerDied(certificate("w9", 9)))
    assert bench.state.nannies[nanny].deaths == {"w0": 1, "w9": 1}


# -- the lease


def test_silent_worker_is_fenced_and_replaced_after_the_lease(bench):
    client, nanny, worker = bench.client(), bench.nanny(), bench.worker(nanny="n")
    bench.submit(client, "a")
    for _ in range(6):
        bench.tick(0.5)
        bench.pulse(nanny, "w0", "stopped")
    assert bench.state.members
    bench.tick(0.5)
    assert not bench.state.members
    assert bench.heard(nanny, ReplaceWorkers)[0].names == ("w0",)
    assert "its process is stopped" in bench.closes[worker]
    assert bench.states("a") == ["queued"]
    assert bench.task("a").certificates == ()
    back = bench.worker("w0", pid=bench.pids[worker])
    assert "fenced" in bench.heard(back, Refused)[0].reason
    assert back in bench.closes
    bench.say(nanny, WorkerDied(certificate("w0", bench.pids[worker], cause="asked")))
    assert not bench.state.fenced


@pytest.mark.parametrize(("state", "cpu"), [("running", 0.0), ("sleeping", 80.0)])
def test_silent_worker_at_work_is_left_alone_and_has_a_lease_afterwards(bench, state, cpu):
    nanny = bench.nanny()
    bench.worker(nanny="n")
    for _ in range(40):
        bench.tick(0.5)
        bench.pulse(nanny, "w0", state, cpu)
    assert bench.state.members
    bench.pulse(nanny, "w0", "sleeping")  # it has finished, and has not been heard yet
    bench.tick(0.5)
    assert bench.state.members
    for _ in range(7):
        bench.tick(0.5)
    assert not bench.state.members


def test_silent_worker_whose_nanny_is_silent_too_is_gone(bench):
    bench.nanny()
    worker = bench.worker(nanny="n")
    bench.tick(2.0)
    bench.tick(1.5)
    assert not bench.state.members
    assert "is gone" in bench.closes[worker]


def test_silent_worker_without_a_nanny_is_gone(bench):
    worker = bench.worker()
    bench.tick(2.0)
    bench.tick(1.5)
    assert "nanny is gone as well" in bench.closes[worker]


def test_stopped_scheduler_judges_nobody_by_the_time_it_slept(bench):
    nanny = bench.nanny()
    bench.worker(nanny="n")
    bench.tick(60.0)
    assert bench.state.members
    assert bench.state.nannies[nanny].heard_s == bench.now


def test_stopped_worker_that_is_not_connected_is_replaced_after_the_lease(bench):
    nanny = bench.nanny()
    connected = bench.worker("w1", nanny="n")
    for _ in range(8):
        pulses = (ProcessPulse("w0", 5, "stopped", 0, 0.0), ProcessPulse("w1", 6, "stopped", 0, 0.0))
        bench.say(nanny, Pulse(pulses))
        bench.beat(connected)
        bench.tick(0.5)
    assert [message.names for message in bench.heard(nanny, ReplaceWorkers)] == [("w0",)]
    assert bench.state.fenced == {("w0", 5)}


# -- nannies


def test_nanny_that_connects_again_takes_the_place_of_its_older_record(bench):
    old = bench.nanny("n", workers=2)
    bench.say(old, WorkerDied(certificate("w0", 1)))
    new = bench.nanny("n", workers=3)
    assert list(bench.state.nannies) == [new]
    assert bench.state.nannies[new].deaths == {"w0": 1}
    assert old in bench.closes
    bench.say(old, Disconnected("closed"))
    bench.say(new, Disconnected("closed"))
    assert not bench.state.nannies
    bench.say(77, RegisterNanny("m", "h", 1, 1))
    assert len(bench.state.nannies) == 1


# -- clients


def test_session_lost_lingers_and_is_resumed_with_what_is_settled(bench):
    client, worker = bench.client("s"), bench.worker()
    for key in ("done", "bad", "open"):
        bench.submit(client, key)
    bench.say(client, Watch(1.0))
    bench.say(client, Disconnected("gone"))
    bench.finish(worker, "done")
    bench.err(worker, "bad")
    again = bench.client("s")
    assert [message.key for message in bench.heard(again, KeyFinished)] == ["done"]
    assert [message.key for message in bench.heard(again, KeyErred)] == ["bad"]
    bench.finish(worker, "open")
    assert [message.key for message in bench.heard(again, KeyFinished)] == ["open"]
    assert bench.state.sessions["s"].watch is None


def test_session_opened_again_while_connected_takes_over(bench):
    first = bench.client("s")
    bench.submit(first, "a")
    bench.say(first, Watch(1.0))
    second = bench.client("s")
    assert "opened again" in bench.closes[first]
    bench.say(first, Disconnected("closed"))
    assert bench.state.session_of == {second: bench.state.sessions["s"]}
    bench.tick(10.0)
    assert not bench.heard(second, Observation)
    assert bench.states("a") == ["queued"]


def test_session_lost_expires_after_its_linger_and_releases_all(bench):
    client = bench.client(linger_s=5.0)
    bench.submit(client, "a")
    bench.say(client, Disconnected("gone"))
    for _ in range(4):
        bench.tick(1.2)
    assert bench.state.tasks
    bench.tick(0.6)
    assert not bench.state.tasks
    assert not bench.state.sessions


def test_lingering_session_is_told_nothing_and_others_are(bench):
    client, other, worker = bench.client(), bench.client(), bench.worker()
    bench.submit(client, "a")
    bench.submit(other, "a")
    bench.say(client, Disconnected("gone"))
    bench.finish(worker, "a")
    assert not bench.heard(client, KeyFinished)
    assert len(bench.heard(other, KeyFinished)) == 1
    bench.say(other, RestartCluster(1))
    assert not bench.heard(client, KeyCancelled)


# -- what a connection may say


def test_message_a_connection_has_no_right_to_closes_it_and_changes_nothing(bench):
    client, nanny, worker = bench.client(), bench.nanny(), bench.worker()
    bench.say(client, Pulse(()))
    bench.say(nanny, Cancel(()))
    bench.say(worker, OpenSession("s", "script", "", 0.0, 1))
    bench.say(99, Pulse(()))
    bench.say(98, WorkerDied(certificate()))
    assert bench.closes.keys() == {client, nanny, worker, 99, 98}
    assert "Pulse is not for this connection to say" in bench.closes[99]
    assert bench.state.members.keys() == {worker}


def test_session_that_is_closed_has_its_connection_closed_by_the_scheduler(bench):
    client = bench.client()
    bench.say(client, CloseSession())
    assert bench.closes == {client: "its session was closed"}
    bench.say(client, Disconnected("end of stream"))
    assert not bench.state.sessions
