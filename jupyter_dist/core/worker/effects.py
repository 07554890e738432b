"""What a worker's machine asks its driver to do, collected while one batch of events is handled.

A user's values pass through here wrapped, so that nothing ever compares, prints or measures one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from jupyter_dist.messages import AssignedTask, FunctionBody, Message, TakeCode


class Opaque(msgspec.Struct, frozen=True, eq=False):
    """Base of what carries a user's values: compared by identity, printed by its type's name."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Inline(Opaque, frozen=True, eq=False):
    """An input that came inside the assignment, as one pickle stream."""

    stream: bytes


class Fetched(Opaque, frozen=True, eq=False):
    """An input that was fetched: its pickle stream, then its out-of-band buffers."""

    buffers: Sequence[bytes | bytearray | memoryview]


class Stored(Opaque, frozen=True, eq=False):
    """An input that is in the host's object store, under this name. Whoever needs it maps it."""

    name: str


class Live(Opaque, frozen=True, eq=False):
    """An input, or a result, that is an object of this process."""

    value: object
    nbytes: int
    attempt: int = 0  # which made it; 0: an input
    type_name: str = ""


InputValue = Inline | Fetched | Stored | Live
NO_INPUTS: Mapping[str, InputValue] = {}


class ReadyTask(Opaque, frozen=True, eq=False):
    """All a slot needs to run an attempt."""

    task: AssignedTask
    function: FunctionBody
    inputs: Mapping[str, InputValue]


class StartFetch(msgspec.Struct, frozen=True):
    """Fetch a key from a holder, and answer with `Arrived` or `FetchFailed` under this request number."""

    request: int
    key: str
    holder: str


class TakeBack(msgspec.Struct, frozen=True):
    """Take these out of the hand unless a slot has them, and answer with `TakenBack`.

    ``already`` were not in the hand and are given back in any case; they are part of the answer.
    """

    attempts: tuple[int, ...]
    already: tuple[int, ...]
    answer: bool


class Effects:
    """Everything to be done after one batch, in the order of the attributes."""

    __slots__ = (
        "abandoned",
        "code",
        "discarded",
        "fetches",
        "forgotten",
        "inline_bytes_max",
        "interrupts",
        "ready",
        "refused",
        "says",
        "taken_back",
        "welcomed",
    )

    def __init__(self) -> None:
        self.welcomed = ""  # the name the scheduler gave this worker; empty: it was not welcomed now
        self.refused = ""  # why the scheduler will not have this worker; empty: it did not say so
        self.inline_bytes_max = -1  # results up to this size ride in the finished message; negative: as before
        self.forgotten: list[str] = []  # ids of functions that may be unloaded
        self.code: list[TakeCode] = []  # files to be in place before any of what is ready begins
        self.ready: list[ReadyTask] = []  # into the hand, in this order
        self.taken_back: list[TakeBack] = []
        self.interrupts: list[int] = []  # attempts whose slot shall be interrupted, if it still runs them
        self.abandoned: list[int] = []  # requests whose answer nobody waits for
        self.fetches: list[StartFetch] = []
        self.says: list[Message] = []  # to the scheduler, in order
        self.discarded: list[object] = []  # values nobody needs: to be let go where their `__del__` can do no harm
