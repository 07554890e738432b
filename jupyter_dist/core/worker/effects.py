"""What a worker's machine asks its driver to do, collected while one batch of events is handled.

A user's values pass through here wrapped, so that nothing ever compares, prints or measures one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from jupyter_dist.messages import AssignedTask, FunctionBody, Message, TakeCode

Buffers = Sequence[bytes | bytearray | memoryview]


class Opaque(msgspec.Struct, frozen=True, eq=False):
    """Base of what carries a user's values: compared by identity, printed by its type's name."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Inline(Opaque, frozen=True, eq=False):
    """An input that came inside the assignment, as one pickle stream."""

    stream: bytes


class Fetched(Opaque, frozen=True, eq=False):
    """An input that was fetched: its pickle stream, then its out-of-band buffers."""

    buffers: Buffers


class Copied(Fetched, frozen=True, eq=False):
    """A result another worker made that this one holds as well: as it travelled, until a task wants its value."""

    nbytes: int
    attempt: int = 0  # which made it, elsewhere
    type_name: str = ""
    speaks_of: tuple[str, ...] = ()


class Stored(Opaque, frozen=True, eq=False):
    """An input that is in the host's object store, under this name. Whoever needs it maps it."""

    name: str


class Live(Opaque, frozen=True, eq=False):
    """An input, or a result, that is an object of this process."""

    value: object
    nbytes: int
    attempt: int = 0  # which made it; 0: an input
    type_name: str = ""
    speaks_of: tuple[str, ...] = ()  # the keys of the futures in it


class Spilled(Opaque, frozen=True, eq=False):
    """A result in a file of this worker's own disk, under this name. Whoever needs it maps it."""

    name: str
    nbytes: int
    attempt: int
    type_name: str = ""
    speaks_of: tuple[str, ...] = ()


Held = Live | Copied | Spilled
InputValue = Inline | Fetched | Stored | Live | Spilled
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


class StartStore(Opaque, frozen=True, eq=False):
    """Write a held result to the host's object store under a name, and answer with `StoreEnded`."""

    copy: int
    name: str
    held: Held


class StartSpill(Opaque, frozen=True, eq=False):
    """Write a held result to this worker's disk under a name, and answer with `SpillEnded`."""

    name: str
    key: str
    held: Live | Copied


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
        "collect",
        "discarded",
        "fetches",
        "forgotten",
        "inline_bytes_max",
        "interrupts",
        "leave",
        "ready",
        "refused",
        "says",
        "spills",
        "stores",
        "taken_back",
        "trim",
        "unspilled",
        "unstored",
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
        self.stores: list[StartStore] = []
        self.unstored: list[str] = []  # objects that were written for nobody: to be removed
        self.spills: list[StartSpill] = []  # one after another, in this order
        self.unspilled: list[str] = []  # files of spilled results that nobody needs any more: to be removed
        self.says: list[Message] = []  # to the scheduler, in order
        self.discarded: list[object] = []  # values nobody needs: to be let go where their `__del__` can do no harm
        self.trim = False  # then give what is free to the system, and look how much memory is used
        self.collect = False  # the same, and look for garbage before
        self.leave = ""  # why this process is of no more use, and has to be replaced; empty: it is
