"""The commands of ``%distributed``: each calls what has a Python equivalent, and says one sentence.

A command is a method of its name, called with its parsed options; `commands` has the table of them.
"""

from __future__ import annotations

import difflib
import time
import weakref
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from jupyter_dist.errors import NoClusterError, UsageError
from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook import attached
from jupyter_dist.notebook.commands import COMMAND_OPTIONS, COMMANDS, describe_commands, usage_of
from jupyter_dist.notebook.current_executor import NO_CLUSTER, CurrentExecutor, tell_lost
from jupyter_dist.notebook.options import Parsed, describe_options, parse_options
from jupyter_dist.notebook.output import CellOutput
from jupyter_dist.notebook.panel_rows import Link, PanelModel
from jupyter_dist.notebook.ports import ClustersPort, ExecutorPort
from jupyter_dist.notebook.reattaching import AttachedRun, find_runs
from jupyter_dist.notebook.running import OpenRuns
from jupyter_dist.notebook.speaking import say
from jupyter_dist.notebook.stopping import stop_code
from jupyter_dist.notebook.views import Views
from jupyter_dist.notebook.watching import Watches
from jupyter_dist.notebook.wording import count, duration, icon, listing

DEFAULT = "default"
WORDS = {
    "scale": 1,
    "cancel": 1,
    "connect": 1,
    "attach": 1,
    "push": 1000,
    "pull": 1000,
}  # how many a command takes at most


class ClusterCommands:
    """The commands of one shell."""

    def __init__(
        self,
        shell: InteractiveShell,
        current: CurrentExecutor,
        clusters: ClustersPort,
        views: Views,
        watches: Watches,
        runs: OpenRuns,
        output_max: int,
    ) -> None:
        self._shell, self._current, self._clusters, self._views = shell, current, clusters, views
        self._watches, self._runs, self._output_max = watches, runs, output_max
        self._left: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()  # attached, and not bound

    def run(self, line: str) -> None:
        """Run the command of a line."""
        command, _, rest = line.strip().partition(" ")
        if command in {"", "-h", "--help", "help"}:
            say(describe_commands())
            return
        if command not in COMMANDS:
            close = difflib.get_close_matches(command, COMMANDS, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"%distributed has no command {command!r}: {hint}There are {', '.join(COMMANDS)}")
        known = COMMAND_OPTIONS.get(command, ())
        options = parse_options(rest, known, f"%distributed {command}")
        if options.flag("help"):
            say(describe_options(usage_of(command), f"{COMMANDS[command].capitalize()}.", known))
            return
        if len(options.words) > WORDS.get(command, 0):
            extra = options.words[WORDS.get(command, 0)]
            raise UsageError(
                f"%distributed {command} takes no {extra!r}: write `{usage_of(command)}`; a name with spaces is written "
                "in quotes"
            )
        getattr(self, f"_{command}")(options)

    # having a cluster

    def _start(self, options: Parsed) -> None:
        name = options.text("name", DEFAULT)
        seconds = 0.0

        def on_phase(_phase: str, elapsed_s: float) -> None:
            nonlocal seconds
            seconds = elapsed_s

        executor, started = self._clusters.start(
            name, options.number("workers"), options.number("threads", 1), on_phase
        )
        what = f"started in {duration(seconds)}" if started else "was running already"
        workers = count(executor.snapshot().wanted, "worker")
        say(f"Cluster {name!r} {what}: {workers}; {self._current.use(executor)}.")
        tell_lost(executor)

    def _connect(self, options: Parsed) -> None:
        name = options.words[0] if options.words else DEFAULT
        executor = self._clusters.connect(name)
        say(f"Connected to cluster {executor.name!r}; {self._current.use(executor)}.")
        tell_lost(executor)

    def _status(self, _options: Parsed) -> None:
        executor = self._current.get()
        model = PanelModel()
        model.take(Observation(executor.snapshot(), ()))
        header = model.header(executor.name, Link())
        tasks = ", ".join(text for _, text in model.chips())
        say(f"{icon(header.state)} {header.name}: {header.word}; {', '.join(header.facts)}\n  tasks: {tasks}")

    def _scale(self, options: Parsed) -> None:
        if not options.words or not options.words[0].isdigit():
            raise UsageError("%distributed scale needs how many workers to keep: %distributed scale 4")
        wanted = int(options.words[0])
        self._current.get().scale(wanted)
        say(f"Asked for {count(wanted, 'worker')}.")

    def _restart(self, _options: Parsed) -> None:
        executor = self._current.get()
        lost = count(len(executor.futures), "future")
        executor.restart()
        say(f"Cluster {executor.name!r} was restarted with fresh workers; {lost} cancelled.")

    def _stop(self, _options: Parsed) -> None:
        executor = self._current.get()
        name = executor.name
        executor.stop_cluster()
        executor.shutdown(wait=False, cancel_futures=True)
        self._current.forget()
        say(f"Cluster {name!r} was stopped.")

    def _list(self, _options: Parsed) -> None:
        lines = [f"{name}: {about}" for name, about in self._clusters.names()]
        say("\n".join(lines) or "No clusters are running. `%distributed start` starts one.")

    def _cancel(self, options: Parsed) -> None:
        going = self._runs.going()
        if options.words:
            going = [run for run in going if run.name == options.words[0]]
            if not going:
                others = listing(run.name for run in self._runs.going()) or "none"
                raise UsageError(f"%distributed cancel: no run {options.words[0]!r} is going on; there are: {others}")
        for run in going:
            keys = [part.key for part in run.parts]
            workers = run.workers
            run.cancel("cancelled by %distributed cancel")
            stopped = stop_code(run.executor, keys, workers, say)
            say(f"{run.name} was cancelled" + (f"; {stopped.words()}." if stopped.words() else "."))
        if not going:
            say("No distributed cell of this notebook is going on.")

    # values

    def _push(self, options: Parsed) -> None:
        """Bind names to futures of what they stood for: the opposite of `_pull`."""
        names = self._names(options, "push")
        values = [self._shell.user_ns[name] for name in names]
        for name, value in zip(names, values, strict=True):
            if self._clusters.is_future(value):
                raise UsageError(f"%distributed push: {name} is a future already")
        executor = self._current.get()
        futures = dict(zip(names, executor.scatter(values), strict=True))
        self._shell.user_ns.update(futures)
        executor.name_futures(futures)
        verb = "is a future" if len(names) == 1 else "are futures"
        say(f"{listing(names)} {verb} now; its value is in the cluster's shared memory, arrays in it are read-only.")

    def _pull(self, options: Parsed) -> None:
        self.pull(self._names(options, "pull"), self._current.get())

    def pull(self, names: tuple[str, ...], executor: ExecutorPort) -> None:
        """Wait for futures and bind their names to their values."""
        __tracebackhide__ = True
        values = executor.gather([self._shell.user_ns[name] for name in names])
        self._shell.user_ns.update(zip(names, values, strict=True))

    def _names(self, options: Parsed, command: str) -> tuple[str, ...]:
        return self.names_of(options, f"%distributed {command}")

    def names_of(self, options: Parsed, magic: str) -> tuple[str, ...]:
        """Return the names a line has, all of which the notebook has."""
        names = tuple(dict.fromkeys(name for word in options.words for name in word.replace(",", " ").split()))
        if not names:
            raise UsageError(f"{magic} needs names: {magic} a b")
        missing = [name for name in names if name not in self._shell.user_ns]
        if missing:
            raise UsageError(f"{magic}: the notebook has no name {', '.join(missing)}")
        return names

    # after a restart of the kernel

    def _attach(self, options: Parsed) -> None:
        name = options.words[0] if options.words else None
        executor = self._holding(name)
        if executor is None:
            say("Nothing to attach to: no running cluster keeps futures of an earlier kernel of this notebook.")
            return
        lost = executor.lost_futures(name)
        session = executor.session_name if name is None else name
        lost_s = min((other.lost_s for other in executor.lost_sessions() if other.name == session), default=0.0)
        futures = executor.attach(name)
        named = {own for future in lost for own in future.names}
        is_forced = options.flag("overwrite")
        if is_forced:  # also what an earlier attach left out
            futures = dict(self._left) | futures
            named |= set(self._left)
        meant = repr(session)
        if not futures:
            say(attached.describe_nothing(meant, executor.name, executor.lost_sessions(), time.time()))
            return
        head = f"{count(len(futures), 'future')} of {meant}, on cluster {executor.name!r}:"
        say(attached.describe_attached(futures, lost, time.time(), head))
        found = find_runs(lost, lost_s)
        plumbing = {key for run in found for key in run.plumbing}
        left = {own: future for own, future in futures.items() if future.key not in plumbing}
        self._bind(attached.plan_binding(left, named, self._shell.user_ns, is_forced=is_forced))
        say(attached.PRINTED)
        by_key = {future.key: future for future in futures.values()}
        for run in found:
            if not run.is_seen and any(key in by_key for key, _ in run.places):
                output, watch = CellOutput(self._output_max), self._watches.of(executor)
                again = AttachedRun(executor, run, by_key, output, watch, time.time())
                self._runs.add(run.name, again)
                again.start()

    def _holding(self, name: str | None) -> ExecutorPort | None:
        """Return the executor in use; without one, one on the running cluster that keeps the futures; else None."""
        executor = self._current.find()
        if executor is not None:
            return executor
        names = [cluster for cluster, _about in self._clusters.names()]
        if not names:
            raise NoClusterError(NO_CLUSTER)
        for cluster in names:
            executor = self._clusters.connect(cluster)
            meant = executor.session_name if name is None else name
            if any(session.name == meant for session in executor.lost_sessions()):
                say(f"Connected to cluster {executor.name!r}; {self._current.use(executor)}.")
                return executor
            executor.shutdown(wait=False)
        return None

    def _bind(self, binding: attached.Binding) -> None:
        """Bind futures to names; what has none that is free is bound to one dict, so that it is not let go."""
        self._shell.user_ns.update(binding.names)
        self._left.clear()
        self._left.update({name: binding.rest[name] for name in binding.taken})
        if binding.rest:
            rest_name = attached.free_name(self._shell.user_ns)
            self._shell.user_ns[rest_name] = dict(binding.rest)
            say(attached.describe_rest(binding, rest_name))

    # showing

    def _panel(self, _options: Parsed) -> None:
        self._views.show_panel(self._current.get())

    def _stream(self, _options: Parsed) -> None:
        self._views.show_stream(self._current.get())
