"""Why a task is not running, or what it is: in words for a person.

Pure reading: nothing is changed here. Each state has its function, which yields sentences, the most telling one first.
A task that waits is followed to its root: an input that is not itself waiting for inputs. What keeps a queued task
from a worker is told by `hindrances`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from jupyter_dist.core.describing import describe_error
from jupyter_dist.core.scheduler import hindrances
from jupyter_dist.core.scheduler.arcs import ERRED, MEMORY, PROCESSING, QUEUED, RELEASED, WAITING
from jupyter_dist.core.scheduler.hindrances import Looking, listed
from jupyter_dist.core.scheduler.records import Member, Session, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import Answer, Explain, TaskExplanation

EXPLAINED_MAX = 1000  # tasks one answer explains
INPUTS_MAX = 3  # missing inputs that are followed
RANKS = {WAITING: 1, QUEUED: 2, RELEASED: 3, PROCESSING: 4}


def on_explain(state: State, session: Session, message: Explain, now: float) -> None:
    """Answer with what keeps tasks from running."""
    looking = Looking(state, now)
    told = tuple(explain(looking, key) for key in message.keys[:EXPLAINED_MAX])
    state.say(session.incarnation, Answer(message.request, explanations=told))


def explain(looking: Looking, key: str) -> TaskExplanation:
    """Return what a task is, and why."""
    task = looking.state.tasks.get(key)
    if task is None:
        words = "the cluster does not know it: it was cancelled or released, or the cluster was restarted since"
        return TaskExplanation(key, "unknown", (words,))
    reasons = (*STATES[task.state](looking, task), *_history(looking, task))
    return TaskExplanation(key, task.state, tuple(reasons))


# -- waiting, queued


def _waiting(looking: Looking, task: Task) -> Iterator[str]:
    missing = [dependency for dependency in task.dependencies if dependency.state != MEMORY]
    missing.sort(key=_rank)
    yield f"it needs {len(task.dependencies)} inputs, of which {len(missing)} are missing"
    for dependency in missing[:INPUTS_MAX]:
        yield _follow(looking, dependency)
    others = Counter(dependency.state for dependency in missing[INPUTS_MAX:])
    if others:
        counted = ", ".join(f"{count} {name}" for name, count in others.items())
        yield f"and {others.total()} more inputs are missing: {counted}"


def _rank(task: Task) -> int:
    """Order inputs: those first that may wait for ever."""
    is_special = task.state == QUEUED and bool(task.options.workers or task.options.resources or task.certificates)
    return 0 if is_special else RANKS.get(task.state, 0)


def _follow(looking: Looking, task: Task) -> str:
    """Say of an input why it is not there; of one that waits itself, what it waits for in the end."""
    root, steps = task, 0
    while root.state == WAITING:
        root = min((dependency for dependency in root.dependencies if dependency.state != MEMORY), key=_rank)
        steps += 1
    reasons = "; ".join(STATES[root.state](looking, root))
    if root is task:
        return f"input {task.key} is {task.state}: {reasons}"
    between = f" ({steps} steps up)" if steps > 1 else ""
    return f"input {task.key} waits for {root.key}{between}, which is {root.state}: {reasons}"


def _queued(looking: Looking, task: Task) -> Iterable[str]:
    return hindrances.of_queued(looking, task)


# -- processing


def _processing(looking: Looking, task: Task) -> Iterator[str]:
    member = task.member
    if member is None:
        return
    yield _stage(looking, task, member)
    if trouble := hindrances.trouble(looking, member):
        yield trouble
    if task.attempts > 1:
        yield f"it is the {_ordinal(task.attempts)} time that it was given to a worker"


def _stage(looking: Looking, task: Task, member: Member) -> str:
    started_s = next((at_s for attempt, _slot, at_s in member.running if attempt == task.attempt), None)
    if started_s is not None:
        elapsed_s = looking.now + looking.state.wall_offset_s - started_s
        return f"it runs on {member.name} since {_seconds(elapsed_s)}"
    given = f"it was given to {member.name} {_seconds(looking.now - task.since_s)} ago"
    before = list(member.processing).index(task.attempt) + len(member.zombies)
    if before < member.slots:
        return f"{given}, and runs there as soon as its inputs are there"
    return f"{given} and has not begun: {_count(before, 'task')} it was given before {_verb(before)} not done"


# -- memory, erred, released


def _memory(_looking: Looking, task: Task) -> Iterator[str]:
    size = f"{task.type_name or 'value'}, {task.nbytes:,} bytes"
    if task.stored:
        yield f"its value ({size}) is in the shared memory of its host"
    elif task.value is not None:
        yield f"its value ({size}) is small and kept by the scheduler"
    else:
        yield f"its value ({size}) is held by {listed(member.name for member in task.holders)}"


def _erred(_looking: Looking, task: Task) -> Iterator[str]:
    if task.error is not None:
        yield from describe_error(task.error, task.key)


def _released(_looking: Looking, task: Task) -> Iterator[str]:
    made = len(task.dependents or ())
    yield f"nobody needs its value now; how it is made is kept for {_count(made, 'task')} made from it"


def _forgotten(_looking: Looking, _task: Task) -> Iterator[str]:
    yield "nobody needs it any more"


STATES: dict[str, Callable[[Looking, Task], Iterable[str]]] = {
    WAITING: _waiting,
    QUEUED: _queued,
    PROCESSING: _processing,
    MEMORY: _memory,
    ERRED: _erred,
    RELEASED: _released,
    "forgotten": _forgotten,
}


# -- what happened before


def _history(looking: Looking, task: Task) -> Iterator[str]:
    """Say why a task is made again."""
    if not task.attempts or task.state not in (WAITING, QUEUED, PROCESSING):
        return
    event = looking.setbacks.get(task.key)
    if event is None:
        return
    ago = _seconds(looking.now + looking.state.wall_offset_s - event.at_s)
    because = f": {event.detail}" if event.detail else f" of {event.worker}" if event.worker else ""
    if event.kind == "lost":
        yield f"it had a value, which was lost {ago} ago{because}; it is made again"
    else:
        yield f"it was taken back {ago} ago{because}; it is tried again"


# -- words


def _seconds(seconds: float) -> str:
    return f"{max(0.0, seconds):.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"


def _ordinal(number: int) -> str:
    last = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{last}"
