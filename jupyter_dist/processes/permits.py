"""Who may compute: a worker has as many permits as slots, and any number of runners, threads with a task or without.

A permit is with one runner, or on its way to one; it never lies about. A runner that has one and no task waits at the
hand; one that has none waits for its turn. A permit is passed on

* between two tasks: to the runner that wants to go on with its task and has waited longest; else to an idle runner of a
  lower number, so that tasks run in the main thread when it is free, and the runners that were added fall idle and end;
* when a task begins to wait: to the same, else to an idle runner, else to a new one.

So no more tasks compute than there are slots, except that a task whose wait was struck goes on at once. How many may
wait is bounded: the next one is told.

Nothing here may be interrupted half-way: runners call from outside of a user's code, or with their guard paused.
"""

from __future__ import annotations

import bisect
import contextlib
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from threading import Lock
from typing import Any

from jupyter_dist.errors import WaitingLimitError

IDLE_S = 10.0  # an added runner that had no turn for so long ends

_number = attrgetter("index")


class Holder:
    """What permits need of a runner: the base of it.

    Attributes
    ----------
    index : int
        Its number; 0 is the main thread's.
    has_permit : bool
        Whether it may compute. Changed under the lock of `Permits`.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.has_permit = False
        self.is_away = False  # its task gave its permit away, and has not yet taken up one again
        self.turn = Lock()  # released when its turn comes
        self.turn.acquire()

    def call(self) -> None:
        """Have it look whether its turn has come."""
        with contextlib.suppress(RuntimeError):  # it was called already
            self.turn.release()


class Permits:
    """All permits of a worker.

    Parameters
    ----------
    waiting_max : int
        How many tasks may wait.
    add_runner : callable
        Returns a new runner, which waits for its turn. Raises RuntimeError when there can be none.
    end_runner : callable
        Takes a runner off the books that ends.
    nudge : callable
        Has one runner that waits at the hand come back from it.
    """

    def __init__(
        self,
        waiting_max: int,
        add_runner: Callable[[], Holder],
        end_runner: Callable[[Any], object],
        nudge: Callable[[], object],
    ) -> None:
        self.away = 0  # how many tasks wait, or have seceded
        self._waiting_max = waiting_max
        self._add_runner = add_runner
        self._end_runner = end_runner
        self._nudge = nudge
        self._lock = Lock()
        self._returning: deque[Holder] = deque()
        self._idle: list[Holder] = []  # by number

    def issue(self, holder: Holder) -> None:
        """Give a new permit to a runner that has none."""
        with self._lock:
            if holder in self._idle:
                self._idle.remove(holder)
            holder.has_permit = True
            holder.call()

    # -- between two tasks -------------------------------------------------------------------------------------------

    def keep(self, holder: Holder) -> bool:
        """Return when a runner without a task may take one; False when it had no turn for long, and is to end."""
        is_sure = holder.has_permit and not holder.is_away and not self._returning
        if is_sure and (not self._idle or self._idle[0].index > holder.index):
            return True
        with self._lock:
            self._end_absence(holder)
            if holder.has_permit and not self._pass_on(holder):
                return True
            self._forget_turn(holder)
            if holder not in self._idle:
                bisect.insort(self._idle, holder, key=_number)
        return self._wait_idle(holder)

    def _pass_on(self, holder: Holder) -> bool:
        if self._returning:
            heir = self._returning.popleft()
        elif self._idle and self._idle[0].index < holder.index:
            heir = self._idle.pop(0)
        else:
            return False
        self._move(holder, heir)
        return True

    def _wait_idle(self, holder: Holder) -> bool:
        while True:
            is_called = holder.turn.acquire(timeout=IDLE_S if holder.index else -1)
            with self._lock:
                if holder.has_permit:
                    self._forget_turn(holder)
                    return True
                if not is_called:
                    self._idle.remove(holder)
                    self._end_runner(holder)
                    return False

    # -- inside a task -----------------------------------------------------------------------------------------------

    def leave(self, holder: Holder, tell: Callable[[], object]) -> None:
        """Give a runner's permit to another, if it has one; ``tell`` is called before anybody can use it.

        Raises
        ------
        WaitingLimitError
            Too many wait already, or there can be no more threads. It keeps its permit.
        """
        with self._lock:
            if holder in self._returning:
                self._returning.remove(holder)
            if not holder.has_permit:
                return
            heir = self._find_heir(holder)
            tell()
            if not holder.is_away:
                holder.is_away = True
                self.away += 1
            self._move(holder, heir)

    def _find_heir(self, holder: Holder) -> Holder:
        if not holder.is_away and self.away >= self._waiting_max:
            raise WaitingLimitError(
                f"{self.away} tasks of this worker wait for something of the cluster: no more may begin to (setting "
                "waiting_max). Submit fewer tasks that wait at a time, or have what they wait for done first"
            )
        if self._returning:
            return self._returning.popleft()
        if self._idle:
            return self._idle.pop(0)
        try:
            return self._add_runner()
        except RuntimeError as error:
            raise WaitingLimitError(
                f"{self.away} tasks of this worker wait for something of the cluster, and the system has no thread for "
                f"one more ({error}): submit fewer tasks that wait at a time"
            ) from error

    def want(self, holder: Holder) -> bool:
        """Put a runner among those that want to go on; return whether it has a permit already."""
        with self._lock:
            if holder.has_permit:
                return True
            if holder not in self._returning:
                self._forget_turn(holder)
                self._returning.append(holder)
        self._nudge()
        return False

    def take_up(self, holder: Holder) -> None:
        """Note that a runner goes on with its permit."""
        with self._lock:
            self._forget_turn(holder)
            self._end_absence(holder)

    # -- under the lock ----------------------------------------------------------------------------------------------

    def _move(self, holder: Holder, heir: Holder) -> None:
        holder.has_permit, heir.has_permit = False, True
        heir.call()

    def _forget_turn(self, holder: Holder) -> None:
        holder.turn.acquire(blocking=False)

    def _end_absence(self, holder: Holder) -> None:
        if holder.is_away:
            holder.is_away = False
            self.away -= 1
        if not holder.has_permit and holder in self._returning:
            self._returning.remove(holder)
