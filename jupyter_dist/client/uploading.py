"""The part of an Executor that gives every worker a user's files."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from jupyter_dist.client.front import Front
from jupyter_dist.client.uploads import Upload, read_upload
from jupyter_dist.errors import ClusterError
from jupyter_dist.messages import PutCode
from jupyter_dist.protocol.exceptions import load_exception


class Uploading(Front):
    """What an Executor can give to all workers."""

    def upload_file(self, filename: str | os.PathLike[str]) -> Any:
        """Give a file of code to all workers, those that are there and those that come later.

        Tasks submitted after this see it, also when it replaces one that was uploaded, or imported, before. A ``.py``
        file is imported on each worker at once; `restart` keeps what was uploaded. Local modules need no upload: they
        follow what is submitted.

        Parameters
        ----------
        filename
            A ``.py``, ``.egg`` or ``.zip`` file.

        Raises
        ------
        Exception
            What importing the module raised on a worker, with the worker's traceback. The file is there all the same.
        FileNotFoundError, OSError
            There is no such file, or it cannot be read.
        TypeError, UsageError
            It is no such file, it is too large, or its name cannot be imported.
        ClusterError
            A worker could not keep it, or is so busy that it has not taken it in time; the text names it.
        ClusterClosedError
            The executor is closed.
        """
        self.session.check_open()
        upload = read_upload(filename, self.settings.code_bytes_max)
        return self.perform(self._upload(upload))

    async def _upload(self, upload: Upload) -> None:
        __tracebackhide__ = True
        self.session.code.note_upload(upload)
        answer = await self.ask(lambda request: PutCode(request, (upload.file,)))
        if answer.failure is not None:
            error = load_exception(answer.failure)
            with contextlib.suppress(TypeError):
                BaseException.add_note(error, f"raised while {upload.file.name} was put in place on {answer.error}")
            raise error
        if answer.error:
            raise ClusterError(answer.error)
