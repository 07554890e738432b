"""Which executor the magics use: the one that is named, the one they used before, or the newest of the notebook."""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell

from jupyter_dist.errors import ClusterError, NoClusterError, UsageError
from jupyter_dist.notebook import attached
from jupyter_dist.notebook.options import Parsed
from jupyter_dist.notebook.ports import ClustersPort, ExecutorPort
from jupyter_dist.notebook.speaking import say

NO_CLUSTER = (
    "there is no cluster yet. `%distributed start` starts one here; `%distributed connect NAME` uses a running one"
)


class CurrentExecutor:
    """The executor of one shell's magics, and the variable ``executor`` that stands for it."""

    def __init__(self, shell: InteractiveShell, clusters: ClustersPort) -> None:
        self._shell, self._clusters = shell, clusters
        self._executor: ExecutorPort | None = None
        self._bound: ExecutorPort | None = None

    def chosen(self, options: Parsed) -> ExecutorPort:
        """Return the executor that ``-e`` names, else the current one."""
        name = options.text("executor")
        if not name:
            return self.get()
        executor = self._shell.user_ns.get(name)
        if executor is None:
            raise UsageError(f"-e {name}: the notebook has no executor of this name")
        if not hasattr(executor, "submit_task"):
            raise UsageError(f"-e {name}: it is a {type(executor).__qualname__}, not an executor")
        if executor.is_closed:
            raise UsageError(f"-e {name}: it is closed")
        chosen: ExecutorPort = executor
        return chosen

    def get(self) -> ExecutorPort:
        """Return the current one; NoClusterError says how to have one."""
        before = self._executor
        executor = self.find()
        if executor is None:
            raise NoClusterError(NO_CLUSTER)
        if executor is not before:
            tell_lost(executor)
        return executor

    def find(self) -> ExecutorPort | None:
        """Return the current one, if there is one."""
        if self._executor is None or self._executor.is_closed:
            self._executor = self._clusters.default()
        return None if self._executor is None or self._executor.is_closed else self._executor

    def use(self, executor: ExecutorPort) -> str:
        """Make an executor the one the magics use; return how the notebook may call it."""
        self._executor = executor
        taken = self._shell.user_ns.get("executor")
        if taken is None or taken is self._bound or getattr(taken, "is_closed", False):
            self._bound = executor
            self._shell.push({"executor": executor})
            return "`executor` is its executor"
        return "the magics use it; the notebook's own `executor` was left as it is"

    def forget(self) -> None:
        """Use none: its cluster was stopped."""
        self._executor = None


def tell_lost(executor: ExecutorPort) -> None:
    """Say that an earlier kernel's futures are there. It is a hint: without an answer it is left out."""
    try:
        hint = attached.describe_hint(executor.lost_sessions(), executor.session_name)
    except ClusterError:
        return
    if hint:
        say(hint)
