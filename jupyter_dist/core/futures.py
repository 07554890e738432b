"""A client's table of what it asked for: one wish a key, and what the scheduler said of it.

Pure: the session feeds it messages and asks what to send; threads, locks and waiting are the session's. A wish is
numbered; an answer to a wish that was given up is not heard, also when its key lives again. Once settled, a wish keeps
its value: a delivered value is never replaced by another.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from jupyter_dist.messages import (
    STORE,
    ClaimWishes,
    ErrorInfo,
    KeyCancelled,
    KeyErred,
    KeyFinished,
    KeyLost,
    KeyOutput,
    KeyRetried,
    Message,
)

FutureStatus = Literal["pending", "finished", "error", "cancelled", "lost"]
SETTLED: frozenset[FutureStatus] = frozenset({"finished", "error", "cancelled"})
UNLOADED = object()


class Wish:
    """One key a client wants, shared by all its Futures on that key."""

    __slots__ = (
        "error",
        "holders",
        "key",
        "label",
        "loaded",
        "nbytes",
        "number",
        "on_output",
        "output",
        "output_cut",
        "reason",
        "references",
        "status",
        "type_name",
        "value",
        "watchers",
    )

    def __init__(self, key: str, number: int, label: str) -> None:
        self.key = key
        self.number = number
        self.label = label
        self.references = 1
        self.status: FutureStatus = "pending"
        self.value: bytes | None = None
        self.loaded: Any = UNLOADED  # the value as an object, once somebody asked for it
        self.nbytes = 0
        self.type_name = ""
        self.holders: tuple[str, ...] = ()
        self.error: ErrorInfo | None = None
        self.reason = ""  # why it was cancelled
        self.output: list[tuple[str, str]] | None = None  # what it printed: stream, text
        self.output_cut = 0  # characters dropped from its beginning
        self.on_output: Any = None  # who is to be told at once what it prints
        self.watchers: list[Any] | None = None  # who is to be told when it settles

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is going to happen, short of a lost value."""
        return self.status in SETTLED


class FutureTable:
    """All wishes of one session."""

    def __init__(self, output_chars_max: int) -> None:
        self.by_key: dict[str, Wish] = {}
        self.by_number: dict[int, Wish] = {}
        self._output_chars_max = output_chars_max
        self._last_number = 0

    @property
    def last_number(self) -> int:
        """The number of the newest wish."""
        return self._last_number

    def wish(self, key: str, label: str) -> tuple[Wish, bool]:
        """Return the wish for a key, and whether it is a new one that the scheduler must be told of."""
        known = self.by_key.get(key)
        if known is not None:
            known.references += 1
            return known, False
        self._last_number += 1
        new = Wish(key, self._last_number, label)
        self.by_key[key] = new
        self.by_number[new.number] = new
        return new, True

    def drop(self, wish: Wish) -> bool:
        """Drop one reference; return whether it was the last and the scheduler must be told."""
        wish.references -= 1
        if wish.references > 0 or self.by_number.get(wish.number) is not wish:
            return False
        self.remove(wish)
        return True

    def remove(self, wish: Wish) -> None:
        """Forget a wish: whatever is said of it from now on is not heard."""
        self.by_number.pop(wish.number, None)
        if self.by_key.get(wish.key) is wish:
            del self.by_key[wish.key]

    def cancel(self, wishes: Iterable[Wish], reason: str) -> list[Wish]:
        """Settle wishes as cancelled and forget them; return those that were still known."""
        changed = []
        for wish in wishes:
            if self.by_number.get(wish.number) is wish:
                self.remove(wish)
                wish.status = "cancelled"
                wish.reason = reason
                wish.value = None
                changed.append(wish)
        return changed

    def cancel_all(self, reason: str) -> list[Wish]:
        """Settle every wish as cancelled: the cluster is gone. What was delivered stays readable."""
        gone = [wish for wish in self.by_number.values() if not self._is_delivered(wish)]
        return self.cancel(gone, reason)

    @staticmethod
    def _is_delivered(wish: Wish) -> bool:
        here = wish.value is not None or wish.loaded is not UNLOADED
        return wish.status == "error" or (wish.status == "finished" and here)

    def claims(self) -> ClaimWishes:
        """Return what is wished for, as a scheduler is told on a connection that was made anew."""
        parts: dict[bool, list[tuple[int, str]]] = {False: [], True: []}
        for wish in self.by_number.values():
            parts[self._is_delivered(wish)].append((wish.number, wish.key))
        return ClaimWishes(tuple(parts[False]), tuple(parts[True]))

    def retry(self, wishes: Iterable[Wish]) -> list[Wish]:
        """Make erred wishes pending again; return those that were erred and are known."""
        again = [w for w in wishes if w.status == "error" and self.by_number.get(w.number) is w]
        for wish in again:
            wish.status = "pending"
            wish.error = None
        return again

    def handle(self, messages: Sequence[Message]) -> list[Wish]:
        """Take what the scheduler said; return the wishes that changed, each once for each change."""
        changed = []
        by_number = self.by_number
        for message in messages:
            if type(message) is KeyFinished:
                wish = by_number.get(message.wish)
                if wish is not None and wish.status != "error":
                    wish.status = "finished"
                    if wish.value is None and wish.loaded is UNLOADED:
                        wish.value = message.value
                    wish.nbytes = message.nbytes
                    wish.type_name = message.type_name
                    wish.holders = (STORE + message.stored,) if message.stored else message.holders
                    changed.append(wish)
            else:
                changed.extend(self._handle_rare(message))
        return changed

    def _handle_rare(self, message: Message) -> Sequence[Wish]:
        if isinstance(message, KeyCancelled):
            known = [self.by_number[number] for number in message.wishes if number in self.by_number]
            return self.cancel(known, message.reason)
        if not isinstance(message, KeyErred | KeyLost | KeyOutput | KeyRetried):
            return ()
        wish = self.by_number.get(message.wish)
        if wish is None:
            return ()
        if isinstance(message, KeyRetried):
            return self.retry([wish])
        if isinstance(message, KeyOutput):
            self._append_output(wish, message.stream, message.text)
        elif self._is_delivered(wish):
            return ()
        elif isinstance(message, KeyErred):
            wish.status = "error"
            wish.error = message.error
        else:
            wish.status = "lost"
            wish.holders = ()
        return (wish,)

    def _append_output(self, wish: Wish, stream: str, text: str) -> None:
        """Keep the tail of what a task printed."""
        if wish.output is None:
            wish.output = []
        wish.output.append((stream, text))
        excess = sum(len(part) for _, part in wish.output) - self._output_chars_max
        while excess > 0:
            origin, first = wish.output.pop(0)
            if len(first) > excess:
                wish.output.insert(0, (origin, first[excess:]))
            cut = min(excess, len(first))
            excess -= cut
            wish.output_cut += cut
