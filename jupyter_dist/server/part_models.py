"""What the REST interface says of the parts of a cluster: its workers, its tasks, the notebooks attached to it.

Made from what the scheduler tells, field by field. Texts of users are cut to a bound; none is taken for anything else
than text.
"""

import os
import pathlib

import msgspec

from jupyter_dist.messages import SessionView, TaskDetail, TaskPage
from jupyter_dist.messages.observation import ErrorView, FunctionView, TaskView, WorkerView

TEXT_MAX = 64 * 1024  # characters of a traceback or an error's message
PAGE_COUNT = 100
PAGE_COUNT_MAX = 500
KEYS_MAX = 1000  # tasks that one request cancels or tries again
KEY_CHARS_MAX = 1000
TASK_STATES = ("waiting", "queued", "processing", "memory", "erred", "released")


class WorkerModel(msgspec.Struct, frozen=True, kw_only=True):
    """A worker. ``state`` is running, paused, retiring, silent or lost."""

    name: str
    state: str
    host: str
    pid: int
    slots: int
    running: int
    queued: int
    memory_bytes: int
    memory_bytes_max: int
    cpu_percent: float
    held: int
    held_bytes: int
    spilled_bytes: int
    heard_s: float
    restarts: int
    last_death: str
    trouble: str


class WorkerList(msgspec.Struct, frozen=True):
    """The answer to a request for a cluster's workers."""

    workers: list[WorkerModel]


class TaskModel(msgspec.Struct, frozen=True, kw_only=True):
    """A task in a list. ``started_s`` is 0 while it does not run."""

    key: str
    label: str
    state: str
    group: str
    worker: str
    slot: int
    since_s: float
    started_s: float
    attempts: int


class TaskPageModel(msgspec.Struct, frozen=True):
    """Some tasks, the newest first. ``next`` is the ``before`` of the page after this one; 0: there is none."""

    tasks: list[TaskModel]
    next: int
    total: int


class TaskErrorModel(msgspec.Struct, frozen=True, kw_only=True):
    """What a task raised, and where in the user's code. ``key`` is the task that raised it first."""

    type_name: str
    text: str
    traceback: str
    filename: str
    line: int
    function: str
    key: str


class TaskDetailModel(msgspec.Struct, frozen=True, kw_only=True):
    """One task in full. ``output_cut`` characters were printed before ``output``."""

    task: TaskModel
    nbytes: int
    type_name: str
    reasons: tuple[str, ...]
    error: TaskErrorModel | None
    output: str
    output_cut: int
    dependencies: tuple[str, ...]
    wanted_by: tuple[str, ...]


class FunctionModel(msgspec.Struct, frozen=True, kw_only=True):
    """All tasks of one name, counted."""

    label: str
    waiting: int
    queued: int
    processing: int
    memory: int
    erred: int
    finished: int
    seconds: float


class RaisedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One task that erred, and what it raised."""

    key: str
    label: str
    group: str
    worker: str
    at_s: float
    error: TaskErrorModel


class WorkModel(msgspec.Struct, frozen=True):
    """What a cluster works on: its functions, and the newest errors."""

    functions: list[FunctionModel]
    errors: list[RaisedModel]


class NotebookModel(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook that uses a cluster. ``path`` is from the server's root, where it is below that."""

    path: str
    cluster: str
    is_connected: bool
    futures: int


class NotebookList(msgspec.Struct, frozen=True):
    """The answer to the question which notebook is attached to which cluster."""

    notebooks: list[NotebookModel]


class TasksRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to try tasks again."""

    keys: tuple[str, ...]


class CancelRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to give tasks up; with ``force`` what runs is interrupted."""

    keys: tuple[str, ...]
    force: bool = False


class KeysModel(msgspec.Struct, frozen=True):
    """The tasks that were given up or tried again: those that were asked for, and others that go with them."""

    keys: tuple[str, ...]


def worker_model(view: WorkerView) -> WorkerModel:
    """Return a worker as the browser sees it."""
    return msgspec.convert(view, WorkerModel, from_attributes=True)


def task_model(view: TaskView) -> TaskModel:
    """Return a task as the browser sees it."""
    return msgspec.convert(view, TaskModel, from_attributes=True)


def page_model(page: TaskPage) -> TaskPageModel:
    """Return a page of tasks as the browser sees it."""
    return TaskPageModel([task_model(view) for view in page.tasks], page.next, page.total)


def function_model(view: FunctionView) -> FunctionModel:
    """Return a function as the browser sees it."""
    return msgspec.convert(view, FunctionModel, from_attributes=True)


def raised_model(view: ErrorView) -> RaisedModel:
    """Return a task that erred as the browser sees it."""
    return RaisedModel(
        key=view.key,
        label=view.label,
        group=view.group,
        worker=view.worker,
        at_s=view.at_s,
        error=_error_model(view.error),
    )


def detail_model(detail: TaskDetail) -> TaskDetailModel:
    """Return one task in full as the browser sees it."""
    return TaskDetailModel(
        task=task_model(detail.view),
        nbytes=detail.nbytes,
        type_name=detail.type_name,
        reasons=detail.reasons,
        error=None if detail.error is None else _error_model(detail.error),
        output=detail.output,
        output_cut=detail.output_cut,
        dependencies=detail.dependencies,
        wanted_by=detail.wanted_by,
    )


def _error_model(error: object) -> TaskErrorModel:
    model = msgspec.convert(error, TaskErrorModel, from_attributes=True)
    return msgspec.structs.replace(model, text=model.text[:TEXT_MAX], traceback=model.traceback[-TEXT_MAX:])


def notebook_model(view: SessionView, cluster: str, root: str) -> NotebookModel:
    """Return a notebook's session as the browser sees it."""
    below = os.path.relpath(view.name, root) if root and pathlib.Path(view.name).is_absolute() else view.name
    path = view.name if below.startswith(os.pardir) else below.replace(os.sep, "/")
    return NotebookModel(path=path, cluster=cluster, is_connected=view.is_connected, futures=view.keys)
