import importlib
import io
import os
import pickle
import sys
import threading
import zipfile
from typing import Any

import cloudpickle
import pytest

from jupyter_dist.errors import UsageError
from jupyter_dist.messages import CodeFile, FunctionBody, TakeCode
from jupyter_dist.processes.call import Functions
from jupyter_dist.processes.code_store import CodeStore, check_module_name
from jupyter_dist.sources.graph import digest


@pytest.fixture
def restored():
    """Put back what imports look at."""
    path, meta_path, modules = list(sys.path), list(sys.meta_path), dict(sys.modules)
    yield
    sys.path[:], sys.meta_path[:] = path, meta_path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]


@pytest.fixture
def store(restored, tmp_path):
    (tmp_path / "scratch").mkdir()
    return CodeStore(str(tmp_path / "scratch"))


@pytest.fixture
def beside(restored, tmp_path):
    """A folder on the worker's own path."""
    (tmp_path / "beside").mkdir()
    sys.path.insert(0, str(tmp_path / "beside"))
    return tmp_path / "beside"


def code(name, text, kind="module", **changes):
    body = text.encode() if isinstance(text, str) else text
    return CodeFile(name, digest(body), body, kind, **changes)


def tell(store, *files, number=1):
    message = TakeCode(number, files)
    store.add(message)
    return store.take(message)


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, text in members.items():
            made.writestr(name.replace("__", "/", 1) + ".py" if "__" in name else name + ".py", text)
    return file.getvalue()


def test_module_that_was_told_is_imported_from_the_scratch_folder(store, tmp_path):
    error, modules = tell(store, code("told_a", "X = 1"))
    assert error is None
    assert [name for name, version in modules if len(version) == 8] == ["told_a"]
    module = importlib.import_module("told_a")
    assert module.X == 1
    assert module.__file__ == str(tmp_path / "scratch" / "code" / "told_a.py")


def test_newer_version_replaces_the_module_and_what_imported_it(store):
    tell(
        store,
        code("told_a", "X = 1"),
        code("told_b", "from told_a import X\ndef f(): return X"),
        code("told_c", "Y = 1"),
    )
    old, apart = importlib.import_module("told_b"), importlib.import_module("told_c")
    tell(store, code("told_a", "X = 2"), number=2)
    assert importlib.import_module("told_b").f() == 2
    assert old.f() == 1
    assert importlib.import_module("told_c") is apart


def test_same_version_told_again_changes_nothing(store):
    tell(store, code("told_a", "X = 1"))
    module, generation = importlib.import_module("told_a"), store.generation
    tell(store, code("told_a", "X = 1"), number=2)
    assert (importlib.import_module("told_a"), store.generation) == (module, generation)


def test_two_versions_of_one_second_and_one_size_are_told_apart(store, beside):
    path = beside / "told_d.py"
    path.write_text("X = 1", encoding="utf-8")
    assert importlib.import_module("told_d").X == 1  # and its bytecode is kept
    stamp = path.stat().st_mtime_ns
    path.write_text("X = 2", encoding="utf-8")
    os.utime(path, ns=(stamp, stamp))
    tell(store, code("told_d", "X = 2"))
    module = importlib.import_module("told_d")
    assert (module.X, module.__file__) == (2, str(path))


def test_module_with_the_same_content_is_used_from_the_workers_own_path(store, beside):
    (beside / "told_pkg").mkdir()
    (beside / "told_pkg" / "__init__.py").write_text("", encoding="utf-8")
    (beside / "told_pkg" / "a.py").write_text("X = 1", encoding="utf-8")
    (beside / "told_pkg" / "quiet.py").write_text("Y = 1", encoding="utf-8")
    tell(store, code("told_pkg", "", "package"), code("told_pkg.a", "X = 2"))
    changed, same = importlib.import_module("told_pkg.a"), importlib.import_module("told_pkg.quiet")
    assert (changed.X, same.Y) == (2, 1)
    assert importlib.import_module("told_pkg").__file__ == str(beside / "told_pkg" / "__init__.py")
    assert same.__file__ == str(beside / "told_pkg" / "quiet.py")


def test_changed_package_keeps_the_submodules_nobody_told_of(store, beside):
    (beside / "told_pkg").mkdir()
    (beside / "told_pkg" / "__init__.py").write_text("V = 1", encoding="utf-8")
    (beside / "told_pkg" / "quiet.py").write_text("from told_pkg import V", encoding="utf-8")
    assert importlib.import_module("told_pkg.quiet").V == 1
    tell(store, code("told_pkg", "V = 2", "package"))
    assert importlib.import_module("told_pkg.quiet").V == 2
    assert importlib.import_module("told_pkg").quiet.V == 2


def test_module_of_a_package_without_init_is_found(store):
    tell(store, code("told_ns.deep.mod", "X = 3"))
    assert importlib.import_module("told_ns.deep.mod").X == 3


def test_module_of_packages_without_init_on_the_workers_own_path_is_used_from_there(store, beside):
    (beside / "told_ns" / "deep").mkdir(parents=True)
    (beside / "told_ns" / "deep" / "mod.py").write_text("X = 3", encoding="utf-8")
    error, _ = tell(store, code("told_ns.deep.mod", "X = 3"))
    assert error is None
    assert importlib.import_module("told_ns.deep.mod").__file__ == str(beside / "told_ns" / "deep" / "mod.py")


def test_submodule_that_changed_is_not_found_at_its_old_place_in_the_package(store):
    tell(store, code("told_pkg", "", "package"), code("told_pkg.sub", "X = 1"))
    package = importlib.import_module("told_pkg")
    importlib.import_module("told_pkg.sub")
    tell(store, code("told_pkg.sub", "X = 2"), number=2)
    assert importlib.import_module("told_pkg") is package
    space: dict[str, Any] = {}
    exec("from told_pkg import sub", space)
    assert space["sub"].X == 2


def test_archive_is_imported_and_a_second_one_replaces_it(store, tmp_path):
    tell(store, code("lib.zip", archive(told_z="X = 1", told_y="X = 1"), "archive", is_upload=True))
    assert importlib.import_module("told_z").X == 1
    error, modules = tell(store, code("lib.zip", archive(told_z="X = 2"), "archive", is_upload=True), number=2)
    assert error is None
    assert importlib.import_module("told_z").X == 2
    assert [name for name, _ in modules] == ["lib.zip"]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("told_y")
    assert len(list((tmp_path / "scratch" / "code").glob("archive-*"))) == 1


def test_archive_is_meant_when_it_comes_after_a_module_of_that_name(store):
    tell(store, code("told_z", "X = 1"))
    assert importlib.import_module("told_z").X == 1
    tell(store, code("lib.egg", archive(told_z="X = 2"), "archive", is_upload=True), number=2)
    assert importlib.import_module("told_z").X == 2
    tell(store, code("told_z", "X = 3"), number=3)
    assert importlib.import_module("told_z").X == 3


def test_upload_that_cannot_be_imported_is_told_with_its_own_frames_alone(store):
    error, modules = tell(store, code("told_bad", "def f():\n    1 / 0\nf()\n", is_upload=True))
    assert error.type_name == "ZeroDivisionError"
    assert error.traceback.count("File ") == 2
    assert error.filename.endswith("told_bad.py")
    assert [name for name, _ in modules] == ["told_bad"]
    error, _ = tell(store, code("told_bad", "X = (", is_upload=True), number=2)
    assert error.type_name == "SyntaxError"
    error, _ = tell(store, code("told_bad", "raise SystemExit(3)", is_upload=True), number=3)
    assert error.type_name == "SystemExit"
    error, _ = tell(store, code("told_bad", "X = 1", is_upload=True), number=4)
    assert error is None


def test_shipped_module_is_not_imported_before_a_task_needs_it(store):
    assert tell(store, code("told_bad", "1 / 0"))[0] is None
    assert "told_bad" not in sys.modules


@pytest.mark.parametrize("name", ["json", "jupyter_dist", "jupyter_dist.errors", "msgspec", "sys"])
def test_module_the_worker_runs_on_is_not_replaced(store, name):
    before = sys.modules.get(name)
    error, modules = tell(store, code(name, "X = 1", is_upload=True))
    assert "this worker itself runs on" in error.text
    assert modules == ()
    assert sys.modules.get(name) is before


@pytest.mark.parametrize("name", ["", ".", "..", "a..b", "../x", "a/b", "a b", "a.b/../c", "\udcff"])
def test_name_that_is_no_modules_is_refused_and_nothing_is_written(store, name, tmp_path):
    with pytest.raises(UsageError):
        check_module_name(name)
    assert tell(store, code(name, "X = 1"))[0] is not None
    assert tell(store, code(f"../{name}.zip", archive(a="X = 1"), "archive"), number=2)[0] is not None
    assert list((tmp_path / "scratch").rglob("*.*")) == []


def test_unicode_names_are_kept(store):
    tell(store, code("grüße", "X = 1"))
    assert importlib.import_module("grüße").X == 1


def test_archive_that_is_none_is_refused(store):
    assert tell(store, code("lib.zip", b"nothing", "archive"))[0].type_name == "zipfile.BadZipFile"


def test_code_that_cannot_be_written_stays_pending_and_fails_each_call(restored, tmp_path):
    (tmp_path / "scratch").write_text("in the way", encoding="utf-8")
    store = CodeStore(str(tmp_path / "scratch"))
    error, _ = tell(store, code("told_a", "X = 1"))
    assert error.type_name in {"NotADirectoryError", "FileExistsError"}
    with pytest.raises(OSError, match="scratch"):
        Functions(store).load(FunctionBody("f", "f", cloudpickle.dumps(len)))
    (tmp_path / "scratch").unlink()
    (tmp_path / "scratch").mkdir()
    Functions(store).load(FunctionBody("f", "f", cloudpickle.dumps(len)))
    assert importlib.import_module("told_a").X == 1


def test_function_is_loaded_anew_when_code_was_told_since(store):
    functions = Functions(store)
    store.add(TakeCode(1, (code("told_a", "def f(): return 1"),)))
    body = FunctionBody("f", "f", pickle.dumps(_Reference("told_a", "f")))
    assert functions.load(body)() == 1
    assert functions.load(body) is functions.load(body)
    store.add(TakeCode(2, (code("told_a", "def f(): return 2"),)))
    assert functions.load(body)() == 2


class _Reference:
    """Pickles as a function that is not there yet."""

    def __init__(self, module, name):
        self.place = (module, name)

    def __reduce__(self):
        return _load, self.place


def _load(module, name):
    return getattr(importlib.import_module(module), name)


def test_module_that_is_being_imported_is_replaced_when_that_is_done(store, tmp_path):
    flag = tmp_path / "flag"
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(flag)!r}).exists(): time.sleep(0.001)\nX = 1"
    tell(store, code("told_slow", waits))
    failed = []

    def load():
        try:
            importlib.import_module("told_slow")
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must not be
            failed.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    while not getattr(getattr(sys.modules.get("told_slow"), "__spec__", None), "_initializing", False):
        pass
    releasing = threading.Timer(0.05, flag.touch)
    releasing.start()
    tell(store, code("told_slow", "X = 2"), number=2)
    thread.join(10)
    assert not failed
    assert importlib.import_module("told_slow").X == 2
