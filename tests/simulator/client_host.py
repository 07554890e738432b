"""The driver of a client's table of futures in a simulated world: what it holds, reads and hears."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from jupyter_dist.core.futures import UNLOADED, FutureTable, Wish
from jupyter_dist.messages import (
    Answer,
    Cancel,
    CloseSession,
    MissingValue,
    OpenSession,
    PutValue,
    Release,
    Submit,
    TaskSpec,
    WantKeys,
)
from tests.simulator.network import Link
from tests.simulator.parties import Parties
from tests.simulator.plans import LARGE_NBYTES, Plan

LINGER_S = 2.0
OUTPUT_MAX = 200


class ClientHost:
    """One client process with one session."""

    def __init__(self, parties: Parties, name: str, kind: str = "script") -> None:
        self.parties = parties
        self.world = parties.world
        self.name = name
        self.table = FutureTable(OUTPUT_MAX)
        self.held: dict[str, Wish] = {}  # what the user still has a Future on
        self.is_open = True
        self.answered: dict[int, str] = {}
        self.restarts: dict[int, list[Wish]] = {}  # request -> what was wished for by then
        self._reading: dict[int, list[str]] = {}  # number of a wish -> holders that are still to be asked
        self._link: Link = parties.scheduler.accept(self)
        self._watchers: dict[Wish, Callable[[], None]] = {}  # who waits for a wish to settle
        self._link.up.send([OpenSession(name, kind, name, LINGER_S, 1)])

    def say(self, *messages: Any) -> None:
        """Say something to the scheduler."""
        self._link.up.send(messages)

    # -- what its user does ------------------------------------------------------------------------------------------

    def submit(self, plans: Iterable[Plan], parent: str = "") -> None:
        """Submit tasks, inputs before what is made from them, as one call each."""
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
                self.say(self._put(plan, value, wish))
            else:
                held = self.world.nesting.held(others)
                spec = TaskSpec(plan.key, b"arguments", plan.dependencies, wish.number, held)
                self.say(Submit(plan.function, plan.options, (spec,), parent))

    def _put(self, plan: Plan, value: str, wish: Wish) -> PutValue:
        store = self.world.store
        if store.takes_next():
            return PutValue(plan.key, b"", "str", wish.number, store.write(plan.key, value), LARGE_NBYTES)
        return PutValue(plan.key, value.encode(), "str", wish.number)

    def _wish(self, plan: Plan) -> Wish | None:
        if plan.key in self.held:
            return None
        wish, is_new = self.table.wish(plan.key, plan.function.label)
        self.held[plan.key] = wish
        return wish if is_new else None

    def join(self, plan: Plan) -> None:
        """Wish for a task that somebody made known, perhaps."""
        wish = self._wish(plan)
        if wish is not None:
            plan.submits += 1
            self.say(WantKeys(((plan.key, wish.number),)))

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
            self.say(Cancel(tuple(wish.key for wish in pending), force))
            self.table.cancel(pending, "cancelled by its user")
            self._forget_cancelled()

    def close(self) -> None:
        """Close the session in order."""
        self.say(CloseSession())
        self._link.break_off(1.0, 0.0, 0.0, 0.0, "closed")
        self._leave()

    def lose(self) -> None:
        """Be killed."""
        self.world.break_randomly(self._link, "end of stream")
        self._leave()

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
        for wish in self.table.handle(messages):
            self.parties.oracles.judge_wish(self.name, wish)
            if wish.status == "finished" and wish.value is None and wish.loaded is UNLOADED:
                self._begin_reading(wish)
        self._forget_cancelled()
        self._tell_watchers()
        self._judge_output()
        for message in messages:
            if isinstance(message, Answer):
                self.answered[message.request] = message.error
                for wish in self.restarts.pop(message.request, ()):
                    if wish.status != "cancelled" and wish.number in self.table.by_number:
                        self.world.fail(f"{wish.key} is {wish.status} after a restart")

    def disconnected(self, _link: Link, _reason: str) -> None:
        if self.is_open:
            self._leave()

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
            self.parties.oracles.judge_value(wish.key, value)
            self.parties.oracles.judge_wish(self.name, wish)
        else:
            self._reading.pop(wish.number, None)
