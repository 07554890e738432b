"""A session: what one client has with one scheduler, in one event loop, for any number of threads.

What the threads wish for and leave to be said is in `wishes`; the loop empties that queue here. What the scheduler says is
noted under the same lock, and watchers are told outside it.

In a forked child a session is over: the connection and the thread that serves it are its parent's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence

from jupyter_dist.client.line import Line
from jupyter_dist.client.loop import FORKED
from jupyter_dist.client.questions import Questions
from jupyter_dist.client.requests import Requests, granted
from jupyter_dist.client.shipping import Shipping
from jupyter_dist.client.silence import Silence
from jupyter_dist.client.waiting import Question
from jupyter_dist.client.wishes import Wishes, notify
from jupyter_dist.core.futures import Wish
from jupyter_dist.errors import ClusterError, NoClusterError
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
    Kept,
    KeyFinished,
    KeyOutput,
    KeyWish,
    MentionedFuture,
    Message,
    Observation,
    OpenSession,
    SessionView,
    TakeOver,
    Welcome,
)
from jupyter_dist.settings import Settings

log = logging.getLogger("jupyter_dist.client")


class Session(Wishes):
    """One client's session. Made by `open_session` in the loop it lives in.

    Attributes
    ----------
    info
        The cluster.
    code
        What the cluster has of this process's local modules.
    """

    def __init__(self, info: ClusterInfo, settings: Settings) -> None:
        super().__init__(settings)
        self.info = info
        self.code = Shipping(self.say, settings)
        self.on_observation: Callable[[Observation], None] | None = None
        self.on_resumed: Callable[[bool], None] | None = None  # told whether the scheduler is another one
        self.on_ended: Callable[[], None] | None = None
        self.epoch = 0  # of the scheduler
        self._loop = asyncio.get_running_loop()
        self._line: Line | None = None
        self._is_flushing = False
        self._requests = Requests(self._loop)
        self._questions = Questions()
        self._silence = Silence(self)
        _sessions.add(self)

    @property
    def is_cut_off(self) -> bool:
        """Whether the connection was lost, and the scheduler is looked for."""
        return self._line is not None and bool(self._line.lost_reason)

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
            question, message = self._questions.ask(make)
            self._say(message)
        return question

    def give_up(self, number: int) -> None:
        """Wait for the answer to a question no longer, but for what became of it. Raises as `put_question`."""
        with self.lock:
            self.check_open()
            self._say(self._questions.give_up(number))

    def abandon(self, number: int) -> None:
        """Have whatever became of a question undone. Never fails; may be called by garbage collection."""
        with self.lock:
            undo = self._questions.abandon(number)
            if not self.closed_reason:
                self._say(undo)

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
                self._outgoing.resume(welcome.received, [self.table.claims(), *again])
                for message in self._questions.resume(self._outgoing.queued(), is_known=not welcome.is_new):
                    self._outgoing.add(message)
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
        notify(told)

    def _hear(self, message: Message) -> None:
        if isinstance(message, KeyOutput):
            self._hear_output(message)
        elif isinstance(message, Answer):
            self._requests.hear(message)
        elif isinstance(message, Coordinated):
            with self.lock:
                for said in self._questions.hear(message):
                    self._say(said)
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
        notify(told)
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
