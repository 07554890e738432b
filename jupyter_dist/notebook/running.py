"""Following a run: its status line, its prints, its receipt. The same for one that was sent here and one found again.

What happens is read from the executor's watch (running since, where, for how long) and from the futures of the run's
tasks (done, failed, cancelled): these decide. Callbacks come on the client's I/O thread: they take notes and never wait.
"""

from __future__ import annotations

import concurrent.futures
import functools
import threading
import time
import traceback
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from IPython.display import display

from jupyter_dist.messages.base import ErrorInfo
from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.output import CellOutput
from jupyter_dist.notebook.panel_rows import natural
from jupyter_dist.notebook.plan import Share
from jupyter_dist.notebook.ports import FuturePort, RunnerPort
from jupyter_dist.notebook.progress import StatusDisplay
from jupyter_dist.notebook.receipt import RunView
from jupyter_dist.notebook.run_facts import RunFacts
from jupyter_dist.notebook.showing import Bundle
from jupyter_dist.notebook.watching import SharedWatch
from jupyter_dist.notebook.wording import count, listing

FACTS_WAIT_S = 1.0  # how long a finished run waits for the event that tells where and for how long it ran
STATES = {"finished": "done", "error": "failed", "cancelled": "cancelled", "lost": "lost"}
WORKERS_SHOWN = 4


@dataclass(slots=True)
class Part:
    """One task of a run, and the small tasks that take its result apart."""

    share: Share
    key: str
    future: FuturePort
    outputs: dict[str, FuturePort] = field(default_factory=dict)
    shows: FuturePort | None = None
    is_over: bool = False

    @property
    def futures(self) -> list[FuturePort]:
        """All of them."""
        return [self.future, *self.outputs.values(), *([self.shows] if self.shows is not None else [])]

    @property
    def last(self) -> FuturePort:
        """The one after which nothing more is heard of the task. Displays come last, whatever it printed before."""
        return self.future if self.shows is None else self.shows


class Run:
    """A run that is followed. Made in the cell in which it is shown.

    Attributes
    ----------
    parts : list of Part
        Its tasks: one as a rule.
    finished : threading.Event
        Set when the receipt is shown and so is the last value.
    """

    on_interrupt = "cancel"
    print_order = ""
    filename = ""  # what tracebacks call its cell

    def __init__(
        self, executor: RunnerPort, view: RunView, keys: Sequence[str], output: CellOutput, watch: SharedWatch
    ) -> None:
        self.executor, self.output = executor, output
        self.name = view.name
        self.status = StatusDisplay(self.view, lambda: self.cancel("cancelled in its cell"))
        self.finished = self.status.finished
        self.parts: list[Part] = []
        self._watch = watch
        self._lock = threading.Lock()
        self._started = time.monotonic() - view.elapsed_s
        self._ended: float | None = None
        self._view = view
        self._facts = RunFacts(keys)

    @property
    def future(self) -> FuturePort:
        """The future of the whole cell, of its first task when it has many."""
        return self.parts[0].future

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers that run or ran it, as far as is known."""
        with self._lock:
            return self._facts.workers

    def start(self) -> None:
        """Show the run in the cell that is running now, and follow it."""
        self.status.open()
        for part in self.parts:
            self._follow(part)

    def _follow(self, part: Part) -> None:
        part.last.add_done_callback(functools.partial(self._on_over, part))

    def raise_failure(self) -> None:
        """Raise what the cell raised, of several the first."""
        __tracebackhide__ = True
        for part in self.parts:
            error = part.future.exception()
            if error is not None:
                raise error

    def cancel(self, note: str) -> None:
        """Stop the run, also when it is running, and say why."""
        self.note(note)
        self.executor.cancel([future for part in self.parts for future in part.futures], force=True)
        self._settle("cancelled")
        self.status.refresh()

    def note(self, text: str) -> None:
        """Have the status line and the receipt say something more."""
        with self._lock:
            self._view = replace(self._view, note=text)

    def view(self) -> RunView:
        """Return the run as it is now."""
        with self._lock:
            ended, facts, view = self._ended, self._facts, self._view
            now = time.monotonic()
            workers, running = facts.workers, len(facts.running)
            lacks_facts = len(facts.ended) < len(self.parts)
            view = replace(
                view, worker=_worker_words(workers), task_s=facts.task_s, peak_bytes=facts.peak_bytes,
                peak_worker=facts.peak_worker if len(workers) > 1 else "", made_bytes=facts.made_bytes,
            )  # fmt: skip
        elapsed = (now if ended is None else ended) - self._started
        is_late = ended is not None and now - ended > FACTS_WAIT_S
        if ended is not None and lacks_facts and not is_late and view.state != "cancelled":
            # Done, but where and for how long is not known yet: stay a line for a moment.
            return replace(view, state="running", elapsed_s=elapsed, done=view.total - 1, failed=0, running=1)
        if view.is_final:
            return replace(view, elapsed_s=elapsed)
        state = "running" if running or view.done or view.failed else view.state
        return replace(view, state=state, running=running, elapsed_s=float(round(elapsed, 1)))

    # hearing, on the client's I/O thread

    def _hear(self, observation: Observation) -> None:
        with self._lock:
            self._facts.hear(observation)

    def _on_over(self, part: Part, _last: FuturePort) -> None:
        status = part.future.status
        with self._lock:
            part.is_over = True
            if not self._view.is_final:
                done, failed = self._view.done + (status == "finished"), self._view.failed + (status == "error")
                self._view = replace(self._view, done=done, failed=failed)
            if not all(part.is_over for part in self.parts):
                return
        # Fetching a value may wait for the network, which the I/O thread must not.
        threading.Thread(target=self._conclude, name="jupyter_dist-receipt", daemon=True).start()

    def _conclude(self) -> None:
        self._release_prints()
        self.output.finish()
        for part in self.parts:
            self._show_part(part)
        states = {STATES.get(part.future.status, "done") for part in self.parts}
        self._settle(next(state for state in ("failed", "lost", "cancelled", "done") if state in states))
        self._follow_to_the_end()

    def _release_prints(self) -> None:
        with self._lock:
            where = {part.key: self._facts.ended.get(part.key) for part in self.parts}
        sources = []
        for part in self.parts:
            event = where[part.key]
            worker = event.worker if event is not None else ""
            sources.append((worker, part.share.label))
        if self.print_order == "worker":
            sources.sort(key=lambda source: source[0])
        self.output.release((label, f"{worker}: {label}" if worker != label else label) for worker, label in sources)

    def _show_part(self, part: Part) -> None:
        if part.shows is None or part.future.status != "finished":
            return
        if part.shows.status != "finished":
            self.note(f"its value cannot be shown: {error_note(part.shows)}")
            return
        bundles: list[Bundle] = part.shows.result()
        if bundles:
            label = part.share.label
            self.output.run(lambda: _display(bundles, label))

    def _settle(self, state: str) -> None:
        first = next((part for part in self.parts if part.future.status == "error"), None)
        error = describe_error(first.future, self.filename) if first is not None and state == "failed" else None
        statuses = [part.future.status for part in self.parts]
        with self._lock:
            if self._view.is_final:
                return
            self._ended = time.monotonic()
            self._view = replace(
                self._view,
                state=state,
                running=0,
                done=statuses.count("finished"),
                failed=statuses.count("error"),
                error=error,
                error_of=first.share.label if first is not None else "",
                note=self._view.note or (error_note(self.future) if state == "cancelled" else ""),
            )

    def _follow_to_the_end(self) -> None:
        self.finished.wait(FACTS_WAIT_S * 3)
        self._watch.remove(self._hear)


class OpenRuns:
    """The runs of one shell that go on, by the place they were last started from: a cell of the notebook."""

    def __init__(self) -> None:
        self._runs: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()

    def add(self, place: str, run: Run) -> None:
        """Note a run."""
        self._runs[place] = run

    def at(self, place: str) -> Run | None:
        """Return the run of a place, if it goes on."""
        run = self._runs.get(place)
        return run if run is not None and _goes_on(run) else None

    def going(self) -> list[Run]:
        """Return all that go on."""
        return [run for run in list(self._runs.values()) if _goes_on(run)]


def _goes_on(run: Run) -> bool:
    return not run.finished.is_set() and not run.executor.is_closed


def _worker_words(workers: tuple[str, ...]) -> str:
    return listing(sorted(workers, key=natural)) if len(workers) <= WORKERS_SHOWN else count(len(workers), "worker")


def describe_error(future: FuturePort, filename: str) -> ErrorInfo | None:
    """Return what a failed future raised, with the cell's own line."""
    error = future.exception()
    if error is None:
        return None
    frames = traceback.extract_tb(error.__traceback__)
    own = next((frame for frame in reversed(frames) if frame.filename.startswith(filename or "<cell")), None)
    return ErrorInfo(
        type_name=type(error).__qualname__,
        text=str(error),
        traceback="".join(traceback.format_exception(error)),
        filename=own.filename if own else "",
        line=(own.lineno or 0) if own else 0,
        function=own.name if own else "",
    )


def error_note(future: FuturePort) -> str:
    """Return why a future was cancelled, in words."""
    try:
        error = future.exception(timeout=0)
    except concurrent.futures.CancelledError as cancelled:
        return str(cancelled)
    return str(error or "")


def _display(bundles: list[Bundle], label: str) -> None:
    if label:
        display({"text/plain": f"── {label}"}, raw=True)
    for data, metadata in bundles:
        display(data, metadata=metadata, raw=True)
