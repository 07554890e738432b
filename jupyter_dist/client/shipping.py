"""Code that follows its user: local modules reach the cluster as they are on disk when a call is submitted.

A packed call names the modules it refers to, in its bytes. Those that are local files (`sources`), and the local ones
they import, are looked at: the time and size of each file. What is not as the cluster has it from this client is put
there before the call. A module this session has not put before counts as such, and what a worker finds unchanged on
its own path it uses from there.

The versions of these files become part of a function's id and of a pure call's key: a call of edited code is another
call. Calls that reach no local module, of builtins, of installed packages, of a notebook's own functions, pay for
a search of a few names in their bytes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import msgspec

from jupyter_dist.client.uploads import Upload
from jupyter_dist.errors import UsageError
from jupyter_dist.messages import CodeFile, CodeReplaced, FunctionBody, Message, PutCode
from jupyter_dist.settings import Settings
from jupyter_dist.sources.graph import NOT_OURS, Source, SourceGraph, digest, loaded_modules, place_of
from jupyter_dist.sources.local import is_local


class Shipping:
    """What code the cluster has from one session. Thread-safe.

    Parameters
    ----------
    say : callable
        Says something to the scheduler, after all that was said before.
    settings : Settings
        Limits.
    """

    def __init__(self, say: Callable[[Message], None], settings: Settings) -> None:
        self._say = say
        self._settings = settings
        self._lock = threading.RLock()
        self._graph = SourceGraph()
        self._put: dict[str, str] = {}  # the version of each module the cluster has from here
        self._uploads: dict[bytes, str] = {}  # by what is imported from it: the version of what the user uploaded
        self._loaded = (0, "")  # which modules were loaded when these were looked at
        self._known: set[str] = set()
        self._local: dict[bytes, list[tuple[str, bytes]]] = {}  # local modules by the top of their name
        self._covered: dict[
            tuple[str, ...], tuple[tuple[Source, ...], str]
        ] = {}  # what was covered last, and its version
        self._refused = ""

    def cover(self, packed: bytes) -> str:
        """Put what a packed call reaches and the cluster has not; return the version of all it reaches, or nothing.

        Raises
        ------
        UsageError
            What it reaches is too large, or the cluster did not take it before.
        ClusterClosedError
            The session is over.
        """
        if loaded_modules() != self._loaded:
            self._note_modules()
        roots = [root for root in self._local if root in packed]
        if not roots and not self._uploads:
            return ""
        return self._cover(packed, roots)

    def cover_function(self, function: FunctionBody) -> FunctionBody:
        """Return a function under an id that tells the versions of the modules it reaches. Raises as `cover`."""
        version = self.cover(function.body)
        if not version:
            return function
        return msgspec.structs.replace(function, id=digest(f"{function.id} {version}".encode()))

    def _cover(self, packed: bytes, roots: list[bytes]) -> str:
        with self._lock:
            names = tuple(name for root in roots for name, text in self._local[root] if text in packed)
            sources = self._graph.reach(names) if names else ()
            uploads = [version for root, version in self._uploads.items() if root in packed]
            if not uploads and (covered := self._covered.get(names)) is not None and covered[0] is sources:
                return covered[1]
            changed = [source for source in sources if self._put.get(source.name) != source.version]
            if changed:
                self._ship(changed)
            versions = {*uploads, *(f"{source.name} {source.version}" for source in sources)}
            version = digest("\n".join(sorted(versions)).encode()) if versions else ""
            if not uploads:
                self._covered[names] = (sources, version)
            return version

    def _ship(self, changed: list[Source]) -> None:
        if self._refused:
            refused, self._refused = self._refused, ""
            raise UsageError(f"the cluster did not take the code this needs: {refused}")
        total = sum(len(source.body) for source in changed)
        if total > self._settings.code_bytes_max:
            largest = max(changed, key=lambda source: len(source.body))
            raise UsageError(
                f"the local modules this reaches are {total:,} bytes, more than the {self._settings.code_bytes_max:,} "
                f"that are sent at once (code_bytes_max); the largest is {largest.path}"
            )
        files = tuple(
            CodeFile(source.name, source.version, source.body, "package" if source.is_package else "module")
            for source in changed
        )
        self._say(PutCode(0, files))
        self._put.update((source.name, source.version) for source in changed)

    def _note_modules(self) -> None:
        """Look at modules that were loaded since; those that are gone are forgotten."""
        with self._lock:
            self._loaded = loaded_modules()  # before looking: one that is loaded meanwhile makes another look
            loaded = dict(sys.modules)
            if not loaded.keys() >= self._known:
                self._known.clear()
                self._local.clear()
            for name in loaded.keys() - self._known - NOT_OURS:
                if is_local(place_of(loaded[name]).path):
                    self._local.setdefault(name.partition(".")[0].encode(), []).append((name, name.encode()))
            self._covered.clear()
            self._known = set(loaded)

    def note_upload(self, upload: Upload) -> None:
        """Take note of a file the user uploads: it is what is meant, until its local namesakes change."""
        with self._lock:
            self._covered.clear()
            for root in upload.roots:
                self._uploads[root.encode()] = upload.file.version
                sources = [self._graph.look(name) for name, _text in self._local.get(root.encode(), ())]
                self._put.update((source.name, source.version) for source in sources if source is not None)

    def forget_put(self) -> None:
        """Count on nothing that was put: the scheduler is another one, or what it said of that was lost.

        It is put again before the next call that needs it, and costs little where it is. What the user uploaded stands
        for its local namesakes as before.
        """
        with self._lock:
            self._covered.clear()
            tops = self._uploads.keys()
            self._put = {name: put for name, put in self._put.items() if name.partition(".")[0].encode() in tops}

    def on_replaced(self, message: CodeReplaced) -> None:
        """Take note that the cluster has not what was put: it is put again before the next call that needs it."""
        with self._lock:
            self._covered.clear()
            for name in message.names:
                self._put.pop(name, None)
            self._refused = message.refused
