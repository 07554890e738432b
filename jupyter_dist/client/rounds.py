"""Asking workers outside scheduling: every one at the same time, until each has answered or is gone.

The end of a worker's connection ends the wait for it. One that is stopped, or cannot be reached, ends it when the
scheduler has given it up: while somebody waits, the cluster is looked at again and again. A worker that cannot be
reached but is there is busy in code that holds Python's lock; it is tried until it lets go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from jupyter_dist.client.reading import HolderLostError, Reader, Readers, Reply
from jupyter_dist.client.session import Session
from jupyter_dist.errors import ClusterError, ProtocolError, WorkerGoneError
from jupyter_dist.messages import ClusterSnapshot, Describe, Message

LOOK_S = 0.5  # between two looks whether those who have not answered are still there
RETRY_S = 0.1  # between two attempts to reach one

Make = Callable[[int], Message]
Outcome = Reply | WorkerGoneError | None  # None: it did not answer in time


class Round:
    """One question to many workers. It lives in the I/O loop.

    Parameters
    ----------
    session, readers
        The client's.
    homes
        The workers' addresses by name.
    make
        Makes the request from its number.
    """

    def __init__(self, session: Session, readers: Readers, homes: Mapping[str, str], make: Make) -> None:
        self._session = session
        self._readers = readers
        self._homes = homes
        self._gone: dict[str, WorkerGoneError] = {}
        self._missing: set[str] = set()  # at the last look
        self._asking = {name: asyncio.ensure_future(self._ask(name, address, make)) for name, address in homes.items()}

    async def wait(self, is_last: Callable[[Outcome], bool], timeout_s: float | None) -> dict[str, Outcome]:
        """Return what became of each, in order; with those before it alone when an outcome ends the wait."""
        loop = asyncio.get_running_loop()
        until_s = None if timeout_s is None else loop.time() + timeout_s
        try:
            while any(not task.done() for task in self._asking.values()):
                left_s = LOOK_S if until_s is None else min(LOOK_S, until_s - loop.time())
                if left_s <= 0:
                    break
                waiting = [task for task in self._asking.values() if not task.done()]
                ended, _ = await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                if not ended:
                    await self._look(until_s)
                elif any(is_last(self._outcome(name)) for name, task in self._asking.items() if task in ended):
                    return {name: self._outcome(name) for name, task in self._asking.items() if task.done()}
            return {name: self._outcome(name) for name in self._asking}
        finally:
            for task in self._asking.values():
                task.cancel()

    def _outcome(self, name: str) -> Outcome:
        task = self._asking[name]
        if name in self._gone:
            return self._gone[name]
        return task.result() if task.done() else None

    async def _ask(self, name: str, address: str, make: Make) -> Outcome:
        try:
            return await (await self._reach(address)).ask(make)
        except HolderLostError as error:
            return WorkerGoneError(f"{name} was lost while it was asked: {error}")

    async def _reach(self, address: str) -> Reader:
        while True:
            try:
                return await self._readers.reach(address)
            except HolderLostError as error:
                if isinstance(error.__cause__, ProtocolError):  # it will not pass by itself
                    raise
            await asyncio.sleep(RETRY_S)

    async def _look(self, until_s: float | None) -> None:
        """End the wait for workers that the scheduler does not know any more."""
        try:
            async with asyncio.timeout_at(until_s):
                snapshot = (await self._session.ask(Describe)).snapshot
        except TimeoutError:
            return
        if snapshot is None or snapshot.recovering:
            return
        there = {view.address for view in snapshot.workers}
        missing = {name for name, task in self._asking.items() if not task.done() and self._homes[name] not in there}
        seen_twice, self._missing = missing & self._missing, missing  # it may be about to come back
        for name, task in self._asking.items():
            if name in seen_twice:
                words = "the cluster gave it up: it died, left, or was silent for too long"
                self._gone[name] = WorkerGoneError(f"{name} was lost while it was asked: {words}")
                task.cancel()


async def look_around(session: Session) -> ClusterSnapshot:
    """Return the cluster as it is, when all workers that may still come back to a new scheduler have had their time.

    Raises
    ------
    ClusterClosedError
        The session ended meanwhile.
    """
    while True:
        snapshot = (await session.ask(Describe)).snapshot
        if snapshot is None:
            raise ClusterError("the scheduler answered with nothing: is it of another version?")
        if not snapshot.recovering:
            return snapshot
        await asyncio.sleep(RETRY_S)


def _never(_outcome: Outcome) -> bool:
    return False


async def ask_workers(
    session: Session,
    readers: Readers,
    homes: Mapping[str, str],
    make: Make,
    is_last: Callable[[Outcome], bool] = _never,
    timeout_s: float | None = None,
) -> dict[str, Outcome]:
    """Ask workers, given by name and address, and return what became of each, in this order. Runs in the I/O loop.

    Parameters
    ----------
    make
        Makes the request from its number.
    is_last
        Whether an outcome ends the wait for the others, which are left out then.
    timeout_s
        How long to wait at most.

    Raises
    ------
    ClusterClosedError
        The session ended meanwhile.
    """
    found = await Round(session, readers, homes, make).wait(is_last, timeout_s)
    if any(isinstance(outcome, WorkerGoneError) for outcome in found.values()):
        session.check_open()  # it is this side that went
    return found
