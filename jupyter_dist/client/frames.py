"""A user's traceback shows nothing of this package: the user's own call, then the frames of the task's own code.

Between these lie our frames, and those of the libraries we wait in. They are cut off where our outermost frame raises
the error on: a bare ``raise`` takes the traceback from the error as it is, and adds nothing for its own frame. IPython
knows to hide what is left in other ways, because our frames say ``__tracebackhide__``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from concurrent.futures import CancelledError
from pathlib import Path

from jupyter_dist.errors import InternalError, JupyterDistError

OURS = Path(__file__).parent.parent
BETWEEN = tuple(
    f"{folder}{os.sep}"
    for folder in (OURS, *(Path(str(library.__file__)).parent for library in (asyncio, concurrent.futures)))
)
MEANT = (JupyterDistError, CancelledError, TimeoutError, KeyboardInterrupt)  # errors we raise on purpose


def hide_frames(error: BaseException) -> None:
    """Take the frames an error came through here out of its traceback; then say ``raise``, without a name.

    An error that comes from these frames themselves, and was not meant, keeps them: it is a bug of ours.
    """
    found = error.__traceback__
    while found is not None and found.tb_frame.f_code.co_filename.startswith(BETWEEN):
        found = found.tb_next
    if found is not None or (isinstance(error, MEANT) and not isinstance(error, InternalError)):
        error.__traceback__ = found
