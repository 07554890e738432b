"""Shell lines of a cell, ``!ls {folder}`` and ``files = !ls``, as calls of Python that run on the worker. Pure.

A line becomes a call on the same line, so that tracebacks and errors keep their numbers. What IPython puts in stays what
it was: ``{expression}`` and ``$name`` are the cell's own values when they mean something in Python, and else the shell's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

RUN, READ = "__run_shell__", "__read_shell__"  # what the worker binds to `children.run_shell` and `read_shell`
PART = re.compile(r"\{(?P<expression>[^{}]+)\}|\$(?P<name>[A-Za-z_]\w*)")
ASSIGNED = re.compile(r"^(?P<indent>\s*)(?P<target>[^=!'\"#]+?)\s*=\s*!(?P<command>.*)$")
PLAIN = re.compile(r"^(?P<indent>\s*)(?P<marks>!!?)(?P<command>.*)$")


def translate_shell_line(lines: list[str], number: int, is_known: Callable[[str], bool]) -> bool:
    """Replace the shell line that begins at a number, from 1, in place; return whether there is one.

    Parameters
    ----------
    is_known
        Tells whether a name is the cell's or the notebook's, so that ``$name`` means it and not the shell's variable.
    """
    start = number - 1
    count = 1
    while lines[start + count - 1].endswith("\\") and start + count < len(lines):
        count += 1
    text = "\n".join(line.removesuffix("\\") for line in lines[start : start + count]).replace("\n", " ")
    call = _call(text, is_known)
    if call is None:
        return False
    lines[start : start + count] = [call, *[""] * (count - 1)]
    return True


def _call(text: str, is_known: Callable[[str], bool]) -> str | None:
    assigned = ASSIGNED.match(text)
    if assigned:
        command = _parts(assigned["command"], is_known)
        return f"{assigned['indent']}{assigned['target']} = {READ}({command})"
    plain = PLAIN.match(text)
    if plain is None:
        return None
    function = READ if plain["marks"] == "!!" else RUN
    return f"{plain['indent']}{function}({_parts(plain['command'], is_known)})"


def _parts(command: str, is_known: Callable[[str], bool]) -> str:
    """Return the parts of a command as arguments: texts, and pairs of a text with what it stands for."""
    arguments = []
    end = 0
    for found in PART.finditer(command):
        expression = found["name"] or found["expression"]
        if not (is_known(expression) if found["name"] else _is_expression(expression)):
            continue
        arguments += [repr(command[end : found.start()]), f"({found[0]!r}, lambda: ({expression}))"]
        end = found.end()
    return ", ".join([*arguments, repr(command[end:])])


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return False
    return True
