"""What a distributed cell says of itself: one line while it runs, a receipt when it is done.

Pure: a `RunView` in, HTML and text out. No widget and no script, so that a saved notebook reads well on GitHub and in
nbconvert; every user text escaped; under ``RECEIPT_BYTES_MAX`` whatever the cell was.
"""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_dist.messages.base import ErrorInfo
from jupyter_dist.notebook.capture import Shipped
from jupyter_dist.notebook.wording import colour, count, duration, escape, icon, plain, shorten, size

RECEIPT_BYTES_MAX = 20_000
SHIPPED_MAX = 40
BUDGETS = ((1500, 4000), (800, 1000), (250, 0))  # characters of a fact and of the traceback, tried in turn

FINAL = frozenset({"done", "failed", "cancelled", "lost"})
SAMPLES_MIN = 5  # tasks that are over, before the time left is told
BAR = ("done", "running", "failed")


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as a person sees it. ``state`` is sent, running, done, failed, cancelled or lost."""

    name: str
    state: str
    elapsed_s: float
    total: int = 1
    done: int = 0
    running: int = 0
    failed: int = 0
    worker: str = ""
    task_s: float = 0.0
    outputs: tuple[str, ...] = ()
    shipped: tuple[Shipped, ...] = ()
    error: ErrorInfo | None = None
    error_of: str = ""  # which of many tasks it is the error of
    note: str = ""  # why it was cancelled, what it waits for
    peak_bytes: int = 0  # the most memory a worker had while it ran
    peak_worker: str = ""
    made_bytes: int = 0

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in FINAL


Bundle = dict[str, str]


def status_bundle(view: RunView) -> Bundle:
    """Return the status line while the run is under way, or its receipt."""
    return receipt_bundle(view) if view.is_final else {"text/plain": _line(view), "text/html": _line_html(view)}


def receipt_bundle(view: RunView) -> Bundle:
    """Return what stays in the notebook."""
    for budget in BUDGETS:
        bundle = {"text/plain": _receipt(view, *budget), "text/html": _receipt_html(view, *budget)}
        if sum(len(text.encode()) for text in bundle.values()) < RECEIPT_BYTES_MAX:
            break
    return bundle


def counts_text(view: RunView) -> str:
    """Return the counts in words, leaving out what is zero."""
    parts = [f"{view.done:,}/{view.total:,} done"]
    left = 0 if view.is_final or view.total < 2 else view.total - view.done - view.running - view.failed
    counts = ((view.running, "running"), (view.failed, "failed"), (left, "queued"))
    parts += [f"{number:,} {word}" for number, word in counts if number]
    return ", ".join(parts)


def time_left(view: RunView) -> str:
    """Return how long a run will take from here on; empty while too few of its tasks are over to tell."""
    over = view.done + view.failed
    if view.total < 2 or over < SAMPLES_MIN or over >= view.total:
        return ""
    return f", about {duration(view.elapsed_s / over * (view.total - over))} left"


def _line(view: RunView) -> str:
    note = f"; {view.note}" if view.note else ""
    where = f" on {view.worker}" if view.worker else ""
    return f"{icon(view.state)} {view.state}{where}: {counts_text(view)}; {duration(view.elapsed_s)}{time_left(view)}{note} [{view.name}]"


def _line_html(view: RunView) -> str:
    where = f" on {escape(view.worker)}" if view.worker else ""
    note = f"; {escape(view.note)}" if view.note else ""
    return (
        f"<div>{_state_html(view.state)}{where}: {counts_text(view)}; {duration(view.elapsed_s)}{time_left(view)}{note} "
        f"<code>{escape(view.name)}</code>{_bar_html(view)}</div>"
    )


def _bar_html(view: RunView) -> str:
    """Return a thin stacked bar; with one task the words say it all."""
    if view.total < 2:
        return ""
    parts = zip(BAR, (view.done, view.running, view.failed), strict=True)
    cells = "".join(
        f'<span style="display:inline-block;height:6px;width:{100 * number / view.total:.1f}%;'
        f'background:{colour(state)}"></span>'
        for state, number in parts
        if number
    )
    return f'<div style="background:#8884;font-size:0;max-width:480px">{cells}</div>'


def _state_html(state: str) -> str:
    return f'<strong><span style="color:{colour(state)}">{icon(state)}</span> {escape(state)}</strong>'


def _facts(view: RunView, chars: int) -> list[tuple[str, str]]:
    facts = [
        ("tasks", counts_text(view)),
        ("wall time", duration(view.elapsed_s)),
        ("task time", _task_time(view)),
        ("worker", view.worker),
        ("peak memory", _peak(view)),
        ("made", _made(view)),
        ("sent", _shipped(view.shipped)),
        ("note", view.note),
        ("first failure", _failure(view)),
        ("run", view.name),
    ]
    return [(name, shorten(text, chars)) for name, text in facts if text]


def _shipped(shipped: tuple[Shipped, ...]) -> str:
    ordered = sorted(shipped, key=lambda item: -item.nbytes)
    more = [count(len(ordered) - SHIPPED_MAX, "more name")] if len(ordered) > SHIPPED_MAX else []
    return ", ".join([str(item) for item in ordered[:SHIPPED_MAX]] + more)


def _made(view: RunView) -> str:
    names = ", ".join(view.outputs[:SHIPPED_MAX])
    return f"{names} ({size(view.made_bytes)} in all)" if names and view.made_bytes else names


def _task_time(view: RunView) -> str:
    """Return how long the tasks ran, and how many times faster than one after another that was."""
    if not view.task_s:
        return ""
    is_many = view.total > 1 and view.elapsed_s > 0
    return duration(view.task_s) + (f", {view.task_s / view.elapsed_s:.1f} × the wall time" if is_many else "")


def _peak(view: RunView) -> str:
    if not view.peak_bytes:
        return ""
    return size(view.peak_bytes) + (f" on {view.peak_worker}" if view.peak_worker else "")


def _failure(view: RunView) -> str:
    error = view.error
    if error is None:
        return ""
    where = f", {error.filename.strip('<>')} line {error.line}" if error.line else ""
    which = f" ({plain(view.error_of)})" if view.error_of else ""
    return f"{error.type_name}: {shorten(plain(error.text), 600)}{where}{which}"


def _receipt(view: RunView, fact_chars: int, traceback_chars: int) -> str:
    rows = "\n".join(f"  {name + ':':<14} {text}" for name, text in _facts(view, fact_chars))
    traceback = _traceback(view.error, traceback_chars)
    return f"{icon(view.state)} {view.state}\n{rows}" + (f"\n\n{traceback}" if traceback else "")


def _receipt_html(view: RunView, fact_chars: int, traceback_chars: int) -> str:
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in _facts(view, fact_chars)
    )
    traceback = _traceback(view.error, traceback_chars)
    folded = f"<details><summary>Traceback</summary><pre>{escape(traceback)}</pre></details>" if traceback else ""
    summary = f"{_state_html(view.state)} in {duration(view.elapsed_s)}"
    if view.worker:
        summary += f" on {escape(view.worker)}"
    opened = " open" if view.state != "done" else ""
    return f"<details{opened}><summary>{summary}</summary><table>{rows}</table>{folded}</details>"


def _traceback(error: ErrorInfo | None, chars: int) -> str:
    text = plain(error.traceback) if error and chars else ""
    return text if len(text) <= chars else "…" + text[-chars:]
