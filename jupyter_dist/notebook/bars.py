"""What `progress` returns in a notebook: bars that follow their futures by themselves, until these are done.

Whoever makes it is not kept waiting. The thread that updates a run's status line updates it, at most four times a
second, and only when something a person could see has changed; after the last update nothing is left of it there.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import ipywidgets

from jupyter_dist.client.progress import Following
from jupyter_dist.notebook.bar_html import bars_html, bars_text
from jupyter_dist.notebook.progress import STATUS
from jupyter_dist.notebook.publisher import Publisher


class ProgressBars(ipywidgets.HTML):
    """Bars of the futures that are followed.

    Parameters
    ----------
    following : Following
        What is counted.
    """

    value: str  # a trait of the widget's: what is shown

    def __init__(self, following: Following, *, publisher: Publisher = STATUS) -> None:
        self._following = following
        self._publisher = publisher
        self._drawing = threading.Lock()
        super().__init__(bars_html(following.tally, following.lines(), time.monotonic()))
        if following.over.is_open:
            return
        publisher.add(self.refresh)

    def refresh(self) -> None:
        """Draw what is known now; once all are done, for the last time."""
        with self._drawing:
            is_over = self._following.over.is_open  # before the counts are read: the last ones are drawn
            value = bars_html(self._following.tally, self._following.lines(), time.monotonic())
            if value != self.value and self.comm is not None:
                self.value = value
        if is_over:
            self._publisher.remove(self.refresh)

    def close(self) -> None:
        """Follow the futures no more and remove the widget. The tasks go on."""
        self._following.stop()
        self._publisher.remove(self.refresh)
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs) or {}
        words = bars_text(self._following.tally, self._following.lines(), time.monotonic())
        return bundle | {"text/plain": words, "text/html": self.value}
