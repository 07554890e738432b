"""What `Future.explain` returns, and what can be said of a future without asking its cluster."""

from __future__ import annotations

import dataclasses
import html

from jupyter_dist.core.describing import describe_error
from jupyter_dist.core.futures import UNLOADED, Wish


@dataclasses.dataclass(frozen=True, repr=False)
class Explanation:
    """Why a task is not running, or what it is, for a person.

    Attributes
    ----------
    key : str
        The task.
    state : str
        Waiting (for inputs), queued, processing, memory, erred, released or unknown, as the cluster sees the task; or
        cancelled, error, finished, pending or lost, as this process saw the future last.
    reasons : tuple of str
        Sentences, the most telling one first.
    """

    key: str
    state: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((f"{self.key} is {self.state}", *(f"  - {reason}" for reason in self.reasons)))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(reason)}</li>" for reason in self.reasons)
        return f"<code>{html.escape(self.key)}</code> is <b>{html.escape(self.state)}</b><ul>{items}</ul>"


class Explanations(list[Explanation]):
    """Several of them; shown one below the other."""

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no futures"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "".join(explanation._repr_html_() for explanation in self) or "no futures"


def explain_here(wish: Wish, closed_reason: str = "") -> Explanation:
    """Return what is known of a wish in this process; ``closed_reason`` says why nobody can be asked."""
    if wish.status == "cancelled":
        return Explanation(wish.key, "cancelled", (wish.reason or "it was cancelled",))
    if wish.error is not None:
        return Explanation(wish.key, wish.status, tuple(describe_error(wish.error, wish.key)))
    asked = (f"the cluster cannot be asked any more: {closed_reason}",) if closed_reason else ()
    if wish.status == "finished":
        return Explanation(wish.key, wish.status, (_describe_value(wish), *asked))
    return Explanation(wish.key, wish.status, asked)


def _describe_value(wish: Wish) -> str:
    size = f"{wish.type_name or 'value'}, {wish.nbytes:,} bytes"
    is_here = wish.value is not None or wish.loaded is not UNLOADED
    return f"its value ({size}) is {'in this process' if is_here else 'in the cluster'}"
