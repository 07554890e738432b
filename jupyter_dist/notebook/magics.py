"""The magics: `%distributed`, `%%distributed`, `%submit` and `%gather`.

A magic reads its line, calls what has a Python equivalent, and says one sentence. An error of ours is raised as any
other, so that "run all" stops, but shown as its sentence without this file's frames.

==========================  ==============================================
``%distributed start``      ``Executor()``
``%distributed connect x``  ``Executor("x")``
``%distributed status``     ``executor.snapshot()``
``%distributed scale 4``    ``executor.scale(4)``
``%distributed restart``    ``executor.restart()``
``%distributed stop``       ``executor.stop_cluster()``
``%distributed attach x``   ``executor.attach("x")``
``%distributed panel``      ``jupyter_dist.notebook.panel.ExecutorPanel(executor)``
``%distributed stream``     ``jupyter_dist.notebook.task_stream.TaskStream(executor)``
``%submit f(x)``            ``executor.submit(f, x)``
``%gather a b``             ``a, b = executor.gather([a, b])``
``%%distributed``           ``jupyter_dist.notebook.run.CellRun(executor, …)``
==========================  ==============================================
"""

from __future__ import annotations

import difflib
import functools
import time
import weakref
from collections.abc import Callable
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class

from jupyter_dist.errors import ClusterError, JupyterDistError, NoClusterError, UsageError
from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook import attached, remote
from jupyter_dist.notebook.completion import complete_command
from jupyter_dist.notebook.expressions import read_call
from jupyter_dist.notebook.options import Option, Parsed, describe_options, parse_options
from jupyter_dist.notebook.output import CellOutput
from jupyter_dist.notebook.panel_rows import Link, PanelModel
from jupyter_dist.notebook.ports import ClustersPort, ExecutorPort
from jupyter_dist.notebook.run import CellOptions, CellRun, plan_cell
from jupyter_dist.notebook.views import Views
from jupyter_dist.notebook.watching import SharedWatch
from jupyter_dist.notebook.wording import count, duration, icon
from jupyter_dist.settings import Settings, load_settings

EXECUTOR = Option(("-e", "--executor"), "text", "the executor to use, by its name in the notebook", "EXECUTOR")
START_OPTIONS = (
    Option(("-n", "--workers"), "number", "worker processes; by default one for each core", "N"),
    Option(("--threads",), "number", "tasks each worker runs at a time, 1 by default", "T"),
    Option(("--name",), "text", "the cluster's name, `default` by default", "NAME"),
)
CELL_OPTIONS = (
    EXECUTOR,
    Option(("-i", "--inputs"), "names", "names to send although the cell does not seem to read them", "NAMES"),
    Option(("-o", "--outputs"), "names", "names to bring back; by default what the cell makes", "NAMES"),
    Option(("--block",), "flag", "wait for the cell; an interrupt cancels it"),
    Option(("--timeout",), "seconds", "give the cell up after so long", "S"),
    Option(("--retries",), "number", "run it again so often when it fails", "N"),
    Option(("--rerun",), "text", "`never`: fail rather than begin again when its worker dies", "WHEN"),
    Option(("--no-capture",), "flag", "do not show what the cell prints"),
    Option(("--name",), "text", "what the run is called", "NAME"),
)
SUBMIT_OPTIONS = (EXECUTOR, Option(("-o", "--output"), "names", "a name for the future", "NAME"))
SUBMIT_SUMMARY = "Send the call f(x, y=2), without calling it here, and return its future."
ATTACH_OPTIONS = (Option(("--overwrite",), "flag", "bind also names that stand for something else"),)
COMMANDS = {
    "start": "start a cluster that outlives this kernel",
    "connect": "use a running cluster: connect [NAME]",
    "status": "say how the cluster is",
    "scale": "keep so many workers: scale N",
    "restart": "forget every task and replace every worker",
    "stop": "end the cluster",
    "attach": "take over the futures of this notebook's earlier kernel: attach [NAME]",
    "panel": "show the Executor panel",
    "stream": "show the task stream",
    "list": "list the running clusters",
}
NO_CLUSTER = (
    "there is no cluster yet. `%distributed start` starts one here; `%distributed connect NAME` uses a running one"
)
DEFAULT = "default"

Magic = Callable[..., Any]


def spoken(magic: Magic) -> Magic:
    """Let a magic's own errors be shown as sentences."""

    @functools.wraps(magic)
    def speak(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return magic(*args, **kwargs)
        except JupyterDistError as error:
            words = [f"{type(error).__name__}: {error}"]
            # IPython asks the exception how it wants to be shown.
            vars(error)["_render_traceback_"] = lambda: words
            raise

    return speak


@magics_class
class DistributedMagics(Magics):
    """The magics of one shell, and the executor they use when none is named."""

    def __init__(
        self, shell: InteractiveShell, clusters: ClustersPort, views: Views, settings: Settings | None = None
    ) -> None:
        super().__init__(shell)
        self.ip = shell
        self.clusters, self.views = clusters, views
        self.limits = settings or load_settings()
        self._executor: ExecutorPort | None = None
        self._bound: ExecutorPort | None = None
        self._left: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()  # attached, and not bound
        self._watches: weakref.WeakKeyDictionary[ExecutorPort, SharedWatch] = weakref.WeakKeyDictionary()

    @line_cell_magic
    @spoken
    def distributed(self, line: str, cell: str | None = None) -> Any:
        """Manage the cluster (`%distributed`) or run a cell on it (`%%distributed`)."""
        __tracebackhide__ = True  # what a user's cell raised is shown from the cell on
        if cell is not None:
            return self._run_cell(line, cell)
        command, _, rest = line.strip().partition(" ")
        if command in {"", "-h", "--help", "help"}:
            _say(_help())
            return None
        if command not in COMMANDS:
            close = difflib.get_close_matches(command, COMMANDS, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"%distributed has no command {command!r}: {hint}There are {', '.join(COMMANDS)}")
        return getattr(self, f"_{command}")(rest)

    @line_magic
    @spoken
    def submit(self, line: str) -> Any:
        """Submit a call and return its future: ``%submit [-o name] f(x, y=2)``."""
        head, text = _split_options(line, SUBMIT_OPTIONS)
        options = parse_options(head, SUBMIT_OPTIONS, "%submit")
        if options.flag("help"):
            _say(describe_options("%submit [-o NAME] f(x, y=2)", SUBMIT_SUMMARY, SUBMIT_OPTIONS))
            return None
        executor = self._chosen(options)
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
        names = parse_options(line.replace(",", " "), (), "%gather").words
        if not names:
            raise UsageError("%gather needs the names of futures: %gather a b")
        missing = [name for name in names if name not in self.ip.user_ns]
        if missing:
            raise UsageError(f"%gather: the notebook has no name {', '.join(missing)}")
        values = self._current().gather([self.ip.user_ns[name] for name in names])
        self.ip.user_ns.update(zip(names, values, strict=True))

    # a distributed cell

    def _run_cell(self, line: str, source: str) -> None:
        __tracebackhide__ = True
        options = parse_options(line, CELL_OPTIONS, "%%distributed")
        if options.flag("help"):
            _say(describe_options("%%distributed", "Run the cell on the cluster, as one task.", CELL_OPTIONS))
            return
        if options.words:
            raise UsageError(f"%%distributed takes no {options.words[0]!r}; `%%distributed --help` lists its options")
        executor = self._chosen(options)
        how = CellOptions(
            inputs=options.names("inputs") or (),
            outputs=options.names("outputs"),
            timeout_s=options.seconds("timeout"),
            retries=options.number("retries"),
            rerun=options.text("rerun", "always"),
            capture_output=not options.flag("no_capture"),
            name=options.text("name", f"cell-{self.ip.execution_count}"),
            group=self._group(),
        )
        plan = plan_cell(source, self.ip.user_ns, how, self.limits, self.clusters.is_future)
        remote.register_source(plan.source, plan.filename)  # tracebacks show the cell's lines here too
        run = CellRun(executor, plan, how, self.limits, self._watch(executor))
        run.bind(self.ip.user_ns)
        run.start()
        if options.flag("block"):
            run.wait()

    def _watch(self, executor: ExecutorPort) -> SharedWatch:
        return self._watches.setdefault(executor, SharedWatch(weakref.proxy(executor)))

    def _group(self) -> str:
        return f"cell [{self.ip.execution_count}]"

    # which executor

    def _chosen(self, options: Parsed) -> ExecutorPort:
        name = options.text("executor")
        if not name:
            return self._current()
        executor = self.ip.user_ns.get(name)
        if executor is None:
            raise UsageError(f"-e {name}: the notebook has no executor of this name")
        if not hasattr(executor, "submit_task"):
            raise UsageError(f"-e {name}: it is a {type(executor).__qualname__}, not an executor")
        chosen: ExecutorPort = executor
        return chosen

    def _current(self) -> ExecutorPort:
        before = self._executor
        executor = self._found()
        if executor is None:
            raise NoClusterError(NO_CLUSTER)
        if executor is not before:
            self._tell_lost(executor)
        return executor

    def _found(self) -> ExecutorPort | None:
        if self._executor is None or self._executor.is_closed:
            self._executor = self.clusters.default()
        return None if self._executor is None or self._executor.is_closed else self._executor

    def _use(self, executor: ExecutorPort) -> str:
        """Make an executor the one the magics use; return how the notebook may call it."""
        self._executor = executor
        taken = self.ip.user_ns.get("executor")
        if taken is None or taken is self._bound or getattr(taken, "is_closed", False):
            self._bound = executor
            self.ip.push({"executor": executor})
            return "`executor` is its executor"
        return "the magics use it; the notebook's own `executor` was left as it is"

    # commands

    def _start(self, line: str) -> None:
        options = parse_options(line, START_OPTIONS, "%distributed start")
        if options.flag("help"):
            _say(describe_options("%distributed start", COMMANDS["start"], START_OPTIONS))
            return
        name = options.text("name", DEFAULT)
        seconds = 0.0

        def on_phase(_phase: str, elapsed_s: float) -> None:
            nonlocal seconds
            seconds = elapsed_s

        executor, started = self.clusters.start(name, options.number("workers"), options.number("threads", 1), on_phase)
        what = f"started in {duration(seconds)}" if started else "was running already"
        workers = count(executor.snapshot().wanted, "worker")
        _say(f"Cluster {name!r} {what}: {workers}; {self._use(executor)}.")
        self._tell_lost(executor)

    def _connect(self, line: str) -> None:
        words = parse_options(line, (), "%distributed connect").words
        name = words[0] if words else DEFAULT
        executor = self.clusters.connect(name)
        _say(f"Connected to cluster {executor.name!r}; {self._use(executor)}.")
        self._tell_lost(executor)

    def _status(self, line: str) -> None:
        parse_options(line, (), "%distributed status")
        executor = self._current()
        model = PanelModel()
        model.take(Observation(executor.snapshot(), ()))
        header = model.header(executor.name, Link())
        tasks = ", ".join(text for _, text in model.chips())
        _say(f"{icon(header.state)} {header.name}: {header.word}; {', '.join(header.facts)}\n  tasks: {tasks}")

    def _scale(self, line: str) -> None:
        words = parse_options(line, (), "%distributed scale").words
        if len(words) != 1 or not words[0].isdigit():
            raise UsageError("%distributed scale needs how many workers to keep: %distributed scale 4")
        self._current().scale(int(words[0]))
        _say(f"Asked for {count(int(words[0]), 'worker')}.")

    def _restart(self, line: str) -> None:
        parse_options(line, (), "%distributed restart")
        executor = self._current()
        lost = count(len(executor.futures), "future")
        executor.restart()
        _say(f"Cluster {executor.name!r} was restarted with fresh workers; {lost} cancelled.")

    def _stop(self, line: str) -> None:
        parse_options(line, (), "%distributed stop")
        executor = self._current()
        name = executor.name
        executor.stop_cluster()
        executor.shutdown(wait=False, cancel_futures=True)
        self._executor = None
        _say(f"Cluster {name!r} was stopped.")

    def _list(self, line: str) -> None:
        parse_options(line, (), "%distributed list")
        names = self.clusters.names()
        lines = [f"{name}: {about}" for name, about in names]
        _say("\n".join(lines) or "No clusters are running. `%distributed start` starts one.")

    # after a restart of the kernel

    @staticmethod
    def _tell_lost(executor: ExecutorPort) -> None:
        """Say that an earlier kernel's futures are there. It is a hint: without an answer it is left out."""
        try:
            hint = attached.describe_hint(executor.lost_sessions(), executor.session_name)
        except ClusterError:
            return
        if hint:
            _say(hint)

    def _attach(self, line: str) -> None:
        options = parse_options(line, ATTACH_OPTIONS, "%distributed attach")
        if options.flag("help"):
            _say(describe_options("%distributed attach [NAME]", COMMANDS["attach"], ATTACH_OPTIONS))
            return
        if len(options.words) > 1:
            raise UsageError("%distributed attach takes one name; one with spaces is written in quotes")
        name = options.words[0] if options.words else None
        executor = self._holding(name)
        if executor is None:
            _say("Nothing to attach to: no running cluster keeps futures of an earlier kernel of this notebook.")
            return
        lost = executor.lost_futures(name)
        futures = executor.attach(name)
        named = {own for future in lost for own in future.names}
        is_forced = options.flag("overwrite")
        if is_forced:  # also what an earlier attach left out
            futures = dict(self._left) | futures
            named |= set(self._left)
        meant = repr(executor.session_name if name is None else name)
        if not futures:
            _say(attached.describe_nothing(meant, executor.name, executor.lost_sessions(), time.time()))
            return
        head = f"{count(len(futures), 'future')} of {meant}, on cluster {executor.name!r}:"
        _say(attached.describe_attached(futures, lost, time.time(), head))
        self._bind(attached.plan_binding(futures, named, self.ip.user_ns, is_forced=is_forced))
        _say(attached.NOT_KEPT)

    def _holding(self, name: str | None) -> ExecutorPort | None:
        """Return the executor in use; without one, one on the running cluster that keeps the futures; else None."""
        executor = self._found()
        if executor is not None:
            return executor
        names = [cluster for cluster, _about in self.clusters.names()]
        if not names:
            raise NoClusterError(NO_CLUSTER)
        for cluster in names:
            executor = self.clusters.connect(cluster)
            meant = executor.session_name if name is None else name
            if any(session.name == meant for session in executor.lost_sessions()):
                _say(f"Connected to cluster {executor.name!r}; {self._use(executor)}.")
                return executor
            executor.shutdown(wait=False)
        return None

    def _bind(self, binding: attached.Binding) -> None:
        """Bind futures to names; what has none that is free is bound to one dict, so that it is not let go."""
        self.ip.user_ns.update(binding.names)
        self._left.clear()
        self._left.update({name: binding.rest[name] for name in binding.taken})
        if binding.rest:
            rest_name = attached.free_name(self.ip.user_ns)
            self.ip.user_ns[rest_name] = dict(binding.rest)
            _say(attached.describe_rest(binding, rest_name))

    def complete(self, line: str) -> list[str]:
        """Return what Tab offers for a line that begins with `%distributed`."""
        options = {"start": START_OPTIONS, "attach": ATTACH_OPTIONS}
        names = {"connect": self._cluster_names, "attach": self._lost_names}
        return complete_command(line, COMMANDS, options, names)

    def _cluster_names(self) -> list[str]:
        return [name for name, _about in self.clusters.names()]

    def _lost_names(self) -> list[str]:
        executor = self._found()
        return list(dict.fromkeys(s.name for s in executor.lost_sessions() if s.name)) if executor else []

    def _panel(self, line: str) -> None:
        parse_options(line, (), "%distributed panel")
        self.views.show_panel(self._current())

    def _stream(self, line: str) -> None:
        parse_options(line, (), "%distributed stream")
        self.views.show_stream(self._current())


def _split_options(line: str, options: tuple[Option, ...]) -> tuple[str, str]:
    """Split a line into its leading options and the rest, which is Python and not words of a shell."""
    takes_value = {flag for option in options if option.kind != "flag" for flag in option.flags}
    head: list[str] = []
    rest = line.strip()
    while rest.startswith("-"):
        word, _, rest = rest.partition(" ")
        head.append(word)
        rest = rest.lstrip()
        if word in takes_value and rest:
            value, _, rest = rest.partition(" ")
            head.append(value)
            rest = rest.lstrip()
    return " ".join(head), rest


def _say(text: str) -> None:
    print(text)  # noqa: T201  # a magic speaks in its cell


def _help() -> str:
    lines = "\n".join(f"  %distributed {name:<8} {text}" for name, text in COMMANDS.items())
    return f"{lines}\n  %%distributed         run the cell on the cluster; `%%distributed --help` lists its options"
