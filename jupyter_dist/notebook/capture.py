"""From the names a cell needs to what is sent: values, modules by name, futures as dependencies.

Everything that can be wrong is found here, before anything is sent, and said with the line that uses the name: a name
that is nowhere, one that cannot be pickled, one that is too large. A value is measured by pickling it into a counter
that gives up at the limit, so a 10 GB array costs no memory to refuse.

A name the cell only *may* need (see `cell`) is sent when it is there. When it is a future, only when that has finished:
the failure of an earlier run of the same cell must not become the failure of the next.
"""

from __future__ import annotations

import builtins
import pickle
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType

import cloudpickle

from jupyter_dist.errors import CaptureError
from jupyter_dist.notebook.bindings import Read
from jupyter_dist.notebook.cell import CellAnalysis
from jupyter_dist.notebook.shell_lines import READ, RUN
from jupyter_dist.notebook.wording import size

KERNEL_ONLY = frozenset({"get_ipython", "exit", "quit", "input"})
ON_WORKER = frozenset({"display", RUN, READ})  # the worker has its own


@dataclass(frozen=True, slots=True)
class Shipped:
    """One name that is sent: ``kind`` is value, module or future."""

    name: str
    kind: str
    nbytes: int = 0

    def __str__(self) -> str:
        """Return the name with its size, or with what it is."""
        return f"{self.name} ({size(self.nbytes) if self.kind == 'value' else self.kind})"


@dataclass(frozen=True, slots=True)
class Capture:
    """What a cell takes along."""

    values: Mapping[str, object]  # futures among them
    modules: Mapping[str, str]
    shipped: tuple[Shipped, ...]


def capture_names(
    analysis: CellAnalysis,
    namespace: Mapping[str, object],
    *,
    is_future: Callable[[object], bool],
    nbytes_max: int,
    extra: Iterable[str] = (),
    without: Container[str] = (),
) -> Capture:
    """Return what a cell takes along from the notebook's namespace.

    Parameters
    ----------
    extra : iterable of str
        Names to send although the cell does not seem to read them (``-i``).
    nbytes_max : int
        What may be sent in all.
    without : container of str
        Names that come from elsewhere.

    Raises
    ------
    CaptureError
        A name is nowhere, cannot be pickled, or is too large.
    """
    reads = {read.name: read for read in analysis.inputs}
    for name in sorted(analysis.uncertain):
        reads.setdefault(name, Read(name, 0, certain=False))
    for name in extra:
        reads[name] = Read(name, reads[name].line if name in reads else 0, certain=True)
    wanted = {
        read.name: (read, namespace[read.name])
        for read in reads.values()
        if read.name not in without and _is_wanted(read, namespace, bool(analysis.star_imports), is_future)
    }
    return _pack(wanted, is_future, nbytes_max)


def measure(value: object, nbytes_max: int, is_future: Callable[[object], bool]) -> int:
    """Return the size of a pickled value; past the limit stop and return more than the limit."""
    counter = _Counter(nbytes_max)
    try:
        _Measure(counter, is_future).dump(value)
    except _TooLargeError:
        return nbytes_max + 1
    return counter.nbytes


def _is_wanted(
    read: Read, namespace: Mapping[str, object], has_star: bool, is_future: Callable[[object], bool]
) -> bool:
    name = read.name
    if name in KERNEL_ONLY and getattr(builtins, name, None) is namespace.get(name, getattr(builtins, name, None)):
        raise CaptureError(f"{_where(read)}`{name}` exists only in the notebook; a distributed cell runs on a worker")
    if name in namespace:
        value = namespace[name]
        return read.certain or not is_future(value) or getattr(value, "status", "") == "finished"
    if not read.certain or has_star or name in ON_WORKER or hasattr(builtins, name):
        return False
    raise CaptureError(
        f"{_where(read)}name {name!r} is not defined, neither in this cell nor in the notebook; nothing was sent"
    )


def _pack(wanted: Mapping[str, tuple[Read, object]], is_future: Callable[[object], bool], nbytes_max: int) -> Capture:
    values: dict[str, object] = {}
    modules: dict[str, str] = {}
    shipped = []
    for name, (read, value) in wanted.items():
        if isinstance(value, ModuleType):
            modules[name] = value.__name__
            shipped.append(Shipped(name, "module"))
            continue
        values[name] = value
        if is_future(value):
            shipped.append(Shipped(name, "future"))
        else:
            shipped.append(Shipped(name, "value", _measured(read, value, is_future, nbytes_max)))
    total = sum(item.nbytes for item in shipped)
    if total > nbytes_max:
        largest = max(shipped, key=lambda item: item.nbytes)
        raise CaptureError(
            f"the cell would send {size(total)} in all and a cell may send {size(nbytes_max)}; the largest is "
            f"`{largest.name}` ({size(largest.nbytes)}). {_mend(largest.name)}"
        )
    return Capture(values, modules, tuple(shipped))


def _measured(read: Read, value: object, is_future: Callable[[object], bool], nbytes_max: int) -> int:
    try:
        nbytes = measure(value, nbytes_max, is_future)
    except Exception as error:  # pickling runs the value's own code, which may raise anything
        raise CaptureError(
            f"{_where(read)}`{read.name}` (a {type(value).__qualname__}) cannot be sent to a worker: {error}. "
            "Make it inside the cell, or send what it is made from."
        ) from error
    if nbytes > nbytes_max:
        raise CaptureError(
            f"{_where(read)}`{read.name}` is larger than {size(nbytes_max)}, which is what a cell may send. "
            f"{_mend(read.name)}"
        )
    return nbytes


def _where(read: Read) -> str:
    return f"line {read.line}: " if read.line else ""


def _mend(name: str) -> str:
    return (
        f"Put it into the cluster's shared memory once, then the cell needs only its future: "
        f"`[{name}] = executor.scatter([{name}])` (arrays in it are read-only in the cell)"
    )


class _TooLargeError(Exception):
    """Ends the measuring of a value."""


class _Counter:
    """A file that keeps nothing of what is written but its length."""

    def __init__(self, nbytes_max: int) -> None:
        self.nbytes, self.nbytes_max = 0, nbytes_max

    def write(self, data: bytes | memoryview) -> int:
        length = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
        self.add(length)
        return length

    def add(self, nbytes: int) -> None:
        self.nbytes += nbytes
        if self.nbytes > self.nbytes_max:
            raise _TooLargeError


class _Measure(cloudpickle.Pickler):
    """Pickles as the client does, into a counter; futures count as nothing."""

    def __init__(self, counter: _Counter, is_future: Callable[[object], bool]) -> None:
        super().__init__(counter, protocol=5, buffer_callback=lambda buffer: self._buffer(counter, buffer))
        self._is_future = is_future

    @staticmethod
    def _buffer(counter: _Counter, buffer: pickle.PickleBuffer) -> bool:
        with buffer.raw() as raw:
            counter.add(raw.nbytes)
        return False

    def persistent_id(self, value: object) -> str | None:
        """Stand a future's place in for its value."""
        return "future" if self._is_future(value) else None
