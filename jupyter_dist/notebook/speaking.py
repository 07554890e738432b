"""How a magic speaks: sentences in its cell, and its own errors as sentences instead of frames."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from jupyter_dist.errors import JupyterDistError

Magic = Callable[..., Any]


def say(text: str) -> None:
    """Print a sentence in the cell that runs."""
    print(text)  # noqa: T201  # a magic speaks in its cell


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
