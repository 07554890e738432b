"""A session: what one client has with one scheduler, in one event loop, for any number of threads.

Threads make and drop wishes under one lock and leave what is to be said in one queue, so that the order in which things
were done is the order in which the scheduler hears of them; the loop empties the queue. What the scheduler says is
noted under the same lock, and watchers are told outside it. A Future that dies may do so in any thread, even inside
this module: it only appends to a queue.

In a forked child a session is over: the connection and the thread that serves it are its parent's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from jupyter_dist.client.line import Line
from jupyter_dist.client.loop import FORKED
from jupyter_dist.client.questions import Questions
from jupyter_dist.client.requests import Requests, granted
from jupyter_dist.client.shipping import Shipping
from jupyter_dist.client.silence import Silence
from jupyter_dist.client.waiting import Question, Watcher, unsettled
from jupyter_dist.core.futures import FutureTable, Wish
from jupyter_dist.core.outgoing import Outgoing
from jupyter_dist.errors import ClusterClosedError, ClusterError, NoClusterError
from jupyter_dist.ids import new_token
from jupyter_dist.launch.connection_file import ClusterInfo, is_nanny_there, refresh
from jupyter_dist.messages import (
    Answer,
    ClaimedKey,
    ClaimParcels,
    CloseSession,
    ClusterStopped,
    CodeReplaced,
    Coordinated,
    FunctionBody,
    GiveUpRequest,
    Kept,
    KeyFinished,
    KeyName,
    KeyOutput,
    KeyWish,
    MentionedFuture,
    Message,
    NameKeys,
    Observation,
    OpenSession,
    PutValue,
    Release,
    RetryKeys,
    SessionView,
    Submit,
    TakeOver,
    TaskOptions,
    TaskSpec,
    WantKeys,
    Welcome,
)
from jupyter_dist.processes import inside
from jupyter_dist.settings import Settings

log = logging.getLogger("jupyter_dist.client")

# A call: its key, its packed arguments, the keys of its inputs, and perhaps those of futures that travel in it.
CallSpec = tuple[str, bytes, tuple[str, ...]] | tuple[str, bytes, tuple[str, ...], tuple[str, ...]]


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
        self.on_resumed: Callable[[bool], None] | None = None  # told whether the scheduler is another one
        self.on_ended: Callable[[], None] | None = None
        self.epoch = 0  # of the scheduler
        self._loop = asyncio.get_running_loop()
        self._line: Line | None = None
        self._outgoing = Outgoing()
        self._dropped: deque[Wish] = deque()
        self._is_flushing = False
        self._is_ending = False
        self._requests = Requests(self._loop)
        self._questions = Questions()
        self._silence = Silence(self)
        _sessions.add(self)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be asked."""
        return bool(self.closed_reason)

    @property
    def trouble(self) -> str:
        """Why nothing comes from the scheduler just now, in words; empty as a rule."""
        lost = self._line.lost_reason if self._line is not None else ""
        return f"the connection was lost ({lost}) and is looked for" if lost else self._silence.words

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
        opening = OpenSession(new_token(), kind, name, linger_s, os.getpid())
        self._line = Line(self.info, self.settings, opening, self)
        try:
            await self._line.open()
        except TimeoutError as error:
            raise ClusterError(
                f"the scheduler of {self.info.name!r} does not answer: it may be stopped or overloaded"
            ) from error
        except OSError as error:
            raise NoClusterError(
                f"the cluster {self.info.name!r} does not answer ({error}). Start one with `%distributed start`, "
                "`jupyter dist start`, or `Executor(n_workers=…)`"
            ) from error

    # -- wishes: any thread ------------------------------------------------------------------------------------------

    def submit(self, function: FunctionBody, options: TaskOptions, calls: Iterable[CallSpec]) -> list[Wish]:
        """Wish for the results of calls of one function.

        Raises
        ------
        ClusterClosedError
            The session is over.
        """
        wishes, specs = [], []
        with self.lock:
            self.check_open()
            for key, arguments, dependencies, *held in calls:
                wish, is_new = self.table.wish(key, function.label)
                wishes.append(wish)
                if is_new:
                    specs.append(TaskSpec(key, arguments, dependencies, wish.number, *held))
            if specs:
                self._say(Submit(function, options, tuple(specs), inside.running_key()))
        return wishes

    def want(self, key: str, label: str) -> Wish:
        """Wish for a key that others made known; it is cancelled soon if the cluster does not know it.

        Raises
        ------
        ClusterClosedError
            The session is over.
        """
        with self.lock:
            self.check_open()
            wish, is_new = self.table.wish(key, label)
            if is_new:
                self._say(WantKeys(((key, wish.number),)))
        return wish

    def retry(self, wishes: Sequence[Wish]) -> None:
        """Wish again for what erred, and for all that passed on the same error; what did not err is left as it is.

        What is tried again are the inputs that raised it, so none of these may go on telling of it.
        """
        with self.lock:
            self.check_open()
            again = self.table.retry(dict.fromkeys([*wishes, *self._with_origins_of(wishes)]))
            if again:
                self._say(RetryKeys(tuple(wish.key for wish in again)))

    def _with_origins_of(self, wishes: Iterable[Wish]) -> list[Wish]:
        origins = {wish.error.key for wish in wishes if wish.error is not None}
        return [wish for wish in self.table.by_key.values() if wish.error is not None and wish.error.key in origins]

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

    def unsettled(self) -> list[Wish]:
        """Return the wishes that may still settle; one whose last Future is gone never will."""
        with self.lock:
            self._release_dropped()
            return unsettled(self.table.by_key.values())

    def name_wishes(self, wishes: Iterable[tuple[str, Wish]]) -> None:
        """Have the cluster know names for keys; of those that are given up already nothing is said."""
        with self.lock:
            self.check_open()
            known = [(name, wish) for name, wish in wishes if self.table.by_number.get(wish.number) is wish]
            if known:
                self._say(NameKeys(tuple(KeyName(name, wish.key) for name, wish in known)))

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

    # -- questions that may wait for long: any thread ----------------------------------------------------------------

    def put_question(self, make: Callable[[int], Message]) -> Question:
        """Send a request for coordination, made from its number; the question opens when it is answered.

        Whoever waits no longer must `abandon` it.

        Raises
        ------
        ClusterClosedError
            The session is over.
        """
        with self.lock:
            self.check_open()
            question = self._questions.add()
            self._say(make(question.number))
        return question

    def abandon(self, number: int) -> None:
        """Have whatever became of a question undone. Never fails; may be called by garbage collection."""
        with self.lock:
            self._questions.forget(number)
            if not self.closed_reason:
                self._say(GiveUpRequest(number, undo=True))

    def claim(self, number: int, futures: Iterable[MentionedFuture]) -> list[Wish]:
        """Wish for the results that the answer to a question speaks of, with one reference each.

        Raises
        ------
        ClusterClosedError
            The session is over.
        """
        wishes, claimed = [], []
        with self.lock:
            self.check_open()
            self._release_dropped()
            for future in futures:
                wish, is_new = self.table.wish(future.key, future.label)
                wishes.append(wish)
                if is_new:
                    claimed.append(ClaimedKey(wish.key, wish.number))
            self._say(ClaimParcels(number, tuple(claimed)))
        return wishes

    # -- the queue to the scheduler ----------------------------------------------------------------------------------

    def _say(self, message: Message) -> None:
        self._outgoing.add(message)
        self._wake()

    def _wake(self) -> None:
        if not self._is_flushing and not self._loop.is_closed():
            self._is_flushing = True
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: the interpreter is ending
                self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        """Send what was said, if there is a scheduler. Runs in the loop."""
        self._is_flushing = False
        line = self._line
        if line is None or not line.is_open:
            return
        with self.lock:
            self._release_dropped()
            messages = self._outgoing.take()
        if messages:
            line.send(messages)
            self._silence.watch()

    def keep_dropped(self) -> None:
        """Release nothing more because a Future is gone: this process is ending, and all of them will be.

        Takes no lock: in a forked child that ends somebody who is not there may have it.
        """
        self._is_ending = True

    def _release_dropped(self) -> None:
        if self._is_ending:
            return
        keys = []
        while self._dropped:
            wish = self._dropped.popleft()
            if self.table.drop(wish):
                keys.append(wish.key)
        if keys:
            self._outgoing.add(Release(tuple(keys)))

    # -- what the scheduler says: the loop ---------------------------------------------------------------------------

    def welcomed(self, welcome: Welcome, *, is_first: bool) -> None:
        """Take note that there is a connection: say again what the scheduler may have forgotten."""
        is_another, self.epoch = welcome.epoch != self.epoch, welcome.epoch
        if not is_nanny_there(self.info):
            self.info = refresh(self.info)  # another nanny keeps the cluster now
        if not is_first:
            with self.lock:
                self._release_dropped()
                again = self._requests.again(self._outgoing.is_waiting)
                self._outgoing.resume(welcome.received, [self.table.claims(), *again, *self._questions.end_lost()])
            self.code.forget_put()
            if self.on_resumed is not None:
                self.on_resumed(is_another)
        self._flush()

    def heard(self, messages: list[Message]) -> None:
        """Take one frame."""
        self._silence.end()
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
            self._requests.hear(message)
        elif isinstance(message, Coordinated):
            self._questions.hear(message)
        elif isinstance(message, Observation):
            if self.on_observation is not None:
                self.on_observation(message)
        elif isinstance(message, Kept):
            with self.lock:
                self._outgoing.on_kept(message.received)
        elif isinstance(message, CodeReplaced):
            self.code.on_replaced(message)
        elif isinstance(message, ClusterStopped):
            self.abort(message.reason)

    def _hear_output(self, message: KeyOutput) -> None:
        wish = self.table.by_number.get(message.wish)
        if wish is not None and wish.on_output is not None:
            try:
                wish.on_output(message.stream, message.text)
            except Exception:  # one listener's fault must not end the session
                log.exception("the listener of %s failed", wish.key)

    def ended(self, reason: str) -> None:
        """Take the end of the line: whatever has not been delivered will not be."""
        self._end(reason)

    def is_waiting(self) -> bool:
        """Whether something is to come from the scheduler."""
        if self._requests or self._questions:
            return True
        with self.lock:
            return any(not wish.is_settled for wish in reversed(self.table.by_number.values()))

    def _end(self, reason: str) -> None:
        with self.lock:
            if self.closed_reason:
                return
            self.closed_reason = reason
            told = self._watchers_of(self.table.cancel_all(reason))
        _notify(told)
        self._questions.end()
        self._requests.end(reason)
        if self.on_ended is not None:
            self.on_ended()

    # -- requests: the loop ------------------------------------------------------------------------------------------

    async def ask(self, make: Callable[[int], Message]) -> Answer:
        """Send a request, made from its number, and return the answer.

        Raises
        ------
        ClusterError
            The scheduler answered with an error.
        UsageError, TimeoutError
            It did, and the error is of this kind.
        ClusterClosedError
            The session is over, or ended before the answer came.
        """
        self.check_open()
        with self.lock:  # what the request says of the table is still so when it is queued
            message, answer = self._requests.add(make)
            self.say(message)
        return granted(await answer)

    async def take_over(self, lost: Sequence[SessionView]) -> dict[str, Wish]:
        """Wish for all that lost sessions want, and end them; return the wishes by key, each with one reference more.

        A wish is cancelled when its key was let go, or taken over by somebody else, a moment ago.
        """
        taken: dict[str, Wish] = {}
        labels = {wanted.key: wanted.label for session in lost for wanted in session.wanted}

        def wish_for_all(request: int) -> TakeOver:
            fresh = []
            for key, label in labels.items():
                taken[key], is_new = self.table.wish(key, label)
                if is_new:
                    fresh.append(KeyWish(key, taken[key].number))
            return TakeOver(request, tuple(session.session for session in lost), tuple(fresh))

        await self.ask(wish_for_all)
        return taken

    def end_in_child(self) -> None:
        """Be over, in a forked child. Nobody is told: whoever waits does so in threads that are not here."""
        self.lock = threading.RLock()  # a thread of the parent's may hold the old one
        self._is_flushing = True  # for ever: the loop must not be woken, it is the parent's
        if not self.closed_reason:
            self.closed_reason = FORKED
            self.table.cancel_all(FORKED)

    def abort(self, reason: str) -> None:
        """End the session without a word to the scheduler."""
        if self._line is not None:
            self._line.abort(reason)
        self._end(reason)

    async def close(self, reason: str) -> None:
        """End the session in order: what only it wanted is released.

        It is for the scheduler to close the connection: on one this side has closed, something the scheduler says just
        then would break it before the scheduler has read that the session is over.
        """
        line = self._line
        if line is not None and not self.closed_reason:
            self._flush()
            if line.is_open:
                line.send([CloseSession()])
            self._end(reason)
            await line.close(reason)


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _after_fork() -> None:
    for session in tuple(_sessions):
        session.end_in_child()


os.register_at_fork(after_in_child=_after_fork)


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
    except BaseException:
        session.abort("it could not be opened")
        raise
    return session
