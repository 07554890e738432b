"""Local modules as files, and which others each of them reaches through its imports.

A file is read when it is new or has changed: that is told by its time and size. A file that changed just now is read
again at the next look, because a second change within the same tick of the file system's clock would not show.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jupyter_dist.sources.imports import imported_names
from jupyter_dist.sources.local import is_local

DIGEST_BYTES = 16
TICK_NS = 100_000_000  # a change this recent may be followed by one that does not show
NOT_OURS = frozenset(("__main__", "__mp_main__"))


class Source(NamedTuple):
    """A local module's file as it was read."""

    name: str
    path: str
    is_package: bool
    stamp: tuple[int, int]  # its time, 0 when it was too recent to be trusted, and its size
    version: str
    body: bytes
    imports: frozenset[str]


class Place(NamedTuple):
    """Where a module is: its file, empty when it has none, and where its submodules are looked for."""

    path: str
    search: tuple[str, ...]  # empty: it is no package


NOWHERE = Place("", ())


def loaded_modules() -> tuple[int, str]:
    """Return what changes when a module is loaded or unloaded: how many there are, and the newest."""
    return len(sys.modules), next(reversed(sys.modules), "")


def digest(body: bytes) -> str:
    """Return the version of a file: a hash of what is in it."""
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).hexdigest()


class SourceGraph:
    """The local modules of this process, loaded or only importable. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._sources: dict[str, Source] = {}
        self._places: dict[str, Place] = {}  # of modules that are not loaded
        self._reached: dict[tuple[str, ...], tuple[Source, ...]] = {}
        self._loaded = (0, "")  # which modules were loaded when these were found

    def reach(self, names: tuple[str, ...]) -> tuple[Source, ...]:
        """Return these modules and all they reach, those that are local files, as the files are now."""
        with self._lock:
            if (loaded := loaded_modules()) != self._loaded:
                self._loaded = loaded
                self._places.clear()
                self._reached.clear()
            known = self._reached.get(names)
            if known is not None and all(map(is_fresh, known)):
                return known
            reached = self._reached[names] = tuple(self._walk(names))
            return reached

    def _walk(self, names: Iterable[str]) -> Iterator[Source]:
        seen: set[str] = set()
        stack = list(names)
        while stack:
            name = stack.pop()
            if name in seen or name in NOT_OURS:
                continue
            seen.add(name)
            source = self.look(name)
            stack.extend(_parents(name))
            if source is not None:
                yield source
                stack.extend(source.imports)

    def look(self, name: str) -> Source | None:
        """Return a module's file as it is now; None when it has none or is not local."""
        with self._lock:
            known = self._sources.get(name)
            place = self.find(name)
            if not place.path or not is_local(place.path):
                return None
            if known is None or known.path != place.path or not is_fresh(known):
                known = read_source(name, place.path, is_package=bool(place.search))
                if known is None:
                    self._sources.pop(name, None)
                    return None
                self._sources[name] = known
            return known

    def find(self, name: str) -> Place:
        """Return where a module is, without importing anything."""
        module = sys.modules.get(name)
        if module is not None:
            return place_of(module)
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = self._search(name)
        return place

    def _search(self, name: str) -> Place:
        parent = name.rpartition(".")[0]
        search = list(self.find(parent).search) if parent else sys.path
        return search_place(name, search) if search else NOWHERE


def search_place(name: str, search: list[str]) -> Place:
    """Return where a module would be imported from, in these folders."""
    try:
        spec = importlib.machinery.PathFinder.find_spec(name, search)
        below = tuple(spec.submodule_search_locations or ()) if spec is not None else ()
    except KeyError:  # a package without a file, in one that is not loaded: its search path would look there
        return Place(
            "",
            tuple(str(folder) for folder in (Path(one, name.rpartition(".")[2]) for one in search) if folder.is_dir()),
        )
    except (ImportError, ValueError, AttributeError, OSError):
        return NOWHERE
    return Place(spec.origin if spec is not None and spec.has_location and spec.origin else "", below)


def place_of(module: object) -> Place:
    """Return where a loaded module is from. It may be anything: people put all sorts of objects into `sys.modules`."""
    attributes = getattr(module, "__dict__", {})
    path, search = attributes.get("__file__"), attributes.get("__path__")
    try:
        return Place(path if isinstance(path, str) else "", tuple(map(str, search or ())))
    except Exception:  # noqa: BLE001 - a `__path__` of somebody's own
        return NOWHERE


def read_source(name: str, path: str, *, is_package: bool) -> Source | None:
    """Return a file as it is now; None when it cannot be read."""
    try:
        status = os.stat(path)  # noqa: PTH116 - before it is read: a change meanwhile shows at the next look
        body = Path(path).read_bytes()
    except OSError:
        return None
    is_settled = time.time_ns() - status.st_mtime_ns > TICK_NS
    stamp = (status.st_mtime_ns if is_settled else 0, status.st_size)
    imports = imported_names(body, name, is_package=is_package)
    return Source(name, path, is_package, stamp, digest(body), body, imports)


def is_fresh(source: Source) -> bool:
    """Whether a file is as it was read."""
    try:
        status = os.stat(source.path)  # noqa: PTH116 - on the way of each submit
    except OSError:
        return False
    return (status.st_mtime_ns, status.st_size) == source.stamp


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name
