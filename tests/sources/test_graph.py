import os
import sys
import sysconfig
import types
from pathlib import Path

import pytest

import jupyter_dist
from jupyter_dist.sources import graph as graph_module
from jupyter_dist.sources.graph import SourceGraph, digest, place_of, read_source
from jupyter_dist.sources.local import is_local


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on the path, whose modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str, age_s: float = 10.0) -> Path:
    """Write a file that looks as old as that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    changed_ns = path.stat().st_mtime_ns - int(age_s * 1e9)
    os.utime(path, ns=(changed_ns, changed_ns))
    return path


@pytest.mark.parametrize(
    "path",
    [
        os.__file__,
        pytest.__file__,
        jupyter_dist.__file__,
        str(Path(sysconfig.get_path("purelib"), "thing.py")),
        "/usr/lib/python3/dist-packages/thing.py",
        "/home/me/venv/lib/python3.11/site-packages/pkg/mod.py",
        "/home/me/mod.so",
        "",
    ],
)
def test_file_that_its_user_does_not_edit_is_not_local(path):
    assert not is_local(path)


def test_file_in_a_users_folder_is_local(tmp_path):
    assert is_local(str(tmp_path / "mod.py"))
    assert is_local(__file__)


def test_file_of_a_distribution_installed_into_a_folder_is_not_local(tmp_path):
    write(tmp_path / "thing-1.0.dist-info" / "RECORD", "thing/__init__.py,sha256=x,1\nthing-1.0.dist-info/RECORD,,\n")
    assert not is_local(str(tmp_path / "thing" / "__init__.py"))
    assert is_local(str(tmp_path / "own.py"))


def test_module_reaches_the_local_ones_it_imports_loaded_or_not(folder):
    write(folder / "top.py", "import os, middle\n")
    write(folder / "middle.py", "from pkg import sub\nimport json\n")
    write(folder / "pkg" / "__init__.py", "")
    write(folder / "pkg" / "sub.py", "from . import other\nimport top\n")
    write(folder / "pkg" / "other.py", "")
    write(folder / "pkg" / "unused.py", "")
    reached = {source.name: source for source in SourceGraph().reach(("top",))}
    assert reached.keys() == {"top", "middle", "pkg", "pkg.sub", "pkg.other"}
    assert reached["pkg"].is_package
    assert not reached["pkg.sub"].is_package
    assert "top" not in sys.modules


def test_submodule_reaches_its_packages(folder):
    write(folder / "ns" / "pkg" / "__init__.py", "import beside\n")
    write(folder / "ns" / "pkg" / "mod.py", "")
    write(folder / "beside.py", "")
    assert {source.name for source in SourceGraph().reach(("ns.pkg.mod",))} == {"ns.pkg.mod", "ns.pkg", "beside"}


def test_package_without_init_in_another_is_found_while_neither_is_loaded(folder):
    write(folder / "ns_a" / "ns_b" / "mod.py", "")
    write(folder / "top.py", "from ns_a.ns_b import mod\n")
    assert {source.name for source in SourceGraph().reach(("top",))} == {"top", "ns_a.ns_b.mod"}


def test_changed_file_is_seen_and_an_unchanged_one_is_not_read_again(folder, monkeypatch):
    path = write(folder / "mod.py", "X = 1\n")
    graph = SourceGraph()
    (first,) = graph.reach(("mod",))
    assert first.version == digest(b"X = 1\n")
    monkeypatch.setattr(graph_module, "read_source", None)
    assert graph.reach(("mod",))[0] is first
    monkeypatch.setattr(graph_module, "read_source", read_source)
    write(path, "X = 2\n", age_s=5)
    (second,) = graph.reach(("mod",))
    assert second.version == digest(b"X = 2\n")


def test_change_within_one_tick_and_of_one_size_is_seen(folder):
    path = write(folder / "mod.py", "X = 1\n", age_s=0)
    stamp = path.stat().st_mtime_ns
    graph = SourceGraph()
    (first,) = graph.reach(("mod",))
    path.write_text("X = 2\n", encoding="utf-8")
    os.utime(path, ns=(stamp, stamp))
    (second,) = graph.reach(("mod",))
    assert first.version != second.version


def test_new_import_in_a_changed_file_is_followed(folder):
    path = write(folder / "mod.py", "")
    write(folder / "late.py", "")
    graph = SourceGraph()
    assert [source.name for source in graph.reach(("mod",))] == ["mod"]
    write(path, "import late\n", age_s=5)
    assert {source.name for source in graph.reach(("mod",))} == {"mod", "late"}


def test_file_that_is_gone_or_cannot_be_read_is_left_out(folder):
    path = write(folder / "mod.py", "")
    graph = SourceGraph()
    assert graph.reach(("mod",))
    path.unlink()
    assert graph.reach(("mod",)) == ()
    assert SourceGraph().reach(("no.such.module", "os", "__main__", "sys")) == ()


@pytest.mark.parametrize("thing", [None, 5, types.ModuleType("m"), types.SimpleNamespace(__file__=3, __path__=7)])
def test_whatever_stands_among_the_modules_is_survived(thing):
    assert place_of(thing).path == ""
