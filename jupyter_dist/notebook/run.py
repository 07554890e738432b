"""One distributed cell, from its source to its receipt.

The cell becomes one task, `remote.run_cell`; each name it makes becomes a future of its own, a small task that picks it
out of the result, so a cell that fails fails all of them with the same error. What happens is read from the executor's
watch (running since, where, for how long) and from the run's future (done, failed, cancelled): the future decides.

Callbacks come on the client's I/O thread: they take notes and never wait.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import threading
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from IPython.display import display

from jupyter_dist.errors import CaptureError, PackingError, UsageError
from jupyter_dist.ids import new_token
from jupyter_dist.messages.base import ErrorInfo
from jupyter_dist.messages.observation import Observation, TaskEvent
from jupyter_dist.notebook import remote
from jupyter_dist.notebook.capture import Capture, capture_names
from jupyter_dist.notebook.cell import CellAnalysis, analyse_cell
from jupyter_dist.notebook.output import CellOutput
from jupyter_dist.notebook.ports import FuturePort, RunnerPort
from jupyter_dist.notebook.progress import StatusDisplay
from jupyter_dist.notebook.receipt import RunView
from jupyter_dist.notebook.watching import SharedWatch
from jupyter_dist.notebook.wording import listing
from jupyter_dist.settings import Settings

FACTS_WAIT_S = 1.0  # how long a finished run waits for the event that tells where and for how long it ran
STATES = {"finished": "done", "error": "failed", "cancelled": "cancelled", "lost": "lost"}
STOPPED = frozenset({"finished", "failed", "erred", "cancelled"})


@dataclass(frozen=True, slots=True)
class CellOptions:
    """How a cell is run. ``outputs`` None: what the cell makes; ``group`` says in events which cell asked."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] | None = None
    timeout_s: float = 0.0
    retries: int = 0
    rerun: str = "always"
    capture_output: bool = True
    name: str = "cell"
    group: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A cell that is ready to be sent."""

    source: str
    filename: str
    analysis: CellAnalysis
    capture: Capture
    outputs: tuple[str, ...]


def cell_filename(source: str, group: str) -> str:
    """Return what tracebacks call a cell: ``<cell [7] 3f2a9c>``, different for a different source."""
    digest = hashlib.blake2b(source.encode(), digest_size=3).hexdigest()
    return f"<{group or 'cell'} {digest}>"


def plan_cell(
    source: str,
    namespace: Mapping[str, object],
    options: CellOptions,
    settings: Settings,
    is_future: Callable[[object], bool],
) -> Plan:
    """Return a cell ready to be sent; everything that can be wrong before sending is raised here.

    Raises
    ------
    SyntaxError, CaptureError
        See `cell.analyse_cell` and `capture.capture_names`.
    UsageError
        An option names something the cell does not have.
    """
    filename = cell_filename(source, options.group)
    analysis = analyse_cell(source, filename)
    for name in options.inputs:
        if name not in namespace:
            raise UsageError(f"-i {name}: the notebook has no such name")
    outputs = analysis.outputs if options.outputs is None else options.outputs
    unknown = [name for name in outputs if name not in analysis.assigned]
    if unknown and not analysis.star_imports:
        makes = listing(analysis.outputs) or "no names"
        raise UsageError(f"-o {', '.join(unknown)}: the cell does not assign it; it makes {makes}")
    capture = capture_names(
        analysis, namespace, is_future=is_future, nbytes_max=settings.capture_bytes_max, extra=options.inputs
    )
    return Plan(source, filename, analysis, capture, outputs)


class CellRun:
    """A cell that was sent.

    Attributes
    ----------
    future : Future
        Of the whole cell. Done when the cell is.
    outputs : dict
        A future for each name the cell makes.
    finished : threading.Event
        Set when the receipt is shown and so is the last value.
    """

    def __init__(
        self, executor: RunnerPort, plan: Plan, options: CellOptions, settings: Settings, watch: SharedWatch
    ) -> None:
        self.executor, self.plan, self.options = executor, plan, options
        self.name = f"{options.name}-{new_token()[:8]}"
        self.group = options.group or self.name
        self.output = CellOutput(settings.output_bytes_max)
        self.status = StatusDisplay(self.view)
        self.finished = self.status.finished
        self._watch = watch
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._ended: float | None = None
        self._view = RunView(self.name, "sent", 0.0, outputs=plan.outputs, shipped=plan.capture.shipped)
        self._event: TaskEvent | None = None
        watch.add(self._hear)  # before it is sent: the run may be over a moment later
        try:
            self.future: FuturePort = self._submit()
        except BaseException:
            watch.remove(self._hear)
            raise
        self.outputs: dict[str, FuturePort] = {
            name: self._submit_pick(remote.pick, (self.future, name), name) for name in plan.outputs
        }
        self._shows = self._submit_pick(remote.pick_displays, (self.future,), " display")
        if self.outputs:
            executor.name_futures(self.outputs)  # by these names they are found when the kernel was restarted

    def start(self) -> None:
        """Show the run in the cell that is running now, and follow it."""
        self.status.open()
        self._shows.add_done_callback(self._on_shown)

    def bind(self, namespace: MutableMapping[str, Any]) -> None:
        """Give the notebook a future for each name the cell makes."""
        namespace.update(self.outputs)

    def wait(self) -> None:
        """Wait until the run is done and shown; an interrupt cancels it.

        Raises
        ------
        Exception
            What the cell raised.
        KeyboardInterrupt
            After the run was cancelled.
        """
        __tracebackhide__ = True
        try:
            while not self.finished.wait(0.1):
                pass
        except KeyboardInterrupt:
            self.cancel("interrupted in the notebook; the run was cancelled")
            raise
        error = self.future.exception()
        if error is not None:
            raise error

    def cancel(self, note: str) -> None:
        """Stop the run, also when it is running, and say why."""
        with self._lock:
            self._view = replace(self._view, note=note)
        self.executor.cancel([self.future, *self.outputs.values(), self._shows], force=True)
        self._settle("cancelled")
        self.status.refresh()

    def view(self) -> RunView:
        """Return the run as it is now."""
        with self._lock:
            ended, event = self._ended, self._event
            now = time.monotonic()
            late = ended is not None and now - ended > FACTS_WAIT_S
            view = self._view
        elapsed = (now if ended is None else ended) - self._started
        if ended is not None and event is None and not late and view.state != "cancelled":
            # Done, but where and for how long is not known yet: stay a line for a moment.
            return replace(view, state="running", elapsed_s=elapsed, done=0, failed=0, running=1)
        if event is not None:
            view = replace(view, worker=event.worker or view.worker, task_s=max(0.0, event.stopped_s - event.started_s))
        return replace(view, elapsed_s=elapsed if view.is_final else float(round(elapsed, 1)))

    # sending

    def _submit(self) -> FuturePort:
        plan, options = self.plan, self.options
        try:
            future: FuturePort = self.executor.submit_task(
                remote.run_cell,
                (
                    plan.source,
                    plan.filename,
                    dict(plan.capture.values),
                    dict(plan.capture.modules),
                    plan.outputs,
                    plan.analysis.has_value,
                ),
                key=self.name,
                label="cell",  # the name of the function, which all cells share
                group=self.group,
                retries=options.retries,
                rerun=options.rerun,
                timeout_s=options.timeout_s,
                on_output=self.output.write if options.capture_output else None,
            )
        except PackingError as error:
            sent = listing(f"`{item.name}`" for item in plan.capture.shipped) or "nothing but its source"
            raise CaptureError(f"the cell cannot be sent: {error}. It sends {sent}.") from error
        return future

    def _submit_pick(self, pick: Callable[..., Any], args: tuple[Any, ...], what: str) -> FuturePort:
        key = f"{self.name}:{what}"
        future: FuturePort = self.executor.submit_task(pick, args, key=key, label="pick", group=self.group)
        return future

    # hearing, on the client's I/O thread

    def _hear(self, observation: Observation) -> None:
        task = next((task for task in observation.snapshot.running if task.key == self.name), None)
        events = [event for event in observation.events if event.key == self.name and event.kind in STOPPED]
        with self._lock:
            if task is not None and not self._view.is_final:
                self._view = replace(self._view, state="running", running=1, worker=task.worker)
            for event in events:
                if self._event is None or event.started_s:  # one that tells of the run is worth more
                    self._event = event

    def _on_shown(self, shows: FuturePort) -> None:
        """Settle the run. Its displays are its last task, so whatever it printed has been heard."""
        # Fetching a value may wait for the network, which the I/O thread must not.
        threading.Thread(target=self._conclude, args=(shows,), name="jupyter_dist-receipt", daemon=True).start()

    def _conclude(self, shows: FuturePort) -> None:
        self.output.finish()
        state = STATES.get(self.future.status, "done")
        if state == "done" and shows.status != "finished":
            with self._lock:
                self._view = replace(self._view, note=f"its value cannot be shown: {error_note(shows)}")
        elif state == "done":
            self._show(shows.result())
        self._settle(state)
        self._follow_to_the_end()

    def _show(self, bundles: list[remote.Bundle]) -> None:
        if bundles:
            self.output.run(lambda: _display(bundles))

    def _settle(self, state: str) -> None:
        error = describe_error(self.future, self.plan.filename) if state == "failed" else None
        with self._lock:
            if self._view.is_final:
                return
            self._ended = time.monotonic()
            self._view = replace(
                self._view,
                state=state,
                running=0,
                done=int(state == "done"),
                failed=int(state == "failed"),
                error=error,
                note=self._view.note or (error_note(self.future) if state == "cancelled" else ""),
            )

    def _follow_to_the_end(self) -> None:
        self.finished.wait(FACTS_WAIT_S * 3)
        self._watch.remove(self._hear)


def describe_error(future: FuturePort, filename: str) -> ErrorInfo | None:
    """Return what a failed future raised, with the cell's own line."""
    error = future.exception()
    if error is None:
        return None
    frames = traceback.extract_tb(error.__traceback__)
    own = next((frame for frame in reversed(frames) if frame.filename == filename), None)
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


def _display(bundles: list[remote.Bundle]) -> None:
    for data, metadata in bundles:
        display(data, metadata=metadata, raw=True)
