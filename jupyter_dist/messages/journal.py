"""What a scheduler writes down so that the next one can go on: records in a keyed table, never sent to anybody.

A record stands under its kind and a key. What many tasks have in common is in one record: a submission with all its
tasks, a batch of results. It is removed when the last of them is gone. What contradicts a submission's record later (a
future that was dropped, a retry that was used) has a record of its own.
"""

from jupyter_dist.messages.assignment import FunctionBody
from jupyter_dist.messages.base import DeathCertificate, ErrorInfo, Record
from jupyter_dist.messages.code import CodeFile
from jupyter_dist.messages.coordination import Parcel
from jupyter_dist.messages.submission import TaskOptions, TaskSpec

FUNCTION = 1  # key: its id
SUBMISSION = 2  # key: its number
DATA = 3  # key: the task's
RESULTS = 4  # key: the batch's number
ERROR = 5  # key: the task's
TRIALS = 6  # key: the task's
SESSION = 7  # key: its id
WANT = 8  # key: the session's id, "/", the task's key
HOST = 9  # key: the nanny's name
NAMES = 10  # key: the session's id
CODE = 11  # key: the file's name
KEEP = 12  # key: the session's id, "/", the task's key
SPEAK = 13  # key: the task's
PARCEL = 20  # key: its number
ITEM = 21  # key: the parcel's number
VALUE = 22  # key: see `ValueRecord`
TURN = 23  # key: the session's id, "/", the request's number
REPLY = 24  # key: as `TURN`
GONE = 19  # key: the submission's number


class SubmissionRecord(Record):
    """New tasks of one submission: ``first`` is the place of the first of them in the order of all tasks.

    The others follow, unless ``orders`` says the place of each: some that were between them are gone.
    """

    session: str
    function: str
    options: TaskOptions
    first: int
    tasks: tuple[TaskSpec, ...]
    orders: tuple[int, ...] = ()


class GoneRecord(Record):
    """Which tasks of a submission are gone, while others are not: bit ``n % 8`` of byte ``n // 8`` is the n-th's."""

    places: bytes


class DataRecord(Record):
    """A value a client brought. ``is_gone``: it was let go of, and is remembered because others were made from it."""

    order: int
    type_name: str
    value: bytes
    stored: str
    nbytes: int
    is_gone: bool = False


class ResultEntry(Record):
    """One result: the attempt that made it, its value when it is small, its name when it is stored."""

    key: str
    attempt: int
    value: bytes | None
    nbytes: int
    type_name: str
    stored: str = ""


class ResultsRecord(Record):
    """Results that came in one batch."""

    results: tuple[ResultEntry, ...]


class Spent(Record):
    """The attempt of a task that is not run twice, and who was given it: the worker's name, host and process.

    With no ``pid`` it counts as begun, whatever that worker may still say.
    """

    attempt: int
    worker: str
    host: str
    pid: int


class TrialsRecord(Record):
    """What a task has behind it: deaths it may have caused, how often it may still be tried again, who raised last."""

    retries_left: int
    certificates: tuple[DeathCertificate, ...]
    erred_by: int
    spent: Spent | None = None


class SessionRecord(Record):
    """A client, and how many of its messages were taken."""

    kind: str
    name: str
    linger_s: float
    pid: int
    received: int
    missed: str = ""


class WantRecord(Record):
    """By which number a client wishes for a key; 0: it does not any more."""

    wish: int


class NamesRecord(Record):
    """What a client calls its keys: names with their keys."""

    names: tuple[tuple[str, str], ...]


class KeepRecord(Record):
    """That a task runs to its end for a client of this name, which may be gone."""

    name: str


class SpeakRecord(Record):
    """What a task's value speaks of: the keys of the futures in it."""

    keys: tuple[str, ...]


class CodeRecord(Record):
    """A file of code that every worker shall have, the session that put it last, and its place in the order of all."""

    session: str
    place: int
    file: CodeFile


class HostRecord(Record):
    """A nanny that was there."""

    host: str


class ParcelRecord(Record):
    """A value that clients share by name. Where it is has a record of its own."""

    parcel: Parcel


class ItemRecord(Record):
    """That a value is in a queue. Values come out in the order of their numbers."""

    queue: str


class ValueRecord(Record):
    """That a name has a value. The key is made of both, and never read."""

    kind: str
    name: str
    parcel: int


class TurnRecord(Record):
    """A request that is not over.

    ``book`` is leases, queues or values: where what it is for is found by kind and name. ``state`` is waits (to be given something), puts (waits for room) or holds (was given something); ``place`` is its
    place in the order of all. ``size`` is what the request said: how many leases there are, how many values it waits
    for, how many the queue may have.
    """

    book: str
    kind: str
    name: str
    state: str
    place: int
    size: int
    parcels: tuple[int, ...] = ()


class ReplyRecord(Record):
    """An answer that its client may not have heard."""

    done: bool
    count: int
    fault: str
    error: str


JournalRecord = (
    FunctionBody
    | SubmissionRecord
    | GoneRecord
    | DataRecord
    | ResultsRecord
    | ErrorInfo
    | TrialsRecord
    | SessionRecord
    | WantRecord
    | HostRecord
    | KeepRecord
    | SpeakRecord
    | CodeRecord
    | NamesRecord
    | ParcelRecord
    | ItemRecord
    | ValueRecord
    | TurnRecord
    | ReplyRecord
)
RECORDS: dict[int, type] = {
    FUNCTION: FunctionBody,
    SUBMISSION: SubmissionRecord,
    GONE: GoneRecord,
    DATA: DataRecord,
    RESULTS: ResultsRecord,
    ERROR: ErrorInfo,
    TRIALS: TrialsRecord,
    SESSION: SessionRecord,
    WANT: WantRecord,
    HOST: HostRecord,
    KEEP: KeepRecord,
    SPEAK: SpeakRecord,
    CODE: CodeRecord,
    NAMES: NamesRecord,
    PARCEL: ParcelRecord,
    ITEM: ItemRecord,
    VALUE: ValueRecord,
    TURN: TurnRecord,
    REPLY: ReplyRecord,
}
