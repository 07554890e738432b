"""The page on resilience is true: every row of it names tests, and these are here."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "resilience.md"
HEADS = ("|---", "| the page says ", "| the page admits ", "| what may happen ")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


class Row(NamedTuple):
    said: str
    here: str
    shown_by: str


def read_rows() -> list[Row]:
    rows = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not line.startswith(HEADS):
            said, here, shown_by = (cell.strip() for cell in line.strip("|").split("|"))
            rows.append(Row(said, here, shown_by))
    return rows


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of a file's tests, without importing it; none when there is no such file."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def dead_names(row: Row) -> list[str]:
    """Return what a row names and is not there; a file alone stands for all of its tests."""
    found = TEST.findall(row.shown_by)
    left_over = TEST.sub("", row.shown_by).strip()
    dead = [f"{path}::{name}" for path, name in found if not names_in(path) or (name and name not in names_in(path))]
    return dead + ([left_over] if left_over else []) + ([] if found else ["no test"])


ROWS = read_rows()


def test_page_has_its_sections_and_rows():
    text = PAGE.read_text(encoding="utf-8")
    assert len(ROWS) >= 45
    for section in (
        "User code",
        "Closed network",
        "Hardware",
        "Scheduler",
        "Restart and nanny",
        "What the page admits",
    ):
        assert f"\n## {section}" in text


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.said[:50])
def test_row_says_something_and_its_tests_are_there(row):
    assert row.said
    assert row.here
    assert dead_names(row) == []


@pytest.mark.parametrize(
    ("shown_by", "dead"),
    [
        ("", ["no test"]),
        ("somewhere", ["somewhere", "no test"]),
        ("`tests/test_resilience_page.py`", []),
        (
            "`tests/test_resilience_page.py::test_that_never_was`",
            ["tests/test_resilience_page.py::test_that_never_was"],
        ),
        ("`tests/test_nowhere.py`", ["tests/test_nowhere.py::"]),
        ("`tests/__init__.py`", ["tests/__init__.py::"]),
    ],
)
def test_name_that_is_dead_or_missing_is_noticed(shown_by, dead):
    assert dead_names(Row("said", "here", shown_by)) == dead


def test_readme_leads_to_the_page():
    assert "docs/resilience.md" in (ROOT / "README.md").read_text(encoding="utf-8")
