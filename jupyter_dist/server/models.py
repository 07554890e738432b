"""What the REST interface says and accepts: JSON objects as typed records, and the checks on what comes in.

Everything that arrives is refused with a `UsageError` that names the field, before a manager sees it. Everything that
leaves is made of text that can be encoded, bounded, and without a secret: a model is filled from a
`ClusterSnapshot`, a `ClusterSpec` or words for a person, never from a connection file's contents as a whole.
"""

import json
from typing import TypeVar

import msgspec

from jupyter_dist.core.resources import check_resources
from jupyter_dist.errors import UsageError
from jupyter_dist.launch.connection_file import check_name
from jupyter_dist.launch.host import parse_bytes
from jupyter_dist.messages.observation import ClusterSnapshot
from jupyter_dist.settings import Settings

DEFAULT_NAME = "default"
LOG_LINES = 200
LOG_LINES_MAX = 1000
WORDS_MAX = 200  # characters of a refused value that are said back
IDLE_STOP_S_MAX = 30 * 24 * 3600.0
ALIVE = frozenset({"running", "paused", "retiring"})  # states of a worker that is heard

T = TypeVar("T")


class UnknownPartError(UsageError):
    """A cluster has no such worker, task or log."""


class AdaptModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Between how many workers a cluster scales itself."""

    minimum: int
    maximum: int


class LossModel(msgspec.Struct, frozen=True):
    """A worker that died. ``number`` grows with each within a cluster's scheduler."""

    number: int
    at_s: float
    worker: str
    reason: str


class ClusterModel(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as the browser sees it. ``state`` is starting, running, stopping, failed or lost."""

    name: str
    state: str
    id: str = ""  # empty until it runs
    phase: str = ""  # how far a start has come
    elapsed_s: float = 0.0  # of a start, or since the cluster is there
    reason: str = ""  # why it failed, is lost, or does not answer
    log: str = ""  # the last lines, of a failed or lost cluster
    workers: int = 0  # alive
    wanted: int = 0
    cores: int = 0
    memory_bytes: int = 0
    running: int = 0  # tasks that have a slot now; more may be in a worker's hand
    counts: dict[str, int] = {}
    finished: int = 0
    erred: int = 0
    sessions: tuple[str, ...] = ()
    started_s: float = 0.0
    detached: bool = True
    adapting: AdaptModel | None = None  # None: it keeps the number it was told
    trouble: str = ""  # what is wrong with it as a whole, in words
    losses: tuple[LossModel, ...] = ()  # the last workers that died


class ClusterList(msgspec.Struct, frozen=True):
    """The answer to a list request."""

    clusters: list[ClusterModel]


class LogModel(msgspec.Struct, frozen=True):
    """The answer to a log request."""

    log: str


class ErrorModel(msgspec.Struct, frozen=True):
    """Every answer that is not a success."""

    message: str


class CodeModel(msgspec.Struct, frozen=True):
    """The answer to a request for code to insert. It holds no secret: the name is enough."""

    code: str


class StartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a start. What is left out is the profile's, else chosen here: the next free name, a worker a core."""

    name: str | None = None
    profile: str | None = None
    workers: int | None = None
    threads_per_worker: int | None = None
    memory_limit: int | str | None = None  # of each worker, in bytes or as "2GB"
    resources: dict[str, float] | None = None  # what each worker has besides threads
    idle_stop_s: float | None = None  # how long it lives without a session


class ChangeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a change: how many workers the cluster shall keep, or how it scales itself; null ends that."""

    workers: int | msgspec.UnsetType = msgspec.UNSET
    adapt: AdaptModel | msgspec.UnsetType | None = msgspec.UNSET


class EmptyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request that has nothing to say."""


def parse(body: bytes, model: type[T]) -> T:
    """Return the body of a request as a record; an empty body counts as an empty object.

    Raises
    ------
    UsageError
        It is not JSON, or a field is unknown, missing or of another type. The text names the field.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=model)
    except msgspec.ValidationError as error:
        raise UsageError(f"the body of the request does not fit: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UsageError("the body of the request is not JSON; send an object such as {}") from None


def check_start(request: StartRequest, settings: Settings) -> None:
    """Refuse a name that no cluster can have, and numbers that no machine can serve."""
    if request.name is not None:
        try:
            check_name(request.name)
        except UsageError as error:
            raise UsageError(f"field `name`: {shorten(request.name, str(error))}") from None
    if request.workers is not None:
        check_count("workers", request.workers, 1, settings.workers_max)
    if request.threads_per_worker is not None:
        check_count("threads_per_worker", request.threads_per_worker, 1, settings.threads_per_worker_max)
    if request.idle_stop_s is not None and not 0 < request.idle_stop_s <= IDLE_STOP_S_MAX:
        raise UsageError(f"field `idle_stop_s`: must be more than 0 and at most {IDLE_STOP_S_MAX:.0f} seconds")
    for field, check in (("memory_limit", parse_bytes), ("resources", check_resources)):
        try:
            check(getattr(request, field))
        except (UsageError, TypeError) as error:
            raise UsageError(f"field `{field}`: {ascii(str(error))[1:-1][:WORDS_MAX]}") from None


def check_change(request: ChangeRequest, settings: Settings) -> None:
    """Refuse a change of nothing or of both, and numbers that no cluster can have."""
    if (request.workers is msgspec.UNSET) == (request.adapt is msgspec.UNSET):
        raise UsageError("the body of the request must have one of the fields `workers` and `adapt`")
    if request.workers is not msgspec.UNSET:
        check_count("workers", request.workers, 0, settings.workers_max)
    if isinstance(request.adapt, AdaptModel):
        check_count("adapt.maximum", request.adapt.maximum, 1, settings.workers_max)
        check_count("adapt.minimum", request.adapt.minimum, 0, request.adapt.maximum)


def check_count(field: str, value: int, low: int, high: int) -> None:
    """Refuse a number outside its limits."""
    if not low <= value <= high:
        raise UsageError(f"field `{field}`: must be from {low} to {high}")


def code_for(name: str) -> str:
    """Return the lines that use a cluster in a notebook."""
    return f"from jupyter_dist import Executor\nexecutor = Executor({json.dumps(name)})"


def shorten(name: str, text: str) -> str:
    """Return a text that quotes a name of any length and any characters, as a short one in ASCII."""
    return text.replace(repr(name), ascii(name[:64]))


def clean(text: str, bytes_max: int) -> str:
    """Return the end of a text, as something that can be encoded whatever a process wrote."""
    return text.encode(errors="replace")[-bytes_max:].decode(errors="replace")


def with_snapshot(model: ClusterModel, snapshot: ClusterSnapshot) -> ClusterModel:
    """Return the model with the figures of a snapshot. A worker that is not heard is not counted as alive."""
    adapting = snapshot.adapting
    alive = [worker for worker in snapshot.workers if worker.state in ALIVE]
    return msgspec.structs.replace(
        model,
        workers=len(alive),
        wanted=snapshot.wanted,
        cores=sum(worker.slots for worker in alive),
        memory_bytes=sum(worker.memory_bytes for worker in alive),
        running=sum(worker.running for worker in alive),
        counts=dict(snapshot.counts),
        finished=snapshot.finished,
        erred=snapshot.erred,
        sessions=snapshot.sessions,
        adapting=None if adapting is None else AdaptModel(adapting.minimum, adapting.maximum),
        trouble=snapshot.trouble,
    )
