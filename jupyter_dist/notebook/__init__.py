"""What runs in the kernel and shows itself there: magics, distributed cells, the Executor panel, the task stream.

May import every floor below it (`client`, `launch`, …) and Jupyter's, IPython's, ipywidgets' and Bokeh's packages; is
imported by `jupyter_dist` only on first use, so that ``import jupyter_dist`` loads none of them.

Pure modules, no IPython and no widgets: `bindings`, `cell`, `shell_lines`, `capture`, `plan`, `options`, `commands`,
`completion`, `expressions`, `wording`, `receipt`, `run_facts`, `attached`, `table_rows`, `panel_rows`, `stream_rows`,
`plot_rows`, `bar_html`. On the worker: `remote`, `children`, `showing`, `figures`. Modules with effects here: `running`,
`run`, `reattaching`, `stopping`, `interrupts`, `output`, `progress`, `bars`, `publisher`, `watching`, `live_table`, `panel`,
`panel_actions`, `task_stream`, `plots`, `pages`, `clusters`, `current_executor`, `cluster_commands`, `speaking`, `suggestions`,
`views`, `magics`, `extension`.
"""

import importlib
from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Load the magics. This package itself is loaded on workers too, where there may be no IPython."""
    importlib.import_module("jupyter_dist.notebook.extension").load_ipython_extension(shell)
