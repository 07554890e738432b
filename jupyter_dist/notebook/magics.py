"""The magics: `%distributed`, `%%distributed`, `%submit`, `%gather` and `%restart_workers`.

A magic reads its line, calls what has a Python equivalent, and says one sentence. An error of ours is raised as any
other, so that "run all" stops, but shown as its sentence without this file's frames.

==========================  ==============================================
``%distributed start``      ``Executor()``
``%distributed connect x``  ``Executor("x")``
``%distributed status``     ``executor.snapshot()``
``%distributed scale 4``    ``executor.scale(4)``
``%distributed restart``    ``executor.restart()``; also ``%restart_workers``
``%distributed stop``       ``executor.stop_cluster()``
``%distributed attach x``   ``executor.attach("x")``
``%distributed cancel``     ``executor.cancel(futures, force=True)``
``%distributed push a``     ``[a] = executor.scatter([a])``
``%distributed pull a``     ``[a] = executor.gather([a])``; also ``%gather a``
``%distributed panel``      ``jupyter_dist.notebook.panel.ExecutorPanel(executor)``
``%distributed stream``     ``jupyter_dist.notebook.task_stream.TaskStream(executor)``
``%submit f(x)``            ``executor.submit(f, x)``
``%%distributed``           ``jupyter_dist.notebook.run.CellRun(executor, …)``
==========================  ==============================================
"""

from __future__ import annotations

from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class

from jupyter_dist.errors import UsageError
from jupyter_dist.notebook import remote
from jupyter_dist.notebook.cluster_commands import ClusterCommands
from jupyter_dist.notebook.commands import (
    CELL_OPTIONS,
    CELL_SUMMARY,
    GATHER_OPTIONS,
    GATHER_SUMMARY,
    GATHER_USAGE,
    SUBMIT_OPTIONS,
    SUBMIT_SUMMARY,
    SUBMIT_USAGE,
)
from jupyter_dist.notebook.current_executor import CurrentExecutor
from jupyter_dist.notebook.expressions import read_call
from jupyter_dist.notebook.options import Parsed, describe_options, parse_options, split_options
from jupyter_dist.notebook.output import CellOutput
from jupyter_dist.notebook.plan import CellOptions, plan_cell
from jupyter_dist.notebook.ports import ClustersPort
from jupyter_dist.notebook.run import CellRun
from jupyter_dist.notebook.running import OpenRuns
from jupyter_dist.notebook.speaking import say, spoken
from jupyter_dist.notebook.stopping import wait_for_run
from jupyter_dist.notebook.suggestions import Suggestions
from jupyter_dist.notebook.views import Views
from jupyter_dist.notebook.watching import Watches
from jupyter_dist.settings import Settings, load_settings


@magics_class
class DistributedMagics(Magics):
    """The magics of one shell, and the executor they use when none is named."""

    def __init__(
        self, shell: InteractiveShell, clusters: ClustersPort, views: Views, settings: Settings | None = None
    ) -> None:
        super().__init__(shell)
        self.ip = shell
        self.clusters = clusters
        self.limits = settings or load_settings()
        self.current = CurrentExecutor(shell, clusters)
        self._watches, self._runs = Watches(), OpenRuns()
        self.commands = ClusterCommands(
            shell, self.current, clusters, views, self._watches, self._runs, self.limits.output_bytes_max
        )
        self.suggestions = Suggestions(shell, self.current, clusters, self._runs)

    @line_cell_magic
    @spoken
    def distributed(self, line: str, cell: str | None = None) -> Any:
        """Manage the cluster (`%distributed`) or run a cell on it (`%%distributed`)."""
        __tracebackhide__ = True  # what a user's cell raised is shown from the cell on
        if cell is not None:
            return self._run_cell(line, cell)
        return self.commands.run(line)

    @line_magic
    @spoken
    def restart_workers(self, line: str) -> None:
        """Forget every task and replace every worker: ``%distributed restart``."""
        self.commands.run(f"restart {line}")

    @line_magic
    @spoken
    def submit(self, line: str) -> Any:
        """Submit a call and return its future: ``%submit [-o name] f(x, y=2)``."""
        head, text = split_options(line, SUBMIT_OPTIONS)
        options = parse_options(head, SUBMIT_OPTIONS, "%submit")
        if options.flag("help"):
            say(describe_options(SUBMIT_USAGE, SUBMIT_SUMMARY, SUBMIT_OPTIONS))
            return None
        executor = self.current.chosen(options)
        call = read_call(text, self.ip.user_ns)
        future = executor.submit_task(
            call.function,
            call.args,
            call.kwargs,
            label=call.label,
            group=self._group(),
            on_output=CellOutput(self.limits.output_bytes_max).write,
        )
        names = dict.fromkeys(options.names("output") or (), future)
        if names:
            self.ip.user_ns.update(names)
            executor.name_futures(names)
        return future

    @line_magic
    @spoken
    def gather(self, line: str) -> None:
        """Wait for futures and bind their names to their values: ``%gather a b``."""
        __tracebackhide__ = True
        options = parse_options(line, GATHER_OPTIONS, "%gather")
        if options.flag("help"):
            say(describe_options(GATHER_USAGE, GATHER_SUMMARY, GATHER_OPTIONS))
            return
        names = self.commands.names_of(options, "%gather")
        self.commands.pull(names, self.current.chosen(options))

    # a distributed cell

    def _run_cell(self, line: str, source: str) -> None:
        __tracebackhide__ = True
        options = parse_options(line, CELL_OPTIONS, "%%distributed")
        if options.flag("help"):
            say(describe_options("%%distributed", CELL_SUMMARY, CELL_OPTIONS))
            return
        if options.words:
            raise UsageError(f"%%distributed takes no {options.words[0]!r}; `%%distributed --help` lists its options")
        executor = self.current.chosen(options)
        how = self._how(options)
        plan = plan_cell(
            source, self.ip.user_ns, how, self.limits, self.clusters.is_future, lambda: executor.snapshot().workers
        )
        remote.register_source(plan.source, plan.filename)  # tracebacks show the cell's lines here too
        self._replace_run(source)
        run = CellRun(executor, plan, how, self.limits, self._watches.of(executor))
        self._runs.add(self._place(source), run)
        run.bind(self.ip.user_ns)
        run.start()
        if options.flag("block"):
            wait_for_run(run, say)

    def _how(self, options: Parsed) -> CellOptions:
        return CellOptions(
            inputs=options.names("inputs") or (),
            outputs=options.names("outputs"),
            timeout_s=options.seconds("timeout"),
            retries=options.number("retries"),
            rerun=options.text("rerun", "always"),
            capture_output=not options.flag("no_capture"),
            name=options.text("name", f"cell-{self.ip.execution_count}"),
            group=self._group(),
            spread=options.text("map"),
            is_each=options.flag("each"),
            workers=options.names("workers") or (),
            print_order=options.text("group"),
            on_interrupt=options.text("on_interrupt", "cancel"),
        )

    def _replace_run(self, source: str) -> None:
        """Cancel the run of a cell that is run again: the notebook has no names for what it would make."""
        earlier = self._runs.at(self._place(source))
        if earlier is not None:
            earlier.cancel("replaced: its cell was run again")
            say(f"The earlier run of this cell, {earlier.name}, was still going and was cancelled.")

    def _place(self, source: str) -> str:
        """Return which cell of the notebook this is; where front ends do not say so, cells differ by their text."""
        parent: dict[str, Any] = getattr(self.ip, "get_parent", dict)() or {}
        return str(parent.get("metadata", {}).get("cellId") or source)

    def _group(self) -> str:
        return f"cell [{self.ip.execution_count}]"
