"""The queues of tasks that could run: which one a task belongs into, and what an entry is.

A queue is a heap by priority, then order of submission. An entry whose task is not queued any more is dead; it is
passed over when it comes up. Tasks whose choice of a worker is restricted in the same way share a queue of their own.
"""

import heapq

from jupyter_dist.core.resources import Amounts
from jupyter_dist.core.scheduler.arcs import QUEUED
from jupyter_dist.core.scheduler.records import Task

QUEUE_SLACK_MAX = 1000  # dead entries a queue may hold before it is rebuilt

QueueEntry = tuple[int, int, int, Task]
# workers, whether others may when these are gone, resources, whether it is not given in hand
Restriction = tuple[tuple[str, ...], bool, Amounts, bool]


def is_live(entry: QueueEntry) -> bool:
    """Whether the task of a queue's entry is still to be handed out."""
    return entry[3].state == QUEUED


def trim(queue: list[QueueEntry], live: int) -> None:
    """Rebuild a queue when most of it is dead: a million cancelled tasks must not be kept by it."""
    if len(queue) > 2 * live + QUEUE_SLACK_MAX:
        queue[:] = filter(is_live, queue)
        heapq.heapify(queue)
