"""Results that values speak of: a Future inside a result, or inside data a client brought, holds its own result.

A task with such a value is a *speaker*; what it speaks of is kept as if a task on its way needed it, until the value is
let go of, is made anew and speaks of others, or turns out an error. A value that was lost still speaks: it is being made
again. So whoever loads a value finds what its futures stand for, and wishes for that before it lets go of the value.
This module owns both sides of the table.
"""

from collections.abc import Iterable

from jupyter_dist.core.scheduler.records import Session, Task
from jupyter_dist.core.scheduler.state import State


def note(state: State, task: Task, keys: Iterable[str]) -> list[Task]:
    """Note what a task's value speaks of; return what it spoke of before and does not now, to be released if need be.

    What is not known any more was given up before the value was made. A value cannot keep itself.
    """
    found = dict.fromkeys(state.tasks[key] for key in keys if key in state.tasks and key != task.key)
    return _change(state, task, tuple(found)) if found or task.speaks_of else []


def end(state: State, task: Task) -> list[Task]:
    """Note that a task's value is gone for good; return what it spoke of, to be released if need be."""
    return _change(state, task, ()) if task.speaks_of else []


def give_up(state: State, session: Session, task: Task) -> None:
    """Note that a client gave a task up: it is not kept for values that are that client's alone."""
    for speaker in tuple(task.speakers or ()):
        if all(other.id == session.id for other in speaker.sessions):
            _change(state, speaker, tuple(other for other in speaker.speaks_of if other is not task))


def _change(state: State, task: Task, spoken: tuple[Task, ...]) -> list[Task]:
    before, task.speaks_of = task.speaks_of, spoken
    for other in spoken:
        if other.speakers is None:
            other.speakers = {}
        if task not in other.speakers:
            other.speakers[task] = None
            other.consumers += 1
    dropped = [other for other in before if other not in spoken]
    for other in dropped:
        (other.speakers or {}).pop(task, None)
        other.consumers -= 1
    state.ledger.speak(task)
    return dropped
