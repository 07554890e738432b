"""The rules of `tests.model`, in small, with real processes: what the simulator cannot see is between them and the wire."""

import contextlib
import itertools
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from jupyter_dist import Executor, Future, as_completed
from jupyter_dist.errors import DatasetError, WorkerCrashedError
from tests.integration.conftest import wait_until
from tests.integration.test_scheduler_death import scheduler_of
from tests.model.model import Model, Task
from tests.thorough import IS_THOROUGH

pytestmark = [pytest.mark.process, pytest.mark.slow]

PATIENCE_S = 60.0
LARGE = 200_000
PICK = st.integers(0, 99)
NAMES = st.sampled_from(("cleaned", "train"))
NUMBERS = itertools.count()  # of tasks, over all examples: each has a key of its own
DEATHS_MAX = 2  # in one example: a nanny waits longer before each start of what dies again and again


def compute(key: str, kind: str, folder: str, seconds: float, size: int, *inputs: str) -> str:
    """Do what a task of a kind does; its value is a function of its key and its inputs' values."""
    time.sleep(seconds)
    mark = Path(folder, key)
    if kind == "raise" or (kind == "once" and not mark.exists()):
        mark.touch()
        raise ValueError(key)
    return value_of(key, size, inputs)


def value_of(key: str, size: int, inputs: tuple[str, ...]) -> str:
    return f"{key}({','.join(text.rstrip('.') for text in inputs)})" + "." * size


class RealCluster(RuleBasedStateMachine):
    """Two executors on one cluster."""

    def __init__(self, executors: list[Executor], folder: Path) -> None:
        super().__init__()
        self.users = dict(zip(("first", "second"), executors, strict=True))
        self.folder = str(folder)
        self.model = Model()
        self.held: dict[tuple[str, str], Future] = {}
        self.sizes: dict[str, int] = {}
        self.deaths = 0

    def user(self, pick):
        return sorted(self.users)[pick % len(self.users)]

    def of(self, name):
        return {key: future for (owner, key), future in self.held.items() if owner == name}

    def some(self, name, pick, share=3):
        keys = sorted(self.of(name))
        return [key for index, key in enumerate(keys) if (index + pick) % share == 0] or keys[:1]

    # -- rules -------------------------------------------------------------------------------------------------------

    @rule(
        who=PICK,
        kind=st.sampled_from(("value",) * 5 + ("raise", "once")),
        inputs=st.lists(PICK, max_size=3),
        seconds=st.sampled_from((0.0, 0.0, 0.05)),
        size=st.sampled_from((0, LARGE)),
    )
    def submit(self, who, kind, inputs, seconds, size):
        name = self.user(who)
        held = {key: future for key, future in sorted(self.of(name).items()) if not future.cancelled()}
        names = tuple(dict.fromkeys(list(held)[pick % len(held)] for pick in inputs)) if held else ()
        task = Task(f"task-{next(NUMBERS)}", kind, names)
        arguments = [task.key, kind, self.folder, seconds, size, *(held[key] for key in names)]
        self.keep(name, task, self.users[name].submit(compute, *arguments, key=task.key, pure=False), size)

    def keep(self, name, task, future, size=0):
        self.sizes[task.key] = size
        self.model.promise(name, task)
        self.held[name, task.key] = future

    @rule(who=PICK)
    def scatter(self, who):
        name, task = self.user(who), Task(f"data-{next(NUMBERS)}", "put")
        (future,) = self.users[name].scatter({task.key: value_of(task.key, LARGE, ())}).values()
        self.keep(name, Task(future.key, "put"), future, LARGE)

    @precondition(lambda self: self.held)
    @rule(who=PICK, pick=PICK, share=st.integers(1, 3))
    def wait(self, who, pick, share):
        name = self.user(who)
        for key in self.some(name, pick, share):
            self.judge(name, key)

    @precondition(lambda self: self.held)
    @rule(who=PICK)
    def complete(self, who):
        futures = self.of(self.user(who))
        seen = [future.key for future in as_completed(list(futures.values()), timeout=PATIENCE_S)]
        assert sorted(seen) == sorted(futures), "each comes exactly once"

    @precondition(lambda self: self.held)
    @rule(who=PICK, pick=PICK)
    def release(self, who, pick):
        name = self.user(who)
        for key in self.some(name, pick, 2):
            self.held.pop((name, key)).release()
            self.model.release(name, key)

    @precondition(lambda self: self.held)
    @rule(who=PICK, pick=PICK, force=st.booleans())
    def cancel(self, who, pick, force):
        name = self.user(who)
        futures = {key: self.held[name, key] for key in self.some(name, pick)}
        if not futures:
            return
        self.users[name].cancel(list(futures.values()), force=force)
        cancelled = [key for key, future in futures.items() if future.cancelled()]
        self.model.cancel(name, cancelled)

    @precondition(lambda self: self.held)
    @rule(who=PICK, pick=PICK)
    def retry(self, who, pick):
        name = self.user(who)
        erred = sorted(key for key, future in self.of(name).items() if future.status == "error")
        if erred:
            key = erred[pick % len(erred)]
            self.model.retry(key)
            self.held[name, key].retry()

    @precondition(lambda self: self.held)
    @rule(who=PICK, pick=PICK, name=NAMES)
    def publish(self, who, pick, name):
        user = self.user(who)
        for key in self.some(user, pick)[:1]:
            if not self.model.promises[user, key].may_be_cancelled:
                self.users[user].publish_dataset(self.held[user, key], name=name, override=True)
                self.model.datasets[name] = key

    @rule(who=PICK)
    def take_datasets(self, who):
        user = self.user(who)
        executor = self.users[user]
        assert executor.list_datasets() == tuple(sorted(self.model.datasets))
        for name, key in self.model.datasets.items():
            future = executor.get_dataset(name)
            assert future.key == key
            self.keep(user, self.model.tasks[key], future, self.sizes[key])

    @rule(who=PICK, name=NAMES)
    def unpublish(self, who, name):
        if self.model.datasets.pop(name, None):
            self.users[self.user(who)].unpublish_dataset(name)
        else:
            with pytest.raises(DatasetError):
                self.users[self.user(who)].unpublish_dataset(name)

    @precondition(lambda self: self.deaths < DEATHS_MAX)
    @rule(who=PICK)
    def restart(self, who):
        self.deaths += 1
        name = self.user(who)
        pending = [place for place, future in self.held.items() if not future.done()]
        self.model.restart([], name)  # what was pending may have come in time
        self.users[name].restart()
        assert all(self.held[place].done() for place in pending if place[0] == name)

    @precondition(lambda self: self.deaths < DEATHS_MAX)
    @rule(pick=PICK)
    def kill_worker(self, pick):
        self.deaths += 1
        pids = sorted(worker.pid for worker in self.users["first"].snapshot().workers)
        self.model.kill()
        with contextlib.suppress(ProcessLookupError, IndexError, ZeroDivisionError):  # dead already, or none yet
            os.kill(pids[pick % len(pids)], signal.SIGKILL)

    @precondition(lambda self: self.deaths < DEATHS_MAX)
    @rule()
    def kill_scheduler(self):
        self.deaths += 1
        scheduler = living_scheduler(self.users["first"])
        scheduler.kill()
        wait_until(lambda: not is_running(scheduler), "it is dead", PATIENCE_S)
        self.model.kill_scheduler()

    # -- what is held to ---------------------------------------------------------------------------------------------

    def judge(self, name, key):
        """A future comes to what it may come to."""
        future, promise = self.held[name, key], self.model.promises[name, key]
        wait_until(future.done, f"{key} is settled", PATIENCE_S)
        if future.cancelled():
            assert promise.may_be_cancelled, f"{name}'s {key} was cancelled"
            return
        assert not promise.must_be_cancelled
        error = future.exception(timeout=PATIENCE_S)
        if isinstance(error, WorkerCrashedError):
            assert self.model.killed
        elif error is not None:
            assert isinstance(error, ValueError)
            assert str(error) in self.model.culprits(key)
        else:
            assert not self.model.must_err(key), f"{key} has a value"
            assert future.result(timeout=PATIENCE_S) == self.right_value(key)

    def right_value(self, key):
        task = self.model.tasks[key]
        if task.kind == "put":
            return value_of(key, self.sizes[key], ())
        return value_of(key, self.sizes[key], tuple(self.right_value(name) for name in task.inputs))

    @invariant()
    def nothing_is_cancelled_that_may_not_be(self):
        for place, future in self.held.items():
            assert not future.cancelled() or self.model.promises[place].may_be_cancelled

    def teardown(self):
        for name, key in sorted(self.held):
            self.judge(name, key)
        for name in tuple(self.model.datasets):
            self.users["first"].unpublish_dataset(name)
        for future in self.held.values():
            future.release()
        first = self.users["first"]
        wait_until(lambda: not any(first.snapshot().counts.values()), "the cluster has forgotten all", PATIENCE_S)
        wait_until(lambda: len(first.snapshot().workers) == 2, "both workers are there", PATIENCE_S)


def living_scheduler(executor) -> psutil.Process:
    """Return the scheduler's process, once there is one: another may have been killed a moment before."""
    found: list[psutil.Process] = []

    def look() -> bool:
        with contextlib.suppress(AssertionError, psutil.NoSuchProcess):
            found.append(scheduler_of(executor))
        return bool(found)

    wait_until(look, "there is a scheduler", PATIENCE_S)
    return found[0]


def is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_real_cluster_beside_the_model(own_executor, tmp_path):
    with Executor(own_executor.info) as second:
        run_state_machine_as_test(
            lambda: RealCluster([own_executor, second], tmp_path),  # type: ignore[arg-type]  # a factory is as good
            settings=settings(
                max_examples=60 if IS_THOROUGH else 8,
                stateful_step_count=30,
                deadline=None,
                derandomize=not IS_THOROUGH,
                database=None,
                phases=(Phase.generate,),  # a real cluster does nothing twice in the same way
                suppress_health_check=list(HealthCheck),
            ),
        )
