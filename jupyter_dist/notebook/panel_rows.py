"""From observations to what the Executor panel shows. Pure: no widgets, the time is an argument.

The scheduler's snapshot tells counts, running tasks, errors, workers and functions; finished tasks are known from
events, of which the last ``RECENT_MAX`` are kept. A list shows at most ``ROWS_MAX`` rows and says of how many.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from jupyter_dist.messages.observation import (
    ClusterSnapshot,
    ErrorView,
    FunctionView,
    Observation,
    TaskEvent,
    TaskView,
    WorkerView,
)
from jupyter_dist.notebook.table_rows import Row
from jupyter_dist.notebook.wording import count, duration, plain, shorten, size

ROWS_MAX = 200
RECENT_MAX = 1000
SILENT_S, GONE_S = 1.5, 3.0
TIMES = "\N{MULTIPLICATION SIGN}"

STATES = ("waiting", "queued", "processing", "memory", "erred")
WORDS = {
    "waiting": "waiting",
    "queued": "queued",
    "processing": "processing",
    "memory": "in memory",
    "erred": "failed",
    "finished": "finished",
    "cancelled": "cancelled",
    "lost": "lost",
}
FUTURE_COLUMNS = ("state", "key", "function", "cell", "worker", "run time", "size")
EXPLAIN = ("explain", "Explain", "")
FUNCTION_COLUMNS = ("state", "function", "to do", "running", "finished", "failed", "median", "95 %", "in all")
ERROR_COLUMNS = ("error", "where", "times", "workers", "last", "text")
WORKER_COLUMNS = (
    "state",
    "name",
    "host",
    "pid",
    "nanny",
    "slots",
    "CPU",
    "memory",
    "held",
    "queued",
    "heard",
    "restarts",
    "last death",
)
EVENT_STATES = {"finished": "memory", "failed": "erred", "erred": "erred", "cancelled": "cancelled", "lost": "lost"}
EXAMPLE = "future = executor.submit(sum, [1, 2, 3])\nfutures = executor.map(str, range(10))\nexecutor.gather(futures)"


@dataclass(frozen=True, slots=True)
class Header:
    """The panel's first line."""

    name: str
    state: str  # a task state's name, for sign and colour
    word: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """The rows of one table and what is said above them."""

    rows: tuple[Row, ...]
    caption: str


@dataclass(frozen=True, slots=True)
class Link:
    """How the executor stands to its cluster."""

    is_closed: bool = False
    is_connected: bool = True


class PanelModel:
    """What is known of one cluster. `take` observations, then ask for rows."""

    def __init__(self, cell_of: Callable[[str], str] = lambda _filename: "") -> None:
        self.cell_of = cell_of  # tells which cell of this notebook a file is
        self.snapshot: ClusterSnapshot | None = None
        self.recent: OrderedDict[str, TaskEvent] = OrderedDict()
        self._dismissed: set[str] = set()

    def take(self, observation: Observation) -> None:
        """Learn what happened."""
        self.snapshot = observation.snapshot
        for event in observation.events:
            if event.kind in EVENT_STATES and event.key:
                before = self.recent.pop(event.key, None)
                self.recent[event.key] = _joined(before, event)
        while len(self.recent) > RECENT_MAX:
            self.recent.popitem(last=False)

    def clear(self) -> None:
        """Forget finished tasks: the cluster was restarted."""
        self.recent.clear()
        self._dismissed.clear()

    def header(self, name: str, link: Link) -> Header:
        """Return the panel's first line."""
        view = self.snapshot
        if view is None:
            return Header(name, *_word(None, link), ())
        alive = view.workers
        used, limit = sum(w.memory_bytes for w in alive), sum(w.memory_bytes_max for w in alive)
        facts = [
            f"{len(alive)}/{view.wanted} workers",
            count(sum(w.slots for w in alive), "core"),
            size(used) + (f" of {size(limit)}" if limit else ""),
            f"up {_minutes(view.at_s - view.started_s)}",
        ]
        if view.trouble:
            facts.append("no longer survives its scheduler: the journal cannot be written")
        if link.is_closed or not link.is_connected:
            facts.append(f"as of {clock(view.at_s)}")
        return Header(name, *_word(view, link), tuple(facts))

    def chips(self) -> tuple[tuple[str, str], ...]:
        """Return ``(state, text)`` for each state, ``("queued", "73 queued")``."""
        counts = self.snapshot.counts if self.snapshot else {}
        return tuple((state, f"{counts.get(state, 0):,} {WORDS[state]}") for state in STATES)

    def futures(self, state: str = "", text: str = "") -> Listing:
        """Return the futures, newest first: all, or those of one state and those with a text in a cell of their row."""
        view = self.snapshot
        if view is None:
            return Listing((), "waiting for the cluster's first word")
        if state in {"waiting", "queued"}:
            return _by_function(view.functions, state)
        running = sorted(view.running, key=lambda task: -task.started_s)
        keys = {task.key for task in running}
        rows = [_running_row(task, view.at_s) for task in running]
        rows += [_finished_row(event) for event in reversed(self.recent.values()) if event.key not in keys]
        rows = [row for row in rows if not state or row.state == state]
        if text:
            rows = [row for row in rows if _has_text(row, text)]
            return Listing(tuple(rows[:ROWS_MAX]), f"{count(len(rows), 'row')} with {text!r} among those known here")
        if not rows and not state and not any(view.counts.values()):
            return Listing((), f"no tasks yet; try:\n{EXAMPLE}")
        total = view.counts.get(state, 0) if state else sum(view.counts.values())
        shown = rows[:ROWS_MAX]
        return Listing(tuple(shown), f"showing {len(shown):,}, newest first; the cluster knows {total:,}")

    def functions(self) -> Listing:
        """Return the functions, those with most time first, with how long their tasks ran: median and 95th percentile."""
        view = self.snapshot
        functions = sorted(view.functions, key=lambda function: -function.seconds) if view else ()
        spans: dict[str, list[float]] = {}
        for event in self.recent.values():
            if event.started_s:
                spans.setdefault(event.label, []).append(max(0.0, event.stopped_s - event.started_s))
        rows = tuple(_function_row(function, sorted(spans.get(function.label, ()))) for function in functions)
        return Listing(rows[:ROWS_MAX], count(len(rows), "function") if rows else "no functions yet")

    def error_keys(self, row_id: str) -> tuple[str, ...]:
        """Return the tasks of one row of errors."""
        errors = self.snapshot.errors if self.snapshot else ()
        return tuple(error.key for error in errors if _error_id(error) == row_id)

    def dismiss(self, row_id: str) -> None:
        """Show a row of errors no more until it has another one."""
        self._dismissed.update(self.error_keys(row_id))

    def errors(self) -> Listing:
        """Return the errors, grouped by type and innermost user frame, the latest first."""
        view = self.snapshot
        groups: dict[tuple[str, str, int], list[ErrorView]] = {}
        shown = [error for error in (view.errors if view else ()) if error.key not in self._dismissed]
        for error in shown:
            groups.setdefault((error.error.type_name, error.error.filename, error.error.line), []).append(error)
        ordered = sorted(groups.values(), key=lambda group: -max(error.at_s for error in group))
        rows = tuple(_error_row(group, self.cell_of) for group in ordered[:ROWS_MAX])
        if not rows:
            return Listing((), "no errors" if not self._dismissed else "no errors but those dismissed")
        total = view.erred if view else 0
        return Listing(rows, f"{count(len(groups), 'kind')} of error; {count(total, 'task')} failed so far")

    def workers(self) -> Listing:
        """Return the workers by name."""
        view = self.snapshot
        rows = (
            tuple(_worker_row(worker) for worker in sorted(view.workers, key=lambda w: natural(w.name))) if view else ()
        )
        if not rows:
            wanted = view.wanted if view else 0
            missing = f"{wanted} wanted" if wanted else "start some with +"
            return Listing((), f"the scheduler is up with 0 workers; {missing}")
        return Listing(rows[:ROWS_MAX], count(len(rows), "worker"))


def natural(name: str) -> tuple[object, ...]:
    """Return a key that sorts ``worker-2`` before ``worker-10``."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", name))


def clock(at_s: float) -> str:
    """Return the time of day here."""
    return time.strftime("%H:%M:%S", time.localtime(at_s))


def where(filename: str, line: int) -> str:
    """Return where an error is: ``cell [7] line 4``, ``model.py line 12``."""
    if not filename:
        return ""
    if filename.startswith("<"):
        cell = re.fullmatch(r"<(.*?)( [0-9a-f]{6})?>", filename)
        return f"{cell.group(1) if cell else filename} line {line}"
    return f"{filename.rpartition('/')[2]} line {line}"


def _word(view: ClusterSnapshot | None, link: Link) -> tuple[str, str]:
    if link.is_closed:
        return "cancelled", "closed"
    if not link.is_connected:
        return "erred", "disconnected, trying again"
    if view is None:
        return "waiting", "connecting"
    if not view.workers:
        return "erred", "no workers"
    if len(view.workers) < view.wanted:
        return "processing", "some workers missing"
    return ("processing", "running") if view.counts.get("processing") else ("memory", "idle")


def _minutes(seconds: float) -> str:
    """Return an uptime; it changes once a minute so that an idle header sends nothing."""
    return "less than a minute" if seconds < 60 else duration(seconds // 60 * 60).replace(" 00 s", "")


def _joined(before: TaskEvent | None, event: TaskEvent) -> TaskEvent:
    """Return an event with what is known of the run: a failure is told twice, as a run and as a task."""
    if before is None or event.started_s or event.kind not in {"failed", "erred"} or before.kind != "failed":
        return event
    return msgspec.structs.replace(before, detail=event.detail)


def _running_row(task: TaskView, at_s: float) -> Row:
    again = f"\nattempt {task.attempts}" if task.attempts > 1 else ""
    return Row(
        task.key,
        "processing",
        (
            "running",
            shorten(task.key, 40),
            task.label,
            task.group,
            task.worker,
            duration(max(0.0, at_s - task.started_s)) if task.started_s else "",
            "",
        ),
        f"{task.key}{again}",
        (EXPLAIN, ("cancel", "Cancel", "Cancel: what it has done so far is lost")),
    )


def _finished_row(event: TaskEvent) -> Row:
    state = EVENT_STATES[event.kind]
    ran = event.stopped_s - event.started_s if event.started_s else 0.0
    cells = (
        WORDS["finished"] if state == "memory" else WORDS[state],
        shorten(event.key, 40),
        event.label,
        event.group,
        event.worker,
        duration(max(0.0, ran)) if event.started_s else "",
        size(event.nbytes) if event.nbytes else "",
    )
    actions = (("retry", "Retry", ""), EXPLAIN) if state == "erred" else (EXPLAIN,)
    return Row(event.key, state, cells, f"{event.key}\n{plain(event.detail)}".rstrip(), actions)


def _by_function(functions: Sequence[FunctionView], state: str) -> Listing:
    counted = [(view.label, int(getattr(view, state))) for view in functions]
    rows = tuple(
        Row(f"{state}:{label}", state, (WORDS[state], f"{TIMES} {number:,}", label, "", "", "", ""))
        for label, number in sorted(counted, key=lambda item: -item[1])
        if number
    )
    return Listing(rows[:ROWS_MAX], f"{WORDS[state]} tasks by function")


def _error_row(group: Sequence[ErrorView], cell_of: Callable[[str], str]) -> Row:
    last = max(group, key=lambda error: error.at_s)
    workers = {error.worker for error in group if error.worker}
    info = last.error
    cell = cell_of(info.filename)
    cells = (
        info.type_name,
        f"{cell} line {info.line}" if cell else where(info.filename, info.line),
        f"{TIMES} {len(group):,}",
        count(len(workers), "worker") if len(workers) > 1 else "".join(workers),
        clock(last.at_s),
        shorten(plain(info.text), 120),
    )
    deaths = "\n".join(certificate.words for certificate in info.certificates)
    on = f" on {last.worker}" if last.worker else ""
    detail = f"{last.key} ({last.label}){on}\n{deaths}\n{plain(info.traceback)}"
    again = f"Retry these {len(group):,}" if len(group) > 1 else "Retry"
    return Row(_error_id(last), "erred", cells, detail, (("retry", again, ""), ("dismiss", "Dismiss", "")))


def _error_id(error: ErrorView) -> str:
    return f"{error.error.type_name}|{error.error.filename}|{error.error.line}"


def _function_row(function: FunctionView, spans: Sequence[float]) -> Row:
    """Return a function's row; ``spans`` are the run times that are known here, shortest first."""
    median, high = (spans[len(spans) // 2], spans[min(len(spans) - 1, len(spans) * 95 // 100)]) if spans else (0, 0)
    state = next((name for name in ("erred", "processing", "queued", "waiting") if getattr(function, name)), "memory")
    cells = (
        WORDS[state],
        function.label,
        f"{function.waiting + function.queued:,}",
        f"{function.processing:,}",
        f"{function.finished:,}",
        f"{function.erred:,}",
        duration(median) if spans else "",
        duration(high) if spans else "",
        duration(function.seconds) if function.seconds else "",
    )
    return Row(function.label, state, cells, function.label)


def _has_text(row: Row, text: str) -> bool:
    return any(text.lower() in cell.lower() for cell in (row.id, *row.cells))


def _worker_row(worker: WorkerView) -> Row:
    sign = "processing" if worker.running else "memory"
    if worker.state != "running" or worker.heard_s >= SILENT_S:
        sign = "erred" if worker.heard_s >= GONE_S or worker.state == "silent" else "lost"
    memory = size(worker.memory_bytes)
    if worker.memory_bytes_max:
        memory += f" of {size(worker.memory_bytes_max)} ({100 * worker.memory_bytes / worker.memory_bytes_max:.0f} %)"
    cells = (
        worker.state,
        worker.name,
        worker.host,
        str(worker.pid),
        worker.nanny,
        f"{worker.running}/{worker.slots}",
        f"{worker.cpu_percent:.0f} %",
        memory,
        f"{worker.held:,} ({_held_sizes(worker)})",
        f"{worker.queued:,}",
        "now" if worker.heard_s < SILENT_S else f"{worker.heard_s:.1f} s ago",
        str(worker.restarts),
        worker.last_death,
    )
    code = "".join(f"\n{plain(name)} {version}" for name, version in worker.modules)
    told = (f"{worker.name} at {worker.address}", worker.trouble, worker.last_death)
    detail = "\n".join(filter(None, told))
    words = f"Restart {worker.name}: what it runs begins again elsewhere"
    actions = (
        ("restart", "Restart", words),
        ("retire", "Retire", f"Retire {worker.name}: its results are moved first"),
    )
    return Row(worker.name, sign, cells, f"{detail}\nlocal code:{code}" if code else detail, actions)


def _held_sizes(worker: WorkerView) -> str:
    on_disk = f", {size(worker.spilled_bytes)} on disk" if worker.spilled_bytes else ""
    return f"{size(worker.held_bytes)}{on_disk}"
