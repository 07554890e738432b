"""One attempt on a worker, and the table of what may become of it.

A step that is not in `ARCS` raises `TransitionError` and changes nothing.

* fetching: some inputs are still elsewhere. * ready: in the hand, a slot may begin it at any moment. * running: in a
slot. * waiting: in a user's code that waits for something of the cluster, without a slot. * done: gone from every table; whatever comes about it later is not heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from jupyter_dist.core.worker.effects import InputValue
from jupyter_dist.errors import TransitionError
from jupyter_dist.messages import AssignedTask, FunctionBody

AttemptState = Literal["fetching", "ready", "running", "waiting", "done"]
Step = Literal["inputs-here", "given-back", "began", "waits", "goes-on", "ended"]

FETCHING: Final = "fetching"
READY: Final = "ready"
RUNNING: Final = "running"
WAITING: Final = "waiting"
DONE: Final = "done"

ARCS: Mapping[tuple[AttemptState, Step], AttemptState] = {
    (FETCHING, "inputs-here"): READY,
    (FETCHING, "given-back"): DONE,  # withdrawn, stopped, the scheduler is gone, or an input cannot be had
    (READY, "began"): RUNNING,
    (READY, "given-back"): DONE,  # withdrawn or stopped before a slot took it, or the scheduler is gone
    (RUNNING, "waits"): WAITING,
    (RUNNING, "ended"): DONE,
    (WAITING, "goes-on"): RUNNING,
    (WAITING, "ended"): DONE,  # it was struck, or has seceded: it ends without a slot
}


class Attempt:
    """What a worker knows of one attempt."""

    __slots__ = ("deadline", "function", "inputs", "interrupted", "missing", "state", "stopped", "task", "timed_out")

    def __init__(self, task: AssignedTask, function: FunctionBody) -> None:
        self.task = task
        self.function = function  # held here: the table of functions may forget it meanwhile
        self.state: AttemptState = FETCHING
        self.inputs: dict[str, InputValue] = {}
        self.missing: set[str] = set()  # inputs that are still being fetched
        self.deadline = 0.0  # 0: may run for ever, or does not run yet
        self.stopped = False  # nobody wants its result
        self.timed_out = False
        self.interrupted = False  # its slot was told to end it

    def step(self, step: Step) -> None:
        """Move along an arc of the table.

        Raises
        ------
        TransitionError
            The table has no such arc. The attempt is as it was.
        """
        try:
            self.state = ARCS[self.state, step]
        except KeyError:
            raise TransitionError(
                f"attempt {self.task.attempt} of {self.task.key!r}: {step} while {self.state}"
            ) from None
