"""A Future: a handle on a result that is being made, is made, or never will be.

All Futures of one executor on one key share a wish; when the last of them is gone, the cluster is told that the result
is not needed any more. A Future behaves as one of `concurrent.futures` and can be awaited in any event loop. Two
Futures are equal only if they are the same object.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Protocol

from jupyter_dist.client import current
from jupyter_dist.client.blocking import Opening, Remotely, begin, block, perform
from jupyter_dist.client.callbacks import run_later
from jupyter_dist.client.explanations import Explanation
from jupyter_dist.client.frames import hide_frames
from jupyter_dist.client.loop import loop_thread
from jupyter_dist.client.orphans import NOWHERE, cancelled_error, gone_wish
from jupyter_dist.client.portrait import future_html, future_text
from jupyter_dist.client.session import Session
from jupyter_dist.client.waiting import Countdown, check_wait
from jupyter_dist.core.futures import UNLOADED, FutureStatus, Wish
from jupyter_dist.errors import FutureCancelledError
from jupyter_dist.messages import Ping, WantKeys
from jupyter_dist.processes import inside
from jupyter_dist.protocol import travel
from jupyter_dist.protocol.exceptions import load_exception


class Loader(Protocol):
    """How a Future's value is had."""

    async def load(self, wish: Wish, timeout: float | None = None) -> Any:
        """Return the value of a settled wish, fetched if need be. A call of steps, see `blocking`."""

    def load_here(self, wish: Wish) -> Any:
        """Return the value of a wish if it is in this process."""


class Owner(Protocol):
    """What a Future needs of its executor."""

    @property
    def asynchronous(self) -> bool:
        """Whether what blocks returns an awaitable."""

    @property
    def session(self) -> Session:
        """Where its wish is kept."""

    @property
    def results(self) -> Loader:
        """How its value is had."""

    def cancel(self, futures: Any, force: bool = False) -> Any:
        """Give futures up."""

    def retry(self, futures: Any) -> Any:
        """Run tasks that erred once more."""

    async def explain_all(self, futures: list[Any]) -> list[Explanation]:
        """Say why futures are not done, or what they are. A call of steps, see `blocking`."""


class Future:
    """The result of a task, now or later. Made by `Executor.submit`, `map` and `scatter`.

    With an asynchronous executor `result`, `exception`, `traceback` and `retry` return awaitables.

    Attributes
    ----------
    executor : Executor
        Where it was submitted.
    wish : jupyter_dist.core.futures.Wish
        What is known of it here, shared by all Futures on the key.
    """

    __slots__ = ("__weakref__", "executor", "wish")

    __dask_future__ = True  # in a graph of dask it stands for a task that is known by `key`

    def __init__(self, executor: Owner, wish: Wish) -> None:
        self.executor = executor
        self.wish = wish

    def __del__(self) -> None:
        wish = getattr(self, "wish", None)
        if wish is not None:
            self.executor.session.drop(wish)

    @property
    def key(self) -> str:
        """The name of the task in the cluster."""
        return self.wish.key

    @property
    def label(self) -> str:
        """What people call the task: the name of its function."""
        return self.wish.label

    @property
    def status(self) -> FutureStatus:
        """One of pending, finished, error, cancelled, lost; lost is passing: the value is being made again."""
        return self.wish.status

    @property
    def type(self) -> str:
        """The name of the result's type; empty while there is none."""
        return self.wish.type_name

    @property
    def nbytes(self) -> int:
        """The size of the packed result in bytes; 0 while there is none."""
        return self.wish.nbytes

    @property
    def output(self) -> str:
        """What the task printed; of a long output the end."""
        wish = self.wish
        with self.executor.session.lock:
            text = "".join(part for _, part in wish.output or ())
        return f"… {wish.output_cut:,} characters before this were dropped\n{text}" if wish.output_cut else text

    def watch_output(self, function: Callable[[str, str], object]) -> None:
        """Call ``function(stream, text)`` with what the task printed so far, as far as it is kept, and then as it prints.

        It is called in the I/O thread and must not block. A later one takes the place of an earlier. TypeError for what
        cannot be called.
        """
        if not callable(function):
            raise TypeError(f"a listener is a function that is called; a {type(function).__name__} cannot be")
        block(self._listen(function))

    async def _listen(self, function: Callable[[str, str], object]) -> None:
        await Remotely(loop_thread(), self._listen_there, function)

    async def _listen_there(self, function: Callable[[str, str], object]) -> None:
        # In the thread that hears: nothing is told twice and nothing is missed.
        for stream, text in tuple(self.wish.output or ()):
            function(stream, text)
        self.wish.on_output = function

    def done(self) -> bool:
        """Whether it is finished, erred or cancelled."""
        return self.wish.is_settled

    def running(self) -> bool:
        """Whether it is not done. A client is not told when a task begins; see the panel for that."""
        return not self.wish.is_settled

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.wish.status == "cancelled"

    def cancel(self, force: bool = False) -> bool:
        """Give the task up; with ``force`` stop it when it runs. Return whether it is cancelled now. Never blocks."""
        if not self.done():
            self.executor.cancel([self], force=force)
        return self.cancelled()

    def retry(self) -> Any:
        """Run the task again that erred, and what erred because of it; this future is pending again.

        Raises
        ------
        As `Executor.retry`.
        """
        return self.executor.retry([self])

    def explain(self) -> Any:
        """Say why it is not done, or what it is: an `Explanation` for a person, with ``state`` and ``reasons``.

        It says what is missing, who may run it, what they are busy with, and where it is; also when it waits for ever.
        With an asynchronous executor an awaitable of it. Of a closed executor only what is known here is told.
        """
        return perform(self._explain(), asynchronous=self.executor.asynchronous)

    async def _explain(self) -> Explanation:
        (explanation,) = await self.executor.explain_all([self])
        return explanation

    def release(self) -> None:
        """Let go of the result now, not when this object is collected. A second call does nothing.

        The cluster drops the result when no other Future holds it. This Future raises CancelledError from now on.
        """
        held, self.wish = self.wish, gone_wish(self.key, self.label, "it was released")
        self.executor.session.release(held)

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, or raise what the task raised.

        Parameters
        ----------
        timeout
            Seconds to wait at most; None to wait until it is done.

        Raises
        ------
        TimeoutError
            It was not done in time.
        CancelledError
            It was cancelled, or the cluster is gone; the text says by what.
        Exception
            The task's own exception, or that of the input it needed, with the worker's traceback.
        TaskError
            The task crashed its workers, was lost, timed out, or its result cannot be loaded here.
        """
        __tracebackhide__ = True
        try:
            return perform(self.load(timeout), asynchronous=self.executor.asynchronous)
        except BaseException as error:
            hide_frames(error)
            raise

    def exception(self, timeout: float | None = None) -> Any:
        """Return what the task raised, or None when it finished. Raises as `result` for time and cancellation."""
        __tracebackhide__ = True
        try:
            return perform(self._exception(timeout), asynchronous=self.executor.asynchronous)
        except BaseException as error:
            hide_frames(error)
            raise

    def traceback(self, timeout: float | None = None) -> Any:
        """Return the traceback of what the task raised, in the frames of its own code; None when it finished."""
        __tracebackhide__ = True
        try:
            return perform(self._traceback(timeout), asynchronous=self.executor.asynchronous)
        except BaseException as error:
            hide_frames(error)
            raise

    def add_done_callback(self, function: Callable[[Future], object]) -> None:
        """Call a function with this future once it is done, at once if it is; in a thread for callbacks.

        TypeError for what cannot be called.
        """
        if not callable(function):
            raise TypeError(f"a callback is a function that is called; a {type(function).__name__} cannot be")
        watcher = _Callback(self, function)
        if not self.executor.session.watch(self.wish, watcher):
            run_later(lambda: function(self))

    def result_here(self) -> Any:
        """Return the result, which is in this process, or raise what the task raised. Never waits."""
        __tracebackhide__ = True
        wish = self.wish
        _raise_failure(wish)
        value = self.executor.results.load_here(wish)
        if value is UNLOADED:
            raise FutureCancelledError(f"{wish.key} was taken back while its result was read: it is {wish.status}")
        return value

    def raise_failure(self) -> None:
        """Raise what `result` raises, if it has failed."""
        __tracebackhide__ = True
        _raise_failure(self.wish)

    async def load(self, timeout: float | None = None) -> Any:
        """Do as `result`, as a call of steps, see `blocking`."""
        __tracebackhide__ = True
        check_wait(timeout)
        wish = self.wish  # kept: a release meanwhile is told through it
        deadline = None if timeout is None else time.monotonic() + timeout
        await self._settled(wish, timeout)
        _raise_failure(wish)
        if wish.loaded is not UNLOADED:
            return wish.loaded
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return await self.executor.results.load(wish, left)

    async def _exception(self, timeout: float | None) -> BaseException | None:
        __tracebackhide__ = True
        check_wait(timeout)
        wish = self.wish
        await self._settled(wish, timeout)
        if wish.status == "cancelled":
            raise cancelled_error(wish)
        return load_exception(wish.error) if wish.error else None

    async def _traceback(self, timeout: float | None) -> TracebackType | None:
        __tracebackhide__ = True
        error = await self._exception(timeout)
        return error.__traceback__ if error else None

    async def _settled(self, wish: Wish, timeout: float | None) -> None:
        __tracebackhide__ = True
        if wish.is_settled:
            return
        countdown = Countdown(1)
        session = self.executor.session
        if not session.watch(wish, countdown):
            return
        try:
            if not await Opening(countdown, timeout):
                raise TimeoutError(f"{wish.key} was not done within {timeout} s")
        finally:
            if not countdown.is_open:
                session.unwatch([wish], countdown)

    def __await__(self) -> Generator[Any, Any, Any]:
        __tracebackhide__ = True
        try:
            return (yield from begin(self.load()).__await__())
        except BaseException as error:
            hide_frames(error)
            raise

    def __reduce__(self) -> tuple[object, ...]:
        travel.note(self)
        cluster = getattr(getattr(self.executor, "info", None), "cluster", "")
        return load_future, (cluster, self.key, self.label)

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "jupyter_dist.Future", self.key

    def __repr__(self) -> str:
        return future_text(self.wish)

    def _repr_html_(self) -> str:
        return future_html(self.wish)


def _raise_failure(wish: Wish) -> None:
    __tracebackhide__ = True
    if wish.status == "cancelled":
        raise cancelled_error(wish)
    if wish.error is not None:
        raise load_exception(wish.error)


class _Callback:
    """Calls a user's function once, when the wish has settled."""

    def __init__(self, future: Future, function: Callable[[Future], object]) -> None:
        self._future = future
        self._function = function

    def notify(self, wish: Wish) -> None:
        """Call it soon, if the wish has settled."""
        if wish.is_settled:
            function, future = self._function, self._future
            run_later(lambda: function(future))


def load_future(cluster: str, key: str, label: str) -> Future:
    """Return a Future that was pickled. Called by the unpickler alone.

    It is bound to the executor that reads it, else to that of the tasks in a worker of the cluster, or to an open executor
    of this process on the same cluster, and holds the result there. Where there is none it can be shown, and raises
    CancelledError when it is used.
    """
    reading = [reader for reader in travel.readers() if reader.info.cluster == cluster and not reader.is_closed]
    for reader in reading:
        if (known := reader.session.join(key)) is not None:
            return Future(reader, known)
    host = inside.host() if inside.is_worker() else None
    if host is not None and host.identity.cluster == cluster:
        executor: Any = inside.call_client()
        return Future(executor, block(want_noted(executor, key, label)))
    near = reading or [executor for executor in current.open_executors() if executor.info.cluster == cluster]
    for executor in near:
        wish = executor.session.join(key)
        if wish is not None:
            return Future(executor, wish)
    for executor in near:
        return Future(executor, executor.session.want(key, label))
    return Future(NOWHERE, gone_wish(key, label, "this process has no open executor on its cluster"))


async def want_noted(executor: Any, key: str, label: str) -> Wish:
    """Return a wish for a key that others made known, once the scheduler has noted it. A call of steps.

    What keeps the key until the wish is noted is a task that ends, so this waits for the scheduler's word.
    """
    session: Session = executor.session
    with session.lock:
        session.check_open()
        wish, is_new = session.table.wish(key, label)
    if is_new:
        try:
            await Remotely(executor.loop, session.ask, lambda request: WantKeys(((key, wish.number),), request))
        except BaseException:
            session.drop(wish)
            raise
    return wish


async def noted(executor: Any) -> None:
    """Return when the scheduler has heard all that was said through an executor. A call of steps."""
    await Remotely(executor.loop, executor.session.ask, Ping)
