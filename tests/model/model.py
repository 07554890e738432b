"""What may become of each future: the rules of the public API, without a cluster.

A task's outcome is a function of its kind and its inputs. What a user does to one future changes what may become of it and
of what is made from it, and of nothing else: *that* is what the cluster is held to.

Kinds: ``value`` returns, ``raise`` raises, ``once`` raises until somebody retries it, ``poison`` kills its process, ``put``
was scattered.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Task:
    """One key."""

    key: str
    kind: str
    inputs: tuple[str, ...] = ()


@dataclass
class Promise:
    """What a user was promised with one future."""

    task: Task
    may_be_cancelled: bool = False  # by its user, by a restart, or with something it is made from
    must_be_cancelled: bool = False


@dataclass
class Model:
    """All users' futures, and what is known by name."""

    tasks: dict[str, Task] = field(default_factory=dict)
    promises: dict[tuple[str, str], Promise] = field(default_factory=dict)  # by user and key
    datasets: dict[str, str] = field(default_factory=dict)  # name -> key
    retried: set[str] = field(default_factory=set)
    killed: bool = False  # a worker or a scheduler was

    # -- what users do -----------------------------------------------------------------------------------------------

    def promise(self, user: str, task: Task) -> None:
        """A user submits a task, scatters a value, or takes a dataset; what it holds already stays as it is."""
        self.tasks[task.key] = task
        if (user, task.key) not in self.promises:
            self.promises[user, task.key] = Promise(task, may_be_cancelled=self._is_tainted(user, task))

    def _is_tainted(self, user: str, task: Task) -> bool:
        return any(
            (user, name) in self.promises and self.promises[user, name].may_be_cancelled
            for name in self.ancestry(task.key)
        )

    def release(self, user: str, key: str) -> None:
        """A user lets a future go."""
        del self.promises[user, key]

    def cancel(self, user: str, keys: list[str]) -> None:
        """A user cancels futures that are pending: these are cancelled, and what it made from them may be."""
        for key in keys:
            self.promises[user, key].may_be_cancelled = self.promises[user, key].must_be_cancelled = True
        self._taint(user, set(keys))

    def _taint(self, user: str, keys: set[str]) -> None:
        for (owner, key), promise in self.promises.items():
            if owner == user and not self.ancestry(key).isdisjoint(keys):
                promise.may_be_cancelled = True

    def restart(self, pending: list[tuple[str, str]], user: str) -> None:
        """Somebody restarts the cluster: what is pending may be cancelled, and must be where its user asked for it."""
        for promise in self.promises.values():
            promise.may_be_cancelled = True
        for owner, key in pending:
            self.promises[owner, key].must_be_cancelled |= owner == user
        self.datasets.clear()

    def retry(self, key: str) -> None:
        """Somebody retries a key that erred, and what it is made from."""
        self.retried |= self.ancestry(key)

    def kill(self) -> None:
        """A process is killed: nothing that was promised changes, but a task may run again."""
        self.killed = True

    def kill_scheduler(self) -> None:
        """The scheduler is killed: nothing that was promised changes, and what is known by name stays."""
        self.killed = True

    def leave(self, user: str) -> None:
        """A user is gone."""
        for key in [key for owner, key in self.promises if owner == user]:
            self.release(user, key)

    # -- what may become of it ---------------------------------------------------------------------------------------

    def ancestry(self, key: str) -> set[str]:
        """Return a key and all keys it is made from."""
        found: set[str] = set()
        stack = [key]
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack.extend(self.tasks[name].inputs)
        return found

    def culprits(self, key: str) -> set[str]:
        """Return whose error may be a key's own."""
        return {name for name in self.ancestry(key) if self.tasks[name].kind in {"raise", "once", "poison"}}

    def must_err(self, key: str) -> bool:
        """Whether a key cannot have a value."""
        kinds = {self.tasks[name].kind for name in self.ancestry(key) if not self._may_pass(name)}
        return not kinds.isdisjoint({"raise", "once", "poison"})

    def _may_pass(self, name: str) -> bool:
        return self.tasks[name].kind == "once" and (self.killed or name in self.retried)
