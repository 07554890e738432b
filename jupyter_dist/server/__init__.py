"""In the Jupyter server: its extension, its REST interface, and the one table of clusters behind both.

May import everything below it (`client`, `launch`, …) and the Jupyter server; never `notebook`, which lives in the
kernel. The cluster's secret stays in this process: the browser is told what a cluster does, never how to reach it.
"""

from jupyter_dist.server.extension import JupyterDist

__all__ = ["JupyterDist"]


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Tell the Jupyter server what there is to load."""
    return [{"module": "jupyter_dist.server", "app": JupyterDist}]
