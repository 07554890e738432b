"""A call written as text, taken apart: what ``%submit f(x, y=2)`` sends is the call, not its result. Pure."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_dist.errors import UsageError


@dataclass(frozen=True, slots=True)
class Call:
    """A function and what it is called with, evaluated here and not called yet."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    label: str


def read_call(text: str, namespace: Mapping[str, Any]) -> Call:
    """Return the call a text describes; its function and arguments are evaluated in the namespace.

    Raises
    ------
    UsageError
        The text is no call.
    SyntaxError
        The text is no Python.
    """
    if not text.strip():
        raise UsageError("%submit needs a call: %submit f(x, y=2)")
    node = ast.parse(text.strip(), "<%submit>", mode="eval").body
    if not isinstance(node, ast.Call):
        raise UsageError(
            f"%submit needs a call such as f(x, y=2), not {text.strip()!r}; to send a cell, use %%distributed"
        )

    def value(part: ast.expr) -> Any:
        code = compile(ast.Expression(part), "<%submit>", "eval", dont_inherit=True)
        return eval(code, dict(namespace))  # noqa: S307  # the user's own line, in the user's own notebook

    function = value(node.func)
    if not callable(function):
        raise UsageError(f"`{ast.unparse(node.func)}` is a {type(function).__qualname__}, which cannot be called")
    args: list[Any] = []
    for part in node.args:
        args += value(part.value) if isinstance(part, ast.Starred) else [value(part)]
    kwargs: dict[str, Any] = {}
    for keyword in node.keywords:
        kwargs |= {keyword.arg: value(keyword.value)} if keyword.arg else value(keyword.value)
    return Call(function, tuple(args), kwargs, getattr(function, "__name__", ast.unparse(node.func)))
