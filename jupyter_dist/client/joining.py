"""The part of an Executor that joins what others submitted."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from jupyter_dist.client.calls import check_key
from jupyter_dist.client.front import Front
from jupyter_dist.client.future import Future


class Joining(Front):
    """Futures on tasks that are known already."""

    @abstractmethod
    def cancel(self, futures: Any, force: bool = False) -> None:
        """Give futures up."""

    @abstractmethod
    def retry(self, futures: Any) -> Any:
        """Run tasks that erred once more."""

    def future(self, key: str) -> Future:
        """Return a future on a task that is known to the cluster, whoever submitted it.

        From now on this session wants its result as well. When the cluster does not know such a task, or does not know
        it any more, the future is cancelled and says so.

        Parameters
        ----------
        key
            The name of the task.

        Raises
        ------
        TypeError
            It is no text, or empty.
        UsageError
            It has characters that cannot be sent.
        ClusterClosedError
            The executor is closed.
        """
        key = check_key(key)
        return Future(self, self.session.want(key, key.rpartition("-")[0] or key))
