"""jupyter_dist: a cluster that lives beside the notebook.

::

    from jupyter_dist import Executor

    executor = Executor(n_workers=4)
    futures = executor.map(function, items)
    executor.gather(futures)

The names in ``__all__`` are the public ones. They are loaded when first used: importing this package loads neither
Jupyter nor Bokeh.
"""

import importlib
from typing import Any

from jupyter_dist._version import __version__

_HOMES = {
    "Event": "jupyter_dist.client.coordination",
    "Executor": "jupyter_dist.client.executor",
    "Future": "jupyter_dist.client.future",
    "LocalCluster": "jupyter_dist.launch.cluster",
    "Lock": "jupyter_dist.client.locks",
    "Queue": "jupyter_dist.client.coordination",
    "Semaphore": "jupyter_dist.client.locks",
    "Variable": "jupyter_dist.client.coordination",
    "as_completed": "jupyter_dist.client.arrivals",
    "default_executor": "jupyter_dist.client.executor",
    "errors": "",
    "fire_and_forget": "jupyter_dist.client.keeping",
    "progress": "jupyter_dist.client.progress",
    "get_executor": "jupyter_dist.client.inside",
    "register_joblib": "jupyter_dist.client.adapters",
    "rejoin": "jupyter_dist.client.inside",
    "secede": "jupyter_dist.client.inside",
    "wait": "jupyter_dist.client.collecting",
}

__all__ = ["__version__", "load_ipython_extension", *_HOMES]  # noqa: PLE0604 - all of them are texts


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'jupyter_dist' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name) if home else importlib.import_module(f"jupyter_dist.{name}")
    globals()[name] = value
    return value


def load_ipython_extension(shell: Any) -> None:
    """Load the magics; called by ``%load_ext jupyter_dist``."""
    importlib.import_module("jupyter_dist.notebook").load_ipython_extension(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell the Jupyter server of its extension."""
    app = importlib.import_module("jupyter_dist.server.extension").JupyterDist
    return [{"module": "jupyter_dist.server", "app": app}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tell JupyterLab of the prebuilt sidebar."""
    return [{"src": "labextension", "dest": "jupyter-dist"}]
