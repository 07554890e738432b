"""What Tab offers after `%distributed`: commands, options, and the names that a command takes. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from jupyter_dist.notebook.options import HELP, Option

Names = Callable[[], Iterable[str]]


def complete_command(
    line: str, commands: Iterable[str], options: Mapping[str, Sequence[Option]], names: Mapping[str, Names]
) -> list[str]:
    """Return what may come next in a line, which ends where the cursor is.

    Parameters
    ----------
    line
        From the magic on.
    commands
        All of them.
    options, names
        By command: its options, and what gives the names it takes, asked only when they are needed.
    """
    words = line.split()
    if line[-1:].isspace():
        words.append("")
    if len(words) < 2:
        return []
    if len(words) == 2:
        return [command for command in commands if command.startswith(words[1])]
    command, last = words[1], words[-1]
    if last.startswith("-"):
        flags = [flag for option in [*options.get(command, ()), HELP] for flag in option.flags]
        return [flag for flag in flags if flag.startswith(last)]
    known = names[command]() if command in names else ()
    return [quoted for name in known if (quoted := shlex.quote(name)).startswith(last)]
