"""The options of a magic: split as a shell would, checked, with errors that are sentences.

`argparse` is not used: it exits, it prints to stderr, and it takes no list with a space after its comma. An option
is a flag with its names, or one with a value of a kind: text, number, seconds, names (``a, b``), words (the same, of any
letters), choice, python (``x=["a", "b"]``, read on to its closing bracket). Pure.
"""

from __future__ import annotations

import difflib
import re
import shlex
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jupyter_dist.errors import UsageError

RAW_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
QUOTES, OPENING, CLOSING = frozenset("\"'"), "([{", ")]}"
HELP_CHARS = 100  # of a line

Value = bool | str | int | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: ``kind`` says what it takes; ``meta`` stands for its value in the help; ``choices`` are all there are."""

    flags: tuple[str, ...]
    kind: str
    help: str
    meta: str = ""
    choices: tuple[str, ...] = ()

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


class Word(NamedTuple):
    """A word as a shell reads it, and as it stands in the line."""

    text: str
    raw: str


def split_words(line: str) -> list[Word]:
    """Split a line as a shell would."""
    try:
        texts = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"cannot read {line!r}: {str(error).lower()}; close every quote") from None
    raws = RAW_WORD.findall(line)
    return list(map(Word, texts, raws if len(raws) == len(texts) else texts))


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
        if not _is_flag(word.text):
            words.append(word.text)
            continue
        flag, equals, given = word.text.partition("=")
        if flag not in known:
            raise UsageError(_unknown(flag, known, magic))
        option = known[flag]
        if equals:
            rest.insert(0, Word(given, word.raw.partition("=")[2]))
        values[option.name] = _take(option, flag, rest, magic, bool(equals))
    return Parsed(values, tuple(words))


def split_options(line: str, options: Sequence[Option]) -> tuple[str, str]:
    """Split a line into its leading options and the rest, which is Python and not words of a shell."""
    takes_value = {flag for option in options if option.kind != "flag" for flag in option.flags}
    head: list[str] = []
    rest = line.strip()
    while rest.startswith("-"):
        word, _, rest = rest.partition(" ")
        head.append(word)
        rest = rest.lstrip()
        if word in takes_value and rest:
            value, _, rest = rest.partition(" ")
            head.append(value)
            rest = rest.lstrip()
    return " ".join(head), rest


def describe_options(magic: str, summary: str, options: Sequence[Option]) -> str:
    """Return the help text of a magic."""
    heads = [f"  {', '.join(option.flags)} {option.meta}".rstrip() for option in [*options, HELP]]
    width = max(len(head) for head in heads) + 2
    lines = [
        (head if place == 0 else "").ljust(width) + part
        for head, option in zip(heads, [*options, HELP], strict=True)
        for place, part in enumerate(textwrap.wrap(option.help, max(30, HELP_CHARS - width)))
    ]
    return "\n".join([magic, "", summary, "", *lines])


def _is_flag(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and not word[1].isdigit()


def _unknown(flag: str, known: Mapping[str, Option], magic: str) -> str:
    close = difflib.get_close_matches(flag, known, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{magic} has no option {flag}. {hint}`{magic} --help` lists them."


def _take(option: Option, flag: str, rest: list[Word], magic: str, joined: bool) -> Value:
    if option.kind == "flag":
        if joined:
            raise UsageError(f"{flag} is given or left out; it takes no value")
        return True
    if not rest or (not joined and _is_flag(rest[0].text)):
        raise UsageError(f"{flag} of {magic} needs a value: {flag} {option.meta}")
    if option.kind == "python":
        return _take_python(rest)
    words = [rest.pop(0).text]
    while option.kind in LISTS and rest and (words[-1].endswith(",") or rest[0].text.startswith(",")):
        words.append(rest.pop(0).text)
    text = " ".join(words)
    if option.kind == "choice" and text not in option.choices:
        raise UsageError(f"{flag} of {magic} needs one of {', '.join(option.choices)}, not {text!r}")
    return _CONVERT[option.kind](text, flag)


def _take_python(rest: list[Word]) -> str:
    """Return the words of one expression: up to where its brackets are closed, with the quotes that are its own."""
    first = rest.pop(0)
    if first.raw[:1] in QUOTES and first.raw[-1:] == first.raw[:1]:
        return first.text  # it is quoted as a whole
    text = first.raw
    while rest and sum(map(text.count, OPENING)) > sum(map(text.count, CLOSING)):
        text += f" {rest.pop(0).raw}"
    return text


def _number(text: str, flag: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise UsageError(f"{flag} needs a whole number from 0 on, not {text!r}")
    return value


def _seconds(text: str, flag: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(f"{flag} needs a number of seconds above zero, not {text!r}")
    return value


def _words(text: str, flag: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if not words:
        raise UsageError(f"{flag} needs at least one name")
    return words


def _names(text: str, flag: str) -> tuple[str, ...]:
    names = _words(text, flag)
    for name in names:
        if not name.isidentifier():
            raise UsageError(f"{flag} needs names separated by commas; {name!r} is not a name")
    return names


LISTS = frozenset({"names", "words"})
_CONVERT: dict[str, Callable[[str, str], Value]] = {
    "text": lambda text, _flag: text,
    "choice": lambda text, _flag: text,
    "words": _words,
    "number": _number,
    "seconds": _seconds,
    "names": _names,
}
