"""The part of an Executor that finds what earlier sessions wanted: after a kernel was restarted, or killed.

A session whose process ended without closing it stays on the cluster for a while, with all it wanted. `attach` asks
what that is and takes it over in one step. What is still connected is never taken from anybody.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jupyter_dist.client.blocking import Remotely
from jupyter_dist.client.calls import check_key
from jupyter_dist.client.containers import futures_of
from jupyter_dist.client.front import Front
from jupyter_dist.client.future import Future
from jupyter_dist.errors import SessionConnectedError, UsageError
from jupyter_dist.messages import DescribeSessions, SessionView


class LostSession(NamedTuple):
    """A session whose process is gone, and how much of it is still on the cluster. Times are seconds since 1970."""

    name: str
    kind: str
    pid: int
    lost_s: float
    kept_until_s: float
    futures: int


class LostFuture(NamedTuple):
    """A future of a lost session: its names, its task, and since when that is in its state, in seconds since 1970."""

    names: tuple[str, ...]
    key: str
    label: str
    state: str  # of the task: waiting, queued, processing, memory or erred
    since_s: float


class Attaching(Front):
    """What an Executor has to do with other sessions on its cluster."""

    @abstractmethod
    def cancel(self, futures: Any, force: bool = False) -> Any:
        """Give futures up."""

    @abstractmethod
    def retry(self, futures: Any) -> Any:
        """Run tasks that erred once more."""

    def name_futures(self, names: Mapping[str, Future]) -> None:
        """Give names to futures, by which `attach` finds them after a restart. Never blocks.

        A name stands for one future of this session: a later one replaces an earlier. It is forgotten with the last
        future on its key. A future that was cancelled is left without one.

        Parameters
        ----------
        names
            Futures by name, such as those of a notebook's variables.

        Raises
        ------
        TypeError
            It is not a mapping of texts to futures.
        UsageError
            A future is of another executor.
        ClusterClosedError
            The executor is closed.
        """
        if not isinstance(names, Mapping):
            raise TypeError(f"name_futures takes a dict of futures by name, not {names!r}")
        for name, future in names.items():
            check_key(name, "name")
            if not isinstance(future, Future):
                raise TypeError(f"{name!r} is to be the name of a future, not of {future!r}")
        futures_of(self, list(names.values()))
        self.session.name_wishes((name, future.wish) for name, future in names.items())

    def lost_sessions(self) -> Any:
        """Return the sessions whose process is gone and whose futures are still on the cluster, newest first.

        Returns
        -------
        list of LostSession
            Each with name, kind, pid, since when it is lost, until when it is kept, and its number of futures.

        Raises
        ------
        ClusterClosedError
            The executor is closed.
        """
        return self.perform(self._lost_sessions())

    async def _lost_sessions(self) -> list[LostSession]:
        lost = newest_first(session for session in await self.describe_sessions() if session.keys)
        return [LostSession(s.name, s.kind, s.pid, s.lost_s, s.kept_until_s, s.keys) for s in lost]

    def lost_futures(self, name: str | None = None) -> Any:
        """Return what `attach` with the same name would take over, and leave it where it is.

        Returns
        -------
        list of LostFuture
            Each with names, key, label, the state of its task, and since when.

        Raises
        ------
        TypeError, UsageError, ClusterClosedError
            As `attach`.
        """
        return self.perform(self._lost_futures(name))

    async def _lost_futures(self, name: str | None) -> list[LostFuture]:
        lost = newest_first(await self.describe_sessions(self._name_meant(name)))
        wanted = [wanted for session in lost for wanted in session.wanted]
        return [LostFuture(w.names, w.key, w.label, w.state, w.since_s) for w in wanted]

    def attach(self, name: str | None = None) -> Any:
        """Take over the futures of lost sessions: those of this notebook before its kernel was restarted or killed.

        They become this executor's own. What is pending or runs goes on, and nothing runs again; what is finished has
        its value, what erred its error. Only sessions whose process is gone are taken over; they end with that.

        Parameters
        ----------
        name
            What those sessions are called, see `lost_sessions`; by default as this one: the notebook or script.

        Returns
        -------
        dict of Future
            By the name they were given, by `name_futures` or as the variable of a distributed cell; else by key.
            Empty when there is nothing to attach to.

        Raises
        ------
        SessionConnectedError
            No session of that name is lost, but another process is connected under it.
        TypeError, UsageError
            The name is no text; or it is to be this session's own, and this has none.
        ClusterClosedError
            The executor is closed.
        """
        return self.perform(self._attach(name))

    async def _attach(self, name: str | None) -> dict[str, Future]:
        wanted = self._name_meant(name)
        found = await self.describe_sessions(wanted)
        lost = newest_first(found)
        if not lost:
            check_connected(found, wanted)
            return {}
        # Should this wait be interrupted, they are kept all the same, and can be had by `Executor.futures`.
        wishes = await Remotely(self.loop, self.session.take_over, lost)
        futures = {key: Future(self, wish) for key, wish in wishes.items()}
        names = names_of(lost).items()
        return {name: futures[key] for name, key in names if not futures[key].cancelled()}

    def _name_meant(self, name: str | None) -> str:
        if name is not None:
            return check_key(name, "name")
        if not self.session_name:
            raise UsageError("this session has no name of its own: say which to attach to, see `lost_sessions()`")
        return self.session_name

    async def describe_sessions(self, name: str = "") -> tuple[SessionView, ...]:
        """Return the other sessions on the cluster; those of a name with what they want. A call of steps."""
        return (await self.ask(lambda request: DescribeSessions(request, name))).sessions


def newest_first(sessions: Iterable[SessionView]) -> list[SessionView]:
    """Return those of these sessions that are lost, the one lost last first."""
    return sorted((session for session in sessions if not session.is_connected), key=lambda s: s.lost_s, reverse=True)


def check_connected(sessions: Iterable[SessionView], name: str) -> None:
    """Raise SessionConnectedError when another process is connected under a name."""
    others = [session for session in sessions if session.is_connected and session.pid != os.getpid()]
    if others:
        who = ", ".join(f"a {s.kind} with pid {s.pid} and {s.keys} futures" for s in others)
        raise SessionConnectedError(
            f"{name!r} is not lost but connected: {who}. What it holds is not taken from it. Close it first, or attach "
            "to another: `executor.lost_sessions()` lists them, `executor.attach(name)` or `%distributed attach NAME` attaches"
        )


def names_of(sessions: Sequence[SessionView]) -> dict[str, str]:
    """Return the keys of sessions, which are given newest first, by what each is to be called.

    That is its names, or the key itself where it has none, with ``key `` before it when that is another's name. A name
    that sessions gave to different keys is the newest one's.
    """
    keys: dict[str, str] = {}
    for session in sessions:
        for wanted in session.wanted:
            for name in wanted.names:
                keys.setdefault(name, wanted.key)
    names: dict[str, list[str]] = {wanted.key: [] for session in reversed(sessions) for wanted in session.wanted}
    for name, key in keys.items():
        names[key].append(name)
    for key, own in names.items():
        if not own:
            own.append(f"key {key}" if key in keys else key)
    return {name: key for key, own in names.items() for name in own}
