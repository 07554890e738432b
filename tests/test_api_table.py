"""The table of names in the documents is true: what it says is here is here, and what is here is in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import jupyter_dist
from jupyter_dist import Executor, Future

TABLE = Path(__file__).parent.parent / "docs" / "api.md"
STATUSES = {"yes", "differs", "no"}
NAME = re.compile(r"`([A-Za-z_][\w.]*)`")


class Row(NamedTuple):
    there: str
    here: tuple[str, ...]
    status: str
    remark: str


def read_rows() -> list[Row]:
    rows = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not line.startswith(("| there ", "|---")):
            there, here, status, remark = (cell.strip() for cell in line.strip("|").split("|"))
            rows.append(Row(there, tuple(NAME.findall(here)), status, remark))
    return rows


ROWS = read_rows()
NAMES = sorted({name for row in ROWS if row.status != "no" for name in row.here})


def public(owner: Any) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def test_every_row_says_where_it_is_or_why_not():
    assert len(ROWS) > 100
    for row in ROWS:
        assert row.status in STATUSES, row
        assert bool(row.here) == (row.status != "no"), row
        assert row.remark or row.status == "yes", row
        assert row.there or row.here, row


@pytest.mark.parametrize("name", NAMES)
def test_name_that_is_said_to_be_here_is_here(name):
    found: Any = jupyter_dist
    for part in name.split("."):
        found = getattr(found, part)
    assert found is not None


def test_every_public_name_is_in_the_table():
    named = set(NAMES)
    for owner in (Executor, Future):
        assert {f"{owner.__name__}.{name}" for name in public(owner)} - named == set()
    assert set(jupyter_dist.__all__) - named == set()


def test_names_in_remarks_that_are_ours_are_here():
    for row in ROWS:
        for name in NAME.findall(row.remark):
            if name.startswith(("Executor.", "Future.")):
                assert name in NAMES, row


def test_readme_leads_to_the_table():
    assert "docs/api.md" in (TABLE.parent.parent / "README.md").read_text(encoding="utf-8")
