"""Local modules that calls reach, put before them; and a notebook's own functions, which are never stale by themselves."""

import importlib
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from jupyter_dist.client.calls import pack_call
from jupyter_dist.client.packing import pack_function, pack_outside
from jupyter_dist.client.shipping import Shipping
from jupyter_dist.client.uploads import read_upload
from jupyter_dist.client.versions import compare_versions
from jupyter_dist.errors import PackingError, UsageError, VersionMismatchError
from jupyter_dist.messages import CodeReplaced, PutCode
from jupyter_dist.settings import Settings
from tests.client.quiet import cluster_info


class Owner:
    """What packing sees of an executor."""

    def __init__(self, **changes):
        self.said: list[Any] = []
        self.code = Shipping(self.said.append, Settings(**changes))
        self.info = cluster_info()
        self.session = self

    def pack(self, function, *args):
        """Return the key of a pure call."""
        packed = pack_function(function, code=self.code)
        return pack_call(self, packed, args, {}, key=None, pure=True, settings=Settings()).key

    def shipped(self):
        """Return the names of what was put since it was last asked."""
        names = [file.name for message in self.said for file in message.files]
        assert all(isinstance(message, PutCode) and not message.request for message in self.said)
        self.said.clear()
        return sorted(names)


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Any:
    """Write a module and return it, imported."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    importlib.invalidate_caches()
    return importlib.import_module(name)


class Notebook:
    """A kernel's namespace, in which cells are run."""

    def __init__(self) -> None:
        self.space: dict[str, Any] = {"__name__": "__main__"}

    def cell(self, text: str) -> None:
        exec(text, self.space)

    def __getitem__(self, name):
        return self.space[name]


# -- local modules -------------------------------------------------------------------------------------------------------


def test_module_a_function_is_of_is_put_once_with_what_it_imports(owner, folder):
    write(folder, "near_b", "X = 1")
    near = write(folder, "near_a", "from near_b import X\ndef f(): return X")
    first = owner.pack(near.f)
    assert owner.shipped() == ["near_a", "near_b"]
    assert owner.pack(near.f) == first
    assert owner.shipped() == []


def test_edited_module_is_put_again_and_the_call_is_another(owner, folder):
    write(folder, "near_b", "X = 1")
    near = write(folder, "near_a", "from near_b import X\ndef f(): return X")
    keys = [owner.pack(near.f)]
    owner.shipped()
    for text in ("X = 2", "X = 3", "X = 22"):
        (folder / "near_b.py").write_text(text, encoding="utf-8")
        keys.append(owner.pack(near.f))
        assert owner.shipped() == ["near_b"]
    assert len(set(keys)) == len(keys)


def test_module_that_is_as_before_again_gives_the_key_it_had(owner, folder):
    near = write(folder, "near_a", "def f(): return 1")
    first = owner.pack(near.f)
    (folder / "near_a.py").write_text("def f(): return 2", encoding="utf-8")
    assert owner.pack(near.f) != first
    (folder / "near_a.py").write_text("def f(): return 1", encoding="utf-8")
    assert owner.pack(near.f) == first


def test_module_a_notebooks_function_uses_is_put(owner, folder):
    write(folder, "near_a", "def f(): return 1")
    notebook = Notebook()
    notebook.cell("import near_a\ndef g(): return near_a.f()")
    first = owner.pack(notebook["g"])
    assert owner.shipped() == ["near_a"]
    (folder / "near_a.py").write_text("def f(): return 2", encoding="utf-8")
    assert owner.pack(notebook["g"]) != first
    assert owner.shipped() == ["near_a"]


def test_module_an_argument_is_of_is_put(owner, folder):
    near = write(folder, "near_a", "class C:\n    pass\ndef f(): return 1")
    first = owner.pack(len, [near.C()])
    assert owner.shipped() == ["near_a"]
    (folder / "near_a.py").write_text("class C:\n    x = 1\ndef f(): return 1", encoding="utf-8")
    assert owner.pack(len, [near.C()]) != first
    assert owner.shipped() == ["near_a"]


def test_module_of_a_package_is_put_with_the_package(owner, folder):
    (folder / "near_pkg").mkdir()
    (folder / "near_pkg" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "near_pkg" / "sub.py").write_text("def f(): return 1", encoding="utf-8")
    owner.pack(importlib.import_module("near_pkg.sub").f)
    files = {file.name: file.kind for message in owner.said for file in message.files}
    assert files == {"near_pkg": "package", "near_pkg.sub": "module"}


def test_calls_of_builtins_and_installed_packages_put_nothing(owner):
    owner.pack(len, [1])
    owner.pack(os.path.join, "a")
    owner.pack(pytest.approx, 1.0)
    owner.pack(lambda x: x, 1)
    assert owner.shipped() in ([], [__name__.rpartition(".")[2]], sorted({__name__, *owner.code._put}))


def test_module_that_was_replaced_by_somebody_else_is_put_again(owner, folder):
    near = write(folder, "near_a", "def f(): return 1")
    owner.pack(near.f)
    owner.shipped()
    owner.code.on_replaced(CodeReplaced(("near_a", "unknown")))
    owner.pack(near.f)
    assert owner.shipped() == ["near_a"]


def test_code_the_cluster_refused_fails_the_next_call_with_its_reason(owner, folder):
    near = write(folder, "near_a", "def f(): return 1")
    owner.pack(near.f)
    owner.code.on_replaced(CodeReplaced(("near_a",), "no room"))
    with pytest.raises(UsageError, match="no room"):
        owner.pack(near.f)
    owner.shipped()
    owner.pack(near.f)
    assert owner.shipped() == ["near_a"]


def test_modules_that_are_too_large_are_refused_and_nothing_is_put(folder):
    owner = Owner(code_bytes_max=100)
    near = write(folder, "near_a", f"X = '{'x' * 100}'\ndef f(): return X")
    with pytest.raises(UsageError, match=r"code_bytes_max.*near_a\.py"):
        owner.pack(near.f)
    assert owner.shipped() == []


def test_module_loaded_in_the_place_of_another_is_noticed(owner, folder):
    owner.pack(write(folder, "near_a", "def f(): return 1").f)
    owner.shipped()
    del sys.modules["near_a"]
    owner.pack(write(folder, "near_b", "def f(): return 1").f)
    assert owner.shipped() == ["near_b"]


def test_deleted_module_is_left_to_its_name(owner, folder):
    near = write(folder, "near_a", "def f(): return 1")
    owner.pack(near.f)
    owner.shipped()
    (folder / "near_a.py").unlink()
    owner.pack(near.f)
    assert owner.shipped() == []


# -- uploads -------------------------------------------------------------------------------------------------------------


def test_upload_makes_another_call_of_what_imports_it(owner, folder):
    notebook = Notebook()
    notebook.cell("def f():\n    import far_a\n    return far_a.X")
    keys = [owner.pack(notebook["f"])]
    for text in ("X = 1", "X = 2"):
        (folder / "far_a.py").write_text(text, encoding="utf-8")
        owner.code.note_upload(read_upload(folder / "far_a.py", 1000))
        keys.append(owner.pack(notebook["f"]))
    assert len(set(keys)) == 3


def test_upload_is_what_is_meant_until_its_local_namesake_changes(owner, folder):
    near = write(folder, "near_a", "def f(): return 1")
    (folder / "other").mkdir()
    (folder / "other" / "near_a.py").write_text("def f(): return 7", encoding="utf-8")
    owner.pack(len)
    owner.code.note_upload(read_upload(folder / "other" / "near_a.py", 1000))
    owner.pack(near.f)
    assert owner.shipped() == []
    (folder / "near_a.py").write_text("def f(): return 2", encoding="utf-8")
    owner.pack(near.f)
    assert owner.shipped() == ["near_a"]


def test_archive_is_read_with_what_is_at_its_top(tmp_path):
    path = tmp_path / "lib.egg"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (
            "pkg/__init__.py",
            "pkg/sub/deep.py",
            "mod.py",
            "compiled.pyc",
            "EGG-INFO/top_level.txt",
            "a-b.py",
        ):
            archive.writestr(name, "")
    upload = read_upload(str(path), 10_000)
    assert (upload.file.name, upload.file.kind, upload.file.is_upload) == ("lib.egg", "archive", True)
    assert upload.roots == ("pkg", "mod", "compiled")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data.csv", "upload a .py, .egg or .zip"),
        ("noext", "upload a .py, .egg or .zip"),
        ("..", "upload a .py, .egg or .zip"),
        ("my-mod.py", "no `import` can name it"),
        (".py", "upload a .py, .egg or .zip"),
        ("json.py", "choose another"),
        ("jupyter_dist.py", "choose another"),
        ("big.py", "code_bytes_max"),
        ("bad.zip", "no zip archive"),
        ("empty.zip", "nothing could be imported"),
        ("folder.py", "is a folder"),
        ("sur\udcffrogate.zip", "lone surrogates"),
    ],
)
def test_file_that_cannot_be_uploaded_is_refused_in_words(tmp_path, name, words):
    for made in ("data.csv", "my-mod.py", "json.py", "jupyter_dist.py", "bad.zip"):
        (tmp_path / made).write_text("X = 1", encoding="utf-8")
    (tmp_path / "big.py").write_text("x" * 2000, encoding="utf-8")
    (tmp_path / "folder.py").mkdir()
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    with zipfile.ZipFile(tmp_path / "sur\udcffrogate.zip", "w") as archive:
        archive.writestr("mod.py", "")
    with pytest.raises(UsageError, match=words):
        read_upload(tmp_path / name, 1000)


def test_file_that_is_not_there_or_is_no_name_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_upload(tmp_path / "nobody.py", 1000)
    for thing in (None, 5, b"x.py", ["x.py"]):
        with pytest.raises(TypeError):
            read_upload(thing, 1000)


# -- a notebook's own functions ------------------------------------------------------------------------------------------

CLOSURE = """
def make():
    n = 1
    def set_n(value):
        nonlocal n
        n = value
    return (lambda: n), set_n
f, set_n = make()
"""
DECORATED = """
import functools
def deco(f):
    @functools.wraps(f)
    def w(): return f()
    return w
def h(): return 1
@deco
def g(): return h()
def f(): return g()
"""
CELLS = {
    "helper": ("def h(): return 1\ndef f(): return h()", "def h(): return 2"),
    "global": ("X = 1\ndef f(): return X", "X = 2"),
    "helper of a helper": (
        "X = 1\ndef g(): return X\ndef h(): return g()\ndef f(): return h()",
        "def g(): return X + 1",
    ),
    "global of a helper": ("X = 1\ndef h(): return X\ndef f(): return h()", "X = 2"),
    "closure": (
        "X = 1\ndef make():\n    def inner(): return X\n    return inner\ng = make()\ndef f(): return g()",
        "X = 2",
    ),
    "cell of a closure": (CLOSURE, "set_n(2)"),
    "class": ("class C:\n    def m(self): return 1\ndef f(): return C().m()", "class C:\n    def m(self): return 2"),
    "method put on a class": ("class C:\n    def m(self): return 1\ndef f(): return C().m()", "C.m = lambda self: 2"),
    "base class": (
        "class B:\n    x = 1\nclass C(B): pass\ndef f(): return C.x",
        "B.x = 2",
    ),
    "default": ("def f(x=1): return x", "def f(x=2): return x"),
    "attribute of an object": ("class O: pass\no = O()\no.x = 1\ndef f(): return o.x", "o.x = 2"),
    "element of a list": ("xs = [1]\ndef f(): return xs[0]", "xs[0] = 2"),
    "decorated helper": (
        DECORATED,
        "def h(): return 2",
    ),
    "helper with a cache": (
        "import functools\n@functools.cache\ndef h(): return 1\ndef f(): return h()",
        "@functools.lru_cache(maxsize=3)\ndef h(): return 2",
    ),
    "helper of one with a cache": (
        "import functools\ndef h(): return 1\n@functools.cache\ndef g(): return h()\ndef f(): return g()",
        "def h(): return 2\ng.cache_clear()",
    ),
    "keyword default that is set": ("def f(*, x=1): return x", "f.__kwdefaults__ = {'x': 2}"),
    "static method put on a class": (
        "class C:\n    @staticmethod\n    def s(): return 1\n    @classmethod\n    def c(cls): return cls.s()\nf = C.c",
        "C.s = staticmethod(lambda: 2)",
    ),
    "lambda in a dict": ("d = {'g': lambda: 1}\ndef f(): return d['g']()", "d['g'] = lambda: 2"),
}


@pytest.mark.parametrize(("before", "after"), CELLS.values(), ids=CELLS.keys())
def test_whatever_a_notebooks_function_uses_is_as_it_is_now(owner, before, after):
    notebook = Notebook()
    notebook.cell(before)
    function, key = pack_function(notebook["f"], code=owner.code), owner.pack(notebook["f"])
    assert owner.pack(notebook["f"]) == key
    assert notebook["f"]() == 1
    notebook.cell(after)
    again = pack_function(notebook["f"], code=owner.code)
    assert again.id != function.id
    assert owner.pack(notebook["f"]) != key
    assert cloudpickle.loads(again.body)() == 2


def test_class_of_an_argument_is_as_it_is_now(owner):
    notebook = Notebook()
    notebook.cell("class C:\n    x = 1\nc = C()")
    first = owner.pack(len, [notebook["c"]])
    assert owner.pack(len, [notebook["c"]]) == first
    notebook.cell("C.x = 2")
    assert owner.pack(len, [notebook["c"]]) != first


# -- calls outside scheduling, versions ----------------------------------------------------------------------------------


def test_call_outside_scheduling_is_packed_or_refused():
    function, args, kwargs = cloudpickle.loads(pack_outside(max, (1, 2), {"key": abs}, 10_000))
    assert function(*args, **kwargs) == 2
    with pytest.raises(PackingError, match="more than the 10"):
        pack_outside(max, (b"x" * 100,), {}, 10)
    with pytest.raises(PackingError, match="argument 1"):
        pack_outside(max, (1, (item for item in "")), {}, 10_000)
    with pytest.raises(PackingError, match="the function"):
        pack_outside((item for item in "").send, (), {}, 10_000)


def test_versions_that_do_not_fit_are_named_with_what_to_do():
    client = {"python": "3.11.7", "cloudpickle": "3.1.0", "numpy": "2.0"}
    compare_versions(client, {})
    compare_versions(client, {"w0": {"python": "3.11.2", "cloudpickle": "3.0.9", "numpy": "1.0"}})
    with pytest.raises(VersionMismatchError, match=r"w0 has python 3\.12\.1, this process has 3\.11\.7.*Start"):
        compare_versions(client, {"w0": {"python": "3.12.1", "cloudpickle": "3.1.0"}})
    with pytest.raises(VersionMismatchError, match=r"w1 has cloudpickle 2\.2\.0.*3\.1\.0"):
        compare_versions(client, {"w1": {"python": "3.11.7", "cloudpickle": "2.2.0"}})
    with pytest.raises(VersionMismatchError, match=r"\(none\)"):
        compare_versions(client, {"w1": {"python": "3.11.7"}})
