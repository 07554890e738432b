"""Where the code of a slot is at this moment: the frames of its thread from the outermost of the user's on.

Another thread's frames are read while it runs, so each is of one moment and the whole is nearly so. A coroutine that
waits has no frame on its thread's stack; it is followed from where the slot began it.
"""

from __future__ import annotations

import itertools
import os
import selectors
import traceback
from collections.abc import Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType

from jupyter_dist.protocol.tracebacks import AROUND, FRAMES_MAX, PACKAGE_FOLDER

DEPTH_MAX = 100_000  # frames that are walked at all
CALL_FILE = f"{PACKAGE_FOLDER}processes{os.sep}call.py"  # its frames stand between a slot and the user's code
BEGUN = "value"  # the local of our own frame that holds the coroutine a task returned, see `call`


def format_frames(innermost: FrameType) -> tuple[str, ...]:
    """Return a thread's frames, outermost first, as Python prints them; of a deep stack the two ends."""
    frames = list(itertools.islice(_outwards(innermost), DEPTH_MAX))[::-1]
    begin = next((index for index, frame in enumerate(frames) if _is_begin(frame)), len(frames))
    own = list(itertools.dropwhile(_is_around, frames[begin:])) or list(_awaited(frames[begin:]))
    if len(own) > 2 * FRAMES_MAX:
        cut = f"  [{len(own) - 2 * FRAMES_MAX} frames were left out here]\n"
        return (*_format(own[:FRAMES_MAX]), cut, *_format(own[-FRAMES_MAX:]))
    return _format(own)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_begin(frame: FrameType) -> bool:
    return frame.f_code.co_filename == CALL_FILE


def _is_around(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return name.startswith(AROUND) or name == selectors.__file__  # where a loop waits


def _awaited(frames: list[FrameType]) -> Iterator[FrameType]:
    """Yield the frames of the coroutine that waits in a slot's event loop."""
    ours = (frame for frame in frames if frame.f_code.co_filename.startswith(PACKAGE_FOLDER))
    begun = (frame.f_locals.get(BEGUN) for frame in ours if BEGUN in frame.f_code.co_varnames)
    waiting: object = next((value for value in begun if type(value) is CoroutineType), None)
    for _ in range(DEPTH_MAX):
        frame, waiting = _step_in(waiting)
        if frame is None:
            return
        yield frame


def _step_in(waiting: object) -> tuple[FrameType | None, object]:
    """Return the frame of what waits, and what it waits for."""
    if isinstance(waiting, CoroutineType):
        return waiting.cr_frame, waiting.cr_await
    if isinstance(waiting, GeneratorType):
        return waiting.gi_frame, waiting.gi_yieldfrom
    if isinstance(waiting, AsyncGeneratorType):
        return waiting.ag_frame, waiting.ag_await
    return None, None


def _format(frames: list[FrameType]) -> tuple[str, ...]:
    return tuple(traceback.StackSummary.extract((frame, frame.f_lineno or 1) for frame in frames).format())
