"""What watchers see: one snapshot of the cluster, and the stream of task events.

The panel, the task stream, the Lab sidebar and the command line all read these and nothing else.
"""

from msgspec import field

from jupyter_dist.messages.base import Count, ErrorInfo, Message, Record, Seconds


class TaskEvent(Record):
    """Something that happened, numbered without holes from 1 within an epoch.

    Of an attempt, with its slot and times: finished, failed (it raised) or retried. Of a task: erred (itself or an
    input), lost, retried (its worker died), cancelled. Of a worker or the cluster, with its reason in ``detail`` and
    no key: worker-joined, worker-lost, worker-retiring, worker-left, worker-stays, restarted, scaled,
    journal-stopped. Times are seconds since the epoch.
    """

    number: int
    kind: str
    at_s: float
    key: str = ""
    label: str = ""
    group: str = ""
    worker: str = ""
    slot: int = 0
    started_s: float = 0.0
    stopped_s: float = 0.0
    nbytes: int = 0
    detail: str = ""


class TaskView(Record):
    """A task as a person sees it. ``since_s`` is when it came into its state; ``started_s`` 0 when not running."""

    key: str
    label: str
    state: str
    group: str
    worker: str
    slot: int
    since_s: float
    started_s: float
    attempts: int


class WorkerView(Record):
    """A worker as a person sees it. ``state`` is running, paused, retiring or silent."""

    name: str
    host: str
    pid: int
    nanny: str
    address: str
    state: str
    slots: int
    running: int
    queued: int
    memory_bytes: int
    memory_bytes_max: int
    cpu_percent: float
    held: int
    held_bytes: int
    spilled_bytes: int
    heard_s: float  # seconds since it was last heard
    restarts: int
    last_death: str
    resources: dict[str, tuple[float, float]] = field(default_factory=dict)  # declared, and what of it no task has now
    modules: tuple[tuple[str, str], ...] = ()  # of the user's, by name, with their versions
    trouble: str = ""  # what is wrong with its memory or its disk, in words


class FunctionView(Record):
    """All tasks of one label, counted by state."""

    label: str
    waiting: int
    queued: int
    processing: int
    memory: int
    erred: int
    finished: int  # ever, also of tasks forgotten since
    seconds: float  # run time of those, summed


class TaskHome(Record):
    """Where a task is: its state, the worker that processes it, the workers that hold its value."""

    key: str
    state: str
    worker: str
    holders: tuple[str, ...]
    nbytes: int


class TaskExplanation(Record):
    """Why a task is not running, or what it is. ``state`` is unknown for a key that the cluster does not know."""

    key: str
    state: str
    reasons: tuple[str, ...]


class ErrorView(Record):
    """One task that erred."""

    key: str
    label: str
    group: str
    worker: str
    at_s: float
    error: ErrorInfo


class AdaptView(Record):
    """How a cluster scales itself. ``target`` is how many workers its load was worth at the last look."""

    minimum: int
    maximum: int
    interval_s: float
    wait_count: int
    target: int


class ClusterSnapshot(Record):
    """The cluster at one moment. ``last_event`` is the number of the newest event it includes."""

    cluster: str
    at_s: float
    started_s: float
    last_event: int
    wanted: int
    workers: tuple[WorkerView, ...]
    counts: dict[str, int]  # tasks by state: waiting, queued, processing, memory, erred
    finished: int  # tasks finished since the start
    erred: int  # tasks erred since the start
    sessions: tuple[str, ...]
    functions: tuple[FunctionView, ...]
    running: tuple[TaskView, ...]
    errors: tuple[ErrorView, ...]
    nannies: dict[str, str]  # worker name -> nanny name
    adapting: AdaptView | None = None  # None: it keeps the number it was told
    recovering: bool = False  # workers of a scheduler that died may still come back
    trouble: str = ""  # why nothing is written down any more, in words; empty as a rule


class Watch(Message, tag=20):
    """Tell me what happens, at most once every ``interval_s``, events from ``after`` on."""

    interval_s: Seconds
    after: Count = 0


class Unwatch(Message, tag=21):
    """Stop telling me."""


class Observation(Message, tag=36):
    """A snapshot, and the events since the last one. ``dropped`` events had left the ring before they could be sent."""

    snapshot: ClusterSnapshot
    events: tuple[TaskEvent, ...]
    dropped: int = 0
