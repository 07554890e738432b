"""Between the scheduler and a worker: what to run, and what came of it."""

from jupyter_dist.messages.base import Count, ErrorInfo, Message, Moment, Percent, Record
from jupyter_dist.messages.code import CodeTaken, TakeCode
from jupyter_dist.messages.handshake import Kept, Refused, RegisterWorker, Welcome


class FunctionBody(Message, tag=40):
    """A packed function: ``id`` is the hash of ``body``, ``label`` the name people know it by.

    A worker gets it once, before the first task that calls it.
    """

    id: str
    label: str
    body: bytes


class TaskInput(Record):
    """One input of an assigned task: its small value, its name in the host's object store, or who holds it."""

    key: str
    value: bytes | None
    nbytes: int = 0
    holders: tuple[str, ...] = ()  # addresses of workers
    stored: str = ""


class AssignedTask(Record):
    """What does not change from one attempt of a task to the next is here so that it can be shared."""

    key: str
    attempt: int
    function: str
    arguments: bytes
    inputs: tuple[TaskInput, ...] = ()
    timeout_s: float = 0.0
    output: bool = False  # forward prints while it runs
    resources: tuple[tuple[str, float], ...] = ()  # what it takes of the worker's; for a scheduler to come to know
    once: bool = False  # that it has begun is remembered until the scheduler will not forget it


class AssignTask(Message, tag=41):
    """Run this, after what was assigned before."""

    task: AssignedTask


class Withdraw(Message, tag=42):
    """Give back those of these attempts that have not begun."""

    attempts: tuple[int, ...]


class StopAttempt(Message, tag=43):
    """Nobody wants this attempt any more: do not begin it; with ``force`` interrupt it when it runs."""

    attempt: int
    force: bool = False


class FreeKeys(Message, tag=44):
    """Drop the results held for these keys."""

    keys: tuple[str, ...]


class DropFunctions(Message, tag=45):
    """No known task calls these functions any more."""

    ids: tuple[str, ...]


class SetInlineMax(Message, tag=46):
    """From now on send results up to this size with the finished message, and hold larger ones."""

    inline_bytes_max: int


class HoldCopy(Message, tag=180):
    """Fetch the result of this key from one of these holders and hold it as well. Answered under the copy's number.

    It is given up, without an answer, when the key is freed. ``attempt`` made the result.
    """

    copy: int
    key: str
    nbytes: int
    holders: tuple[str, ...]
    attempt: int
    type_name: str = ""


class StoreCopy(Message, tag=181):
    """Write the held result of this key to the host's object store, under this name. Answered as `HoldCopy`."""

    copy: int
    key: str
    name: str


class TaskFinished(Message, tag=60):
    """The attempt has a result: in ``value`` when small, else held by the worker."""

    key: str
    attempt: int
    value: bytes | None
    nbytes: Count
    type_name: str
    started_s: Moment  # seconds since the epoch, by the worker's clock
    stopped_s: Moment
    slot: Count = 0
    output: str = ""  # the tail of what it printed, when it was not forwarded


class TaskErred(Message, tag=61):
    """The attempt raised."""

    key: str
    attempt: int
    error: ErrorInfo
    started_s: Moment
    stopped_s: Moment
    slot: Count = 0
    output: str = ""


class Withdrawn(Message, tag=62):
    """These attempts had not begun and will not. Those asked for and not named here run or are done."""

    attempts: tuple[int, ...]


class InputMissing(Message, tag=63):
    """An input could not be had from this holder; the attempt is given back. ``reason`` is for a person."""

    attempt: int
    key: str
    holder: str
    reason: str = ""


class TaskOutput(Message, tag=64):
    """What a running attempt printed since the last such message."""

    key: str
    attempt: int
    stream: str
    text: str


class WorkerSample(Message, tag=65):
    """A worker's heartbeat: what it runs (``(attempt, slot, started_s)``) and what it uses."""

    running: tuple[tuple[int, Count, Moment], ...]
    memory_bytes: Count
    cpu_percent: Percent
    held: Count
    held_bytes: Count
    spilled_bytes: Count = 0


class CopyMade(Message, tag=182):
    """The copy is held, or stored."""

    copy: int


class CopyFailed(Message, tag=183):
    """The copy could not be made; the reason is for a person."""

    copy: int
    reason: str


class Leaving(Message, tag=184):
    """The worker was asked to end from outside, and will in any case after a while: take from it what is needed."""

    reason: str


class AttemptWaits(Message, tag=190):
    """The attempt waits for something of the cluster and has given its slot back. It is still inside a user's code."""

    attempt: int


class AttemptGoesOn(Message, tag=191):
    """An attempt that waited has a slot again."""

    attempt: int


class MemoryState(Message, tag=200):
    """How a worker stands with its memory limit: whether it is to be given no more tasks, and what is wrong in words."""

    is_paused: bool
    words: str = ""


FromWorker = (
    RegisterWorker
    | TaskFinished
    | TaskErred
    | Withdrawn
    | InputMissing
    | TaskOutput
    | WorkerSample
    | CopyMade
    | CopyFailed
    | Leaving
    | AttemptWaits
    | AttemptGoesOn
    | MemoryState
    | CodeTaken
)
ToWorker = (
    Welcome
    | Refused
    | Kept
    | FunctionBody
    | AssignTask
    | Withdraw
    | StopAttempt
    | FreeKeys
    | DropFunctions
    | SetInlineMax
    | HoldCopy
    | StoreCopy
    | TakeCode
)
