"""A session: what one client has with one scheduler, in one event loop, for any number of threads.

Threads make and drop wishes under one lock and leave what is to be said in one queue, so that the order in which things
were done is the order in which the scheduler hears of them; the loop empties the queue. What the scheduler says is
noted under the same lock, and watchers are told outside it. A Future that dies may do so in any thread, even inside
this module: it only appends to a queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable

from jupyter_dist.client.shipping import Shipping
from jupyter_dist.client.waiting import Watcher
from jupyter_dist.comm.channel import Channel
from jupyter_dist.comm.connect import connect
from jupyter_dist.comm.links import CLIENT_SIDE
from jupyter_dist.core.futures import FutureTable, Wish
from jupyter_dist.errors import ClusterClosedError, ClusterError, NoClusterError
from jupyter_dist.ids import new_token
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.messages import (
    Answer,
    CloseSession,
    CodeReplaced,
    FunctionBody,
    KeyFinished,
    KeyOutput,
    Message,
    Observation,
    OpenSession,
    PutValue,
    Refused,
    Release,
    RetryKeys,
    Submit,
    TaskOptions,
    TaskSpec,
    Welcome,
)
from jupyter_dist.settings import Settings

log = logging.getLogger("jupyter_dist.client")


class Session:
    """One client's session. Made by `open_session` in the loop it lives in.

    Attributes
    ----------
    info
        The cluster.
    table
        What is wished for; to be read and changed under `lock` only.
    code
        What the cluster has of this process's local modules.
    closed_reason
        Why the session is over; empty while it is not.
    """

    def __init__(self, info: ClusterInfo, settings: Settings) -> None:
        self.info = info
        self.settings = settings
        self.lock = threading.RLock()  # re-entrant: a Future may die while this thread holds it
        self.table = FutureTable(settings.output_bytes_max)
        self.code = Shipping(self.say, settings)
        self.closed_reason = ""
        self.on_observation: Callable[[Observation], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._channel: Channel | None = None
        self._outgoing: deque[Message] = deque()
        self._dropped: deque[Wish] = deque()
        self._is_flushing = False
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._last_request = 0
        self._welcomed: asyncio.Future[Welcome] = self._loop.create_future()
        self.welcome: Welcome | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be asked."""
        return bool(self.closed_reason)

    async def open(self, *, kind: str, name: str, linger_s: float) -> None:
        """Connect and be welcomed.

        Raises
        ------
        NoClusterError
            Nobody answers at the cluster's address.
        AuthenticationError
            The secret is wrong.
        ClusterError
            The scheduler refused, with its reason.
        """
        info = self.info
        try:
            self._channel = await connect(
                info.address,
                role="client",
                identity_cluster=info.cluster,
                secret=info.secret,
                codec=CLIENT_SIDE,
                receiver=self,
                settings=self.settings,
            )
        except OSError as error:
            raise NoClusterError(
                f"the cluster {info.name!r} does not answer ({error}). Start one with `%distributed start`, "
                "`jupyter dist start`, or `Executor(n_workers=…)`"
            ) from error
        self._channel.send(OpenSession(new_token(), kind, name, linger_s, os.getpid()))
        async with asyncio.timeout(self.settings.handshake_s_max):
            await asyncio.wait([self._welcomed])
        if self._welcomed.cancelled():
            raise ClusterClosedError(self.closed_reason)
        self.welcome = self._welcomed.result()

    # -- wishes: any thread ------------------------------------------------------------------------------------------

    def submit(
        self, function: FunctionBody, options: TaskOptions, calls: Iterable[tuple[str, bytes, tuple[str, ...]]]
    ) -> list[Wish]:
        """Wish for the results of calls of one function, each a key, packed arguments and keys of inputs.

        Raises
        ------
        ClusterClosedError
            The session is over.
        """
        wishes, specs = [], []
        with self.lock:
            self.check_open()
            for key, arguments, dependencies in calls:
                wish, is_new = self.table.wish(key, function.label)
                wishes.append(wish)
                if is_new:
                    specs.append(TaskSpec(key, arguments, dependencies, wish.number))
            if specs:
                self._say(Submit(function, options, tuple(specs)))
        return wishes

    def retry(self, wishes: Iterable[Wish]) -> None:
        """Wish again for what erred; what did not is left as it is."""
        with self.lock:
            self.check_open()
            again = self.table.retry(dict.fromkeys(wishes))
            if again:
                self._say(RetryKeys(tuple(wish.key for wish in again)))

    def put(self, key: str, value: bytes, type_name: str) -> Wish:
        """Make a value known to the cluster under a key."""
        with self.lock:
            self.check_open()
            wish, is_new = self.table.wish(key, "scatter")
            if is_new:
                self._say(PutValue(key, value, type_name, wish.number))
        return wish

    def put_stored(self, key: str, name: str, nbytes: int, type_name: str) -> tuple[Wish, bool]:
        """Make a value in the host's object store known under a key; return also whether it is used.

        It is not used when the key was known already.
        """
        with self.lock:
            self.check_open()
            wish, is_new = self.table.wish(key, "scatter")
            if is_new:
                self._say(PutValue(key, b"", type_name, wish.number, name, nbytes))
        return wish, is_new

    def drop(self, wish: Wish) -> None:
        """Note that a Future is gone. Called by garbage collection too: takes no lock and never fails."""
        self._dropped.append(wish)
        self._wake()

    def release(self, wish: Wish) -> None:
        """Let one reference on a wish go now; when it was the last, whoever still waits for it is told."""
        with self.lock:
            self._release_dropped()
            is_last = wish.references == 1 and self.table.by_number.get(wish.number) is wish
            told = self._watchers_of(self.table.cancel([wish], "its last future was released")) if is_last else []
            wish.references -= 1
            if is_last and not self.closed_reason:
                self._say(Release((wish.key,)))
        _notify(told)

    def join(self, key: str) -> Wish | None:
        """Return the wish this session has for a key, with one reference more; None when it has none."""
        with self.lock:
            self._release_dropped()
            wish = self.table.by_key.get(key)
            if wish is not None:
                wish.references += 1
        return wish

    def settle_cancelled(self, wishes: Iterable[Wish], reason: str) -> list[Wish]:
        """Settle wishes as cancelled here and now, and tell their watchers."""
        with self.lock:
            changed = self.table.cancel(wishes, reason)
            told = self._watchers_of(changed)
        _notify(told)
        return changed

    def say(self, message: Message) -> None:
        """Say something to the scheduler, after all that was said before.

        Raises
        ------
        ClusterClosedError
            The session is over.
        """
        with self.lock:
            self.check_open()
            self._say(message)

    def watch(self, wish: Wish, watcher: Watcher) -> bool:
        """Have a watcher told when a wish settles; False when it has, and the watcher was not added."""
        with self.lock:
            if wish.is_settled:
                return False
            if wish.watchers is None:
                wish.watchers = []
            wish.watchers.append(watcher)
            return True

    def watch_all(self, wishes: Iterable[Wish], watcher: Watcher) -> int:
        """Have a watcher told of each of these wishes that has not settled; return how many these are."""
        with self.lock:
            return sum(self.watch(wish, watcher) for wish in wishes)

    def unwatch(self, wishes: Iterable[Wish], watcher: Watcher) -> None:
        """Stop telling a watcher."""
        with self.lock:
            for wish in wishes:
                if wish.watchers and watcher in wish.watchers:
                    wish.watchers.remove(watcher)

    def check_open(self) -> None:
        """Raise ClusterClosedError when the session is over."""
        if self.closed_reason:
            raise ClusterClosedError(self.closed_reason)

    # -- the queue to the scheduler ----------------------------------------------------------------------------------

    def _say(self, message: Message) -> None:
        self._outgoing.append(message)
        self._wake()

    def _wake(self) -> None:
        if not self._is_flushing and not self._loop.is_closed():
            self._is_flushing = True
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: the interpreter is ending
                self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        """Send what was said. Runs in the loop."""
        self._is_flushing = False
        with self.lock:
            self._release_dropped()
            messages = list(self._outgoing)
            self._outgoing.clear()
        if messages and self._channel is not None:
            self._channel.send_all(messages)

    def _release_dropped(self) -> None:
        keys = []
        while self._dropped:
            wish = self._dropped.popleft()
            if self.table.drop(wish):
                keys.append(wish.key)
        if keys:
            self._outgoing.append(Release(tuple(keys)))

    # -- what the scheduler says: the loop ---------------------------------------------------------------------------

    def received(self, messages: list[Message], _buffers: list[memoryview]) -> None:
        """Take one frame."""
        with self.lock:
            changed = self.table.handle(messages)
            told = self._watchers_of(changed)
        for message in messages:
            if type(message) is not KeyFinished:
                self._hear(message)
        _notify(told)

    def _watchers_of(self, wishes: list[Wish]) -> list[tuple[Watcher, Wish]]:
        """Return who is to be told of changes; who waited for a wish to settle is told once and forgotten."""
        told: list[tuple[Watcher, Wish]] = []
        for wish in wishes:
            if wish.watchers:
                told.extend((watcher, wish) for watcher in wish.watchers)
                if wish.is_settled:
                    wish.watchers = None
        return told

    def _hear(self, message: Message) -> None:
        if isinstance(message, KeyOutput):
            self._hear_output(message)
        elif isinstance(message, Answer):
            answer = self._answers.pop(message.request, None)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif isinstance(message, Observation):
            if self.on_observation is not None:
                self.on_observation(message)
        elif isinstance(message, CodeReplaced):
            self.code.on_replaced(message)
        elif isinstance(message, Welcome):
            self._welcomed.set_result(message)
        elif isinstance(message, Refused) and not self._welcomed.done():
            self._welcomed.set_exception(ClusterError(message.reason))

    def _hear_output(self, message: KeyOutput) -> None:
        wish = self.table.by_number.get(message.wish)
        if wish is not None and wish.on_output is not None:
            try:
                wish.on_output(message.stream, message.text)
            except Exception:  # one listener's fault must not end the session
                log.exception("the listener of %s failed", wish.key)

    def closed(self, reason: str) -> None:
        """Take the end of the channel: whatever has not been delivered will not be."""
        self._end(f"the connection to the cluster {self.info.name!r} was lost: {reason or 'it stopped'}")

    def _end(self, reason: str) -> None:
        with self.lock:
            if self.closed_reason:
                return
            self.closed_reason = reason
            told = self._watchers_of(self.table.cancel_all(reason))
        _notify(told)
        self._welcomed.cancel()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ClusterClosedError(reason))
                answer.exception()  # seen here: nobody may be waiting any more
        self._answers.clear()

    # -- requests: the loop ------------------------------------------------------------------------------------------

    async def ask(self, make: Callable[[int], Message]) -> Answer:
        """Send a request, made from its number, and return the answer.

        Raises
        ------
        ClusterError
            The scheduler answered with an error.
        ClusterClosedError
            The session is over, or ended before the answer came.
        """
        self.check_open()
        self._last_request += 1
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answers[self._last_request] = answer
        self.say(make(self._last_request))
        result = await answer
        if result.error and result.failure is None:  # a failure is for the user's thread to load
            raise ClusterError(result.error)
        return result

    def abort(self, reason: str) -> None:
        """End the session without a word to the scheduler."""
        if self._channel is not None:
            self._channel.abort(reason)
        self._end(reason)

    async def close(self, reason: str) -> None:
        """End the session in order: what only it wanted is released."""
        if self._channel is not None and not self.closed_reason:
            self._flush()
            self._channel.send(CloseSession())
            self._end(reason)
            self._channel.close(reason)


def _notify(told: Iterable[tuple[Watcher, Wish]]) -> None:
    for watcher, wish in told:
        try:
            watcher.notify(wish)
        except Exception:  # one watcher's fault must not keep the others waiting
            log.exception("a watcher of %s failed", wish.key)


async def open_session(
    info: ClusterInfo, settings: Settings, *, kind: str, name: str = "", linger_s: float = 0.0
) -> Session:
    """Open a session with a cluster in the running loop. Raises as `Session.open` does."""
    session = Session(info, settings)
    try:
        await session.open(kind=kind, name=name, linger_s=linger_s)
    except BaseException as error:
        session.abort("it could not be opened")
        if not isinstance(error, TimeoutError):
            raise
        raise ClusterError(
            f"the scheduler of {info.name!r} does not answer: it may be stopped or overloaded"
        ) from error
    return session
