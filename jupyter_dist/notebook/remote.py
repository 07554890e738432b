"""What runs on a worker for a distributed cell. Loaded there: imports nothing of IPython unless a value is shown.

`run_cell` runs the cell in a fresh namespace that calls itself ``__main__``, so that functions and classes defined in
it travel by value as a notebook's do. `pick` takes one name out of its result and `pick_displays` what it shows: small
tasks that depend on it, so the notebook fetches no more than it looks at.

A value that cannot be pickled spoils only its own name: it is replaced by the reason, raised by `pick`.
"""

from __future__ import annotations

import ast
import importlib
import linecache
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cloudpickle

from jupyter_dist.errors import ResultError
from jupyter_dist.settings import KIB

SCALARS = (int, float, complex, str, bytes, bool, type(None))
DISPLAYS_MAX = 64
BUNDLE_BYTES_MAX = 8192 * KIB

Bundle = tuple[dict[str, Any], dict[str, Any]]  # data by MIME type, and its metadata


@dataclass(frozen=True, slots=True)
class CellResult:
    """What a cell made. ``problems`` are names whose value cannot leave the worker, with the reason."""

    values: dict[str, Any]
    displays: list[Bundle] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def run_cell(
    source: str,
    filename: str,
    values: Mapping[str, Any],
    modules: Mapping[str, str],
    outputs: Sequence[str],
    has_value: bool,
) -> CellResult:
    """Run a cell and return what it made."""
    register_source(source, filename)
    displays: list[Bundle] = []

    def display(*objects: Any, **_: Any) -> None:
        """Show objects in the notebook when the cell is done."""
        displays.extend(bundle_of(item) for item in objects[: DISPLAYS_MAX - len(displays)])

    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__, "display": display}
    namespace |= {name: importlib.import_module(module) for name, module in modules.items()}
    namespace |= values
    value = _execute(source, filename, namespace, has_value)
    if value is not None:
        display(value)
    made = {name: namespace[name] for name in outputs if name in namespace}
    problems = {name: reason for name in made if (reason := _problem(made[name]))}
    return CellResult({name: made[name] for name in made if name not in problems}, displays, problems)


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


def bundle_of(value: Any) -> Bundle:
    """Return a value as it would be shown in a notebook; its plain text when there is no IPython or it is too large."""
    text = {"text/plain": _text(value)}
    try:
        data, metadata = _formatter().format(value)
    except ImportError:
        return text, {}
    if sum(len(part) for part in data.values() if isinstance(part, str | bytes)) > BUNDLE_BYTES_MAX:
        return {"text/plain": text["text/plain"][:KIB] + "\n(too large to show)"}, {}
    return dict(data) or text, dict(metadata)


def _execute(source: str, filename: str, namespace: dict[str, Any], has_value: bool) -> Any:
    tree = ast.parse(source, filename)
    last = tree.body.pop() if has_value else None
    exec(compile(tree, filename, "exec", dont_inherit=True), namespace)  # noqa: S102  # this is what a cell is for
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), filename, "eval", dont_inherit=True), namespace)  # noqa: S307  # as above


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


def _text(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  # a repr is the user's own code
        return f"<{type(value).__qualname__} whose repr raised {type(error).__name__}>"


def _formatter() -> Any:
    """Return IPython's formatter, taught to draw matplotlib's figures as a notebook is."""
    formatter = importlib.import_module("IPython.core.formatters").DisplayFormatter()
    formatter.formatters["image/png"].for_type_by_name("matplotlib.figure", "Figure", _png)
    return formatter


def _png(figure: Any) -> Any:
    return importlib.import_module("IPython.core.pylabtools").print_figure(figure, fmt="png", base64=True)
