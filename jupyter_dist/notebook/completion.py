"""What Tab offers in a magic's line: commands, options, and the names that these take. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from jupyter_dist.notebook.options import HELP, LISTS, Option

Names = Callable[[], Iterable[str]]


def complete_command(
    line: str, commands: Iterable[str], options: Mapping[str, Sequence[Option]], names: Mapping[str, Names]
) -> list[str]:
    """Return what may come next in a line of ``%distributed``, which ends where the cursor is.

    Parameters
    ----------
    line
        From the magic on.
    commands
        All of them.
    options, names
        By command: its options, and what gives the names it takes, asked only when they are needed.
    """
    words = _words(line)
    if len(words) < 2:
        return []
    if len(words) == 2:
        return [command for command in commands if command.startswith(words[1])]
    return _complete(words[2:], options.get(words[1], ()), {}, names.get(words[1]))


def complete_options(
    line: str, options: Sequence[Option], values: Mapping[str, Names], names: Names | None = None
) -> list[str]:
    """Return what may come next in the line of a magic that has options.

    Parameters
    ----------
    values
        By an option's name: what gives the values it takes.
    names
        What gives the words that belong to no option.
    """
    return _complete(_words(line)[1:], options, values, names)


def _complete(
    words: Sequence[str], options: Sequence[Option], values: Mapping[str, Names], names: Names | None
) -> list[str]:
    if not words:
        return []
    last = words[-1]
    if last.startswith("-"):
        return [flag for option in [*options, HELP] for flag in option.flags if flag.startswith(last)]
    option = _option_of(words[:-1], options)
    if option is not None:
        known: Iterable[str] = option.choices or (values[option.name]() if option.name in values else ())
    else:
        known = names() if names is not None else ()
    done, comma, begun = last.rpartition(",") if option is not None and option.kind in LISTS else ("", "", last)
    return [done + comma + quoted for name in known if (quoted := shlex.quote(name)).startswith(begun)]


def _option_of(words: Sequence[str], options: Sequence[Option]) -> Option | None:
    """Return the option whose value comes next."""
    if not words:
        return None
    option = next((option for option in options if words[-1] in option.flags), None)
    return option if option is not None and option.kind != "flag" else None


def _words(line: str) -> list[str]:
    words = line.split()
    return [*words, ""] if line[-1:].isspace() else words
