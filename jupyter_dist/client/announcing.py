"""Makes the backend known to joblib, be that imported before an Executor is made or after it.

joblib finds backends of other packages in a table of its own, and has no other door; to import it for that table's sake
would cost everybody who does not use it. So whoever imports it later is watched for, once, where Python looks for modules.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

WHERE = "joblib.parallel"


def announce(name: str, register: Callable[[], None]) -> None:
    """Put a backend's loader where joblib looks for those of other packages, now or as soon as that is imported."""
    if WHERE in sys.modules:
        _enter(sys.modules[WHERE], name, register)
    elif not any(isinstance(finder, _Lookout) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Lookout(name, register))


def _enter(parallel: ModuleType, name: str, register: Callable[[], None]) -> None:
    external = getattr(parallel, "EXTERNAL_BACKENDS", None)
    if isinstance(external, dict):
        external.setdefault(name, register)


class _Lookout(MetaPathFinder):
    """Finds nothing itself: it has the module found by all others, and is told when it was executed."""

    def __init__(self, name: str, register: Callable[[], None]) -> None:
        self._name = name
        self._register = register

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != WHERE:
            return None
        with contextlib.suppress(ValueError):  # another thread did so just now
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_enter(module: ModuleType) -> None:
                execute(module)
                _enter(module, self._name, self._register)

            spec.loader.exec_module = execute_and_enter  # type: ignore[method-assign]  # of this one loader
        return spec
