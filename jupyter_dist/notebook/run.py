"""One distributed cell that is sent: each share of it becomes one task, `remote.run_cell`.

Each name it makes becomes a future of its own, a small task that picks it out of the result, so a cell that fails fails
all of them with the same error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from jupyter_dist.errors import CaptureError, PackingError
from jupyter_dist.ids import new_token
from jupyter_dist.notebook import remote
from jupyter_dist.notebook.output import CellOutput
from jupyter_dist.notebook.plan import CellOptions, Plan, Share
from jupyter_dist.notebook.ports import FuturePort, RunnerPort
from jupyter_dist.notebook.receipt import RunView
from jupyter_dist.notebook.running import Part, Run
from jupyter_dist.notebook.watching import SharedWatch
from jupyter_dist.notebook.wording import listing
from jupyter_dist.settings import Settings

CELL_LABEL = "cell"  # the name of the function, which all cells share
DISPLAYS = " display"  # the name of what takes the displays out of a result


class CellRun(Run):
    """A cell that was sent.

    Attributes
    ----------
    outputs : dict
        A future for each name the cell makes; with ``--map`` a list of futures, with ``--each`` a dict by worker.
    """

    def __init__(
        self, executor: RunnerPort, plan: Plan, options: CellOptions, settings: Settings, watch: SharedWatch
    ) -> None:
        name = f"{options.name}-{new_token()[:8]}"
        view = RunView(name, "sent", 0.0, total=len(plan.shares), outputs=plan.outputs, shipped=plan.capture.shipped)
        self.plan, self.options, self.settings = plan, options, settings
        self.on_interrupt, self.print_order, self.filename = options.on_interrupt, options.print_order, plan.filename
        self.group = options.group or name
        keys = [_key(name, share) for share in plan.shares]
        super().__init__(executor, view, keys, CellOutput(settings.output_bytes_max), watch)
        watch.add(self._hear)  # before it is sent: the run may be over a moment later
        try:
            self._submit()
        except BaseException:
            watch.remove(self._hear)
            raise
        self.outputs = self._collect()
        if named := dict(_flat_names(self.outputs)):
            executor.name_futures(named)  # by these names they are found when the kernel was restarted

    def bind(self, namespace: MutableMapping[str, Any]) -> None:
        """Give the notebook what the names of the cell stand for."""
        namespace.update(self.outputs)

    def _submit(self) -> None:
        values = self._common_values()
        for share in self.plan.shares:
            part = Part(share, _key(self.name, share), self._submit_share(share, values))
            self.parts.append(part)
            part.outputs = {
                name: self._submit_pick(part, remote.pick, (part.future, name), name) for name in self.plan.outputs
            }
            part.shows = self._submit_pick(part, remote.pick_displays, (part.future,), DISPLAYS)

    def _common_values(self) -> dict[str, object]:
        """Return what every task gets; large values of many tasks are put into shared memory once."""
        values = dict(self.plan.capture.values)
        if len(self.plan.shares) > 1:
            large = [
                item.name
                for item in self.plan.capture.shipped
                if item.kind == "value" and item.nbytes > self.settings.inline_bytes_max
            ]
            values |= zip(large, self.executor.scatter([values[name] for name in large]), strict=True)
        return values

    def _submit_share(self, share: Share, values: Mapping[str, object]) -> FuturePort:
        plan, options = self.plan, self.options
        analysis = plan.analysis
        cell = remote.CellCode(
            plan.source, plan.filename, analysis.code, dict(plan.capture.modules), plan.outputs, analysis.has_value
        )
        writer = self.output.writer(share.label, is_held=bool(options.print_order))
        try:
            future: FuturePort = self.executor.submit_task(
                remote.await_cell if analysis.is_async else remote.run_cell,
                (cell, {**values, **share.values}),
                key=_key(self.name, share),
                label=CELL_LABEL,
                group=self.group,
                retries=options.retries,
                rerun=options.rerun,
                timeout_s=options.timeout_s,
                workers=share.workers or None,
                on_output=writer if options.capture_output else None,
            )
        except PackingError as error:
            sent = listing(f"`{item.name}`" for item in plan.capture.shipped) or "nothing but its source"
            raise CaptureError(f"the cell cannot be sent: {error}. It sends {sent}.") from error
        return future

    def _submit_pick(self, part: Part, pick: Callable[..., Any], args: tuple[Any, ...], what: str) -> FuturePort:
        future: FuturePort = self.executor.submit_task(
            pick, args, key=f"{part.key}:{what}", label="pick", group=self.group
        )
        return future

    def _collect(self) -> dict[str, Any]:
        if not self.plan.is_spread:
            return dict(self.parts[0].outputs)
        if self.options.is_each:
            return {name: {p.share.place: p.outputs[name] for p in self.parts} for name in self.plan.outputs}
        return {name: [part.outputs[name] for part in self.parts] for name in self.plan.outputs}


def _key(name: str, share: Share) -> str:
    return f"{name}-{share.place}" if share.label else name


def _flat_names(outputs: Mapping[str, Any]) -> list[tuple[str, FuturePort]]:
    """Return futures by the names they can be found under again: ``score``, ``scores[3]``."""
    named: list[tuple[str, FuturePort]] = []
    for name, made in outputs.items():
        if isinstance(made, dict):
            named += [(f"{name}[{worker!r}]", future) for worker, future in made.items()]
        elif isinstance(made, list):
            named += [(f"{name}[{place}]", future) for place, future in enumerate(made)]
        else:
            named.append((name, made))
    return named
