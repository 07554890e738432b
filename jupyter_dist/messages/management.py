"""Between whoever looks after a cluster and its scheduler: tasks of all clients, listed, told, given up, tried again.

A client speaks of its own wishes; who says these speaks of tasks, whoever wants them.
"""

from jupyter_dist.messages.base import Count, ErrorInfo, Message, Record
from jupyter_dist.messages.observation import TaskView


class TaskPage(Record):
    """Some tasks, the newest first. ``next`` is where the page after this one begins, 0 when there is none.

    A page may have fewer than were asked for, and none, though others follow: a scheduler looks at so many at a time.
    """

    tasks: tuple[TaskView, ...]
    next: int
    total: int  # tasks on record, of any state


class TaskDetail(Record):
    """All there is to tell of one task. ``output`` is the end of what it printed; ``output_cut`` was before that."""

    view: TaskView
    nbytes: int
    type_name: str
    reasons: tuple[str, ...]  # why it is not running, or what it is
    error: ErrorInfo | None
    output: str
    output_cut: int
    dependencies: tuple[str, ...]
    wanted_by: tuple[str, ...]  # names of sessions


class ListTasks(Message, tag=193):
    """Ask for tasks, the newest first; ``text`` is in the key, the label or the group. ``before`` 0 is the newest."""

    request: int
    state: str = ""
    text: str = ""
    before: Count = 0
    count: Count = 100


class DescribeTask(Message, tag=194):
    """Ask for all there is to tell of one task."""

    request: int
    key: str


class CancelTasks(Message, tag=195):
    """Give tasks up for everybody who wants them, and with them what was made from them.

    Answered with the keys that were given up; with ``force`` what runs is stopped as well.
    """

    request: int
    keys: tuple[str, ...]
    force: bool = False


class RetryTasks(Message, tag=196):
    """Try erred tasks again for everybody who wants them: also the inputs that raised, and all that passed on their error.

    Answered with the keys that are tried again.
    """

    request: int
    keys: tuple[str, ...]


class KeyRetried(Message, tag=37):
    """A key that had erred is tried again, because somebody asked for it: the wish is as if it were new."""

    wish: int
    key: str
