"""A cluster in this process: real futures, real threads, real prints; only the processes are missing."""

from __future__ import annotations

import contextlib
import io
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, NamedTuple

import cloudpickle

from jupyter_dist.errors import FutureCancelledError, NoClusterError
from jupyter_dist.messages.base import ErrorInfo
from jupyter_dist.messages.observation import (
    ClusterSnapshot,
    ErrorView,
    FunctionView,
    Observation,
    TaskEvent,
    TaskView,
    WorkerView,
)

STATUS = {True: "finished", False: "error"}


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def worker_view(name="worker-0", **changes) -> WorkerView:
    values: dict[str, Any] = {
        "name": name,
        "host": "here",
        "pid": 4211,
        "nanny": "nanny-0",
        "address": f"unix:/tmp/{name}",
        "state": "running",
        "slots": 1,
        "running": 0,
        "queued": 0,
        "memory_bytes": 50_000_000,
        "memory_bytes_max": 100_000_000,
        "cpu_percent": 12.0,
        "held": 3,
        "held_bytes": 1200,
        "spilled_bytes": 0,
        "heard_s": 0.2,
        "restarts": 0,
        "last_death": "",
    } | changes
    return WorkerView(**values)


def task_view(key="f-1", **changes) -> TaskView:
    values: dict[str, Any] = {
        "key": key,
        "label": "f",
        "state": "processing",
        "group": "cell [3]",
        "worker": "worker-0",
        "slot": 0,
        "since_s": 1000.0,
        "started_s": 1000.0,
        "attempts": 1,
    } | changes
    return TaskView(**values)


def error_info(**changes) -> ErrorInfo:
    values: dict[str, Any] = {
        "type_name": "ValueError",
        "text": "bad",
        "traceback": "Traceback\nValueError: bad",
        "filename": "<cell [7] 0a1b2c>",
        "line": 4,
    } | changes
    return ErrorInfo(**values)


def error_view(key="f-1", **changes) -> ErrorView:
    values: dict[str, Any] = {
        "key": key,
        "label": "f",
        "group": "cell [7]",
        "worker": "worker-0",
        "at_s": 1000.0,
        "error": error_info(),
    } | changes
    return ErrorView(**values)


def event(number=1, kind="finished", **changes) -> TaskEvent:
    values: dict[str, Any] = {
        "number": number,
        "kind": kind,
        "at_s": 1002.0,
        "key": f"f-{number}",
        "label": "f",
        "group": "cell [3]",
        "worker": "worker-0",
        "slot": 0,
        "started_s": 1000.0,
        "stopped_s": 1002.0,
        "nbytes": 1000,
    } | changes
    return TaskEvent(number=values.pop("number"), kind=values.pop("kind"), **values)


def snapshot(**changes) -> ClusterSnapshot:
    values: dict[str, Any] = {
        "cluster": "default",
        "at_s": 1010.0,
        "started_s": 1000.0,
        "last_event": 0,
        "wanted": 2,
        "workers": (worker_view("worker-0"), worker_view("worker-1")),
        "counts": dict.fromkeys(("waiting", "queued", "processing", "memory", "erred"), 0),
        "finished": 0,
        "erred": 0,
        "sessions": (),
        "functions": (),
        "running": (),
        "errors": (),
        "nannies": {},
    } | changes
    return ClusterSnapshot(**values)


def function_view(label="f", **changes) -> FunctionView:
    values: dict[str, Any] = (
        dict.fromkeys(("waiting", "queued", "processing", "memory", "erred", "finished"), 0) | changes
    )
    return FunctionView(label=label, seconds=0.0, **values)


class FakeFuture:
    """A future as the client's, over one of `concurrent.futures`."""

    type = ""

    def __init__(self, executor, key):
        self.executor, self.key = executor, key
        self.wish = SimpleNamespace(number=len(executor.futures) + 1 if executor is not None else 0)
        self.inner: Future[Any] = Future()
        self.inner.set_running_or_notify_cancel()
        self.reason = ""
        self.printed: list[tuple[str, str]] = []
        self.listener: Callable[[str, str], object] = lambda _stream, _text: None

    @property
    def status(self):
        if self.reason:
            return "cancelled"
        return STATUS[self.inner.exception() is None] if self.inner.done() else "pending"

    def _load(self, timeout):
        try:
            error = self.inner.exception(timeout)
        except CancelledError:
            error = None
        if self.reason:
            raise FutureCancelledError(self.reason)
        return error

    def exception(self, timeout=None):
        return self._load(timeout)

    def result(self, timeout=None):
        error = self._load(timeout)
        if error is not None:
            raise error
        return self.inner.result()

    def watch_output(self, fn):
        for chunk in self.printed:
            fn(*chunk)
        self.listener = fn

    def add_done_callback(self, fn):
        self.inner.add_done_callback(lambda _: fn(self))

    def cancel_now(self, reason):
        if not self.inner.done():
            self.reason = reason
            self.inner.set_exception(FutureCancelledError(reason))

    def __reduce__(self):
        raise TypeError("a future cannot be pickled")


class FakeLostFuture(NamedTuple):
    names: tuple[str, ...]
    key: str
    label: str
    state: str
    since_s: float


class FakeLostSession(NamedTuple):
    name: str
    kind: str
    pid: int
    lost_s: float
    kept_until_s: float
    futures: int


class FakeWatching:
    def __init__(self, executor, callback):
        self.executor, self.callback = executor, callback

    def close(self):
        self.executor.watchers.remove(self)


class FakeExecutor:
    """Runs every task in a thread, each argument pickled there and back as a cluster would."""

    def __init__(self, name="default"):
        self.name = name
        self.session_name = "notebook.ipynb"
        self.names: dict[str, str] = {}  # as the cluster knows them: name -> key
        self.lost: dict[str, list[tuple[FakeLostFuture, FakeFuture]]] = {}  # by the name of their session
        self.is_closed = False
        self.stuck: dict[str, set[str]] = {}  # worker -> keys it does not come back from
        self.futures: dict[str, FakeFuture] = {}
        self.calls: list[str] = []
        self.submitted: list[dict[str, Any]] = []
        self.watchers: list[FakeWatching] = []
        self.view = snapshot()
        self.hold = threading.Event()
        self.hold.set()
        self._numbers = itertools.count(1)
        self._pool = ThreadPoolExecutor(8)
        self._print_lock = threading.Lock()

    def submit_task(self, func, args=(), kwargs=None, *, key=None, label=None, group="", on_output=None, **options):
        future = FakeFuture(self, key or f"{label or func.__name__}-{next(self._numbers)}")
        self.futures[future.key] = future
        self.submitted.append({"func": func, "args": args, "label": label, "group": group} | options)
        self._pool.submit(self._run, future, func, args, dict(kwargs or {}), label or func.__name__, group, on_output)
        return future

    def _run(self, future, func, args, kwargs, label, group, on_output):
        started = time.time()
        try:
            self.hold.wait(10)
            args, kwargs = self._resolve(args), self._resolve(kwargs)
            args, kwargs = cloudpickle.loads(cloudpickle.dumps((args, kwargs)))
            value = self._call(func, args, kwargs, on_output)
        except BaseException as error:  # noqa: BLE001  # the fake passes on whatever a task raises
            kind, value = "erred", error
        else:
            kind, value = "finished", cloudpickle.loads(cloudpickle.dumps(value))
        if future.inner.done():
            return
        if kind == "finished":
            future.inner.set_result(value)
        else:
            future.inner.set_exception(value)
        happened = event(1, kind, key=future.key, label=label, group=group, started_s=started, stopped_s=time.time())
        self.tell(Observation(self.view, (happened,)))

    def _call(self, func, args, kwargs, on_output):
        if on_output is None:
            return func(*args, **kwargs)
        with self._print_lock, contextlib.redirect_stdout(_Forward(on_output)):
            return func(*args, **kwargs)

    def _resolve(self, value):
        if isinstance(value, FakeFuture):
            return value.result()
        if isinstance(value, dict):
            return {key: self._resolve(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._resolve(item) for item in value)
        return value

    @property
    def wishes_made(self):
        return len(self.futures)

    def scatter(self, data):
        futures = []
        for value in data:
            future = FakeFuture(self, f"scatter-{next(self._numbers)}")
            future.inner.set_result(value)
            futures.append(future)
        self.calls.append(f"scatter {len(futures)}")
        return futures

    def stacks(self, workers=None, timeout=5.0):
        return {
            name: dict.fromkeys(self.stuck.get(name, ()), "a stack")
            for name in workers or [w.name for w in self.view.workers]
        }

    def retry(self, futures):
        self.calls.append(f"retry {' '.join(future.key for future in futures)}")

    def retire_workers(self, workers):
        self.calls.append(f"retire {' '.join(workers)}")

    def restart_workers(self, workers):
        self.calls.append(f"kill {' '.join(workers)}")
        for worker in workers:
            self.stuck.pop(worker, None)

    def name_futures(self, names):
        self.names.update({name: future.key for name, future in names.items()})

    def lose(self, session, key, value, *, names=(), state="memory", age_s=5.0, label="f"):
        """Let a lost session have a future."""
        future = FakeFuture(self, key)
        if state == "memory":
            future.inner.set_result(value)
        elif state == "erred":
            future.inner.set_exception(value)
        lost = FakeLostFuture(tuple(names), key, label, state, time.time() - age_s)
        self.lost.setdefault(session, []).append((lost, future))
        return future

    def lost_sessions(self):
        now = time.time()
        return [
            FakeLostSession(name, "kernel", 4242, now - 200.0, now + 3400.0, len(futures))
            for name, futures in self.lost.items()
        ]

    def lost_futures(self, name=None):
        return [lost for lost, _future in self.lost.get(name or self.session_name, [])]

    def attach(self, name=None):
        taken = self.lost.pop(name or self.session_name, [])
        return {own: future for lost, future in taken for own in lost.names or (lost.key,)}

    def tell(self, observation):
        for watching in list(self.watchers):
            watching.callback(observation)

    def watch(self, callback: Callable[[Observation], None], interval_s=0.5):
        watching = FakeWatching(self, callback)
        self.watchers.append(watching)
        callback(Observation(self.view, ()))
        return watching

    def snapshot(self):
        return self.view

    def gather(self, futures):
        return [future.result() for future in futures]

    def cancel(self, futures, force=False):
        self.calls.append(f"cancel {len(list(futures))} force={force}")
        for future in futures:
            future.cancel_now("cancelled by the test")

    def scale(self, workers):
        self.calls.append(f"scale {workers}")

    def restart(self):
        self.calls.append("restart")

    def stop_cluster(self):
        self.calls.append("stop")

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.is_closed = True
        self._pool.shutdown(wait=False)


class _Forward(io.TextIOBase):
    def __init__(self, on_output):
        self.on_output = on_output

    def write(self, text):
        self.on_output("stdout", text)
        return len(text)


class FakeClusters:
    """Starts `FakeExecutor`s."""

    def __init__(self):
        self.running: dict[str, FakeExecutor] = {}
        self.latest: FakeExecutor | None = None

    def start(self, name, workers, threads, on_phase):
        started = name not in self.running
        on_phase("ready", 1.2)
        self.latest = self.running.setdefault(name, FakeExecutor(name))
        return self.latest, started

    def connect(self, name):
        if name not in self.running:
            raise NoClusterError(f"no cluster is called {name!r}; `%distributed start --name {name}` starts one")
        return self.running[name]

    def default(self):
        return self.latest

    def names(self):
        return [(name, "2 x 1 on here") for name in self.running]

    def is_future(self, value):
        return isinstance(value, FakeFuture)
