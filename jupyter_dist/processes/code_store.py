"""A user's code as files of this worker: put in place, found by imports, and never older than what was last told.

The loop only notes what is to be put in place (`add`). A thread beside it does that (`settle`), and so does a slot that
is about to load a call: what was assigned after the files were told never sees older ones, and the loop imports nothing.

A module that is on this worker's path with the same content is used from there. Others are written into the worker's
scratch folder, which is on the path as well. Modules that were told are found by a finder of ours before all others,
and compiled from their source: Python's cache tells two versions of one second and one size not apart. What has
anything of a changed module in it is dropped from `sys.modules` and loaded anew at its next import; objects that exist
keep the code they have.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import shutil
import sys
import threading
import time
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

from jupyter_dist.errors import UsageError
from jupyter_dist.messages import CodeFile, ErrorInfo, TakeCode
from jupyter_dist.protocol.exceptions import describe_exception
from jupyter_dist.protocol.tracebacks import raw_attribute, set_raw_attribute
from jupyter_dist.sources.dependents import find_dependents
from jupyter_dist.sources.graph import SourceGraph, digest, place_of, search_place
from jupyter_dist.sources.local import is_local

FOLDER = "code"
IMPORT_S_MAX = 30.0  # how long an import that is under way may delay its module's replacement
VERSION_CHARS = 8  # of a version as it is shown
POLL_S = 0.002
IMPORT_FILES = ("<frozen importlib", os.path.dirname(importlib.__file__) + os.sep)  # noqa: PTH120 - text of code objects


class Placed(NamedTuple):
    """A module or an archive that was told: its file, and where else its submodules may be."""

    version: str
    path: str
    search: tuple[str, ...]


class CodeStore:
    """The user's code on one worker.

    Parameters
    ----------
    scratch : str
        The worker's own folder; nothing is made there before there is code.

    Attributes
    ----------
    pending : deque of TakeCode
        What is told and not in place.
    generation : int
        Grows with each change of code: what was loaded under an earlier one may be old.
    """

    def __init__(self, scratch: str) -> None:
        self.pending: deque[TakeCode] = deque()
        self.generation = 0
        self._folder = Path(scratch, FOLDER)
        self._lock = threading.RLock()
        self._modules: dict[str, Placed] = {}
        self._archives: dict[str, Placed] = {}
        self._finder = CodeFinder(self._modules)
        self._graph = SourceGraph()
        self._changed: set[str] = set()  # modules that are not dropped yet; kept when a stop strikes in between
        self._refused: dict[int, ErrorInfo] = {}  # by the number of what was told
        self._at_start = tuple(sys.modules)
        self._own: frozenset[str] | None = None  # found when it is first needed: a worker starts without it

    def add(self, message: TakeCode) -> None:
        """Note code that is to be put in place. For the loop's thread."""
        self.pending.append(message)

    def settle(self) -> None:
        """Put in place what is told. Returns when all of it is, whoever did it.

        Raises
        ------
        OSError
            A file cannot be written. It stays pending: the next call tries again.
        """
        with self._lock:
            while self.pending:
                self._put_all(self.pending[0])
                if self._changed:
                    self._drop()
                self.pending.popleft()

    def take(self, message: TakeCode) -> tuple[ErrorInfo | None, tuple[tuple[str, str], ...]]:
        """Do all that was told; return what went wrong, and all modules and archives with their versions."""
        try:
            self.settle()
        except Exception as error:  # noqa: BLE001 - it stays pending, and whoever waits for an answer must have one
            return describe_exception(error, ""), self.versions()
        refused = self._refused.pop(message.number, None)
        return self._import_uploads(message) if refused is None else refused, self.versions()

    def versions(self) -> tuple[tuple[str, str], ...]:
        """Return all there is, by name."""
        with self._lock:
            placed = {**self._modules, **self._archives}
        return tuple(sorted((name, file.version[:VERSION_CHARS]) for name, file in placed.items()))

    # -- files -------------------------------------------------------------------------------------------------------

    def _put_all(self, message: TakeCode) -> None:
        for index, file in enumerate(message.files):
            try:
                if file.kind == "archive":
                    self._put_archive(file)
                elif not self._is_replaced(file, message.files[index + 1 :]):
                    self._put_module(file)
            except (UsageError, zipfile.BadZipFile) as error:
                self._refused[message.number] = describe_exception(error, "")

    def _is_replaced(self, module: CodeFile, later: Iterable[CodeFile]) -> bool:
        """Whether an archive that is in place already, and is told after a module, has one of its name."""
        root = module.name.partition(".")[0]
        archives = ((file, self._archives.get(file.name)) for file in later if file.kind == "archive")
        return any(here is not None and here.version == file.version and root in here.search for file, here in archives)

    def _put_module(self, file: CodeFile) -> None:
        check_module_name(file.name)
        self._check_root(file.name)
        before = self._modules.get(file.name)
        if before is not None and before.version == file.version:
            return
        self._enter()
        is_package = file.kind == "package"
        usual = search_place(file.name, self._usual_path(file.name))
        if not file.is_upload and usual.path and _has_content(usual.path, file.version):
            path = usual.path
        else:
            path = str(self._module_path(file.name, is_package=is_package))
            _write(Path(path), file.body)
        self._changed.add(file.name)
        own = (os.path.dirname(path),) if is_package else ()  # noqa: PTH120 - a path as imports have it
        self._modules[file.name] = Placed(
            file.version, path, tuple(dict.fromkeys((*own, *usual.search))) if own else ()
        )

    def _usual_path(self, name: str) -> list[str]:
        """Return where a module would be looked for if nobody had told of it."""
        parent = name.rpartition(".")[0]
        if not parent:
            return [folder for folder in sys.path if not folder.startswith(str(self._folder))]
        placed = self._modules.get(parent)
        if placed is not None:
            return [folder for folder in placed.search if not folder.startswith(str(self._folder))]
        return list(search_place(parent, self._usual_path(parent)).search)

    def _module_path(self, name: str, *, is_package: bool) -> Path:
        parts = name.split(".")
        return (
            self._folder.joinpath(*parts, "__init__.py")
            if is_package
            else self._folder.joinpath(*parts[:-1], f"{parts[-1]}.py")
        )

    def _put_archive(self, file: CodeFile) -> None:
        if Path(file.name).name != file.name or file.name in {"", ".", ".."}:
            raise UsageError(f"{file.name!r} is no name of a file")
        before = self._archives.get(file.name)
        if before is not None and before.version == file.version:
            self._forget_modules(before.search)
            return
        self._enter()
        path = self._folder / f"archive-{file.version}" / file.name  # a path of its own: importers keep what they read
        _write(path, file.body)
        roots = archive_roots(path)
        for root in roots:
            self._check_root(root)
        self._changed.update(roots, before.search if before is not None else ())
        sys.path.insert(0, str(path))
        self._archives[file.name] = Placed(file.version, str(path), tuple(roots))
        if before is not None:
            self._remove_archive(before)
        self._forget_modules(roots)

    def _forget_modules(self, roots: Iterable[str]) -> None:
        """Forget modules of an archive that is told now: they were told before it, and it has others."""
        for name in [name for name in self._modules if name.partition(".")[0] in roots]:
            del self._modules[name]
            self._changed.add(name)

    def _remove_archive(self, archive: Placed) -> None:
        with contextlib.suppress(ValueError):
            sys.path.remove(archive.path)
        shutil.rmtree(Path(archive.path).parent, ignore_errors=True)

    def _enter(self) -> None:
        """Have imports look here, from the first file on."""
        if self._finder not in sys.meta_path:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            sys.meta_path.insert(0, self._finder)
            sys.path.insert(0, str(self._folder))

    def _check_root(self, name: str) -> None:
        root = name.partition(".")[0]
        if self._own is None:
            self._own = _own_roots(self._at_start)
        if root in self._own:
            raise UsageError(f"{root!r} is a module this worker itself runs on: choose another name for the file")

    # -- modules that are loaded -------------------------------------------------------------------------------------

    def _drop(self) -> None:
        """Unload what has anything of changed modules in it, and say that what was loaded is old."""
        changed = self._changed
        importlib.invalidate_caches()
        loaded = {name: self._imports_of(name) for name in _loaded_local(self._modules)}
        under = {name for name in sys.modules if any(name == one or name.startswith(f"{one}.") for one in changed)}
        for name in sorted(find_dependents(changed | under, loaded)):
            _unload(name)
        self.generation += 1
        changed.clear()

    def _imports_of(self, name: str) -> frozenset[str]:
        source = self._graph.look(name)
        return source.imports if source is not None else frozenset()

    def _import_uploads(self, message: TakeCode) -> ErrorInfo | None:
        """Import what was uploaded by name; return what the first that cannot be imported raised."""
        for file in message.files:
            if file.is_upload and file.kind != "archive":
                try:
                    importlib.import_module(file.name)
                except BaseException as error:  # noqa: BLE001 - a module may raise anything
                    _cut_importing(error)
                    return describe_exception(error, "")
        return None


def _own_roots(names: Iterable[str]) -> frozenset[str]:
    """Return the tops of those modules that are not local: what the process was made of."""
    paths = {name: place_of(sys.modules.get(name)).path for name in names}
    local = {name.partition(".")[0] for name, path in paths.items() if is_local(path)}
    return frozenset({name.partition(".")[0] for name in paths} | sys.stdlib_module_names | {"jupyter_dist"}) - local


def check_module_name(name: str) -> None:
    """Raise UsageError for what is no dotted name of a module."""
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{name!r} is no name of a module")


def archive_roots(path: Path) -> list[str]:
    """Return the modules and packages an archive has at its top. BadZipFile when it is none."""
    with zipfile.ZipFile(path) as archive:
        tops = dict.fromkeys(name.partition("/")[0] for name in archive.namelist())
    names = (top.removesuffix(".py").removesuffix(".pyc") for top in tops)
    return [name for name in dict.fromkeys(names) if name.isidentifier()]


def _has_content(path: str, version: str) -> bool:
    try:
        return digest(Path(path).read_bytes()) == version
    except OSError:
        return False


def _write(path: Path, body: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{hashlib.blake2b(path.name.encode(), digest_size=8).hexdigest()}.draft")
    draft.write_bytes(body)
    draft.replace(path)


def _loaded_local(told: Mapping[str, Placed]) -> Iterator[str]:
    for name, module in tuple(sys.modules.items()):
        if name in told or is_local(place_of(module).path):
            yield name


def _unload(name: str) -> None:
    module = sys.modules.get(name)
    if module is None or name == "__main__":
        return
    _await_import(module)
    sys.modules.pop(name, None)
    parent, _, own = name.rpartition(".")
    if parent in sys.modules:
        with contextlib.suppress(AttributeError):
            delattr(sys.modules[parent], own)


def _await_import(module: ModuleType) -> None:
    """Wait while another thread is importing a module: the import would fail if it went missing meanwhile."""
    until_s = time.monotonic() + IMPORT_S_MAX
    while getattr(getattr(module, "__spec__", None), "_initializing", False) and time.monotonic() < until_s:
        time.sleep(POLL_S)


def _cut_importing(error: BaseException) -> None:
    """Take the frames of the import machinery off a traceback's beginning."""
    traceback = raw_attribute(error, "__traceback__")
    while traceback is not None and traceback.tb_next is not None:
        name = traceback.tb_frame.f_code.co_filename
        if not name.startswith(IMPORT_FILES) and name != __file__:
            break
        traceback = traceback.tb_next
    set_raw_attribute(error, "__traceback__", traceback)


class CodeFinder(importlib.abc.MetaPathFinder):
    """Finds the modules that were told."""

    def __init__(self, modules: Mapping[str, Placed]) -> None:
        self._modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how a module is loaded; None when it was not told."""
        placed = self._modules.get(fullname)
        if placed is None:
            return None
        loader = FreshLoader(fullname, placed.path)
        search = list(placed.search) or None
        return importlib.util.spec_from_file_location(
            fullname, placed.path, loader=loader, submodule_search_locations=search
        )


class FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles a module from its source each time."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of a module."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code
