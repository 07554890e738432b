"""`progress`: how far futures are, as a text bar or, in a notebook, as a widget.

What is followed is held until it is done, then let go. The session tells of each future that is done, so the cost of
looking does not grow with the number of futures. The widget is the notebook floor's, loaded when one is shown.
"""

from __future__ import annotations

import importlib
import io
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, TextIO

from jupyter_dist.client import containers
from jupyter_dist.client.blocking import Opening, perform
from jupyter_dist.client.future import Future
from jupyter_dist.client.tally import Line, Tally
from jupyter_dist.client.text_bars import TextBars
from jupyter_dist.client.waiting import Gate
from jupyter_dist.core.futures import Wish

DRAW_INTERVAL_S = 0.1
WIDGET = "jupyter_dist.notebook.bars"  # by name: this floor knows no widgets


def progress(*futures: Any, notebook: bool | None = None, multi: bool = True, complete: bool = True) -> Any:
    """Show how far futures are, until all are done.

    In a terminal this waits, with one bar for each function; Ctrl-C ends the display and cancels nothing. In a notebook
    it returns at once a widget that follows them: leave it as a cell's last expression.

    Parameters
    ----------
    *futures
        Futures, of one or several executors; lists, tuples, sets, dicts and iterators with futures in them; dask
        collections made by `Executor.persist`.
    notebook
        Whether to return a widget; by default, whether this is a notebook's kernel.
    multi
        Whether each function has a bar of its own; else there is one for all.
    complete
        Whether to count what is done already; else only what is still to be done.

    Returns
    -------
    None or ipywidgets.HTML
        As text with a future of an asynchronous executor among them: an awaitable of None.

    Raises
    ------
    TypeError
        There is no future in something, or a switch is no bool.
    """
    for name, value in (("multi", multi), ("complete", complete), ("notebook", notebook)):
        if not isinstance(value, bool) and not (name == "notebook" and value is None):
            raise TypeError(f"{name} is True or False, not {value!r}")
    found = [future for item in futures for future in containers.futures_given(item)]
    following = Following(found, multi=multi, complete=complete)
    if is_kernel() if notebook is None else notebook:
        return importlib.import_module(WIDGET).ProgressBars(following)
    stream = sys.stdout or io.StringIO()  # a program without a console has none
    is_asynchronous = any(future.executor.asynchronous for future in found)
    return perform(_show(following, stream), asynchronous=is_asynchronous)


class Following:
    """Follows futures until all are done, or it is stopped.

    Attributes
    ----------
    over : Gate
        Open when nothing more is followed.
    tally : Tally
        The counts; read them by `lines`.
    """

    def __init__(self, futures: Iterable[Future], *, multi: bool = True, complete: bool = True) -> None:
        held = {future.wish: future for future in futures if complete or not future.done()}
        now = time.monotonic()
        self.over = Gate()
        self.tally = Tally((wish.label for wish in held), now, multi=multi)
        self._lock = threading.Lock()
        self._waiting: dict[Wish, Future] = {}
        for wish, future in held.items():
            if wish.is_settled:
                self.tally.note(wish.label, wish.status, now, is_sample=False)
            else:
                self._waiting[wish] = future
        for wish, future in list(self._waiting.items()):
            if not future.executor.session.watch(wish, self):
                self.notify(wish)
        if not self._waiting:
            self.over.open()

    def lines(self) -> list[Line]:
        """Return the counts as they are now."""
        with self._lock:
            return self.tally.lines()

    def notify(self, wish: Wish) -> None:
        """Count a future that is done; the session calls this."""
        if not wish.is_settled:
            return
        with self._lock:
            if self._waiting.pop(wish, None) is None:
                return
            self.tally.note(wish.label, wish.status, time.monotonic())
            is_over = not self._waiting
        if is_over:
            self.over.open()

    def stop(self) -> None:
        """Follow nothing any more. What was followed goes on."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for wish, future in waiting.items():
            future.executor.session.unwatch([wish], self)
        self.over.open()


async def _show(following: Following, stream: TextIO) -> None:
    """Draw bars until all are done. A call of steps, see `blocking`."""
    bars = TextBars(stream, following.tally)
    try:
        while not following.over.is_open:
            bars.draw(following.lines())
            await Opening(following.over, DRAW_INTERVAL_S)
        bars.draw(following.lines(), is_last=True)
    except KeyboardInterrupt:
        bars.draw(following.lines(), is_last=True)
        bars.say("interrupted: the display ends here, the tasks go on")
    finally:
        following.stop()


def is_kernel() -> bool:
    """Whether this code runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")
