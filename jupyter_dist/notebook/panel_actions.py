"""What the buttons in the panel's rows do: cancel, retry and explain a task, retry errors, restart and retire a worker.

Knows no widgets. Each returns a sentence for the panel. A task of another session is told to be that: only who wants a
task may give it up or try it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jupyter_dist.notebook.panel_rows import PanelModel
from jupyter_dist.notebook.ports import ExecutorPort
from jupyter_dist.notebook.wording import count, shorten

KEY_CHARS = 60


class PanelActions:
    """The actions of one panel."""

    def __init__(self, executor: ExecutorPort, model: PanelModel) -> None:
        self._executor, self._model = executor, model
        self._actions: dict[tuple[str, str], Callable[[str], str]] = {
            ("future", "cancel"): self._cancel,
            ("future", "retry"): lambda key: self._retry((key,)),
            ("future", "explain"): self._explain,
            ("error", "retry"): lambda row: self._retry(self._model.error_keys(row)),
            ("error", "dismiss"): self._dismiss,
            ("worker", "restart"): self._restart,
            ("worker", "retire"): self._retire,
        }

    def do(self, kind: str, action: str, row_id: str) -> str:
        """Do what a button of a row stands for, and return what to say."""
        return self._actions[kind, action](row_id)

    def _own(self, keys: Sequence[str]) -> list[Any]:
        futures = self._executor.futures
        return [futures[key] for key in keys if key in futures]

    def _cancel(self, key: str) -> str:
        own = self._own((key,))
        if not own:
            return _not_ours(key)
        self._executor.cancel(own, force=True)
        return f"{shorten(key, KEY_CHARS)} was cancelled"

    def _retry(self, keys: Sequence[str]) -> str:
        own = [future for future in self._own(keys) if future.status == "error"]
        if not own:
            return _not_ours(keys[0]) if keys else "these errors are gone"
        self._executor.retry(own)
        others = len(keys) - len(own)
        more = f"; {count(others, 'other')} of other sessions or dropped since" if others else ""
        return f"{count(len(own), 'task')} tried again{more}"

    def _explain(self, key: str) -> str:
        own = self._own((key,))
        return str(own[0].explain()) if own else _not_ours(key)

    def _dismiss(self, row: str) -> str:
        self._model.dismiss(row)
        return ""

    def _restart(self, worker: str) -> str:
        self._executor.restart_workers([worker])
        return f"{worker} was restarted"

    def _retire(self, worker: str) -> str:
        self._executor.retire_workers([worker])
        return f"{worker} was retired"


def _not_ours(key: str) -> str:
    return f"this notebook has no future on {shorten(key, KEY_CHARS)}: it was dropped, or it is another session's"
