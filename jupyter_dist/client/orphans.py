"""Wishes that no session knows: of a call that could not be sent, of a future released, or loaded far from its cluster.

They are settled from the beginning, so nobody ever waits for them, and nothing is ever asked of a cluster.
"""

from __future__ import annotations

import threading
from typing import Any

from jupyter_dist.client.explanations import Explanation, explain_here
from jupyter_dist.client.waiting import Watcher
from jupyter_dist.core.futures import Wish
from jupyter_dist.errors import FutureCancelledError
from jupyter_dist.protocol.exceptions import describe_exception


def gone_wish(key: str, label: str, reason: str) -> Wish:
    """Return a wish that is cancelled, and says why."""
    wish = Wish(key, 0, label)
    wish.status = "cancelled"
    wish.reason = reason
    return wish


def failed_wish(label: str, error: BaseException) -> Wish:
    """Return a wish for a call that could not be sent; its result raises the error."""
    wish = Wish(f"{label}-not-sent", 0, label)
    wish.status = "error"
    wish.error = describe_exception(error, wish.key)
    return wish


def cancelled_error(wish: Wish) -> FutureCancelledError:
    """Return what the result of a cancelled wish raises."""
    return FutureCancelledError(f"{wish.key} was cancelled: {wish.reason}")


class _Nowhere:
    """Executor, session and results, in one, of a Future that was loaded where its cluster has no executor."""

    asynchronous = False
    lock = threading.RLock()

    @property
    def session(self) -> _Nowhere:
        """Itself."""
        return self

    @property
    def results(self) -> _Nowhere:
        """Itself."""
        return self

    def drop(self, wish: Wish) -> None:
        """Do nothing."""

    def release(self, wish: Wish) -> None:
        """Do nothing."""

    def watch(self, wish: Wish, watcher: Watcher) -> bool:
        """Say that it has settled."""
        return False

    def unwatch(self, wishes: list[Wish], watcher: Watcher) -> None:
        """Do nothing."""

    def cancel(self, futures: Any, force: bool = False) -> None:
        """Do nothing: they are cancelled."""

    async def explain_all(self, futures: list[Any]) -> list[Explanation]:
        """Say by what they are cancelled."""
        return [explain_here(future.wish, future.wish.reason) for future in futures]

    def retry(self, futures: Any) -> None:
        """Raise, saying why it is nowhere."""
        for future in futures:
            raise cancelled_error(future.wish)


NOWHERE: Any = _Nowhere()  # stands for an Executor, of which it can do what may be asked of a settled wish
