"""Files a user uploads by name: read, checked, and the part of an Executor that does it."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_dist.errors import UsageError
from jupyter_dist.messages import CodeFile
from jupyter_dist.sources.graph import digest

ARCHIVES = (".egg", ".zip")


class Upload(NamedTuple):
    """A file to be uploaded, and the names that are imported from it."""

    file: CodeFile
    roots: tuple[str, ...]


def read_upload(filename: Any, bytes_max: int) -> Upload:
    """Return a file as it is uploaded.

    Raises
    ------
    FileNotFoundError
        There is none.
    OSError
        It cannot be read.
    TypeError
        It is no name of a file.
    UsageError
        It is no ``.py``, ``.egg`` or ``.zip``, is empty of code, is too large, or has a name that cannot be imported or
        belongs to the standard library.
    """
    if not isinstance(filename, str | os.PathLike):
        raise TypeError(f"upload_file takes the name of a file, not a {type(filename).__name__}")
    path = Path(os.fspath(filename))
    kind = path.suffix
    if kind != ".py" and kind not in ARCHIVES:
        raise UsageError(f"{path}: upload a .py, .egg or .zip file; data goes to the cluster with `scatter`")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: make a .zip of it, with its packages at the top")
    if (size := path.stat().st_size) > bytes_max:
        raise UsageError(f"{path} is {size:,} bytes, more than the {bytes_max:,} of one file (code_bytes_max)")
    body = path.read_bytes()
    version = digest(body)
    if kind == ".py":
        _check_root(path, path.stem)
        return Upload(CodeFile(path.stem, version, body, "module", is_upload=True), (path.stem,))
    roots = _roots_of(path, body)
    _check_text(path)
    return Upload(CodeFile(path.name, version, body, "archive", is_upload=True), roots)


def _roots_of(path: Path, body: bytes) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            tops = dict.fromkeys(name.partition("/")[0] for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise UsageError(f"{path} is no zip archive: {error}") from error
    names = dict.fromkeys(top.removesuffix(".pyc").removesuffix(".py") for top in tops)
    roots = tuple(name for name in names if name.isidentifier())
    if not roots:
        raise UsageError(f"{path} has no module or package at its top: nothing could be imported from it")
    for root in roots:
        _check_root(path, root)
    return roots


def _check_root(path: Path, root: str) -> None:
    if not root.isidentifier():
        raise UsageError(f"{path}: no `import` can name it; rename it to letters, digits and underscores")
    if root in sys.stdlib_module_names or root == "jupyter_dist":
        raise UsageError(f"{path}: {root!r} is the name of a module workers run on; choose another")
    _check_text(path)


def _check_text(path: Path) -> None:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{str(path)!r} has characters that are no text (lone surrogates): rename it") from None
