"""Which files are local: their user edits them, so they may be another thing a moment later."""

from __future__ import annotations

import csv
import functools
import os
import site
import sysconfig
from pathlib import Path

INSTALLED = frozenset(("site-packages", "dist-packages"))
PACKAGE_FOLDER = Path(__file__).resolve().parents[1]


@functools.lru_cache(maxsize=4096)
def is_local(path: str) -> bool:
    """Whether a file is a local one, by its path. Asked once for each path."""
    if not path.endswith(".py") or path.startswith(_library_texts()):  # most of what is loaded
        return False
    file = Path(path).absolute()
    if not INSTALLED.isdisjoint(file.parts):
        return False
    folders = (file.parents, file.resolve().parents)
    if any(folder in parents for folder in _libraries() for parents in folders):
        return False
    return not any(_is_recorded(folder, file) for folder in file.parents)


@functools.cache
def _libraries() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = {Path(sysconfig.get_path(name)) for name in names} | {Path(site.getusersitepackages())}
    return (PACKAGE_FOLDER, *paths, *(path.resolve() for path in paths))


@functools.cache
def _library_texts() -> tuple[str, ...]:
    return tuple(f"{folder}{os.sep}" for folder in _libraries())


def _is_recorded(folder: Path, file: Path) -> bool:
    """Whether a distribution that was installed into a folder (``pip install --target``) has the file."""
    return os.path.relpath(file, folder) in _recorded(folder)


@functools.lru_cache(maxsize=256)
def _recorded(folder: Path) -> frozenset[str]:
    try:
        records = [entry / "RECORD" for entry in folder.iterdir() if entry.name.endswith(".dist-info")]
        rows = [
            row
            for record in records
            if record.is_file()
            for row in csv.reader(record.read_text(encoding="utf-8").splitlines())
        ]
    except (OSError, UnicodeDecodeError, csv.Error):
        return frozenset()
    return frozenset(os.path.normpath(row[0]) for row in rows if row)
