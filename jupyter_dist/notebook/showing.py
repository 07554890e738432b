"""What a distributed cell shows, on the worker: `display`, IPython's too, and the figures of matplotlib.

Loaded on workers, where there may be no IPython: nothing of it is imported unless a value is shown. Figures are shown as
a notebook shows them: by ``plt.show()``, and at the end of the cell those that are still open.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any, Self

from jupyter_dist.processes.output import current_capture
from jupyter_dist.settings import KIB

DISPLAYS_MAX = 64
BUNDLE_BYTES_MAX = 8192 * KIB
BACKEND = "module://jupyter_dist.notebook.figures"

Bundle = tuple[dict[str, Any], dict[str, Any]]  # data by MIME type, and its metadata

_showing_of: dict[object, Showing] = {}  # by the capture of the task, which its threads know too


class Showing:
    """What one cell has shown, while it runs.

    Parameters
    ----------
    has_ipython : bool
        The cell's text speaks of IPython, so it is loaded now, for its `display` to be the cell's.
    """

    def __init__(self, *, has_ipython: bool = False) -> None:
        self._has_ipython = has_ipython
        self.bundles: list[Bundle] = []
        self._task: object = None
        self._figures_before: frozenset[int] = frozenset()

    def __enter__(self) -> Self:
        self._task = current_capture.get()
        _showing_of[self._task] = self
        self._figures_before = frozenset(_open_figures())
        if os.environ.setdefault("MPLBACKEND", BACKEND) == BACKEND and "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].switch_backend(BACKEND)
        if self._has_ipython:
            with contextlib.suppress(ImportError):
                importlib.import_module("IPython.display")
        if "IPython.core.display_functions" in sys.modules:
            _take_display()
        return self

    def __exit__(self, *_: object) -> None:
        _showing_of.pop(self._task, None)

    def display(self, *objects: Any, **_: Any) -> None:
        """Show objects in the notebook when the cell is done."""
        self.bundles.extend(bundle_of(item) for item in objects[: DISPLAYS_MAX - len(self.bundles)])

    def display_last(self, value: Any) -> None:
        """Show the value of the last expression, unless it is a figure: these are shown at the end anyway."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is None or not any(pyplot.figure(number) is value for number in self._new_figures()):
            self.display(value)

    def show_figures(self) -> None:
        """Show the figures that this cell opened and did not close, and close them."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        for number in self._new_figures():
            self.display(pyplot.figure(number))  # type: ignore[union-attr]  # there are none without it
            pyplot.close(number)  # type: ignore[union-attr]

    def _new_figures(self) -> list[int]:
        return [number for number in _open_figures() if number not in self._figures_before]


def current_showing() -> Showing | None:
    """Return what the cell of this task shows; None outside one."""
    return _showing_of.get(current_capture.get())


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


def _open_figures() -> list[int]:
    pyplot = sys.modules.get("matplotlib.pyplot")
    return list(pyplot.get_fignums()) if pyplot is not None else []


def _take_display() -> None:
    """Have IPython's own `display` be the cell's, inside one; outside it stays what it is."""
    for module in ("IPython.core.display_functions", "IPython.display"):
        loaded = sys.modules.get(module)
        original = getattr(loaded, "display", None)
        if loaded is not None and original is not None and not hasattr(original, "elsewhere"):
            vars(loaded)["display"] = _Display(original)


class _Display:
    """Stands for IPython's `display`."""

    def __init__(self, elsewhere: Any) -> None:
        self.elsewhere = elsewhere

    def __call__(self, *objects: Any, **options: Any) -> Any:
        showing = current_showing()
        if showing is None:
            return self.elsewhere(*objects, **options)
        return showing.display(*objects)
