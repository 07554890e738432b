"""What ``%load_ext jupyter_dist`` sets up: the magics, and how executors and futures are shown."""

from __future__ import annotations

from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from jupyter_dist.client.executor import Executor
from jupyter_dist.client.future import Future
from jupyter_dist.client.grouping import set_group_source
from jupyter_dist.notebook.clusters import LocalClusters
from jupyter_dist.notebook.interrupts import InterruptedCells
from jupyter_dist.notebook.magics import DistributedMagics
from jupyter_dist.notebook.suggestions import MAGICS
from jupyter_dist.notebook.views import Views, future_html


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Set up the magics and how executors and futures are shown."""
    views = Views()
    magics = DistributedMagics(shell, LocalClusters(), views)
    shell.register_magics(magics)
    for magic in MAGICS:
        shell.set_hook("complete_command", lambda _shell, event: magics.suggestions.complete(event.line), str_key=magic)
    interrupted = InterruptedCells(magics.current)
    shell.events.register("pre_run_cell", interrupted.begin)
    shell.events.register("post_run_cell", interrupted.end)
    set_group_source(lambda: f"cell [{shell.execution_count}]")
    formatter: Any = shell.display_formatter
    formatter.ipython_display_formatter.for_type(Executor, views.show_panel)
    formatter.formatters["text/html"].for_type(Future, future_html)
