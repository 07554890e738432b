"""What Tab offers for each magic, from what the notebook and its cluster have now. Never makes an executor."""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell

from jupyter_dist.errors import JupyterDistError
from jupyter_dist.notebook.commands import CELL_OPTIONS, COMMAND_OPTIONS, COMMANDS, GATHER_OPTIONS, SUBMIT_OPTIONS
from jupyter_dist.notebook.completion import complete_command, complete_options
from jupyter_dist.notebook.current_executor import CurrentExecutor
from jupyter_dist.notebook.ports import ClustersPort
from jupyter_dist.notebook.running import OpenRuns

MAGICS = ("%distributed", "%%distributed", "%submit", "%gather")
NAMES_MAX = 200


class Suggestions:
    """The completions of one shell."""

    def __init__(
        self, shell: InteractiveShell, current: CurrentExecutor, clusters: ClustersPort, runs: OpenRuns
    ) -> None:
        self._shell, self._current, self._clusters, self._runs = shell, current, clusters, runs

    def complete(self, line: str) -> list[str]:
        """Return what may come next in a line, which ends where the cursor is."""
        magic = line.split(maxsplit=1)[0] if line.strip() else ""
        values = {"executor": self._executors, "inputs": self._values, "map": self._values, "workers": self._workers}
        if magic == "%distributed":
            names = {
                "connect": self._cluster_names,
                "attach": self._lost_names,
                "cancel": lambda: [run.name for run in self._runs.going()],
                "push": self._values,
                "pull": self._futures,
            }
            return complete_command(line, COMMANDS, COMMAND_OPTIONS, names)
        if magic == "%%distributed":
            return complete_options(line, CELL_OPTIONS, values)
        if magic == "%gather":
            return complete_options(line, GATHER_OPTIONS, values, self._futures)
        return complete_options(line, SUBMIT_OPTIONS, values) if magic == "%submit" else []

    def _executors(self) -> list[str]:
        return [name for name, value in self._variables() if hasattr(value, "submit_task")]

    def _values(self) -> list[str]:
        return [name for name, _ in self._variables()]

    def _futures(self) -> list[str]:
        return [name for name, value in self._variables() if self._clusters.is_future(_first(value))]

    def _variables(self) -> list[tuple[str, object]]:
        hidden = self._shell.user_ns_hidden
        own = [(name, value) for name, value in self._shell.user_ns.items() if not name.startswith("_")]
        return [(name, value) for name, value in own if hidden.get(name, self) is not value][-NAMES_MAX:]

    def _workers(self) -> list[str]:
        executor = self._current.find()
        try:
            return [worker.name for worker in executor.snapshot().workers] if executor is not None else []
        except JupyterDistError:
            return []

    def _cluster_names(self) -> list[str]:
        return [name for name, _about in self._clusters.names()]

    def _lost_names(self) -> list[str]:
        executor = self._current.find()
        return list(dict.fromkeys(s.name for s in executor.lost_sessions() if s.name)) if executor else []


def _first(value: object) -> object:
    """Return the first thing in a list, tuple or dict; anything else itself."""
    if isinstance(value, dict):
        value = list(value.values())
    return next(iter(value), None) if isinstance(value, list | tuple) else value
