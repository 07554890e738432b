"""The driver of a client's table of futures in a simulated world: what it holds, reads and hears."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from msgspec import structs

from jupyter_dist.core.futures import UNLOADED, FutureTable, Wish
from jupyter_dist.core.outgoing import Outgoing
from jupyter_dist.core.questions import QuestionTable
from jupyter_dist.core.scheduler.records import TASKS
from jupyter_dist.messages import (
    Answer,
    Cancel,
    ClaimedKey,
    ClaimParcels,
    CloseSession,
    Coordinated,
    DescribeSessions,
    KeepTasks,
    Kept,
    KeyName,
    KeyWish,
    MissingValue,
    NameKeys,
    OpenSession,
    Parcel,
    Ping,
    PutValue,
    RebalanceKeys,
    Release,
    ReplicateKeys,
    RestartCluster,
    SessionView,
    Submit,
    TakeOver,
    TaskSpec,
    WantKeys,
    Welcome,
)
from tests.simulator.network import Link
from tests.simulator.oracles import LINGER_S
from tests.simulator.parties import Parties
from tests.simulator.plans import LARGE_NBYTES, Plan

OUTPUT_MAX = 200
ATTACHING = 1_000_000  # the number of requests of one that attaches


class Hearer(Protocol):
    """Who is told what becomes of questions for what is shared by name."""

    def hear(self, client: ClientHost, answer: Coordinated) -> None:
        """Take an answer."""


class ClientHost:
    """One client process with one session."""

    kind = "script"
    linger_s = LINGER_S
    pid = 1

    def __init__(self, parties: Parties, name: str, session_name: str = "") -> None:
        self.parties = parties
        self.world = parties.world
        self.name = name
        self.session_name = session_name
        self.table = FutureTable(OUTPUT_MAX)
        self.held: dict[str, Wish] = {}  # what the user still has a Future on
        self.is_open = True
        self.is_attaching = False
        self.answered: dict[int, str] = {}
        self.restarts: dict[int, list[Wish]] = {}  # request -> what was wished for by then
        self.moves: dict[int, Any] = {}  # unanswered requests about where things are, and for restarts
        self._confirmed: dict[int, Callable[[], None]] = {}  # by request: what goes on when all is heard that was said
        self._reading: dict[int, list[str]] = {}  # number of a wish -> holders that are still to be asked
        self._watchers: dict[Wish, Callable[[], None]] = {}  # who waits for a wish to settle
        self._confirmations = 0
        self._outgoing = Outgoing()
        self.questions = QuestionTable()
        self.sharing: Hearer | None = None
        self._is_welcome = False
        self._link: Link
        self._connect()

    def _connect(self) -> None:
        if self.is_open:
            self._link = self.parties.scheduler.accept(self)
            self._link.up.send([OpenSession(self.name, self.kind, self.session_name, self.linger_s, self.pid)])

    def say(self, *messages: Any) -> None:
        """Say something to the scheduler, now or when there is one."""
        for message in messages:
            self._outgoing.add(message)
        self._flush()

    def ask_by_name(self, make: Callable[[int], Any]) -> int:
        """Ask for something that is shared by name; return the request's number."""
        number, message = self.questions.ask(make)
        self.say(message)
        return number

    def claim(self, number: int, parcels: Iterable[Parcel]) -> list[str]:
        """Wish for the results that an answer speaks of; return their keys."""
        claimed = []
        keys = list(dict.fromkeys(future.key for parcel in parcels for future in parcel.futures))
        for key in keys:
            if key not in self.held:
                self.held[key], is_new = self.table.wish(key, "")
                if is_new:
                    claimed.append(ClaimedKey(key, self.held[key].number))
                    self.world.plans[key].submits += 1
        self.say(ClaimParcels(number, tuple(claimed)))
        return keys

    def ask(self, message: Any) -> None:
        """Say what is to be answered, and repeated on another connection unless that may do harm."""
        self.moves[message.request] = message
        self.say(message)

    def confirm(self, on_confirmed: Callable[[], None]) -> None:
        """Have something done once the scheduler has heard what was said so far."""
        request = self._confirmations = self._confirmations + 1
        self._confirmed[request] = on_confirmed
        self.ask(Ping(request))

    def _ask_again(self) -> list[Any]:
        """Return the requests to repeat; the others are given up."""
        said = {request: message for request, message in self.moves.items() if not self._outgoing.is_waiting(message)}
        for request, message in said.items():
            if not isinstance(message, ReplicateKeys | RebalanceKeys | RestartCluster | Ping):
                del self.moves[request]
        return [message for request, message in said.items() if request in self.moves]

    def _flush(self) -> None:
        if self._is_welcome:
            messages = self._outgoing.take()
            if messages:
                self._link.up.send(messages)

    def break_link(self) -> None:
        """Lose the connection, but live."""
        if not self._link.is_broken:
            self.world.break_randomly(self._link, "connection reset")

    # -- what its user does ------------------------------------------------------------------------------------------

    def submit(self, plans: Iterable[Plan], parent: str = "") -> None:
        """Submit tasks, inputs before what is made from them: one call each, or all of a function that follow each other."""
        said: list[Submit | PutValue] = []
        for plan in plans:
            others = [key for key in self.held if key != plan.key]
            plan.submits += 1
            wish = self._wish(plan)
            if wish is None:
                continue
            if plan.kind == "put":
                value = f"{plan.key}:put"
                self.world.plans._known[plan.key] = value
                self.parties.oracles.values[plan.key].add(value)
                known = self.parties.oracles.known()  # what is not was refused, or is to be: nothing keeps that
                spoken = self.world.speaking.put(plan, [key for key in others if key in known])
                said.append(self._put(plan, value, wish, spoken))
            else:
                held = self.world.nesting.held(others)
                spec = TaskSpec(plan.key, b"arguments", plan.dependencies, wish.number, held)
                said.append(Submit(plan.function, plan.options, (spec,), parent))
        if self.world.has_waste:
            self.say(*_joined(said))
        else:
            for message in said:
                self.say(message)

    def _put(self, plan: Plan, value: str, wish: Wish, spoken: tuple[str, ...]) -> PutValue:
        store = self.world.store
        if store.takes_next():
            return PutValue(plan.key, b"", "str", wish.number, store.write(plan.key, value), LARGE_NBYTES, spoken)
        return PutValue(plan.key, value.encode(), "str", wish.number, speaks_of=spoken)

    def _wish(self, plan: Plan) -> Wish | None:
        if plan.key in self.held:
            return None
        wish, is_new = self.table.wish(plan.key, plan.function.label)
        self.held[plan.key] = wish
        return wish if is_new else None

    def keep(self, keys: Sequence[str]) -> None:
        """Have tasks run to their end, whatever becomes of this client."""
        if keys:
            self.say(KeepTasks(tuple(keys)))

    def join(self, plan: Plan) -> None:
        """Wish for a task that somebody made known, perhaps."""
        wish = self._wish(plan)
        if wish is not None:
            plan.submits += 1
            self.say(WantKeys(((plan.key, wish.number),)))

    def _join_spoken(self, wish: Wish) -> None:
        """Wish for what a value speaks of, now that it is read; it is known, or somebody gave it up."""
        for key in self.world.speaking.of.get(wish.key, ()):
            if self.kind != TASKS and key not in self.held and wish.key in self.held:
                self.world.happened["a future in a value is wished for"] += 1
                self.join(self.world.plans[key])
                self.parties.oracles.spoken.add((self.name, self.held[key].number))

    def watch(self, key: str, on_settled: Callable[[], None]) -> None:
        """Have something done once the wish for a key has settled."""
        wish = self.held.get(key)
        if wish is None or wish.is_settled:
            on_settled()
        else:
            self._watchers[wish] = on_settled

    def _tell_watchers(self) -> None:
        for wish in [wish for wish in self._watchers if wish.is_settled]:
            self._watchers.pop(wish)()

    def drop(self, keys: Iterable[str]) -> None:
        """Drop the user's Futures on these keys."""
        dropped = [key for key in keys if self.table.drop(self.held.pop(key))]
        self.parties.oracles.let_go.update(dropped)
        if dropped:
            self.say(Release(tuple(dropped)))

    def cancel(self, keys: Sequence[str], *, force: bool) -> None:
        """Cancel what is not done of these keys."""
        pending = [self.held[key] for key in keys if not self.held[key].is_settled]
        if pending:
            self.parties.oracles.let_go.update(self.world.plans.by_key)
            self.parties.oracles.is_given_up = True
            self.say(Cancel(tuple(wish.key for wish in pending), force))
            self.table.cancel(pending, "cancelled by its user")
            self._forget_cancelled()

    def close(self) -> None:
        """Close the session in order."""
        self.world.store.may_leak |= not self._is_welcome or self._link.is_broken
        self.say(CloseSession())
        self._link.break_off(1.0, 0.0, 0.0, 0.0, "closed")
        self._leave()

    def lose(self) -> None:
        """Be killed."""
        self.world.break_randomly(self._link, "end of stream")
        self._leave()

    def die(self) -> None:
        """Be killed, and leave what was wished for to one that comes back."""
        is_heard = self._is_welcome and not self._link.is_broken
        self.world.store.may_leak |= not is_heard
        self.world.break_randomly(self._link, "end of stream", up_share=1.0)
        settled = {key for key, wish in self.held.items() if wish.status in ("finished", "error")}
        self.parties.oracles.died_with[self.name] = settled if is_heard else set()
        self.held.clear()
        self._leave()

    def call(self, names: Mapping[str, str]) -> None:
        """Give names to keys."""
        self.parties.oracles.names.update(names.items())
        self.say(NameKeys(tuple(KeyName(name, key) for name, key in names.items())))

    def attach(self) -> None:
        """Ask for lost sessions of the own name, and take them over when they are known."""
        self.is_attaching = True
        self.say(DescribeSessions(ATTACHING, self.session_name))

    def _take_over(self, sessions: Sequence[SessionView]) -> None:
        lost = [session for session in sessions if not session.is_connected]
        fresh = []
        for wanted in (wanted for session in lost for wanted in session.wanted):
            self.parties.oracles.judge_names(wanted)
            if wanted.key not in self.held:
                wish, is_new = self.table.wish(wanted.key, wanted.label)
                self.held[wanted.key] = wish
                if is_new:
                    fresh.append(KeyWish(wanted.key, wish.number))
        self.say(TakeOver(ATTACHING, tuple(session.session for session in lost), tuple(fresh)))

    def _leave(self) -> None:
        self.is_open = False
        self.parties.oracles.let_go.update(self.held)
        self.table.cancel_all("closed")
        self.held.clear()
        self._watchers.clear()

    def _forget_cancelled(self) -> None:
        self.held = {key: wish for key, wish in self.held.items() if wish.status != "cancelled"}

    # -- what it hears -----------------------------------------------------------------------------------------------

    def received(self, link: Link, messages: Sequence[Any]) -> None:
        if not self.is_open:
            return
        self.world.note(self.name, "hears", messages)
        for message in messages:
            self._hear(message)
        for wish in self.table.handle(messages):
            self.parties.oracles.judge_wish(self.name, wish)
            if wish.status == "finished" and wish.value is None and wish.loaded is UNLOADED:
                self._begin_reading(wish)
            elif wish.status == "finished":
                self._join_spoken(wish)
        self._forget_cancelled()
        self._tell_watchers()
        self._judge_output()
        for message in messages:
            if isinstance(message, Answer):
                self._on_answer(message)

    def _on_answer(self, message: Answer) -> None:
        self.answered[message.request] = message.error
        self.moves.pop(message.request, None)
        if message.request in self._confirmed:
            self._confirmed.pop(message.request)()
        if message.sessions:
            self._take_over(message.sessions)
        elif message.request == ATTACHING:
            self.is_attaching = False
        for wish in self.restarts.pop(message.request, ()):
            if wish.status != "cancelled" and wish.number in self.table.by_number:
                self.world.fail(f"{wish.key} is {wish.status} after a restart")

    def _hear(self, message: Any) -> None:
        if isinstance(message, Coordinated):
            is_open, said = self.questions.hear(message)
            self.say(*said)
            if is_open and self.sharing is not None:
                self.sharing.hear(self, message)
        elif isinstance(message, Kept):
            self._outgoing.on_kept(message.received)
        elif isinstance(message, Welcome):
            self._is_welcome = True
            said_again = sum(number > message.received for number, _said in self._outgoing._unkept)
            self.world.happened["said again by a client"] += said_again
            unanswered = self._ask_again()
            if self.is_attaching:
                unanswered.append(DescribeSessions(ATTACHING, self.session_name))
            self._outgoing.resume(message.received, [self.table.claims(), *unanswered])
            said, lost = self.questions.resume(self._outgoing.queued(), is_known=not message.is_new)
            for one in said:
                self._outgoing.add(one)
            for answer in lost:
                if self.sharing is not None:
                    self.sharing.hear(self, answer)
            self._flush()

    def disconnected(self, link: Link, _reason: str) -> None:
        if self.is_open and link is self._link:
            self._is_welcome = False
            self.world.clock.after(self.world.rng.uniform(0.01, 0.3), self._connect)

    def what_is_unsaid(self) -> bool:
        """Whether it still has something to say, or to keep until it is told that the scheduler will not forget it."""
        return bool(self._outgoing._queue or self._outgoing._unkept)

    def _judge_output(self) -> None:
        for wish in self.held.values():
            if wish.output and sum(len(text) for _, text in wish.output) > OUTPUT_MAX:
                self.world.fail(f"{self.name} keeps more output of {wish.key} than it may")

    # -- reading large values ----------------------------------------------------------------------------------------

    def _begin_reading(self, wish: Wish) -> None:
        is_going_on = wish.number in self._reading
        self._reading[wish.number] = list(wish.holders)
        if not is_going_on:
            self._ask_next(wish)

    def _ask_next(self, wish: Wish) -> None:
        holders = self._reading.get(wish.number)
        if not holders or wish.status != "finished":
            self._reading.pop(wish.number, None)
            return
        holder = holders.pop(0)
        self.parties.ask_holder(self.name, holder, wish.key, partial(self._on_read, wish, holder))

    def _on_read(self, wish: Wish, holder: str, value: str | None) -> None:
        if not self.is_open or self.table.by_number.get(wish.number) is not wish:
            self._reading.pop(wish.number, None)
        elif value is None and self._reading.get(wish.number):
            self._ask_next(wish)
        elif value is None:
            self._reading.pop(wish.number, None)
            self.say(MissingValue(wish.key, holder))
        elif wish.status == "finished":
            self._reading.pop(wish.number, None)
            wish.loaded = value
            self._join_spoken(wish)
            self.parties.oracles.judge_value(wish.key, value)
            self.parties.oracles.judge_wish(self.name, wish)
        else:
            self._reading.pop(wish.number, None)


def _joined(messages: Iterable[Submit | PutValue]) -> list[Submit | PutValue]:
    """Return what is to be said with calls of one function that follow each other in one message, as a map says them."""
    joined: list[Submit | PutValue] = []
    for message in messages:
        last = joined[-1] if joined else None
        if (
            isinstance(message, Submit)
            and isinstance(last, Submit)
            and (last.function, last.options, last.parent) == (message.function, message.options, message.parent)
        ):
            joined[-1] = structs.replace(last, tasks=last.tasks + message.tasks)
        else:
            joined.append(message)
    return joined
