import random

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.worker.events import FetchFailed
from jupyter_dist.core.worker.machine import LOCAL, WorkerMachine
from jupyter_dist.errors import InvariantError
from jupyter_dist.messages import (
    AssignedTask,
    AssignTask,
    CodeFile,
    CodeTaken,
    FreeKeys,
    FunctionBody,
    InputMissing,
    Refused,
    SetInlineMax,
    StopAttempt,
    TakeCode,
    TaskErred,
    TaskFinished,
    Welcome,
    Withdraw,
    Withdrawn,
)
from jupyter_dist.settings import Settings
from tests.core.worker.worker_model import FUNCTION, WELCOME, Bench, remote


def test_welcome_heard_names_the_worker_and_sets_the_inline_limit():
    machine = WorkerMachine(Settings(), 1)
    effects = machine.handle(4, [Welcome(1, 1, "c", "w0-2", 0.5, 3.0, 123)], 0.0)
    assert (effects.welcomed, effects.inline_bytes_max) == ("w0-2", 123)


def test_message_before_welcome_is_not_heard():
    machine = WorkerMachine(Settings(), 1)
    effects = machine.handle(4, [FUNCTION, AssignTask(AssignedTask("k", 1, "f", b""))], 0.0)
    assert (effects.ready, effects.says) == ([], [])


def test_message_of_an_older_connection_is_not_heard():
    bench = Bench(link=1)
    bench.disconnect()
    bench.link = 2
    bench.hear(WELCOME, FUNCTION)
    bench.hear(AssignTask(AssignedTask("k", 1, "f", b"")), source=1)
    bench.hear(Disconnected("late"), source=1)
    assert bench.hand == []
    bench.assign(2)
    assert bench.hand == [2]


def test_refused_is_told_with_its_reason():
    machine = WorkerMachine(Settings(), 1)
    assert machine.handle(1, [Refused("fenced")], 0.0).refused == "fenced"


def test_inline_limit_changed_is_told():
    bench = Bench()
    effects = bench.machine.handle(1, [SetInlineMax(0)], 0.0)
    assert effects.inline_bytes_max == 0


def test_code_is_to_be_in_place_before_what_is_ready_and_its_answer_is_said():
    bench = Bench()
    effects = bench.machine.handle(1, [TakeCode(3, (CodeFile("m", "v", b"X = 1"),))], 0.0)
    assert [message.number for message in effects.code] == [3]
    effects = bench.machine.handle(LOCAL, [CodeTaken(3, None, (("m", "v"),))], 0.0)
    assert effects.says == [CodeTaken(3, None, (("m", "v"),))]


def test_free_unknown_key_changes_nothing():
    bench = Bench()
    bench.hear(FreeKeys(("nobody",)))
    assert bench.discarded == []


def test_check_contradicting_tables_raises():
    bench = Bench()
    bench.assign(1)
    bench.machine._state.held_bytes = 5
    with pytest.raises(InvariantError, match="summed wrong"):
        bench.machine.check()


class Story:
    """Random events against a bench; `Bench` checks the invariants after each."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.bench = Bench(slots=2, fetches_max=3)
        self.attempt = 0
        self.open = set()  # attempts the scheduler has not heard the end of

    def step(self):
        bench, rng = self.bench, self.rng
        actions = [self.assign] * 3 + [self.begin] * 3 + [self.end] * 3 + [self.fetch] * 3
        actions += [self.withdraw, self.stop, self.free, self.pass_time, self.noise]
        if rng.random() < 0.01:
            actions = [self.reconnect]
        rng.choice(actions)()
        self.hear()
        assert len(bench.running) <= 2

    def assign(self):
        self.attempt += 1
        rng = self.rng
        keys = rng.sample([f"x{i}" for i in range(6)], rng.randrange(3))
        holders = [rng.sample(["a", "b", "c"], rng.randrange(4)) for _ in keys]
        inputs = [remote(key, *names) for key, names in zip(keys, holders, strict=True)]
        self.open.add(self.attempt)
        self.bench.assign(self.attempt, *inputs, timeout_s=rng.choice([0.0, 0.0, 1.0]), key=f"k{self.attempt % 5}")

    def begin(self):
        if self.bench.hand and len(self.bench.running) < 2:
            self.bench.begin()

    def end(self):
        bench = self.bench
        if bench.running:
            attempt = self.rng.choice(bench.running)
            kind = self.rng.randrange(3)
            if kind == 0:
                bench.fail(attempt)
            elif kind == 1:
                bench.finish(attempt)
            else:
                bench.finish(attempt, value=None, live=object(), nbytes=self.rng.randrange(1000))

    def fetch(self):
        if self.bench.fetches:
            request = self.rng.choice(list(self.bench.fetches))
            self.rng.choice([self.bench.arrive, self.bench.arrive, self.bench.miss])(request)

    def withdraw(self):
        asked = tuple(self.rng.sample(range(self.attempt + 2), min(3, self.attempt)))
        self.bench.hear(Withdraw(asked))
        answers = [message for message in self.bench.said if isinstance(message, Withdrawn)]
        assert len(answers) == 1
        assert set(answers[0].attempts) <= set(asked)

    def stop(self):
        if self.attempt:
            attempt = self.rng.randint(1, self.attempt)
            self.bench.hear(StopAttempt(attempt, force=self.rng.random() < 0.5))

    def free(self):
        self.bench.hear(FreeKeys((f"k{self.rng.randrange(5)}",)))

    def pass_time(self):
        self.bench.tick(self.rng.choice([0.1, 2.0, 30.0]))

    def noise(self):
        self.bench.happen(FetchFailed(self.rng.randrange(50), "x1", "late"))
        self.bench.hear(FunctionBody("f", "f", b"body"))

    def reconnect(self):
        self.bench.disconnect()
        _held, running = self.bench.machine.list_kept()
        self.open = {attempt for attempt, _key in running}
        self.bench.link += 1
        self.bench.hear(WELCOME, FUNCTION)

    def hear(self):
        for message in self.bench.take_said():
            if isinstance(message, Withdrawn):
                ended = set(message.attempts)
            else:
                assert isinstance(message, TaskFinished | TaskErred | InputMissing)
                ended = {message.attempt}
            assert ended <= self.open, "an end was said twice, or of an attempt nobody assigned"
            self.open -= ended

    def settle(self):
        bench = self.bench
        while bench.hand or bench.running or bench.fetches:
            while bench.fetches:  # one that arrives may end others
                bench.arrive(next(iter(bench.fetches)))
            while bench.hand and len(bench.running) < 2:
                bench.begin()
            for attempt in list(bench.running):
                bench.finish(attempt)
            self.hear()
        assert not self.open, "an attempt was forgotten without a word"
        assert bench.machine.deadline() is None


@pytest.mark.parametrize("seed", range(150))
def test_random_story_keeps_every_invariant_and_ends_every_attempt_once(seed):
    print(f"seed {seed}")
    story = Story(seed)
    for _ in range(200):
        story.step()
    story.settle()


def test_same_seed_tells_the_same_story():
    def trace(seed):
        story = Story(seed)
        for _ in range(100):
            story.step()
        return story.attempt, story.bench.interrupts, story.bench.abandoned, sorted(story.open)

    assert trace(7) == trace(7)
