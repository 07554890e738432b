import pytest

from jupyter_dist.sources.dependents import find_dependents
from jupyter_dist.sources.imports import imported_names


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a, b.c as d", {"a", "b.c"}),
        ("from a import b, c as d", {"a", "a.b", "a.c"}),
        ("from a import *", {"a"}),
        ("from . import b", {"pkg", "pkg.b"}),
        ("from .b import c", {"pkg.b", "pkg.b.c"}),
        ("from ..b import c", set()),
        ("def f():\n    if f:\n        import late", {"late"}),
        ("x = 1", set()),
        ("this is no python", set()),
        ("x = '\0'", set()),
    ],
)
def test_imports_of_a_module_are_read_from_its_source(source, expected):
    assert imported_names(source.encode(), "pkg.mod", is_package=False) == expected


def test_relative_import_in_a_package_is_of_the_package_itself():
    assert imported_names(b"from .b import c", "pkg", is_package=True) == {"pkg.b", "pkg.b.c"}
    assert imported_names(b"from . import b", "top", is_package=False) == set()


def test_source_that_is_not_utf8_is_read_by_its_declaration():
    assert imported_names(b"# coding: latin-1\n# \xe9\nimport a", "m", is_package=False) == {"a"}
    assert imported_names(b"\xff\xfe", "m", is_package=False) == set()


def test_dependents_are_who_imports_a_changed_module_at_any_distance_and_what_is_below():
    imports = {"a": (), "b": ("a", "a.X"), "c": ("b",), "p": (), "p.q": ("other",), "r": ("p.q.f",), "other": ()}
    assert find_dependents(["a"], imports) == {"a", "b", "c"}
    assert find_dependents(["p"], imports) == {"p", "p.q"}
    assert find_dependents(["p.q"], imports | {"s": ("p.q",)}) == {"p.q", "s"}
    assert find_dependents([], imports) == set()
    assert find_dependents(["unknown"], imports) == {"unknown"}


def test_dependents_of_a_ring_of_imports_are_all_of_it():
    assert find_dependents(["a"], {"a": ("b",), "b": ("c",), "c": ("a",)}) == {"a", "b", "c"}
