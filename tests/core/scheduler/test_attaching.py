"""Names for keys, sessions that were lost, and taking them over: nothing runs twice, and nothing is let go between."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import (
    Answer,
    Cancel,
    CloseSession,
    DescribeSessions,
    FreeKeys,
    FreeObjects,
    KeyCancelled,
    KeyErred,
    KeyFinished,
    KeyName,
    KeyOutput,
    KeyWish,
    NameKeys,
    OpenSession,
    PutValue,
    Release,
    RestartCluster,
    StopAttempt,
    TakeOver,
    TaskOutput,
    WantKeys,
)
from tests.core.scheduler.bench import Bench

KERNEL = "notebook.ipynb"
LINGER_S = 3600.0
WALL_S = 1e9


@pytest.fixture
def bench():
    return Bench()


class Kernel:
    """A client with a session of a notebook's name."""

    def __init__(self, bench, pid=1, name=KERNEL, kind="kernel"):
        self.bench = bench
        self.source = bench.client("observer")  # takes the next free number
        bench.say(self.source, CloseSession())
        self.id = f"{name}-{self.source}"
        bench.say(self.source, OpenSession(self.id, kind, name, LINGER_S, pid))
        self._last_wish = 1000 * self.source

    @property
    def session(self):
        return self.bench.state.sessions[self.id]

    def die(self):
        self.bench.say(self.source, Disconnected("end of stream"))

    def call(self, **names):
        self.bench.say(self.source, NameKeys(tuple(KeyName(name, key) for name, key in names.items())))

    def sees(self, name=KERNEL):
        self.bench.say(self.source, DescribeSessions(7, name))
        [answer] = self.bench.heard(self.source, Answer)
        assert (answer.request, answer.error) == (7, "")
        return answer.sessions

    def take_over(self, *sessions, keys=None):
        """Take over as a client does; return its wishes by key."""
        lost = [view for view in self.sees() if view.session in {other.id for other in sessions}]
        keys = [wanted.key for view in lost for wanted in view.wanted] if keys is None else keys
        own = {task.key for task in self.session.wants}
        wishes = {}
        for key in dict.fromkeys(keys):
            if key not in own:
                self._last_wish += 1
                wishes[key] = self._last_wish
        made = tuple(KeyWish(key, wish) for key, wish in wishes.items())
        self.bench.say(self.source, TakeOver(8, tuple(other.id for other in sessions), made))
        return wishes


def names_of(kernel, *keys):
    return [kernel.session.names.of(key) for key in keys]


# -- names


def test_name_stands_for_the_key_it_was_given_last(bench):
    kernel = Kernel(bench)
    for key in ("a", "b"):
        bench.submit(kernel.source, key)
    kernel.call(model="a", also="a")
    kernel.call(model="b")
    assert names_of(kernel, "a", "b") == [("also",), ("model",)]
    kernel.call(also="b")
    assert names_of(kernel, "a", "b") == [(), ("model", "also")]


@pytest.mark.parametrize("how", ["release", "cancel", "restart"])
def test_name_is_forgotten_with_the_wish_for_its_key(bench, how):
    kernel = Kernel(bench)
    bench.submit(kernel.source, "a")
    kernel.call(model="a")
    if how == "release":
        bench.release(kernel.source, "a")
    else:
        bench.say(kernel.source, Cancel(("a",)) if how == "cancel" else RestartCluster(1))
    assert names_of(kernel, "a") == [()]
    bench.submit(kernel.source, "a")
    assert names_of(kernel, "a") == [()]


def test_name_for_a_key_the_session_does_not_want_is_not_noted(bench):
    kernel, other = Kernel(bench), bench.client()
    bench.submit(other, "theirs")
    kernel.call(a="theirs", b="unknown")
    assert names_of(kernel, "theirs", "unknown") == [(), ()]


# -- what is seen


def test_lost_session_is_seen_with_what_it_wants_and_until_when(bench):
    old = Kernel(bench, pid=11)
    worker = bench.worker()
    bench.submit(old.source, "held")
    bench.finish(worker, "held")
    bench.submit(old.source, "runs")
    old.call(model="held")
    bench.tick(5.0)
    old.die()
    lost_s = bench.now + WALL_S
    [view] = Kernel(bench).sees()
    assert (view.session, view.name, view.kind, view.pid) == (old.id, KERNEL, "kernel", 11)
    assert (view.is_connected, view.lost_s, view.kept_until_s, view.keys) == (False, lost_s, lost_s + LINGER_S, 2)
    assert [(w.key, w.label, w.state, w.names) for w in view.wanted] == [
        ("held", "f", "memory", ("model",)),
        ("runs", "f", "processing", ()),
    ]
    assert view.wanted[0].since_s == lost_s - 5.0


def test_all_sessions_are_seen_without_their_keys_and_without_the_one_that_asks_and_observers(bench):
    old, script = Kernel(bench), Kernel(bench, name="train.py", kind="script")
    bench.client(kind="observer")
    bench.submit(old.source, "a")
    old.die()
    seen = Kernel(bench).sees(name="")
    assert [(view.name, view.is_connected, view.keys, view.wanted) for view in seen] == [
        (KERNEL, False, 1, ()),
        (script.session.name, True, 0, ()),
    ]
    assert seen[1].lost_s == seen[1].kept_until_s == 0.0


# -- taking over


def test_take_over_of_all_states_tells_what_is_settled_and_runs_nothing_again(bench):
    old, worker = Kernel(bench), bench.worker(slots=1)
    for key in ("small", "large", "erred", "runs", "queued"):
        bench.submit(old.source, key)
    bench.finish(worker, "small", b"value")
    bench.finish(worker, "large", None)
    bench.err(worker, "erred")
    bench.put(old.source, "data")
    keys = ("small", "large", "erred", "runs", "queued", "data")
    before, attempt = bench.states(*keys), bench.attempt("runs")
    bench.sent[worker].clear()
    old.die()
    assert bench.states(*keys) == before
    new = Kernel(bench, pid=2)
    wishes = new.take_over(old)
    assert bench.states(*keys) == before
    assert (bench.attempt("runs"), bench.task("runs").attempts) == (attempt, 1)
    assert not bench.sent[worker]  # nothing was freed, stopped or assigned
    finished = {message.key: message for message in bench.heard(new.source, KeyFinished)}
    assert {key: message.wish for key, message in finished.items()} == {
        key: wishes[key] for key in ("small", "large", "data")
    }
    assert (finished["small"].value, finished["large"].holders) == (b"value", ("unix:/w0",))
    assert [message.wish for message in bench.heard(new.source, KeyErred)] == [wishes["erred"]]
    assert bench.heard(new.source, Answer) == [Answer(8)]
    assert old.id not in bench.state.sessions
    bench.say(worker, TaskOutput("runs", attempt, "stdout", "going on"))
    bench.finish(worker, "runs")
    assert [message.wish for message in bench.heard(new.source, KeyOutput)] == [wishes["runs"]]
    assert [message.wish for message in bench.heard(new.source, KeyFinished)] == [wishes["runs"]]
    assert bench.state.tasks["queued"].attempts == 1


def test_prints_of_before_are_told_to_who_takes_over_before_the_result_is(bench):
    old, worker = Kernel(bench), bench.worker()
    for key in ("ends", "runs"):
        bench.submit(old.source, key, output=True)
        bench.say(worker, TaskOutput(key, bench.attempt(key), "stderr", f"{key} 1\n"))
        if key == "ends":
            bench.finish(worker, key, output="last\n")
    old.die()
    bench.say(worker, TaskOutput("runs", bench.attempt("runs"), "stdout", "while nobody was there\n"))
    new = Kernel(bench, pid=2)
    new.take_over(old)
    told = [message for message in bench.sent[new.source] if isinstance(message, KeyOutput | KeyFinished)]
    assert [(type(message), message.key) for message in told] == [
        (KeyOutput, "ends"),
        (KeyOutput, "ends"),
        (KeyFinished, "ends"),
        (KeyOutput, "runs"),
        (KeyOutput, "runs"),
    ]
    texts = [(m.stream, m.text) for m in told if isinstance(m, KeyOutput)]
    assert texts == [
        ("stderr", "ends 1\n"),
        ("stdout", "last\n"),
        ("stderr", "runs 1\n"),
        ("stdout", "while nobody was there\n"),
    ]


def test_prints_are_told_to_a_second_client_that_submits_or_wants_the_same(bench):
    first, second, third, worker = bench.client(), bench.client(), bench.client(), bench.worker()
    bench.submit(first, "a", output=True)
    bench.say(worker, TaskOutput("a", bench.attempt("a"), "stdout", "said"))
    wish = bench.submit(second, "a", output=True)
    assert bench.heard(second, KeyOutput) == [KeyOutput(wish, "a", "stdout", "said")]
    bench.say(third, WantKeys((("a", 5),)))
    assert bench.heard(third, KeyOutput) == [KeyOutput(5, "a", "stdout", "said")]


def test_prints_of_a_task_that_is_forgotten_or_of_a_restart_are_gone(bench):
    client, worker = bench.client(), bench.worker()
    for key in ("a", "b"):
        bench.submit(client, key)
        bench.finish(worker, key, output="said")
    assert bench.state.prints.keys() == ("a", "b")
    bench.say(client, Release(("a",)))
    assert bench.state.prints.keys() == ("b",)
    bench.say(client, RestartCluster(9))
    assert bench.state.prints.keys() == ()
    assert bench.state.prints.chars == 0


def test_what_was_taken_over_is_released_by_its_new_owner_alone(bench):
    old, worker = Kernel(bench), bench.worker()
    bench.submit(old.source, "a")
    bench.finish(worker, "a", None)
    old.die()
    new = Kernel(bench)
    new.take_over(old)
    for _ in range(int(LINGER_S)):
        bench.tick(2.0)
        bench.beat(worker)
    assert bench.states("a") == ["memory"]
    bench.release(new.source, "a")
    assert not bench.state.tasks


def test_names_are_taken_over_unless_the_new_session_uses_them(bench):
    first, second = Kernel(bench), Kernel(bench)
    for kernel, keys in ((first, "ab"), (second, "cd")):
        for key in keys:
            bench.submit(kernel.source, key)
    first.call(x="a", y="b")
    second.call(x="c", z="d")
    first.die()
    second.die()
    new = Kernel(bench)
    bench.submit(new.source, "e")
    new.call(z="e")
    new.take_over(second, first)
    assert names_of(new, *"abcde") == [(), ("y",), ("x",), (), ("z",)]


def test_take_over_of_a_key_that_is_wanted_already_keeps_the_wish(bench):
    old, new, worker = Kernel(bench), Kernel(bench), bench.worker()
    bench.submit(old.source, "a")
    wish = bench.submit(new.source, "a")
    old.call(model="a")
    old.die()
    assert new.take_over(old) == {}
    bench.finish(worker, "a")
    assert [message.wish for message in bench.heard(new.source, KeyFinished)] == [wish]
    assert names_of(new, "a") == [("model",)]


def test_session_that_is_connected_is_not_robbed(bench):
    old, new = Kernel(bench), Kernel(bench)
    bench.submit(old.source, "a")
    old.call(model="a")
    wishes = new.take_over(old)
    assert bench.heard(new.source, KeyCancelled)[0].wishes == (wishes["a"],)
    assert bench.heard(new.source, Answer) == [Answer(8)]
    assert names_of(old, "a") == [("model",)]
    assert [task.key for task in old.session.wants] == ["a"]
    assert not new.session.wants


def test_two_that_take_over_the_same_session_do_not_share_it(bench):
    old, new, late = Kernel(bench), Kernel(bench), Kernel(bench)
    bench.submit(old.source, "a")
    old.die()
    new.take_over(old)
    wishes = late.take_over(old, keys=["a"])
    [cancelled] = bench.heard(late.source, KeyCancelled)
    assert cancelled.wishes == (wishes["a"],)
    assert "another took it over" in cancelled.reason
    assert [task.key for task in new.session.wants] == ["a"]


def test_take_over_of_what_is_nobodys_cancels_and_changes_nothing(bench):
    old, new, other = Kernel(bench), Kernel(bench), bench.client()
    bench.submit(old.source, "a")
    bench.submit(other, "theirs")
    old.die()
    wishes = new.take_over(old, keys=["a", "theirs", "unknown"])
    assert bench.heard(new.source, KeyCancelled)[0].wishes == (wishes["theirs"], wishes["unknown"])
    assert [task.key for task in new.session.wants] == ["a"]
    bench.say(new.source, TakeOver(9, ("nobody", new.id), ()))
    assert new.id in bench.state.sessions


def test_what_the_client_does_not_wish_for_is_released_with_the_lost_session(bench):
    old, new = Kernel(bench), Kernel(bench)
    for key in ("a", "b"):
        bench.submit(old.source, key)
    old.die()
    new.take_over(old, keys=["b"])
    assert list(bench.state.tasks) == ["b"]


def test_same_session_opened_again_is_resumed_with_its_names(bench):
    old = Kernel(bench)
    bench.submit(old.source, "a")
    old.call(model="a")
    old.die()
    again = bench.client()
    bench.say(again, CloseSession())
    bench.say(again, OpenSession(old.id, "kernel", KERNEL, LINGER_S, 1))
    assert names_of(old, "a") == [("model",)]
    assert not Kernel(bench).sees()[0].lost_s


# -- the end


def test_linger_over_releases_everything_and_frees_what_workers_and_the_store_hold(bench):
    nanny, old, worker = bench.nanny(), Kernel(bench), bench.worker(slots=1, nanny="n")
    for key in ("large", "runs"):
        bench.submit(old.source, key)
    bench.submit(old.source, "queued", workers=("nobody",))
    bench.finish(worker, "large", None)
    bench.say(old.source, PutValue("data", b"", "ndarray", 99, "object", 1_000_000))
    old.call(model="large")
    old.die()
    for _ in range(int(LINGER_S / 2) - 1):
        bench.tick(2.0)
        bench.beat(worker)
        bench.pulse(nanny, "w0", "running")
    assert bench.states("large", "runs", "queued", "data") == ["memory", "processing", "queued", "memory"]
    bench.tick(2.0)
    assert not bench.state.tasks
    assert not bench.state.sessions
    assert bench.heard(worker, FreeKeys) == [FreeKeys(("large",))]
    assert len(bench.heard(worker, StopAttempt)) == 1
    assert bench.heard(nanny, FreeObjects) == [FreeObjects(("object",))]


def test_detached_cluster_outlives_its_lost_kernel_by_the_linger_and_the_idle_time_and_stops():
    bench = Bench(detached=True, idle_stop_s=60.0)
    old = Kernel(bench)
    bench.put(old.source, "data")
    old.die()
    for _ in range(int(LINGER_S / 2)):
        bench.tick(2.0)
    assert not bench.state.tasks
    assert not bench.stopped
    for _ in range(35):
        bench.tick(2.0)
    assert bench.stopped
