"""What the scheduler knows of tasks that are not run twice, beside `Task.spent`. See `once` and `doubt` for the rules."""

from typing import NamedTuple

from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.messages import AssignTask


class Unsent(NamedTuple):
    """An assignment its worker is told of when this batch of changes is written down."""

    batch: int
    task: Task
    member: Member
    message: AssignTask


class OnceTable:
    """Assignments that are not sent yet, by attempt, and tasks that are not handed out before it is known if they began."""

    __slots__ = ("in_doubt", "is_restored", "send_at_s", "unsent")

    def __init__(self) -> None:
        self.unsent: dict[int, Unsent] = {}
        self.send_at_s: float | None = None  # when to look which of them are written down
        self.in_doubt: dict[Task, None] = {}
        self.is_restored = False  # from a journal, and what nobody needed then is not given up yet

    def hold_back(self, unsent: Unsent) -> None:
        """Keep an assignment; its worker is given nothing in hand meanwhile, which would begin before it."""
        self.unsent[unsent.task.attempt] = unsent
        unsent.member.unsent += 1

    def waits_for(self, batch: int) -> bool:
        """Whether an assignment is kept until this newest batch is written."""
        return bool(self.unsent) and next(reversed(self.unsent.values())).batch == batch

    def take(self, attempt: int) -> Unsent | None:
        """Return an assignment, which is not kept any more, if there is one."""
        unsent = self.unsent.pop(attempt, None)
        if unsent is not None:
            unsent.member.unsent -= 1
        return unsent
