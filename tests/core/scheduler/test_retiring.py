"""Workers that leave in order, that are scaled away, that were sent SIGTERM, and that are replaced on request."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import (
    STORE,
    Answer,
    AssignTask,
    AttemptGoesOn,
    AttemptWaits,
    CloseSession,
    CopyFailed,
    CopyMade,
    Describe,
    EndWorkers,
    FreeObjects,
    HeldResult,
    HoldCopy,
    KeepsWorkers,
    KeyErred,
    KeyFinished,
    KeyLost,
    Leaving,
    MissingValue,
    ProcessPulse,
    Pulse,
    ReplaceWorkers,
    RestartCluster,
    RestartWorkers,
    RetireWorkers,
    ScaleCluster,
    SetWorkers,
    StopAttempt,
    StoreCopy,
    Withdraw,
    WorkerDied,
)
from tests.core.scheduler.bench import LARGE, Bench, certificate


class Cluster:
    """A bench with one nanny, its workers ``w0``… and a client."""

    def __init__(self, count, **changes):
        self.bench = Bench(**changes)
        self.client = self.bench.client()
        self.nanny = self.bench.nanny(workers=count)
        self.workers = [self.bench.worker(f"w{number}", nanny="n") for number in range(count)]

    def make(self, number, *keys):
        for key in keys:
            self.bench.submit(self.client, key, workers=(f"w{number}",), loose=True)
            self.bench.finish(self.workers[number], key, None)

    def retire(self, *names, request=9, **options):
        self.bench.say(self.client, RetireWorkers(request, names, **options))

    def answers(self):
        return self.bench.heard(self.client, Answer)

    def ended(self):
        return [name for message in self.bench.heard(self.nanny, EndWorkers) for name in message.names]

    def names(self):
        return {member.name: member.state for member in self.bench.state.members.values()}

    def wanted(self):
        self.bench.say(self.client, Describe(99))
        return self.answers()[-1].snapshot.wanted

    def one(self, number, kind):
        (message,) = self.bench.heard(self.workers[number], kind)
        return message


@pytest.fixture
def cluster():
    return Cluster(2)


def test_idle_worker_is_out_at_once_and_its_nanny_keeps_one_fewer(cluster):
    cluster.retire("w0")
    assert cluster.answers() == [Answer(9, names=("w0",))]
    assert cluster.ended() == ["w0"]
    assert cluster.names() == {"w1": "running"}
    assert cluster.wanted() == 1
    cluster.bench.say(cluster.nanny, KeepsWorkers(1))
    assert cluster.wanted() == 1


def test_retiring_worker_gives_back_what_it_has_in_hand_and_ends_what_it_runs():
    cluster = Cluster(1)
    bench = cluster.bench
    for key in ("runs", "in-hand"):
        bench.submit(cluster.client, key)
    runs, in_hand = bench.attempt("runs"), bench.attempt("in-hand")
    cluster.retire("w0")
    assert cluster.names() == {"w0": "retiring"}
    assert cluster.wanted() == 0
    assert cluster.one(0, Withdraw).attempts == (runs, in_hand)
    bench.give_back(cluster.workers[0], in_hand)
    assert bench.states("runs", "in-hand") == ["processing", "queued"]
    bench.heard(cluster.workers[0], AssignTask)
    bench.submit(cluster.client, "late")
    assert bench.assigned(cluster.workers[0]) == {}
    assert not cluster.answers()
    bench.finish(cluster.workers[0], "runs")
    assert cluster.answers() == [Answer(9, names=("w0",))]


def test_only_what_nobody_else_holds_is_copied_and_then_it_leaves(cluster):
    cluster.make(0, "sole", "twice")
    bench = cluster.bench
    bench.state.hold(bench.task("twice"), bench.state.members[cluster.workers[1]])
    cluster.retire("w0")
    copy = cluster.one(1, HoldCopy)
    assert (copy.key, copy.nbytes, copy.holders) == ("sole", LARGE, ("unix:/w0",))
    assert not cluster.answers()
    bench.say(cluster.workers[1], CopyMade(copy.copy))
    assert cluster.answers() == [Answer(9, names=("w0",))]
    assert bench.states("sole", "twice") == ["memory", "memory"]
    assert not bench.heard(cluster.client, KeyLost)
    bench.say(cluster.client, MissingValue("sole", "unix:/w0"))  # a reader that knew the old place
    assert bench.states("sole") == ["memory"]


def test_results_of_a_running_task_are_copied_while_it_and_others_run():
    cluster = Cluster(0)
    bench = cluster.bench
    worker, other = bench.worker("two", nanny="n", slots=2), bench.worker("other", nanny="n")
    for key in ("short", "long"):
        bench.submit(cluster.client, key, workers=("two",))
    cluster.retire("two")
    bench.finish(worker, "short", None)
    (copy,) = bench.heard(other, HoldCopy)
    bench.say(other, CopyMade(copy.copy))
    assert not cluster.answers()
    bench.finish(worker, "long", None)
    (copy,) = bench.heard(other, HoldCopy)
    bench.say(other, CopyMade(copy.copy))
    assert cluster.answers() == [Answer(9, names=("two",))]


def test_last_worker_stores_its_results_and_a_late_one_is_freed_again():
    cluster = Cluster(1)
    bench = cluster.bench
    cluster.make(0, "a", "b")
    cluster.retire("w0")
    first, second = bench.heard(cluster.workers[0], StoreCopy)
    assert (first.key, first.name) == ("a", f"{first.copy:032x}")
    bench.say(cluster.workers[0], CopyMade(first.copy))
    bench.release(cluster.client, "b")
    bench.write()
    assert cluster.answers() == [Answer(9, names=("w0",))]
    assert bench.heard(cluster.nanny, FreeObjects) == [FreeObjects((second.name,))]
    assert bench.task("a").stored == first.name
    bench.release(cluster.client, "a")
    assert bench.heard(cluster.nanny, FreeObjects) == [FreeObjects((first.name,))]


def test_store_that_is_given_up_is_freed_when_its_writer_has_answered():
    cluster = Cluster(1)
    bench = cluster.bench
    cluster.make(0, "a", "b")
    cluster.retire("w0")
    first, _second = bench.heard(cluster.workers[0], StoreCopy)
    bench.release(cluster.client, "a")
    assert bench.heard(cluster.nanny, FreeObjects) == []  # it may be in the middle of writing it
    bench.say(cluster.workers[0], CopyMade(first.copy))
    assert bench.heard(cluster.nanny, FreeObjects) == [FreeObjects((first.name,))]


def test_result_that_can_be_saved_nowhere_keeps_its_worker_and_says_why(cluster):
    cluster.make(0, "x")
    bench = cluster.bench
    cluster.retire("w0")
    for _ in range(3):
        bench.say(cluster.workers[1], CopyFailed(cluster.one(1, HoldCopy).copy, "cannot be packed"))
    bench.say(cluster.workers[0], CopyFailed(cluster.one(0, StoreCopy).copy, "cannot be packed either"))
    (answer,) = cluster.answers()
    assert answer.error.startswith("w0 stays: 1 result could not be copied: x (200,000 bytes)")
    assert "cannot be packed either" in answer.error
    assert cluster.names() == {"w0": "running", "w1": "running"}
    assert (cluster.ended(), cluster.wanted()) == ([], 2)
    bench.submit(cluster.client, "more", workers=("w0",))
    assert "more" in bench.assigned(cluster.workers[0])


def test_retire_by_number_takes_the_idle_ones_with_least_data():
    cluster = Cluster(4)
    cluster.make(0, "x")
    cluster.bench.submit(cluster.client, "runs", workers=("w1",))
    cluster.retire(count=1)
    assert cluster.ended() == ["w3"]
    cluster.retire(count=2)
    copy = cluster.one(1, HoldCopy)
    cluster.bench.say(cluster.workers[1], CopyMade(copy.copy))
    assert sorted(cluster.ended()) == ["w0", "w2"]
    cluster.retire(count=2, request=10)
    assert "cannot retire 2 workers: there are 1" in cluster.answers()[-1].error


def test_unknown_worker_is_refused_and_nobody_else_retires(cluster):
    cluster.retire("w0", "w7")
    (answer,) = cluster.answers()
    assert answer == Answer(9, "there is no worker 'w7'; there are: w0, w1", kind="usage")
    assert cluster.names() == {"w0": "running", "w1": "running"}
    cluster.bench.say(cluster.client, RestartWorkers(10, ("w7",)))
    assert cluster.answers()[0].kind == "usage"


def test_worker_whose_process_shall_stay_is_emptied_and_given_nothing(cluster):
    cluster.make(0, "x")
    cluster.retire("w0", end=False, until_gone=True)
    cluster.bench.say(cluster.workers[1], CopyMade(cluster.one(1, HoldCopy).copy))
    assert cluster.answers() == [Answer(9, names=("w0",))]
    assert cluster.names() == {"w0": "retiring", "w1": "running"}
    assert (cluster.ended(), cluster.wanted()) == ([], 2)
    cluster.bench.submit(cluster.client, "strict", workers=("w0",))
    cluster.bench.submit(cluster.client, "loose", workers=("w0",), loose=True)
    assert cluster.bench.states("strict", "loose") == ["queued", "processing"]
    cluster.retire("w0", request=10)
    assert cluster.ended() == ["w0"]
    assert cluster.answers() == [Answer(10, names=("w0",))]


@pytest.mark.parametrize("by", ["certificate", "pulse"])
def test_retire_that_waits_for_the_process_is_answered_when_it_is_gone(cluster, by):
    bench = cluster.bench
    pid = bench.pids[cluster.workers[0]]
    cluster.retire("w0", until_gone=True)
    bench.say(cluster.nanny, Pulse((ProcessPulse("w0", pid, "running", 0, 0.0),)))
    assert not cluster.answers()
    gone = WorkerDied(certificate("w0", pid, cause="asked")) if by == "certificate" else Pulse(())
    bench.say(cluster.nanny, gone)
    assert cluster.answers() == [Answer(9, names=("w0",))]


def test_worker_that_dies_while_it_retires_is_not_replaced_and_its_loss_is_made_again(cluster):
    cluster.make(0, "x")
    cluster.retire("w0")
    cluster.bench.die(cluster.workers[0], cluster.nanny)
    assert cluster.answers() == [Answer(9, names=("w0",))]
    assert cluster.ended() == ["w0"]
    assert cluster.bench.states("x") == ["processing"]
    assert cluster.names() == {"w1": "running"}


def test_target_that_retires_as_well_gives_the_copy_to_another():
    cluster = Cluster(3)
    cluster.make(0, "x")
    cluster.retire("w0")
    stale = cluster.one(1, HoldCopy)
    cluster.retire("w1", request=10)
    cluster.bench.say(cluster.workers[2], CopyMade(cluster.one(2, HoldCopy).copy))
    assert cluster.answers() == [Answer(10, names=("w1",)), Answer(9, names=("w0",))]
    assert stale.copy not in cluster.bench.state.moves.copies


def test_scale_down_ends_those_that_are_not_up_yet_then_retires_the_idle():
    cluster = Cluster(2)
    bench = cluster.bench
    bench.say(cluster.client, ScaleCluster(1, 4))
    bench.say(cluster.nanny, KeepsWorkers(4))
    cluster.make(0, "x")
    bench.heard(cluster.nanny, SetWorkers)
    bench.say(cluster.client, ScaleCluster(2, 1))
    assert bench.heard(cluster.nanny, SetWorkers) == [SetWorkers(2, ("w0", "w1"))]
    assert cluster.ended() == ["w1"]
    assert cluster.answers() == [Answer(1), Answer(2)]
    bench.say(cluster.client, ScaleCluster(3, 0))
    copy = cluster.one(0, StoreCopy)
    bench.say(cluster.workers[0], CopyMade(copy.copy))
    bench.write()
    assert cluster.ended() == ["w0"]
    assert bench.task("x").stored


def test_scale_up_keeps_those_that_were_about_to_leave(cluster):
    bench = cluster.bench
    bench.submit(cluster.client, "a", workers=("w0",))
    bench.submit(cluster.client, "b", workers=("w1",))
    bench.say(cluster.client, ScaleCluster(1, 0))
    assert cluster.names() == {"w0": "retiring", "w1": "retiring"}
    bench.say(cluster.client, ScaleCluster(2, 1))
    assert sorted(cluster.names().values()) == ["retiring", "running"]
    bench.say(cluster.client, ScaleCluster(3, 3))
    assert cluster.names() == {"w0": "running", "w1": "running"}
    assert bench.heard(cluster.nanny, SetWorkers) == [SetWorkers(3)]
    assert cluster.ended() == []


def test_nanny_that_keeps_another_number_than_it_was_told_is_believed(cluster):
    bench = cluster.bench
    bench.say(cluster.client, ScaleCluster(1, 5))
    bench.say(cluster.client, ScaleCluster(2, 6))
    bench.say(cluster.nanny, KeepsWorkers(4))  # of the first
    assert cluster.wanted() == 6
    bench.say(cluster.nanny, KeepsWorkers(4))
    assert cluster.wanted() == 4


def test_sigterm_moves_results_first_and_has_the_worker_replaced(cluster):
    cluster.make(0, "x")
    bench = cluster.bench
    bench.say(cluster.workers[0], Leaving("SIGTERM"))
    bench.say(cluster.workers[0], Leaving("SIGTERM"))
    assert cluster.wanted() == 2
    bench.say(cluster.workers[1], CopyMade(cluster.one(1, HoldCopy).copy))
    assert bench.heard(cluster.nanny, ReplaceWorkers) == [ReplaceWorkers(("w0",), "SIGTERM")]
    assert cluster.ended() == []
    assert cluster.names() == {"w1": "running"}


def test_retire_after_sigterm_ends_it_for_good(cluster):
    bench = cluster.bench
    bench.submit(cluster.client, "runs", workers=("w0",))
    bench.say(cluster.workers[0], Leaving("SIGTERM"))
    cluster.retire("w0")
    bench.finish(cluster.workers[0], "runs")
    assert cluster.ended() == ["w0"]


def test_worker_without_a_nanny_is_sent_away():
    bench = Bench()
    client, worker = bench.client(), bench.worker("w0")
    bench.say(client, RetireWorkers(9, ("w0",)))
    assert bench.closes[worker] == "it was retired"
    assert bench.heard(client, Answer) == [Answer(9, names=("w0",))]


def test_restart_of_the_cluster_ends_what_retires(cluster):
    bench = cluster.bench
    bench.submit(cluster.client, "runs", workers=("w0",))
    cluster.retire("w0")
    bench.say(cluster.client, RestartCluster(10))
    assert cluster.ended() == ["w0"]
    assert cluster.answers() == [Answer(9, names=("w0",))]
    bench.worker("w1", nanny="n")
    assert cluster.answers() == [Answer(10)]


def test_restart_workers_replaces_them_and_nobody_is_to_blame(cluster):
    cluster.make(0, "lost")
    bench = cluster.bench
    bench.submit(cluster.client, "runs", workers=("w0",), loose=True)
    bench.say(cluster.client, RestartWorkers(9, ("w0",)))
    assert bench.heard(cluster.nanny, ReplaceWorkers) == [ReplaceWorkers(("w0",), "it was restarted")]
    assert cluster.workers[0] in bench.closes
    assert bench.states("lost", "runs") == ["processing", "processing"]
    assert not bench.state.suspects
    bench.worker("w2", nanny="n")
    assert not cluster.answers()
    bench.worker("w0", nanny="n")
    assert cluster.answers() == [Answer(9, names=("w0",))]
    assert not bench.heard(cluster.client, KeyErred)


def test_restart_workers_that_do_not_come_back_in_time_says_which(cluster):
    cluster.bench.say(cluster.client, RestartWorkers(9, ("w0", "w1"), 4.0))
    fresh = cluster.bench.worker("w1", nanny="n")
    cluster.bench.tick(2.0)
    assert not cluster.answers()
    cluster.bench.beat(fresh)
    cluster.bench.tick(3.0)
    assert cluster.answers() == [Answer(9, "after 5 s these workers are not back: w0", kind="timeout")]


def test_restart_of_a_worker_that_retires_tells_who_waits_for_it(cluster):
    bench = cluster.bench
    bench.submit(cluster.client, "runs", workers=("w0",))
    cluster.retire("w0")
    bench.say(cluster.client, RestartWorkers(10, ("w0",)))
    assert cluster.answers() == [Answer(9, "w0 was restarted before it was out")]
    bench.worker("w0", nanny="n")
    assert cluster.answers() == [Answer(10, names=("w0",))]


def test_restart_of_one_that_is_dying_waits_for_its_successor(cluster):
    bench = cluster.bench
    bench.submit(cluster.client, "runs", workers=("w0",))
    bench.say(cluster.workers[0], Disconnected("gone"))
    assert cluster.names()["w0"] == "dying"
    cluster.retire("w0", request=8)
    bench.say(cluster.client, RestartWorkers(9, ("w0",)))
    assert not bench.heard(cluster.nanny, ReplaceWorkers)
    bench.worker("w0", nanny="n")
    assert cluster.answers()[-1] == Answer(9, names=("w0",))


# -- attempts that wait, and a scheduler that dies


def wait_on(cluster, number, key):
    """Have an attempt on a worker wait for something of the cluster."""
    attempt = cluster.bench.attempt(key)
    cluster.bench.say(cluster.workers[number], AttemptWaits(attempt))
    return attempt


def test_attempt_that_waits_for_what_others_do_is_waited_for(cluster):
    bench = cluster.bench
    bench.submit(cluster.client, "parent", workers=("w0",), loose=True)
    attempt = wait_on(cluster, 0, "parent")
    cluster.retire("w0")
    bench.submit(cluster.client, "child")
    assert "child" in bench.assigned(cluster.workers[1])
    assert not cluster.answers()
    bench.finish(cluster.workers[1], "child")
    bench.say(cluster.workers[0], AttemptGoesOn(attempt))
    bench.finish(cluster.workers[0], "parent")
    assert cluster.answers() == [Answer(9, names=("w0",))]


@pytest.mark.parametrize("options", [{}, {"workers": ("w0", "w1")}])
def test_attempt_that_waits_for_what_nobody_may_begin_is_given_back_with_the_last_worker(cluster, options):
    bench = cluster.bench
    bench.submit(cluster.client, "parent", workers=("w0",), loose=True)
    attempt = wait_on(cluster, 0, "parent")
    cluster.retire("w0", "w1")
    bench.submit(cluster.client, "child", **options)
    assert cluster.one(0, StopAttempt).attempt == attempt
    assert cluster.answers() == [Answer(9, names=("w0", "w1"))]
    assert bench.states("parent", "child") == ["queued", "queued"]


def test_attempt_that_waits_for_what_only_its_worker_may_begin_is_given_back(cluster):
    bench = cluster.bench
    bench.submit(cluster.client, "parent", workers=("w0",), loose=True)
    wait_on(cluster, 0, "parent")
    cluster.retire("w0")
    bench.submit(cluster.client, "child", workers=("w0",))
    assert cluster.answers() == [Answer(9, names=("w0",))]
    assert "parent" in bench.assigned(cluster.workers[1])


def test_result_that_was_stored_is_known_to_the_scheduler_that_follows():
    cluster = Cluster(1)
    cluster.make(0, "x", "y")
    bench = cluster.bench
    cluster.retire("w0")
    x, y = bench.heard(cluster.workers[0], StoreCopy)
    bench.say(cluster.workers[0], CopyMade(x.copy), CopyMade(y.copy))
    assert cluster.ended() == []  # a scheduler that died now would not know of these
    bench.write()
    assert cluster.ended() == ["w0"]
    session = bench.state.session_of[cluster.client].id
    bench.succeed()
    assert [(bench.task(key).state, bench.task(key).stored) for key in "xy"] == [("memory", x.name), ("memory", y.name)]
    reader = bench.client(session)
    (stored,) = [message for message in bench.heard(reader, KeyFinished) if message.key == "x"]
    assert stored.stored == x.name
    bench.say(reader, MissingValue("x", f"{STORE}{x.name}"))
    assert bench.states("x", "y") == ["queued", "memory"]


def test_what_lost_its_stored_copy_and_is_held_as_well_is_looked_for_where_it_is():
    cluster = Cluster(1)
    cluster.make(0, "x")
    bench = cluster.bench
    cluster.retire("w0", end=False)
    copy = cluster.one(0, StoreCopy)
    bench.say(cluster.workers[0], CopyMade(copy.copy))
    bench.say(cluster.client, MissingValue("x", f"{STORE}{copy.name}"))
    assert bench.task("x").holders
    assert bench.task("x").stored == ""
    bench.succeed()
    assert bench.states("x") == ["queued"]


def test_request_waits_until_the_workers_of_the_scheduler_before_are_back():
    cluster = Cluster(2)
    cluster.make(0, "x")
    bench, attempt = cluster.bench, cluster.bench.task("x").made_by
    session = bench.state.session_of[cluster.client].id
    bench.succeed()
    client = bench.client(session)
    bench.nanny(workers=2)
    bench.say(client, RetireWorkers(9, ("w0",)))
    bench.tick(0.6)  # clients have had their time
    first = bench.worker("w0", nanny="n", held=[HeldResult("x", attempt, LARGE, "bytes")])
    assert not bench.heard(client, Answer)
    second = bench.worker("w1", nanny="n")
    (copy,) = bench.heard(second, HoldCopy)
    assert (copy.key, copy.attempt) == ("x", attempt)
    bench.say(second, CopyMade(copy.copy))
    assert bench.heard(client, Answer) == [Answer(9, names=("w0",))]
    assert first not in bench.state.members


def test_request_of_a_session_that_ends_before_the_workers_are_back_is_forgotten():
    cluster = Cluster(2)
    cluster.make(0, "x")
    bench = cluster.bench
    other = bench.client("other", linger_s=0.0)
    bench.succeed()
    other = bench.client("other", linger_s=0.0)
    bench.nanny(workers=2)
    bench.say(other, ScaleCluster(9, 0), CloseSession())
    bench.tick(0.6)  # clients have had their time
    bench.worker("w0", nanny="n")
    bench.worker("w1", nanny="n")
    assert {member.state for member in bench.state.members.values()} == {"running"}
    assert not bench.state.moves.asked
