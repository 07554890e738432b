"""What happens to a worker, beside what the scheduler says: its slots and its fetches.

The slots report in the order in which things happened: for each attempt `Began`, any number of `Waits` and `GoesOn` in turn, `Ended`. A value inside an event
is a user's object: events are never compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.worker.effects import Opaque
from jupyter_dist.messages import (
    CodeTaken,
    InputMissing,
    Leaving,
    TaskErred,
    TaskFinished,
    TaskOutput,
    ToWorker,
    WorkerSample,
)


class Began(msgspec.Struct, frozen=True):
    """A slot took the attempt out of the hand."""

    attempt: int


class Waits(msgspec.Struct, frozen=True):
    """The attempt's code waits for something of the cluster, and its slot is free for another."""

    attempt: int


class GoesOn(msgspec.Struct, frozen=True):
    """An attempt that waited has a slot again."""

    attempt: int


class Ended(Opaque, frozen=True, eq=False):
    """A slot is through with the attempt.

    ``reply`` is what the scheduler shall hear: that an input was missing, when it could not be mapped. When the result is
    too large to ride in it, ``value`` is the live object. ``output`` is what was printed and not yet forwarded.
    ``futures`` are those in the result: they hold what it speaks of until the scheduler does.
    """

    reply: TaskFinished | TaskErred | InputMissing
    value: object = None
    output: tuple[TaskOutput, ...] = ()
    futures: tuple[object, ...] = ()


class TakenBack(msgspec.Struct, frozen=True):
    """The answer to `TakeBack`: those of its attempts that were still in the hand, and its ``already``."""

    taken: tuple[int, ...]
    answer: bool


class Arrived(Opaque, frozen=True, eq=False):
    """A fetched input is here, as the buffers it travelled in."""

    request: int
    key: str
    buffers: Sequence[bytes | bytearray | memoryview]


class FetchFailed(msgspec.Struct, frozen=True):
    """A holder could not be reached, did not have the input, or broke off."""

    request: int
    key: str
    reason: str


class StoreEnded(msgspec.Struct, frozen=True):
    """A result was written to the object store; with a ``reason`` it could not be."""

    copy: int
    name: str
    reason: str = ""


class MemorySeen(msgspec.Struct, frozen=True):
    """How much memory the process has for itself, without what it maps of files."""

    nbytes: int


class SpillEnded(msgspec.Struct, frozen=True):
    """A result is on the disk; with a ``reason`` it is not, because the disk, or the value itself, would not have it."""

    name: str
    reason: str = ""
    is_unfit: bool = False  # it is the value that cannot be written


class SpillLost(msgspec.Struct, frozen=True):
    """The file of a spilled result cannot be read, or does not hold what was written."""

    key: str
    name: str


class Printed(msgspec.Struct, frozen=True):
    """What running attempts printed since the last such event."""

    output: tuple[TaskOutput, ...]


WorkerEvent = (
    ToWorker
    | CodeTaken
    | WorkerSample
    | Leaving
    | Began
    | Waits
    | GoesOn
    | Ended
    | Printed
    | TakenBack
    | Arrived
    | FetchFailed
    | StoreEnded
    | MemorySeen
    | SpillEnded
    | SpillLost
    | Disconnected
)
