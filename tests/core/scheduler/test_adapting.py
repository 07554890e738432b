"""A cluster that scales itself: when workers are started, which may end, and what ends it all."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import (
    AdaptCluster,
    AdaptView,
    Answer,
    Describe,
    EndWorkers,
    Explain,
    RestartCluster,
    ScaleCluster,
    SetWorkers,
    StopAdapting,
)
from tests.core.scheduler.bench import Bench


class Adapting(Bench):
    """A bench with one host, whose cluster scales itself."""

    def __init__(self, minimum=0, maximum=8, wait_count=2, wanted=0, **changes):
        super().__init__(lease_s=1000.0, **changes)
        self.user = self.client()
        self.host = self.nanny(workers=wanted)
        self.say(self.user, AdaptCluster(1, minimum, maximum, 1.0, wait_count))
        assert self.heard(self.user, Answer) == [Answer(1)]

    def look(self, times=1):
        """Have the cluster look so often; return what the host is told."""
        for _ in range(times):
            self.tick(1.0)
        return [*self.heard(self.host, SetWorkers), *self.heard(self.host, EndWorkers)]

    def wanted(self):
        (nanny,) = self.state.nannies.values()
        return nanny.wanted


def ended(told):
    return [name for message in told if isinstance(message, EndWorkers) for name in message.names]


def test_tasks_without_a_worker_start_as_many_as_they_are_worth():
    bench = Adapting()
    for number in range(25):
        bench.submit(bench.user, f"t{number}")
    assert bench.look() == [SetWorkers(3)]  # 25 times half a second, in five seconds
    assert bench.look() == []
    assert [event.detail for event in bench.state.chronicle.events if event.kind == "scaled"][
        -1
    ] == "by load: 3 workers wanted"


def test_few_tasks_that_take_long_get_a_worker_each():
    bench = Adapting()
    for number in range(4):
        bench.submit(bench.user, f"t{number}", label="long")
    assert bench.look() == [SetWorkers(1)]
    bench.worker("w0", nanny="n")
    assert bench.look(6)[-1] == SetWorkers(4)  # one has run for six seconds: so will the others
    assert bench.look(100) == []


def test_tasks_are_counted_by_the_slots_of_a_worker():
    bench = Adapting(adapt_target_s=0.01)
    bench.worker("w0", nanny="n", slots=4)
    for number in range(10):
        bench.submit(bench.user, f"t{number}")
    bench.look()
    assert bench.wanted() == 3


def test_tasks_that_share_a_resource_are_counted_by_it():
    bench = Adapting(adapt_target_s=0.01)
    bench.worker("w0", nanny="n", slots=4, resources={"GPU": 1})
    for number in range(6):
        bench.submit(bench.user, f"t{number}", resources=(("GPU", 1.0),))
    bench.look()
    assert bench.wanted() >= 5


def test_tasks_that_no_worker_could_run_start_none():
    bench = Adapting(minimum=1, wanted=1)
    bench.worker("w0", nanny="n")
    for number in range(1500):
        bench.submit(bench.user, f"t{number}", resources=(("GPU", 1.0),))
    bench.submit(bench.user, "named", workers=("w7",))
    assert bench.look(3) == []
    assert bench.state.adaptation.target == 1


def test_idle_workers_end_after_so_many_looks_and_the_newest_first():
    bench = Adapting(minimum=1, wanted=3)
    sources = [bench.worker(f"w{number}", nanny="n") for number in range(3)]
    assert bench.look() == []
    assert ended(bench.look()) == ["w2", "w1"]
    assert bench.wanted() == 1
    assert bench.closes.keys() == set(sources[1:])
    assert bench.look(5) == []
    assert {("w1", bench.pids[sources[1]]), ("w2", bench.pids[sources[2]])} == bench.state.fenced


def test_workers_that_run_or_hold_something_do_not_end():
    bench = Adapting(wanted=3)
    for number in range(3):
        bench.worker(f"w{number}", nanny="n")
    bench.submit(bench.user, "holds", workers=("w0",))
    bench.submit(bench.user, "runs", workers=("w1",))
    bench.finish(next(iter(bench.state.members)), "holds", None)
    assert ended(bench.look(4)) == ["w2"]
    bench.release(bench.user, "holds")
    assert ended(bench.look(4)) == ["w0"]
    assert bench.states("runs") == ["processing"]


def test_worker_whose_nanny_is_gone_does_not_end():
    bench = Adapting(wanted=1)
    bench.worker("w0", nanny="other")
    assert bench.look(5) == []
    bench.say(bench.host, Disconnected("gone"))
    for _ in range(5):
        bench.tick(1.0)
    assert len(bench.state.members) == 1


def test_maximum_below_what_there_is_ends_what_is_idle():
    bench = Adapting(minimum=1, maximum=2, wanted=4)
    for number in range(4):
        bench.worker(f"w{number}", nanny="n")
        bench.submit(bench.user, f"t{number}", workers=(f"w{number}",))
    assert bench.look(3) == []
    bench.finish(next(iter(bench.state.members)), "t0")
    assert ended(bench.look(3)) == ["w0"]


def test_more_workers_are_spread_over_the_hosts():
    bench = Adapting()
    other = bench.nanny("n2", workers=2)
    for number in range(50):
        bench.submit(bench.user, f"t{number}")
    bench.look()
    assert [nanny.wanted for nanny in bench.state.nannies.values()] == [3, 2]
    assert bench.heard(other, SetWorkers) == []


def test_scale_and_stop_end_it_and_the_snapshot_shows_it():
    bench = Adapting(minimum=1, maximum=5)
    bench.look()
    bench.say(bench.user, Describe(2))
    assert bench.heard(bench.user, Answer)[-1].snapshot.adapting == AdaptView(1, 5, 1.0, 2, 1)
    bench.say(bench.user, StopAdapting(3), StopAdapting(4))
    assert bench.heard(bench.user, Answer) == [Answer(3), Answer(4)]
    bench.say(bench.user, AdaptCluster(5, 1, 5, 1.0, 2), ScaleCluster(6, 2), Describe(7))
    assert bench.heard(bench.user, Answer)[-1].snapshot.adapting is None
    assert bench.look(5) == [SetWorkers(2)]


def test_restart_under_way_is_not_disturbed():
    bench = Adapting(wanted=2, start_s_max=100.0)
    bench.say(bench.user, RestartCluster(2))
    bench.worker("w0", nanny="n")
    assert bench.look(5) == []
    bench.worker("w1", nanny="n")
    assert bench.heard(bench.user, Answer) == [Answer(2)]
    assert ended(bench.look(5)) == ["w1", "w0"]


def test_task_that_waits_for_the_next_look_is_told_so():
    bench = Adapting()
    bench.submit(bench.user, "a")
    bench.say(bench.user, Explain(2, ("a",)))
    (answer,) = bench.heard(bench.user, Answer)
    assert "looks for work every 1 s" in answer.explanations[0].reasons[0]


@pytest.mark.parametrize(
    ("minimum", "maximum", "interval_s", "wait_count"),
    [(-1, 2, 1.0, 1), (3, 2, 1.0, 1), (0, 0, 1.0, 1), (0, 10**6, 1.0, 1), (0, 2, 0.0, 1), (0, 2, 1.0, 0)],
)
def test_bounds_that_are_none_are_refused(minimum, maximum, interval_s, wait_count):
    bench = Bench()
    client = bench.client()
    bench.say(client, AdaptCluster(1, minimum, maximum, interval_s, wait_count))
    (answer,) = bench.heard(client, Answer)
    assert "cannot" in answer.error
    assert bench.state.adaptation is None
