"""Between a client and the scheduler: work that is wanted, and what became of it."""

from jupyter_dist.messages.assignment import FunctionBody
from jupyter_dist.messages.base import Amount, Count, ErrorInfo, Message, Record, Seconds
from jupyter_dist.messages.code import CodeReplaced, DescribeVersions, PutCode
from jupyter_dist.messages.coordination import Coordinated, CoordinationRequest
from jupyter_dist.messages.handshake import Kept, OpenSession, Refused, Welcome
from jupyter_dist.messages.management import (
    CancelTasks,
    DescribeTask,
    KeyRetried,
    ListTasks,
    RetryTasks,
    TaskDetail,
    TaskPage,
)
from jupyter_dist.messages.observation import ClusterSnapshot, Observation, TaskExplanation, TaskHome, Unwatch, Watch


class TaskSpec(Record):
    """How one result is made. ``arguments`` is the pickled call; ``dependencies`` are the keys it needs as inputs.

    ``wish`` is the client's own number for wanting this key: it comes back in every answer, so that an answer to an
    earlier wish for a key of the same name is never taken for this one's. ``held`` are keys whose Futures travel inside
    the arguments as Futures: the task does not wait for them, and as long as it may run they are not let go.
    """

    key: str
    arguments: bytes
    dependencies: tuple[str, ...] = ()
    wish: int = 0
    held: tuple[str, ...] = ()


class TaskOptions(Record):
    """What all tasks of one submission share.

    ``workers`` names workers or hosts that may run them (all when empty); with ``loose`` others may when none of
    these is there. A worker must have declared the ``resources`` and have them free. ``group`` says which cell or run asked: it
    comes back in events. What is to run ``once`` errs rather than begin a second time.
    """

    priority: int = 0
    retries: Count = 0
    workers: tuple[str, ...] = ()
    loose: bool = False
    timeout_s: Seconds = 0.0  # 0: none
    pure: bool = True
    group: str = ""
    output: bool = False  # forward prints while the task runs
    resources: tuple[tuple[str, Amount], ...] = ()  # what it takes of its worker's, sorted by name
    once: bool = False


class Submit(Message, tag=10):
    """Tasks that call one function. Their dependencies are known already or stand earlier in the same batch.

    ``parent`` is the key of the task that submits them; empty when it is none.
    """

    function: FunctionBody
    options: TaskOptions
    tasks: tuple[TaskSpec, ...]
    parent: str = ""


class PutValue(Message, tag=11):
    """A value the client made itself: the key is in memory at once.

    A large one is in the host's object store under the name ``stored``; then ``value`` is empty and ``nbytes`` its size.
    ``speaks_of`` are the keys of the futures in it: it holds their results.
    """

    key: str
    value: bytes
    type_name: str
    wish: int = 0
    stored: str = ""
    nbytes: Count = 0
    speaks_of: tuple[str, ...] = ()


class Release(Message, tag=12):
    """The client dropped its last Future on these keys."""

    keys: tuple[str, ...]


class Cancel(Message, tag=13):
    """Give these keys up, for this session; with ``force`` stop what runs as well."""

    keys: tuple[str, ...]
    force: bool = False


class MissingValue(Message, tag=14):
    """A holder named for this key did not have it, or is gone. ``reason`` is for a person."""

    key: str
    holder: str
    reason: str = ""


class RestartCluster(Message, tag=15):
    """Forget every task and replace every worker. Answered when the fresh workers are there."""

    request: int


class ScaleCluster(Message, tag=16):
    """Keep so many workers. Answered at once; workers come and go afterwards."""

    request: int
    workers: int


class AdaptCluster(Message, tag=172):
    """Scale the cluster by its load from now on, within these bounds; see `jupyter_dist.core.scaling`."""

    request: int
    minimum: int
    maximum: int
    interval_s: Seconds
    wait_count: int


class StopAdapting(Message, tag=173):
    """Keep the workers there are now."""

    request: int


class StopCluster(Message, tag=17):
    """End the cluster: workers, scheduler and nannies. Answered before the scheduler goes."""

    request: int


class Describe(Message, tag=18):
    """Ask for one snapshot."""

    request: int


class DescribeTasks(Message, tag=22):
    """Ask where tasks are: those of these keys, or all when there are none."""

    request: int
    keys: tuple[str, ...] = ()


class Ping(Message, tag=112):
    """Ask for a sign of life."""

    request: int


class Explain(Message, tag=170):
    """Ask why tasks are not running, or what they are."""

    request: int
    keys: tuple[str, ...]


class KeepTasks(Message, tag=171):
    """Have these tasks run to their end, whoever still wants them by then; afterwards they are not kept any more."""

    keys: tuple[str, ...]


class RetryKeys(Message, tag=23):
    """Try these erred tasks again, and with them the inputs whose error they passed on."""

    keys: tuple[str, ...]


class ReplicateKeys(Message, tag=185):
    """Have each of these results held by so many of these workers: all of them for 0, all there are for no names.

    Answered when it is so, or cannot be. ``branching`` is how many copies are made from one holder at a time.
    """

    request: int
    keys: tuple[str, ...]
    count: int = 0
    workers: tuple[str, ...] = ()
    branching: int = 2


class RebalanceKeys(Message, tag=186):
    """Move these results (all when empty) between these workers (all when empty) until each holds about as much."""

    request: int
    keys: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()


class RetireWorkers(Message, tag=187):
    """Have workers leave in order: those named, else ``count`` of them.

    Answered with their names when they are out. With ``end`` their processes are ended and not replaced; with
    ``until_gone`` that is waited for.
    """

    request: int
    names: tuple[str, ...] = ()
    count: int = 0
    end: bool = True
    until_gone: bool = False


class RestartWorkers(Message, tag=188):
    """Replace these workers at once, whatever they do. Answered when fresh ones of their names are there."""

    request: int
    names: tuple[str, ...]
    timeout_s: Seconds = 0.0  # 0: as long as a cluster may take to come up


class ClaimWishes(Message, tag=110):
    """After a connection was made anew: I wish for these, and say so no more; cancel those you do not know.

    The values of ``delivered`` are here already: these need to be cancelled only if the cluster was restarted.
    """

    wishes: tuple[tuple[int, str], ...]
    delivered: tuple[tuple[int, str], ...] = ()


class KeyName(Record):
    """What a person calls a key, such as a variable of a notebook."""

    name: str
    key: str


class NameKeys(Message, tag=24):
    """Give names to keys this session wants. A name stands for one key: a later one replaces an earlier."""

    names: tuple[KeyName, ...]


class WantedKey(Record):
    """A key a session wants, with its names. ``since_s`` is when its task came into its state."""

    key: str
    label: str
    state: str
    since_s: float
    names: tuple[str, ...] = ()


class SessionView(Record):
    """A session as others see it. A lost one is not connected: it has its keys until ``kept_until_s``.

    ``wanted`` is told only when sessions of one name were asked for.
    """

    session: str
    name: str
    kind: str
    pid: int
    is_connected: bool
    lost_s: float  # 0 while connected; seconds since the epoch, as below
    kept_until_s: float
    keys: int  # how many it wants
    wanted: tuple[WantedKey, ...] = ()


class DescribeSessions(Message, tag=25):
    """Ask which other sessions there are: those of a name with what they want, or all when it is empty."""

    request: int
    name: str = ""


class KeyWish(Record):
    """A client's own number for wanting a key."""

    key: str
    wish: int


class TakeOver(Message, tag=26):
    """Want from now on what lost sessions want, with their names for it, and end them.

    A key that none of them wants by then is answered with `KeyCancelled`; what is settled is told before the answer.
    """

    request: int
    sessions: tuple[str, ...]
    wishes: tuple[KeyWish, ...]


class WantKeys(Message, tag=192):
    """The client wants keys that others made known, each by a number of its own as in `TaskSpec`.

    Each is answered when it has a value or an error, or at once by `KeyCancelled` when the cluster does not know it any
    more. With a ``request`` there is an `Answer` besides, as soon as the wishes are noted.
    """

    wants: tuple[tuple[str, int], ...]
    request: int = 0


class CloseSession(Message, tag=19):
    """The client goes for good: everything only it wanted is released."""


class KeyFinished(Message, tag=30):
    """The key has a value: in ``value`` when small, else ``stored`` under that name on the host, else at ``holders``."""

    wish: int
    key: str
    value: bytes | None
    nbytes: int
    type_name: str
    holders: tuple[str, ...] = ()
    stored: str = ""


class KeyErred(Message, tag=31):
    """The key will have no value, because of this error."""

    wish: int
    key: str
    error: ErrorInfo


class KeyLost(Message, tag=32):
    """The value is gone and is being made again."""

    wish: int
    key: str


class KeyCancelled(Message, tag=33):
    """These wishes will not be answered any more; the reason is for a person."""

    wishes: tuple[int, ...]
    reason: str


class ClusterStopped(Message, tag=111):
    """The cluster ends, for good: do not look for it."""

    reason: str


class KeyOutput(Message, tag=34):
    """What the task printed since the last such message. ``stream`` is stdout or stderr."""

    wish: int
    key: str
    stream: str
    text: str


class Answer(Message, tag=35):
    """The answer to a request: ``error`` is empty when it was done; ``kind`` says what error: usage or timeout.

    ``failure`` is what a user's code raised on the way; ``error`` says then where.
    """

    request: int
    error: str = ""
    snapshot: ClusterSnapshot | None = None
    tasks: tuple[TaskHome, ...] = ()
    kind: str = ""
    names: tuple[str, ...] = ()
    sessions: tuple[SessionView, ...] = ()
    explanations: tuple[TaskExplanation, ...] = ()
    failure: ErrorInfo | None = None
    versions: tuple[tuple[str, str], ...] = ()
    page: TaskPage | None = None
    task: TaskDetail | None = None


FromClient = (
    OpenSession
    | Submit
    | PutValue
    | Release
    | Cancel
    | MissingValue
    | RestartCluster
    | ScaleCluster
    | AdaptCluster
    | StopAdapting
    | StopCluster
    | Describe
    | DescribeTasks
    | RetryKeys
    | ReplicateKeys
    | RebalanceKeys
    | RetireWorkers
    | RestartWorkers
    | ClaimWishes
    | Ping
    | NameKeys
    | DescribeSessions
    | TakeOver
    | Explain
    | KeepTasks
    | WantKeys
    | CloseSession
    | Watch
    | Unwatch
    | PutCode
    | DescribeVersions
    | ListTasks
    | DescribeTask
    | CancelTasks
    | RetryTasks
    | CoordinationRequest
)
ToClient = (
    Welcome
    | Refused
    | Kept
    | ClusterStopped
    | KeyFinished
    | KeyErred
    | KeyLost
    | KeyCancelled
    | KeyOutput
    | KeyRetried
    | Answer
    | Observation
    | CodeReplaced
    | Coordinated
)
