"""Tasks that are fired and forgotten: they run to their end, whoever still wants them by then.

For each client that asks for it there is a keeper, an owner that is no session: it is never connected, and a client's end
does not touch it. It wants a task until the task is in memory or has erred; then the task is wanted by those alone who
look at it. A client that cancels a task gives it up for its keeper as well. This module owns the table of keepers.
"""

from jupyter_dist.core.scheduler.arcs import ERRED, MEMORY
from jupyter_dist.core.scheduler.records import Session, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import KeepTasks

KEEPER = "keeper"


def on_keep(state: State, session: Session, message: KeepTasks, _now: float) -> None:
    """Have tasks that a client wants run to their end, also when it does not want them any more."""
    for key in message.keys:
        task = state.tasks.get(key)
        if task is not None and session in task.sessions and task.state not in (MEMORY, ERRED):
            keep(state, session, task)


def keep(state: State, session: Session, task: Task) -> None:
    """Want a task for a client until it is done, whether the client is there by then or not."""
    keeper = state.keepers.get(session.id)
    if keeper is None:
        keeper = state.keepers[session.id] = Session(session.id, KEEPER, session.name, 0.0, session.pid)
    state.want(keeper, task, 0)
    state.ledger.keep(keeper, task)


def restore(state: State, session_id: str, name: str, task: Task) -> None:
    """Keep a task as the scheduler before did."""
    if task.state not in (MEMORY, ERRED):
        keeper = state.keepers.setdefault(session_id, Session(session_id, KEEPER, name, 0.0, 0))
        state.want(keeper, task, 0)


def unkeep(state: State, task: Task, session_id: str = "") -> None:
    """Keep a task no longer: for one client, or for all. The caller releases it if need be."""
    for keeper in task.sessions:
        if state.keepers.get(keeper.id) is keeper and session_id in ("", keeper.id):
            state.unwant(keeper, task)
            state.ledger.unkeep(keeper, task)
            if not keeper.wants:
                del state.keepers[keeper.id]
