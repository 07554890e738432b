"""From a cell and its options to what will be sent, and to how many tasks. Pure: nothing is sent.

A run has one *share* for each of its tasks: one as a rule, one for each element with ``--map``, one for each worker with
``--each``. Everything that can be wrong before sending is raised here, with the option's name in it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jupyter_dist.errors import UsageError
from jupyter_dist.messages.observation import WorkerView
from jupyter_dist.notebook.capture import Capture, capture_names, measure
from jupyter_dist.notebook.cell import CellAnalysis, analyse_cell
from jupyter_dist.notebook.wording import count, listing, shorten, size
from jupyter_dist.settings import Settings

LABEL_CHARS = 40
WORKERS_SHOWN = 8


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
    spread: str = ""  # what --map was given
    is_each: bool = False
    workers: tuple[str, ...] = ()
    print_order: str = ""  # "worker" or "order"; empty: prints are shown as they come
    on_interrupt: str = "cancel"


@dataclass(frozen=True, slots=True)
class Share:
    """One task of a run: its place in the results, what people call it, what it alone gets, who may run it."""

    place: int | str = 0
    label: str = ""
    values: Mapping[str, object] = field(default_factory=dict)
    workers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A cell that is ready to be sent."""

    source: str
    filename: str
    analysis: CellAnalysis
    capture: Capture
    outputs: tuple[str, ...]
    shares: tuple[Share, ...] = (Share(),)

    @property
    def is_spread(self) -> bool:
        """Whether its names become several futures each."""
        return bool(self.shares and self.shares[0].label)


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
    workers: Callable[[], Sequence[WorkerView]] = tuple,
) -> Plan:
    """Return a cell ready to be sent.

    Parameters
    ----------
    workers
        Tells which there are; asked only when an option needs it.

    Raises
    ------
    SyntaxError, CaptureError
        See `cell.analyse_cell` and `capture.capture_names`.
    UsageError
        An option names something that is not there, or makes no sense beside another.
    """
    filename = cell_filename(source, options.group)
    analysis = analyse_cell(source, filename, namespace)
    for name in options.inputs:
        if name not in namespace:
            raise UsageError(f"-i {name}: the notebook has no such name")
    outputs = _outputs(analysis, options.outputs)
    shares = _shares(options, namespace, settings, is_future, workers)
    capture = capture_names(
        analysis,
        namespace,
        is_future=is_future,
        nbytes_max=settings.capture_bytes_max,
        extra=options.inputs,
        without=shares[0].values,
    )
    return Plan(source, filename, analysis, capture, outputs, shares)


def _outputs(analysis: CellAnalysis, asked: tuple[str, ...] | None) -> tuple[str, ...]:
    if asked is None:
        return analysis.outputs
    unknown = [name for name in asked if name not in analysis.assigned]
    if unknown and not analysis.star_imports:
        makes = listing(analysis.outputs) or "no names"
        raise UsageError(f"-o {', '.join(unknown)}: the cell does not assign it; it makes {makes}")
    return asked


def _shares(
    options: CellOptions,
    namespace: Mapping[str, object],
    settings: Settings,
    is_future: Callable[[object], bool],
    workers: Callable[[], Sequence[WorkerView]],
) -> tuple[Share, ...]:
    if options.spread and options.is_each:
        raise UsageError("--map runs the cell once for each element, --each once on each worker: give one of them")
    if options.print_order and not (options.spread or options.is_each):
        raise UsageError("--group orders the prints of many tasks: it goes with --map or --each")
    chosen = _chosen_workers(options, workers) if options.is_each or options.workers else ()
    if options.is_each:
        return tuple(Share(name, name, {}, (name,)) for name in chosen)
    if options.spread:
        return _elements(options, namespace, settings, is_future)
    return (Share(workers=options.workers),)


def _chosen_workers(options: CellOptions, workers: Callable[[], Sequence[WorkerView]]) -> tuple[str, ...]:
    """Return the names of the workers that are meant; a name nobody has is an error and not a wait without an end."""
    there = workers()
    unknown = [word for word in options.workers if not any(word in (w.name, w.host, w.address) for w in there)]
    if unknown:
        known = listing([w.name for w in there[:WORKERS_SHOWN]]) or "none"
        more = f" and {len(there) - WORKERS_SHOWN} more" if len(there) > WORKERS_SHOWN else ""
        raise UsageError(f"-w {', '.join(unknown)}: the cluster has no such worker; there are {known}{more}")
    wanted = set(options.workers)
    names = tuple(w.name for w in there if not wanted or wanted & {w.name, w.host, w.address})
    if not names:
        raise UsageError("--each: the cluster has no workers; `%distributed scale 4` asks for some")
    return names


def _elements(
    options: CellOptions, namespace: Mapping[str, object], settings: Settings, is_future: Callable[[object], bool]
) -> tuple[Share, ...]:
    variable, equals, expression = options.spread.partition("=")
    variable = variable.strip()
    if not variable.isidentifier():
        raise UsageError(f"--map {options.spread}: {variable!r} is not a name; write --map x or --map x=iterable")
    iterable = _evaluate(variable, expression if equals else variable, namespace)
    if is_future(iterable):
        raise UsageError(f"--map {variable}: it is a Future, and its elements are not here: `%gather {variable}` first")
    if not isinstance(iterable, Iterable):
        raise UsageError(f"--map {variable}: a {type(iterable).__qualname__} has no elements to run the cell for")
    elements = list(itertools.islice(iterable, settings.cell_tasks_max + 1))
    if len(elements) > settings.cell_tasks_max:
        raise UsageError(
            f"--map {variable}: more than {count(settings.cell_tasks_max, 'element')}, which is what one cell may run "
            "(setting cell_tasks_max); executor.map takes any number"
        )
    if not elements:
        raise UsageError(f"--map {variable}: there is no element, so there is nothing to run")
    _check_elements(variable, elements, settings, is_future)
    return tuple(
        Share(place, _label(variable, place, element), {variable: element}, options.workers)
        for place, element in enumerate(elements)
    )


def _evaluate(variable: str, expression: str, namespace: Mapping[str, object]) -> object:
    try:
        code = compile(expression.strip(), "<--map>", "eval", dont_inherit=True)
        found: object = eval(code, dict(namespace))  # noqa: S307  # the user's own line, in the user's own notebook
    except Exception as error:
        raise UsageError(f"--map {variable}: `{expression.strip()}`: {type(error).__name__}: {error}") from error
    return found


def _check_elements(
    variable: str, elements: Sequence[object], settings: Settings, is_future: Callable[[object], bool]
) -> None:
    """Raise for an element that cannot be sent, before any is."""
    left = settings.capture_bytes_max
    for place, element in enumerate(elements):
        try:
            left -= measure(element, left, is_future)
        except Exception as error:  # pickling runs the value's own code, which may raise anything
            raise UsageError(
                f"--map {variable}: element {place} (a {type(element).__qualname__}) cannot be sent to a worker: {error}"
            ) from error
        if left < 0:
            raise UsageError(
                f"--map {variable}: the first {count(place + 1, 'element')} are more than "
                f"{size(settings.capture_bytes_max)}, which is what a cell may send; "
                f"`{variable} = executor.scatter({variable})` makes futures of them, which cost nothing to send"
            )


def _label(variable: str, place: int, element: object) -> str:
    if isinstance(element, str | int | float | bool | None):
        return f"{variable}={shorten(repr(element), LABEL_CHARS)}"
    return f"{variable}[{place}]"
