"""Exceptions and their tracebacks as text and as places in files, bounded and without this package's own frames.

Nothing here trusts an exception: its text is asked for once and any answer is survived, its fields are read past
whatever its class defines, deep stacks are kept by their two ends, rings of causes are walked by their flat list.
"""

import asyncio
import os
import site
import sysconfig
import textwrap
from collections.abc import Iterator, Sequence
from traceback import StackSummary, extract_tb
from types import TracebackType
from typing import Any

Place = tuple[str, str, int]  # filename, function, line
Stack = list[StackSummary]  # whole, or its beginning and its end

TEXT_CHARS_MAX = 10_000  # of one exception's text
FRAMES_MAX = 100  # kept of one traceback, from each of its ends
GROUP_MAX = 10  # members of a group that are shown
GROUP_DEPTH_MAX = 4  # groups within groups that are shown

HEADER = "Traceback (most recent call last):\n"
CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"

PACKAGE_FOLDER = os.path.dirname(os.path.dirname(__file__)) + os.sep  # noqa: PTH120 - compared with code objects' text
ASYNCIO_FOLDER = os.path.dirname(asyncio.__file__) + os.sep  # noqa: PTH120 - the same
# What stands between a slot and the user's code: our frames, and asyncio's when the task is a coroutine.
AROUND = (PACKAGE_FOLDER, ASYNCIO_FOLDER)
LIBRARIES = (
    PACKAGE_FOLDER,
    "<frozen ",
    *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    site.getusersitepackages() + os.sep,
)


def name_type(cls: type) -> str:
    """Return a type's name, with its module unless everybody knows it."""
    try:
        name, module = str.__str__(cls.__qualname__), str.__str__(cls.__module__)
    except BaseException:  # noqa: BLE001 - a metaclass may define these as it likes
        return "?"
    return name if module in {"builtins", "__main__"} else f"{module}.{name}"


def raw_attribute(error: BaseException, name: str) -> Any:
    """Return a field that every exception has, whatever its class defines under that name."""
    return BaseException.__dict__[name].__get__(error)


def set_raw_attribute(error: BaseException, name: str, value: object) -> None:
    """Set a field that every exception has, whatever its class defines under that name."""
    BaseException.__dict__[name].__set__(error, value)


def say_exception(error: BaseException) -> str:
    """Return an exception's text, shortened, or why there is none."""
    try:
        return shorten(str.__str__(str(error)))
    except BaseException as failure:  # noqa: BLE001 - `__str__` is the user's
        return f"<its text cannot be shown: str() raised {name_type(type(failure))}>"


def shorten(text: str) -> str:
    """Return a text by its two ends when it is long."""
    if len(text) <= TEXT_CHARS_MAX:
        return text
    half = TEXT_CHARS_MAX // 2
    return f"{text[:half]} [{len(text) - 2 * half} characters were cut here] {text[-half:]}"


def extract_stack(tb: TracebackType | None) -> Stack:
    """Return a traceback from the first frame of the user's on, without ours, the middle of a deep one left out."""
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(AROUND):
        tb = tb.tb_next
    if tb is None:
        return []
    beginning = _without_ours(extract_tb(tb, limit=FRAMES_MAX))
    depth = sum(1 for _ in _walk(tb))
    if depth <= FRAMES_MAX:
        return [beginning]
    return [beginning, _without_ours(extract_tb(tb, limit=-min(FRAMES_MAX, depth - FRAMES_MAX)))]


def _without_ours(stack: StackSummary) -> StackSummary:
    """Leave this package's frames out: those of a task that asked for the result of another."""
    return StackSummary.from_list([frame for frame in stack if not frame.filename.startswith(PACKAGE_FOLDER)])


def _walk(tb: TracebackType | None) -> Iterator[TracebackType]:
    while tb is not None:
        yield tb
        tb = tb.tb_next


def places_of(stack: Stack) -> tuple[Place, ...]:
    """Return where each frame of a stack was."""
    return tuple((frame.filename, frame.name, frame.lineno or 1) for summary in stack for frame in summary)


def find_user_place(places: Sequence[Place]) -> Place:
    """Return the innermost place that is in no library, else the innermost one, else an empty one."""
    own = [place for place in places if not place[0].startswith(LIBRARIES)]
    return (own or list(places) or [("", "", 0)])[-1]


def format_chain(chain: Sequence[BaseException], texts: Sequence[str], stacks: Sequence[Stack]) -> str:
    """Return exceptions as Python would print the first of them: what led to it above it."""
    parts: list[str] = []
    seen: set[int] = set()
    index, joint = 0, ""
    while index >= 0 and index not in seen:
        seen.add(index)
        error = chain[index]
        parts.append(_format_one(error, texts[index], stacks[index], depth=0) + joint)
        cause, context = raw_attribute(error, "__cause__"), raw_attribute(error, "__context__")
        joint = CAUSED if cause is not None else DURING
        before = None if cause is None and raw_attribute(error, "__suppress_context__") else cause or context
        index = find_position(before, chain)
    return "".join(reversed(parts))


def find_position(error: BaseException | None, chain: Sequence[BaseException]) -> int:
    """Return where an exception is in a chain, by identity because its ``__eq__`` is the user's; -1: nowhere."""
    return next((index for index, one in enumerate(chain) if one is error), -1)


def _format_one(error: BaseException, text: str, stack: Stack, depth: int) -> str:
    lines = [HEADER] if stack else []
    for summary in stack:
        if summary is not stack[0]:
            lines.append("  [frames were left out here]\n")
        lines.extend(summary.format())
    name = name_type(type(error))
    lines.append(f"{name}: {text}\n" if text else f"{name}\n")
    lines.extend(f"{shorten(note)}\n" for note in _notes_of(error))
    if depth < GROUP_DEPTH_MAX and issubclass(type(error), BaseExceptionGroup):
        lines.append(_format_members(error, depth))
    return "".join(lines)


def _format_members(group: BaseException, depth: int) -> str:
    members: Sequence[BaseException] = BaseExceptionGroup.__dict__["exceptions"].__get__(group)
    parts = [
        f"--- {number} of {len(members)} ---\n{_format_one(one, say_exception(one), _stack_of(one), depth + 1)}"
        for number, one in enumerate(members[:GROUP_MAX], start=1)
    ]
    return textwrap.indent("".join(parts), "  | ")


def _stack_of(error: BaseException) -> Stack:
    return extract_stack(raw_attribute(error, "__traceback__"))


def _notes_of(error: BaseException) -> list[str]:
    notes = raw_attribute(error, "__dict__").get("__notes__")
    return [note for note in notes if type(note) is str] if type(notes) is list else []
