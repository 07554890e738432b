"""What the journal keeps of tasks that are gone, bounded.

Tasks of one submission share a record, and so do results of one batch; a record stays as long as one of them needs it.
One long task of ten thousand would keep them all. So when such records have too much of what nobody needs in them, each
that is at least half of that is written again without it, in its old place: what is made from other tasks stands behind
them. The walk over all tasks and what is written are paid for by what they set free: at most about as much as is needed,
and ``journal_waste_bytes_max``, is there besides what is needed.
"""

from __future__ import annotations

from collections import defaultdict

from jupyter_dist.core.scheduler.ledger import ENTRY_BYTES, results_record
from jupyter_dist.core.scheduler.records import Group, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import SubmissionRecord, TaskSpec


def compact(state: State) -> None:
    """Have the records written again of which at least half is needed by nobody, if more lies about than may."""
    if state.ledger.wasted_bytes - state.ledger.spared_bytes <= state.settings.journal_waste_bytes_max:
        return
    submissions: dict[Group, list[Task]] = defaultdict(list)
    batches: dict[Group, list[Task]] = defaultdict(list)
    for task in state.tasks.values():
        for groups, group in ((submissions, task.submission), (batches, task.batch)):
            if group is not None and group.share * group.live < group.nbytes:
                groups[group].append(task)
    for group, tasks in submissions.items():
        nbytes = sum(len(task.arguments) + ENTRY_BYTES for task in tasks)
        if 2 * nbytes <= group.nbytes:
            tasks.sort(key=_order)
            state.ledger.rewrite(group, _submission_record(state, group, tasks), nbytes)
    for group, tasks in batches.items():
        nbytes = sum(len(task.value or b"") + ENTRY_BYTES for task in tasks)
        if 2 * nbytes <= group.nbytes:
            state.ledger.rewrite(group, results_record(tasks), nbytes)
    state.ledger.spared_bytes = state.ledger.wasted_bytes


def _order(task: Task) -> int:
    return task.order


def _submission_record(state: State, group: Group, tasks: list[Task]) -> SubmissionRecord:
    session = state.sessions.get(group.session)
    wishes = session.wants if session is not None else {}
    specs = tuple(
        TaskSpec(
            task.key,
            task.arguments,
            tuple(other.key for other in task.dependencies),
            wishes.get(task, 0),
            tuple(other.key for other in task.held),
        )
        for task in tasks
    )
    first, orders = tasks[0], tuple(task.order for task in tasks)
    return SubmissionRecord(group.session, first.function_id, first.options, first.order, specs, orders)
