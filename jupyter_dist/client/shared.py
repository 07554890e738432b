"""The base of what clients and tasks of one cluster share by name, see `locks` and `coordination`.

All objects of one kind and name on one cluster mean the same thing, wherever they are. They can be passed to tasks;
inside a task they speak through the executor that is current there. They are known to the cluster from the first call
to the last: making one asks nothing. With an asynchronous executor every method returns an awaitable.

Whoever waits is served in turn. A restart of the cluster empties all of it.
"""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

from jupyter_dist.client import current
from jupyter_dist.client.calls import check_name
from jupyter_dist.client.front import Front
from jupyter_dist.errors import NoClusterError
from jupyter_dist.ids import new_token


class Shared:
    """The base of all that is shared by name.

    Attributes
    ----------
    name : str
        By which all processes mean the same.
    """

    kind: ClassVar[str]

    def __init__(self, name: str | None, executor: Front | None) -> None:
        if executor is not None and not isinstance(executor, Front):
            raise TypeError(f"executor is an Executor, not {executor!r}")
        self.name = f"{self.kind}-{new_token()}" if name is None else check_name(name)
        self._executor = executor
        self._cluster = ""  # which it must be, if that is known
        if executor is None:
            with contextlib.suppress(NoClusterError):  # perhaps there is one when it is used
                self._executor = current.find()

    @property
    def executor(self) -> Front:
        """Through which it speaks. NoClusterError when there is none."""
        if self._executor is None:
            self._executor = _find(self._cluster, repr(self))
        return self._executor

    def move(self, cluster: str) -> None:
        """Bind it to a cluster by its id, through whatever executor there is for it when it is used."""
        self._executor, self._cluster = None, cluster

    def _perform(self, call: Any) -> Any:
        """Make a call of steps in the way of the executor."""
        __tracebackhide__ = True
        try:
            executor = self.executor
        except BaseException:
            call.close()
            raise
        return executor.perform(call)

    def __reduce__(self) -> tuple[object, ...]:
        executor = self._executor
        cluster = self._cluster if executor is None else executor.info.cluster
        return load_shared, (type(self), self._arguments(), cluster)

    def _arguments(self) -> tuple[object, ...]:
        """Return what makes another object that means the same."""
        return (self.name,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def _find(cluster: str, what: str) -> Front:
    """Return an executor of this process on a cluster; the current one if that is not known."""
    if not cluster:
        found: Front = current.find()
        return found
    try:
        candidates = [current.find()]
    except NoClusterError:
        candidates = []
    for executor in (*candidates, *current.open_executors()):
        if executor.info.cluster == cluster:
            other: Front = executor
            return other
    raise NoClusterError(f"{what} is of a cluster to which this process has no open Executor: connect to that one")


def load_shared(kind: type[Shared], arguments: tuple[Any, ...], cluster: str) -> Shared:
    """Return an object that was pickled. Called by the unpickler alone."""
    shared = kind(*arguments)
    if cluster:
        shared.move(cluster)
    return shared
