"""The part of an Executor that says why things are as they are."""

from __future__ import annotations

from typing import Any

from jupyter_dist.client import containers
from jupyter_dist.client.explanations import Explanation, Explanations, explain_here
from jupyter_dist.client.front import Front
from jupyter_dist.client.future import Future
from jupyter_dist.errors import ClusterClosedError
from jupyter_dist.messages import Explain, TaskExplanation

BATCH = 500  # tasks the scheduler is asked about at once: it does nothing else meanwhile


class Explaining(Front):
    """What an Executor explains of its futures. Each explanation is of one moment."""

    def explain(self, futures: Any) -> Any:
        """Say of each of these futures why it is not done, or what it is.

        Parameters
        ----------
        futures
            A future, or any nesting of containers of futures.

        Returns
        -------
        list of Explanation
            One for each, with ``state`` and ``reasons``; it is shown as text. Of a closed executor it has only what is
            known here.

        Raises
        ------
        TypeError
            There is something that is no future.
        UsageError
            A future is of another executor.
        """
        containers.check_only_futures(futures)
        return self.perform(self._explain(containers.futures_of(self, futures)))

    async def _explain(self, futures: list[Future]) -> Explanations:
        return Explanations(await self.explain_all(futures))

    async def explain_all(self, futures: list[Future]) -> list[Explanation]:
        """Explain futures. A call of steps, see `blocking`."""
        keys = list(dict.fromkeys(future.key for future in futures if _is_asked_for(future)))
        told: dict[str, TaskExplanation] = {}
        closed_reason = ""
        try:
            for begin in range(0, len(keys), BATCH):
                told.update(await self._ask_for(tuple(keys[begin : begin + BATCH])))
        except ClusterClosedError as error:
            closed_reason = str(error)
        return [_explanation(future, told, closed_reason) for future in futures]

    async def _ask_for(self, keys: tuple[str, ...]) -> dict[str, TaskExplanation]:
        answer = await self.ask(lambda request: Explain(request, keys))
        return {explanation.key: explanation for explanation in answer.explanations}


def _is_asked_for(future: Future) -> bool:
    """Whether the cluster knows more of it than this process."""
    return future.status not in ("cancelled", "error")


def _explanation(future: Future, told: dict[str, TaskExplanation], closed_reason: str) -> Explanation:
    known = told.get(future.key)
    if known is None or not _is_asked_for(future):
        return explain_here(future.wish, closed_reason)
    return Explanation(known.key, known.state, known.reasons)
