"""What runs on a worker for a distributed cell. Loaded there: imports nothing of IPython unless a value is shown.

`run_cell` runs the cell in a fresh namespace that calls itself ``__main__``, so that functions and classes defined in
it travel by value as a notebook's do; `await_cell` does so for one with a top-level ``await``. `pick` takes one name out
of the result and `pick_displays` what it shows: small tasks that depend on it, so the notebook fetches no more than it
looks at.

A value that cannot be pickled spoils only its own name: it is replaced by the reason, raised by `pick`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import linecache
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import cloudpickle

from jupyter_dist.errors import ResultError
from jupyter_dist.notebook.children import follow_children, read_shell, run_shell
from jupyter_dist.notebook.shell_lines import READ, RUN
from jupyter_dist.notebook.showing import Bundle, Showing

SCALARS = (int, float, complex, str, bytes, bool, type(None))


@dataclass(frozen=True, slots=True)
class CellResult:
    """What a cell made. ``problems`` are names whose value cannot leave the worker, with the reason."""

    values: dict[str, Any]
    displays: list[Bundle] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CellCode:
    """A cell as it is sent: its text, the Python of it, the modules it takes along and the names it brings back."""

    source: str
    filename: str
    code: str
    modules: Mapping[str, str] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    has_value: bool = False


def run_cell(cell: CellCode, values: Mapping[str, Any]) -> CellResult:
    """Run a cell and return what it made."""
    with Showing(has_ipython="IPython" in cell.source) as showing, follow_children():
        namespace, codes = _prepare(cell, values, showing)
        value = None
        for code in codes:
            value = eval(code, namespace)  # noqa: S307  # this is what a cell is for
        return _finish(cell, namespace, value, showing)


async def await_cell(cell: CellCode, values: Mapping[str, Any]) -> CellResult:
    """Run a cell that awaits at its top level."""
    with Showing(has_ipython="IPython" in cell.source) as showing, follow_children():
        namespace, codes = _prepare(cell, values, showing)
        value = None
        for code in codes:
            value = eval(code, namespace)  # noqa: S307  # as above
            if code.co_flags & inspect.CO_COROUTINE:
                value = await value
        return _finish(cell, namespace, value, showing)


def _prepare(cell: CellCode, values: Mapping[str, Any], showing: Showing) -> tuple[dict[str, Any], list[CodeType]]:
    """Return the namespace of a cell and the codes to evaluate in it, the last of which may have a value."""
    register_source(cell.source, cell.filename)
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__, "display": showing.display}
    namespace |= {RUN: run_shell, READ: read_shell}
    namespace |= {name: importlib.import_module(module) for name, module in cell.modules.items()}
    namespace |= values
    tree = ast.parse(cell.code, cell.filename)
    last = tree.body.pop() if cell.has_value else None
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    codes = [compile(tree, cell.filename, "exec", flags, dont_inherit=True)]
    if isinstance(last, ast.Expr):
        codes.append(compile(ast.Expression(last.value), cell.filename, "eval", flags, dont_inherit=True))
    return namespace, codes


def _finish(cell: CellCode, namespace: dict[str, Any], value: Any, showing: Showing) -> CellResult:
    if cell.has_value and value is not None:
        showing.display_last(value)
    showing.show_figures()
    made = {name: namespace[name] for name in cell.outputs if name in namespace}
    problems = {name: reason for name in made if (reason := _problem(made[name]))}
    return CellResult({name: made[name] for name in made if name not in problems}, showing.bundles, problems)


def pick(result: CellResult, name: str) -> Any:
    """Return one value that a cell made."""
    if name in result.problems:
        raise ResultError(f"`{name}` was made but cannot leave the worker: {result.problems[name]}")
    if name not in result.values:
        raise NameError(f"the cell ended without assigning {name!r}")
    return result.values[name]


def pick_displays(result: CellResult) -> list[Bundle]:
    """Return what a cell shows."""
    return result.displays


def register_source(source: str, filename: str) -> None:
    """Make tracebacks show the cell's lines, here."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)


def _problem(value: Any) -> str:
    """Return why a value cannot be pickled; empty when it can."""
    if isinstance(value, SCALARS):
        return ""
    buffers: list[pickle.PickleBuffer] = []
    try:
        cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    except Exception as error:  # noqa: BLE001  # pickling runs the value's own code, which may raise anything
        return f"{type(value).__qualname__}: {error}"
    return ""
