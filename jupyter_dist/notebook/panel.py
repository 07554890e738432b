"""The Executor panel: core ipywidgets for the controls, live tables for what is long.

An observation is only noted when it arrives; one publisher thread draws the newest twice a second and touches no
widget whose content is the same. Buttons act in a thread of their own, so that a slow cluster never blocks the kernel;
those that destroy work arm first and ask for a second click.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython

from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.live_table import LiveTable
from jupyter_dist.notebook.panel_actions import PanelActions
from jupyter_dist.notebook.panel_rows import (
    ERROR_COLUMNS,
    FUNCTION_COLUMNS,
    FUTURE_COLUMNS,
    WORKER_COLUMNS,
    Link,
    PanelModel,
)
from jupyter_dist.notebook.ports import ExecutorPort, WatchingPort
from jupyter_dist.notebook.publisher import Publisher
from jupyter_dist.notebook.subshells import allow_subshell
from jupyter_dist.notebook.wording import colour, count, escape, icon

PANEL = Publisher(0.5, "jupyter_dist-panel")
ARMED_S = 5.0

Clock = Callable[[], float]


@dataclass(slots=True)
class Arming:
    """A button that destroys work: the first click arms it for ``ARMED_S``, the second acts."""

    button: Any
    label: str
    until: float = 0.0

    def click(self, now: float, warning: str) -> bool:
        """Return whether to act."""
        if now < self.until:
            self.disarm()
            return True
        self.until = now + ARMED_S
        self.button.description = "Click again"
        self.button.tooltip = warning
        self.button.button_style = "danger"
        return False

    def tick(self, now: float) -> bool:
        """Disarm when the time is over; return whether that happened."""
        if not self.until or now < self.until:
            return False
        self.disarm()
        return True

    def disarm(self) -> None:
        """Be an ordinary button again."""
        self.until = 0.0
        self.button.description = self.button.tooltip = self.label
        self.button.button_style = ""


class ExecutorPanel(ipywidgets.VBox):
    """Futures, errors and workers of an executor's cluster, live, with the buttons to act on them.

    Parameters
    ----------
    executor : Executor
        Whose cluster is shown.
    """

    def __init__(self, executor: ExecutorPort, *, publisher: Publisher = PANEL, clock: Clock = time.monotonic) -> None:
        self.executor = executor
        self.model = PanelModel(cell_of)
        self._publisher, self._clock = publisher, clock
        self._lock = threading.Lock()
        self._fresh = True
        self._state = ""  # the chip that filters the futures
        self._watching: WatchingPort | None = None
        self.title = ipywidgets.HTML()
        self.message = ipywidgets.HTML()
        self._make_buttons()
        self.chips = {state: self._chip(state) for state, _ in self.model.chips()}
        self.actions = PanelActions(executor, self.model)
        self.filter = ipywidgets.Text(placeholder="filter: key, function, cell, worker", layout={"width": "240px"})
        self.filter.observe(self._on_filter, "value")
        self.futures = LiveTable(FUTURE_COLUMNS, "Futures", partial(self._on_row, "future"))
        self.errors = LiveTable(ERROR_COLUMNS, "Errors", partial(self._on_row, "error"))
        self.workers = LiveTable(WORKER_COLUMNS, "Workers", partial(self._on_row, "worker"))
        self.functions = LiveTable(FUNCTION_COLUMNS, "Functions")
        chips = _row([*self.chips.values(), self.filter])
        self.tabs = ipywidgets.Tab(
            [ipywidgets.VBox([chips, self.futures]), self.errors, self.workers, self.functions],
            titles=("Futures", "Errors", "Workers", "Functions"),
        )
        buttons = [self.fewer, self.more, self.restart.button, self.cancel.button, self.stop.button]
        layout = ipywidgets.Layout(width="100%", min_width="480px")
        super().__init__([self.title, _row(buttons), self.message, self.tabs], layout=layout)
        self.refresh()

    # following the cluster

    def follow(self) -> None:
        """Begin to follow the cluster."""
        if self._watching is None:
            self._watching = self.executor.watch(self._hear, self._publisher.interval_s)
            self._publisher.add(self.refresh)

    def close(self) -> None:
        """Follow the cluster no more and remove the widgets."""
        self._unfollow()
        super().close()

    def refresh(self) -> None:
        """Draw what is known now, if anything changed."""
        now = self._clock()
        closed = self.executor.is_closed
        with self._lock:
            fresh, self._fresh = self._fresh or closed, False
            expired = [armed.tick(now) for armed in (self.restart, self.cancel, self.stop)]
            if fresh or any(expired):
                self._draw(Link(is_closed=closed, is_connected=getattr(self.executor, "is_connected", True)))
        if closed:
            self._unfollow()

    def html(self) -> str:
        """Return the panel as it is now, for a saved file."""
        tables = "".join(table.html() for table in (self.futures, self.errors, self.workers, self.functions))
        return f"<div>{self.title.value}{tables}</div>"

    def _hear(self, observation: Observation) -> None:
        with self._lock:
            self.model.take(observation)
            self._fresh = True

    def _unfollow(self) -> None:
        self._publisher.remove(self.refresh)
        watching, self._watching = self._watching, None
        if watching is not None and not self.executor.is_closed:
            watching.close()

    # drawing

    def _draw(self, link: Link) -> None:
        header = self.model.header(self.executor.name, link)
        facts = "".join(f" · {escape(fact)}" for fact in header.facts)
        self.title.value = (
            f'<span style="opacity:{0.6 if link.is_closed or not link.is_connected else 1}">'
            f"<strong>{escape(header.name)}</strong> "
            f'<span style="color:{colour(header.state)}">{icon(header.state)}</span> {escape(header.word)}{facts}</span>'
        )
        for state, text in self.model.chips():
            self.chips[state].description = f"{icon(state)} {text}"
        for table, listing in (
            (self.futures, self.model.futures(self._state, self.filter.value.strip())),
            (self.errors, self.model.errors()),
            (self.workers, self.model.workers()),
            (self.functions, self.model.functions()),
        ):
            table.show(listing.rows, listing.caption)
        failed = len(self.model.snapshot.errors) if self.model.snapshot else 0
        self.tabs.set_title(1, f"Errors ({failed:,})" if failed else "Errors")
        if link.is_closed:
            for button in (self.fewer, self.more, self.restart.button, self.cancel.button, self.stop.button):
                button.disabled = True

    def _say(self, text: str) -> None:
        self.message.value = f'<span role="status">{escape(text)}</span>' if text else ""

    def _make_buttons(self) -> None:
        self.fewer = _button("−", "One worker fewer", lambda _: self._scale(-1))
        self.more = _button("+", "One worker more", lambda _: self._scale(+1))
        self.restart = Arming(_button("Restart", "Restart", self._on_restart), "Restart")
        self.cancel = Arming(_button("Cancel all", "Cancel all", self._on_cancel), "Cancel all")
        self.stop = Arming(_button("Stop cluster", "Stop cluster", self._on_stop), "Stop cluster")

    def _chip(self, state: str) -> Any:
        chip = ipywidgets.ToggleButton(description=state, layout=ipywidgets.Layout(width="auto"))
        chip.observe(partial(self._on_chip, state), "value")
        return chip

    # acting

    def _on_chip(self, state: str, change: Any) -> None:
        if change["new"]:
            self._state = state
            for other, chip in self.chips.items():
                chip.value = other == state
        elif self._state == state:
            self._state = ""
        with self._lock:
            self._fresh = True
        self.refresh()

    def _on_filter(self, _change: Any) -> None:
        with self._lock:
            self._fresh = True
        self.refresh()

    def _on_row(self, kind: str, action: str, row_id: str) -> None:
        def act() -> str:
            said = self.actions.do(kind, action, row_id)
            with self._lock:
                self._fresh = True
            return said

        self._act("", act)

    def _scale(self, step: int) -> None:
        wanted = max(0, self.model.snapshot.wanted + step) if self.model.snapshot else max(0, step)
        self._act(f"asked for {count(wanted, 'worker')}", lambda: self.executor.scale(wanted))

    def _on_restart(self, _: Any) -> None:
        lost = count(len(self.executor.futures), "future")
        if self._armed(self.restart, f"Restart: {lost} will be lost. Click again."):
            self._act("restarted", self._restart)

    def _restart(self) -> None:
        self.executor.restart()
        with self._lock:
            self.model.clear()
            self._fresh = True

    def _on_cancel(self, _: Any) -> None:
        futures = list(self.executor.futures.values())
        if self._armed(self.cancel, f"Cancel all: {count(len(futures), 'future')} will be given up. Click again."):
            self._act("cancelled", lambda: self.executor.cancel(futures, force=True))

    def _on_stop(self, _: Any) -> None:
        if self._armed(self.stop, f"Stop: the cluster {self.executor.name} ends for everyone. Click again."):
            self._act("stopped", self.executor.stop_cluster)

    def _armed(self, arming: Arming, warning: str) -> bool:
        with self._lock:
            act = arming.click(self._clock(), warning)
        self._say("" if act else warning)
        return act

    def _act(self, done: str, action: Callable[[], Any]) -> None:
        def run() -> None:
            try:
                said = action()
            except Exception as error:  # noqa: BLE001  # whatever went wrong is told where the user clicked
                self._say(f"{type(error).__name__}: {error}")
            else:
                self._say(done or str(said or ""))

        threading.Thread(target=run, name="jupyter_dist-panel-action", daemon=True).start()

    # showing

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        self.follow()
        buttons = (self.fewer, self.more, self.restart.button, self.cancel.button, self.stop.button)
        for widget in (*buttons, self.filter, *self.chips.values(), self.futures, self.errors, self.workers):
            allow_subshell(widget)
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs) or {}
        return bundle | {"text/plain": f"<ExecutorPanel of {self.executor.name}>", "text/html": self.html()}


def cell_of(filename: str) -> str:
    """Return which cell of this notebook a file is, ``cell [7]``; empty when it is none."""
    shell = get_ipython()
    name = shell.compile.format_code_name(filename) if shell is not None else None
    number = re.search(r"\[(\d+)\]", name[1]) if name else None
    return f"cell [{number.group(1)}]" if number else ""


def _button(text: str, tooltip: str, on_click: Callable[[Any], None]) -> Any:
    button = ipywidgets.Button(description=text, tooltip=tooltip, layout=ipywidgets.Layout(width="auto"))
    button.on_click(on_click)
    return button


def _row(children: Any) -> Any:
    return ipywidgets.HBox(list(children), layout=ipywidgets.Layout(flex_flow="row wrap"))
