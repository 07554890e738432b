"""What newer worlds have besides: tasks that are not run twice, and the judge of them.

Drawn by a generator of its own, so that the worlds of older stories stay as they were. The judge counts how often a
task's code begins, and how often that was wished for: by submitting what was not known, or was let go of. Who submits
what is on its way, or done, joins it. There is no other wish to have it run in these worlds.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from jupyter_dist.core.scheduler.arcs import RELEASED
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import Submit
from tests.simulator.plans import Plan


class Once:
    """One seed's tasks that are not run twice."""

    def __init__(self, seed: int, *, is_used: bool) -> None:
        self.rng = random.Random(f"once twice {seed}")
        self.share = self.rng.choice((0.0, 0.0, 0.3, 0.6)) if is_used else 0.0
        self.begun: defaultdict[str, int] = defaultdict(int)  # how often its code began
        self.wishes: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)  # that it shall: session, number

    def mark(self, plan: Plan) -> None:
        """Have a fresh task run once, perhaps."""
        if self.share and self.rng.random() < self.share:
            plan.options = msgspec.structs.replace(plan.options, once=True, retries=0)
            plan.raises_left = 0
            plan.kind = "value" if plan.kind == "flaky" else plan.kind

    def note(self, state: State, source: int, events: Sequence[Any]) -> None:
        """Note what the scheduler is about to hear. What else is in a batch may let go of a task just before."""
        session = state.session_of.get(source)
        is_alone = all(isinstance(event, Submit) for event in events)
        for event in events:
            if isinstance(event, Submit) and event.options.once and session is not None:
                for spec in event.tasks:
                    task = state.tasks.get(spec.key)
                    if task is None or task.state == RELEASED or not is_alone:
                        self.wishes[spec.key].add((session.id, spec.wish))

    def began(self, plan: Plan) -> str:
        """Note that a task's code begins; return in words what is wrong with that."""
        if not plan.options.once:
            return ""
        self.begun[plan.key] += 1
        if self.begun[plan.key] > len(self.wishes[plan.key]):
            return f"{plan.key} begins {self.begun[plan.key]} times, wished for {len(self.wishes[plan.key])} times"
        return ""
