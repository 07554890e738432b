"""The part of an Executor that shows it, where nothing better does: see `notebook` for its panel."""

from __future__ import annotations

import functools
import importlib
from abc import abstractmethod
from typing import Any

from jupyter_dist.client.front import Front
from jupyter_dist.client.portrait import executor_html, executor_text, shorten
from jupyter_dist.core.futures import Wish
from jupyter_dist.launch.portrait import facts_html

NOT_STARTED = "not started"


class Showing(Front):
    """How an Executor looks. Nothing is asked of the cluster."""

    session_name: str

    @property
    @abstractmethod
    def is_started(self) -> bool:
        """Whether it has a session, or had one."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether it can be used no more."""

    @property
    @abstractmethod
    def closed_reason(self) -> str:
        """Why."""

    def __repr__(self) -> str:
        if self.is_closed:
            return f"<Executor, closed: {self.closed_reason}>"
        if not self.is_started:
            return f"<Executor, {NOT_STARTED}>"
        return executor_text(self.info, self.feed.latest, self._wishes())

    def _repr_html_(self) -> str:
        if not self.is_started:
            return facts_html("Executor", "", [("State", self.closed_reason or NOT_STARTED)])
        if self.is_closed:
            return facts_html("Executor on", self.info.name, [("Closed", shorten(self.closed_reason))])
        return executor_html(self.info, self.feed.latest, self._wishes(), self.session_name)

    @functools.cached_property
    def plots(self) -> Any:
        """Live plots of the cluster, for a notebook: ``plots.progress``, ``plots.memory``, ``plots.cpu``.

        Each also writes itself into a page that works without a network: ``plots.memory.save("memory.html")``, all of
        them ``plots.save("cluster.html")``. Bokeh is loaded when they are asked for.
        """
        return importlib.import_module("jupyter_dist.notebook.plots").Plots(self)

    def task_stream(self) -> Any:
        """Return a live stream of what each worker does, for a notebook: as a cell's last expression it is shown.

        Raises
        ------
        ClusterClosedError
            The executor is closed.
        """
        self.session.check_open()
        return self.plots.task_stream()

    def _wishes(self) -> list[Wish]:
        with self.session.lock:
            return list(self.session.table.by_key.values())
