"""The options of a magic: split as a shell would, checked, with errors that are sentences.

`argparse` is not used: it exits, it prints to stderr, and it takes no list with a space after its comma. An option
is a flag with its names, or one with a value of a kind: text, number, seconds, names (``a, b``). Pure.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jupyter_dist.errors import UsageError

Value = bool | str | int | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: ``kind`` is flag, text, number, seconds or names; ``meta`` stands for its value in the help."""

    flags: tuple[str, ...]
    kind: str
    help: str
    meta: str = ""

    @property
    def name(self) -> str:
        """The long flag without its dashes."""
        return self.flags[-1].lstrip("-").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values by option name, and the words that belong to no option."""

    values: Mapping[str, Value] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    def flag(self, name: str) -> bool:
        """Tell whether a flag was given."""
        return bool(self.values.get(name, False))

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        return str(self.values.get(name, default))

    def number(self, name: str, default: int = 0) -> int:
        """Return a whole number."""
        value = self.values.get(name, default)
        return value if isinstance(value, int) else default

    def seconds(self, name: str, default: float = 0.0) -> float:
        """Return a time span."""
        value = self.values.get(name, default)
        return float(value) if isinstance(value, int | float) else default

    def names(self, name: str) -> tuple[str, ...] | None:
        """Return names, or None when the option was not given."""
        value = self.values.get(name)
        return value if isinstance(value, tuple) else None


HELP = Option(("-h", "--help"), "flag", "show this")


def split_words(line: str) -> list[str]:
    """Split a line as a shell would."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"cannot read {line!r}: {str(error).lower()}; close every quote") from None


def parse_options(line: str, options: Sequence[Option], magic: str) -> Parsed:
    """Return the options and words of a magic's line.

    Raises
    ------
    UsageError
        An option nobody knows, one without its value, or a value that makes no sense.
    """
    known = {flag: option for option in [*options, HELP] for flag in option.flags}
    values: dict[str, Value] = {}
    words: list[str] = []
    rest = split_words(line)
    while rest:
        word = rest.pop(0)
        if not _is_flag(word):
            words.append(word)
            continue
        flag, equals, given = word.partition("=")
        if flag not in known:
            raise UsageError(_unknown(flag, known, magic))
        option = known[flag]
        values[option.name] = _take(option, flag, [given] if equals else rest, magic, bool(equals))
    return Parsed(values, tuple(words))


def describe_options(magic: str, summary: str, options: Sequence[Option]) -> str:
    """Return the help text of a magic."""
    lines = [f"  {', '.join(option.flags)} {option.meta}".rstrip() for option in [*options, HELP]]
    width = max(len(line) for line in lines)
    helps = [option.help for option in [*options, HELP]]
    table = "\n".join(f"{line:<{width}}  {text}" for line, text in zip(lines, helps, strict=True))
    return f"{magic}\n\n{summary}\n\n{table}"


def _is_flag(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and not word[1].isdigit()


def _unknown(flag: str, known: Mapping[str, Option], magic: str) -> str:
    close = difflib.get_close_matches(flag, known, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{magic} has no option {flag}. {hint}`{magic} --help` lists them."


def _take(option: Option, flag: str, rest: list[str], magic: str, joined: bool) -> Value:
    if option.kind == "flag":
        if joined:
            raise UsageError(f"{flag} is given or left out; it takes no value")
        return True
    if not rest or (not joined and _is_flag(rest[0])):
        raise UsageError(f"{flag} of {magic} needs a value: {flag} {option.meta}")
    words = [rest.pop(0)]
    while option.kind == "names" and rest and (words[-1].endswith(",") or rest[0].startswith(",")):
        words.append(rest.pop(0))
    return _CONVERT[option.kind](" ".join(words), flag)


def _number(text: str, flag: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{flag} needs a whole number, not {text!r}") from None


def _seconds(text: str, flag: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(f"{flag} needs a number of seconds above zero, not {text!r}")
    return value


def _names(text: str, flag: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name for name in text.replace(",", " ").split() if name))
    for name in names:
        if not name.isidentifier():
            raise UsageError(f"{flag} needs names separated by commas; {name!r} is not a name")
    return names


_CONVERT: dict[str, Callable[[str, str], Value]] = {
    "text": lambda text, _flag: text,
    "number": _number,
    "seconds": _seconds,
    "names": _names,
}
