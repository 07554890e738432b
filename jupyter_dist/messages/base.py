"""What all messages share: their base, and the two records that explain a failure."""

from typing import Annotated

import msgspec

AMOUNT_MIN, AMOUNT_MAX = 1e-100, 1e100  # one divided by another is a number
# What a number may be is checked where it is decoded: nobody behind that has to expect -1 bytes, or NaN.
Count = Annotated[int, msgspec.Meta(ge=0)]  # how many, or how large
Some = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0)]  # how long; for ever is inf
Moment = Annotated[float, msgspec.Meta(ge=0.0, le=1e12)]  # seconds since 1970, on some clock
Percent = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]  # of one core
Amount = Annotated[float, msgspec.Meta(ge=AMOUNT_MIN, le=AMOUNT_MAX)]  # of a resource


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=True):
    """Base of every message. A subclass sets its own small ``tag``."""


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of a record inside a message: not tagged, because its place says what it is."""


STORE = "store/"  # and a name: stands for a holder's address when the host's object store is meant


class DeathCertificate(Record):
    """How a worker process ended, and what it was doing.

    ``attempts`` are those that computed inside a user's code, ``waiting`` those that waited there for something of the
    cluster, read from memory the process shared with its nanny; ``cause`` is ``asked`` (the cluster ended it), ``exit``,
    ``signal`` or ``memory``; ``words`` says it all for a person.
    """

    worker: str
    host: str
    pid: int
    cause: str
    exit_code: int  # negative: the number of the signal
    memory_bytes_peak: Count
    attempts: tuple[int, ...]
    stack: str  # what faulthandler wrote
    output: str  # the last lines the process printed
    words: str
    died_s: Moment
    waiting: tuple[int, ...] = ()
    ended: tuple[int, ...] | None = None  # of tasks that are not run twice: whose code had ended; None: nobody knows


class ErrorInfo(Record):
    """A user's exception, in a form every process can show and only clients and workers can load.

    ``pickled`` is the exception with its traceback, pickled on the worker; empty when it could not be. ``filename``,
    ``line`` and ``function`` tell the innermost frame that is the user's own.
    """

    type_name: str
    text: str
    traceback: str
    filename: str = ""
    line: Count = 0
    function: str = ""
    pickled: bytes = b""
    kind: str = (
        "user"  # user | crashed | overrun | lost | timeout | result | full: who is at fault, and which error to raise
    )
    key: str = ""  # the task that raised it first: a dependent passes its input's error on
    certificates: tuple[DeathCertificate, ...] = ()
