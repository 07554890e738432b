"""A backend of matplotlib for workers: figures are drawn in memory, and ``plt.show()`` shows them in the notebook.

Loaded by matplotlib alone, by its name in ``MPLBACKEND``.
"""

from __future__ import annotations

from typing import Any

from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from jupyter_dist.notebook.showing import current_showing

FigureCanvas = FigureCanvasAgg
FigureManager = FigureManagerBase


def show(*_: Any, **__: Any) -> None:
    """Show the figures that the cell of this task has opened; outside a cell do nothing."""
    showing = current_showing()
    if showing is not None:
        showing.show_figures()
