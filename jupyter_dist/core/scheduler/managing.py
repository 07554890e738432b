"""Tasks for whoever looks after the cluster: listed, told in full, given up or tried again for all who want them.

A page is made by walking the table from its newest task; how many it looks at is bounded, so that no look at a table of a
million holds up the scheduler.
"""

from itertools import islice

from jupyter_dist.core.scheduler import explaining, hindrances, keeping, lineage, submission
from jupyter_dist.core.scheduler.arcs import ERRED, PROCESSING, QUEUED, WAITING
from jupyter_dist.core.scheduler.records import Session, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import (
    Answer,
    Cancel,
    CancelTasks,
    DescribeTask,
    KeyRetried,
    ListTasks,
    RetryTasks,
    TaskDetail,
    TaskPage,
    TaskView,
)

CANCELLED = "it was cancelled for everybody, by who looks after the cluster"
ON_THEIR_WAY = (WAITING, QUEUED, PROCESSING)
LOOKED_MAX = 20_000  # tasks one request looks at
PAGE_MAX = 1_000  # tasks one page tells
NEEDS_MAX = 100  # inputs and sessions a task tells


def on_list_tasks(state: State, session: Session, message: ListTasks, _now: float) -> None:
    """Answer with a page of tasks."""
    total = len(state.tasks)
    place = min(message.before, total) if message.before else total  # how many tasks are older than what was told
    end = max(0, place - LOOKED_MAX)
    count = min(message.count, PAGE_MAX)
    found: list[TaskView] = []
    for task in islice(reversed(state.tasks.values()), total - place, total - end):
        if len(found) == count:
            break
        place -= 1
        if _is_meant(task, message):
            found.append(_view(state, task))
    state.say(session.incarnation, Answer(message.request, page=TaskPage(tuple(found), place, total)))


def _is_meant(task: Task, message: ListTasks) -> bool:
    if message.state and task.state != message.state:
        return False
    text = message.text
    return not text or text in task.key or text in task.label or text in task.options.group


def _view(state: State, task: Task) -> TaskView:
    slot, started_s = _run(task)
    worker = task.member or next(iter(task.holders), None)
    return TaskView(
        task.key,
        task.label,
        task.state,
        task.options.group,
        worker.name if worker is not None else "",
        slot,
        task.since_s + state.wall_offset_s,
        started_s,
        task.attempts,
    )


def _run(task: Task) -> tuple[int, float]:
    """Return on which slot a task runs, and since when; zeros when it does not."""
    running = task.member.running if task.member is not None else ()
    return next(((slot, started_s) for attempt, slot, started_s in running if attempt == task.attempt), (0, 0.0))


def on_describe_task(state: State, session: Session, message: DescribeTask, now: float) -> None:
    """Answer with all there is to tell of a task."""
    task = state.tasks.get(message.key)
    if task is None:
        answer = Answer(message.request, f"the cluster knows no task {message.key!r} any more", kind="usage")
    else:
        answer = Answer(message.request, task=_detail(state, task, now))
    state.say(session.incarnation, answer)


def _detail(state: State, task: Task, now: float) -> TaskDetail:
    output = "".join(text for _stream, text in state.prints.of(task.key))
    return TaskDetail(
        view=_view(state, task),
        nbytes=task.nbytes,
        type_name=task.type_name,
        reasons=explaining.explain(hindrances.Looking(state, now), task.key).reasons,
        error=None if task.error is None else lineage.shown(task.error),
        output=output,
        output_cut=state.prints.cut(task.key),
        dependencies=tuple(needed.key for needed in task.dependencies[:NEEDS_MAX]),
        wanted_by=tuple(other.name or other.id for other in task.sessions[:NEEDS_MAX]),
    )


def on_cancel_tasks(state: State, session: Session, message: CancelTasks, now: float) -> None:
    """Give tasks up for everybody, one client after another; what is done stays done."""
    meant = _with_what_waits([state.tasks[key] for key in message.keys if key in state.tasks])
    for task in meant:
        keeping.unkeep(state, task)
    for other in dict.fromkeys(other for task in meant for other in task.sessions):
        keys = tuple(task.key for task in meant if other in task.sessions)
        submission.on_cancel(state, other, Cancel(keys, message.force), now, CANCELLED)
    lineage.release(state, meant, now, force=message.force)  # those that only a keeper wanted
    state.say(session.incarnation, Answer(message.request, names=tuple(task.key for task in meant)))


def _with_what_waits(tasks: list[Task]) -> list[Task]:
    """Return those of the tasks that are on their way, and all that wait for them."""
    meant: dict[Task, None] = {}
    stack = [task for task in tasks if task.state in ON_THEIR_WAY]
    while stack:
        task = stack.pop()
        if task not in meant:
            meant[task] = None
            stack.extend(other for other in task.dependents or () if other.state == WAITING)
    return list(meant)


def on_retry_tasks(state: State, session: Session, message: RetryTasks, now: float) -> None:
    """Try erred tasks again for everybody, and tell all whose wish it is."""
    again = _that_erred_with([state.tasks[key] for key in message.keys if key in state.tasks])
    told = [(task.key, incarnation, wish) for task in again for incarnation, wish in state.wishes(task)]
    for key, incarnation, wish in told:
        state.say(incarnation, KeyRetried(wish, key))
    submission.try_again(state, again, now)
    state.say(session.incarnation, Answer(message.request, names=tuple(task.key for task in again)))


def _that_erred_with(tasks: list[Task]) -> list[Task]:
    """Return the erred ones among tasks, and those connected with them by the same error, inputs before dependents."""
    again: dict[Task, None] = {}
    stack = tasks
    while stack:
        task = stack.pop()
        if task.state == ERRED and task not in again:
            again[task] = None
            stack.extend((*task.dependencies, *(task.dependents or ())))
    return sorted(again, key=lambda task: task.order)
