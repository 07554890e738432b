"""What each task of a world does, and what its value is: a pure function of its key and its inputs' values.

Kinds: `value` returns; `raise` raises; `flaky` raises its first runs and then returns; `poison` ends its process each
time it runs; `slow` runs longer than it may; `put` is a value a client brought. An impure task's value holds the number of its attempt as well.
"""

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from jupyter_dist.messages import FunctionBody, TaskOptions
from tests.simulator.extras import Extras

LARGE_NBYTES = 200_000
TIMEOUT_S = 0.3
ALIKE = 0.8  # the share of tasks that are submitted as the one before
SLOW_S = 25.0  # what a task takes that is never interrupted: long, but it ends
FUNCTIONS = tuple(FunctionBody(f"id-{label}", label, b"code") for label in ("load", "clean", "fit", "plot"))


@dataclass
class Plan:
    """One task of the world."""

    key: str
    kind: str
    dependencies: tuple[str, ...] = ()
    function: FunctionBody = FUNCTIONS[0]
    options: TaskOptions = field(default_factory=TaskOptions)
    duration_s: float = 0.01
    is_large: bool = False
    is_impure: bool = False  # itself, or an input of an input
    raises_left: int = 0
    submits: int = 0


def _as(before: Plan, plan: Plan) -> Plan:
    """Return a plan with the function and the options of the one before, unless it could not do then what it does."""
    special = {"flaky", "slow", "put"}
    is_other = before.options.once or before.options.pure != plan.options.pure
    if before.kind in special or plan.kind in special or is_other:
        return plan
    return replace(plan, function=before.function, options=before.options)


def value_of(key: str, inputs: Sequence[str]) -> str:
    """Return the value of a pure task, given those of its inputs."""
    return f"{key}:{zlib.crc32(' '.join((key, *inputs)).encode()):08x}"


class Marker(Protocol):
    """What changes fresh tasks."""

    def mark(self, plan: Plan) -> None:
        """Change it, perhaps."""


class Plans:
    """All tasks of a world."""

    def __init__(
        self,
        rng: random.Random,
        workers: Sequence[str],
        extras: Extras,
        marker: Marker,
        alike: random.Random | None = None,
    ) -> None:
        self.by_key: dict[str, Plan] = {}
        self._rng = rng
        self._workers = tuple(workers)
        self._extras = extras
        self._marker = marker
        self._alike = alike  # draws whether a task is submitted as the one before, in one message with it
        self._known: dict[str, str] = {}

    def __getitem__(self, key: str) -> Plan:
        return self.by_key[key]

    def make(self, dependencies: tuple[str, ...], swarm_poison: float, swarm_raise: float) -> Plan:
        """Invent a task."""
        rng = self._rng
        key = f"task-{len(self.by_key)}"
        kind = self._kind(swarm_poison, swarm_raise)
        impure = rng.random() < 0.1
        raises = rng.randint(1, 2) if kind == "flaky" else 0
        plan = Plan(
            key,
            kind,
            dependencies,
            rng.choice(FUNCTIONS),
            self._options(raises, TIMEOUT_S if kind == "slow" else 0.0, pure=not impure),
            SLOW_S if kind == "slow" else self._duration(),
            rng.random() < 0.4,
            impure or any(self.by_key[name].is_impure for name in dependencies),
            raises,
        )
        if self._alike is not None and self.by_key and self._alike.random() < ALIKE:
            plan = _as(next(reversed(self.by_key.values())), plan)
        self._marker.mark(plan)
        self.by_key[key] = plan
        return plan

    def make_put(self) -> Plan:
        """Invent a value that a client brings."""
        plan = Plan(f"data-{len(self.by_key)}", "put")
        self.by_key[plan.key] = plan
        return plan

    def _kind(self, poison: float, raising: float) -> str:
        chance = self._rng.random()
        if chance < poison:
            return "poison"
        if chance < poison + raising:
            return self._rng.choice(("raise", "flaky", "flaky", "slow"))
        return "value"

    def _options(self, raises: int, timeout_s: float, *, pure: bool) -> TaskOptions:
        rng = self._rng
        workers: tuple[str, ...] = ()
        if rng.random() < 0.15:
            workers = tuple(rng.sample(self._workers, rng.randint(1, len(self._workers))))
        return TaskOptions(
            priority=rng.choice((0, 0, 0, 1, -1)),
            retries=raises or rng.choice((0, 0, 0, 1)),
            workers=workers,
            loose=rng.random() < 0.5,
            timeout_s=timeout_s,
            pure=pure,
            output=rng.random() < 0.2,
            resources=self._extras.needs(),
        )

    def _duration(self) -> float:
        rng = self._rng
        return rng.uniform(*rng.choice(((0.001, 0.02), (0.001, 0.02), (0.02, 0.2), (0.2, 1.5))))

    def ancestry(self, key: str) -> list[str]:
        """Return a key after all keys it is made from."""
        order: dict[str, None] = {}
        stack = [(key, False)]
        while stack:
            name, is_open = stack.pop()
            if is_open:
                order[name] = None
            elif name not in order:
                stack.append((name, True))
                stack.extend((dependency, False) for dependency in self.by_key[name].dependencies)
        return list(order)

    def right_value(self, key: str) -> str:
        """Return the only value a pure task can have."""
        for name in self.ancestry(key):
            if name not in self._known:
                inputs = [self._known[dependency] for dependency in self.by_key[name].dependencies]
                self._known[name] = value_of(name, inputs)
        return self._known[key]
