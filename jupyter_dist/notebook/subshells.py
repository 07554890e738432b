"""Clicks while a cell blocks: ipykernel handles messages of widgets on a subshell where its front end asks for that."""

from __future__ import annotations

from typing import Any


def allow_subshell(widget: Any) -> None:
    """Let clicks reach a subshell although the main shell is busy: ipykernel 7.4 routes them away from it."""
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001  # there is no public way
